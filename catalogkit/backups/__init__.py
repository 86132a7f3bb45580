"""Backups of a catalog, and recovery from them."""

from __future__ import annotations
