"""The commands of the command line, a module for each room of it; each adds its own with ``add_to``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.commands import (
    asking,
    checking,
    dedup,
    evicting,
    federation,
    holding,
    inside,
    maintaining,
    moving,
    near,
    past,
    plans,
    recovering,
    repairing,
    reporting,
    retention,
    searching,
    stores,
    taking,
    tenants,
    tiering,
)

if TYPE_CHECKING:
    import typer

__all__ = ["add_to"]

# In the order in which the help lists them.
_ROOMS = (
    taking,
    checking,
    inside,
    asking,
    searching,
    past,
    reporting,
    plans,
    holding,
    retention,
    dedup,
    near,
    evicting,
    repairing,
    recovering,
    moving,
    stores,
    tiering,
    maintaining,
    tenants,
    federation,
)


def add_to(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for room in _ROOMS:
        room.add_to(app)
