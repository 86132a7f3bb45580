"""Backups of a catalog, and the ways back from them."""

from __future__ import annotations
