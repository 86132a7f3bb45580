"""The commands of the command line, a module for each room; each adds its own with ``add_to``."""

from __future__ import annotations

from typing import Any, Final

import typer
import typer.core

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

__all__ = ["Grouped", "add_to"]

# In the order in which the help lists them.
_ROOMS: Final = {
    "Take in, prove, look into": (taking, checking, inside),
    "Ask": (asking, searching, past, reporting),
    "Plan, review, approve, apply": (plans, holding, retention, dedup, near, evicting, repairing),
    "Lose nothing": (recovering,),
    "Stores and moves": (moving, stores, tiering),
    "Every night, and more than one": (maintaining, tenants, federation),
}
# A first sentence is shown whole.
SENTENCE: Final = 240


class Grouped(typer.core.TyperGroup):
    """A command whose help lists what it can do under headings."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and what they do, a table for each heading, one width for all."""
        width = max(map(len, self.commands))
        headings = {name: str(getattr(one, "rich_help_panel", "")) for name, one in self.commands.items()}
        for heading in dict.fromkeys(headings.values()):
            under = [name for name, said in headings.items() if said == heading]
            told = [(name, self.commands[name].get_short_help_str(SENTENCE)) for name in _in_order(heading, under)]
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), sentence) for name, sentence in told])


def _in_order(heading: str, names: list[str]) -> list[str]:
    """Those that the heading names come first, in its order (`find` says -1 of others, which stay as they are)."""
    words = f"{heading.lower()} "
    return sorted(names, key=lambda name: words.find(name) % len(words))


def add_to(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for heading, rooms in _ROOMS.items():
        already = len(app.registered_commands), len(app.registered_groups)
        for room in rooms:
            room.add_to(app)
        for command in app.registered_commands[already[0] :]:
            command.rich_help_panel = heading
        for group in app.registered_groups[already[1] :]:
            group.rich_help_panel = heading
