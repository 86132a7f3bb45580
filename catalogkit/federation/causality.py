"""Dots and version vectors: which change knew of which, without trusting clocks.

A *dot* names one change: the site where it was made, and its number there. A *context* says for each site up to which
number changes are known; numbers of a site only grow. A change that was made in the knowledge of another has the
other's dot in its context; two that did not know of each other are concurrent, whatever their clocks say.

The structure is that of dotted version vectors: N. Preguiça, C. Baquero, P. S. Almeida, V. Fonte, R. Gonçalves,
"Dotted Version Vectors: Logical Clocks for Optimistic Replication", arXiv:1011.5808.
"""

from __future__ import annotations

from collections.abc import Mapping

Context = Mapping[str, int]
Dot = tuple[str, int]


def covers(context: Context, dot: Dot) -> bool:
    """Whether a change is known."""
    return context.get(dot[0], 0) >= dot[1]


def joined(one: Context, other: Context) -> dict[str, int]:
    """What either knows."""
    return {site: max(one.get(site, 0), other.get(site, 0)) for site in sorted({*one, *other})}


def includes(one: Context, other: Context) -> bool:
    """Whether `one` knows all that `other` knows."""
    return all(covers(one, dot) for dot in other.items())
