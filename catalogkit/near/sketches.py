"""Sketches: short signatures of texts that tell which are worth comparing.

A sketch is a MinHash signature (Broder 1997) of 128 numbers, half a kilobyte whatever the length of the text. The share
of numbers that two sketches have in common estimates the Jaccard similarity of their texts, with a standard error of
at most 0.045. `rensa` makes them.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from catalogkit.errors import InvalidInput
from catalogkit.near import stock
from catalogkit.near.shingles import FEWEST, LETTERS, Shingles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NUMBERS: Final = 128
_SEED: Final = 1
_FORMAT: Final = struct.Struct(f"<{NUMBERS}I")


class Sketch(NamedTuple):
    """What is kept of a text.

    Attributes
    ----------
    shingles : int
        How many the text has.
    numbers : bytes
        The signature, little-endian; empty for a text that is not compared.
    why_not : str
        Why it is not: ``empty`` (a scan, for example), ``short`` or ``stock``; else empty.
    """

    shingles: int
    numbers: bytes
    why_not: str


def sketched(texts: Iterable[str]) -> list[Sketch]:
    """Sketches of some texts, in their order.

    Raises
    ------
    InvalidInput
        If `rensa` is not installed.
    """
    return [_sketch(text) for text in texts]


def version() -> str:
    """What sketches must have in common: how texts are cut up and told from stock, and how numbers are made of that."""
    return f"{LETTERS}-{stock.VERSION}-{NUMBERS}-{_SEED}-{_maker().ALGORITHM_VERSION}"


def _sketch(text: str) -> Sketch:
    shingles = Shingles(text)
    why_not = ""
    if len(shingles) < FEWEST:
        why_not = "short" if text.strip() else "empty"
    elif stock.is_stock(text):
        why_not = "stock"
    if why_not:
        return Sketch(len(shingles), b"", why_not)
    made = _maker()(num_perm=NUMBERS, seed=_SEED)
    made.update(list(shingles.all))
    return Sketch(len(shingles), _FORMAT.pack(*made.digest()), "")


@cache
def _maker() -> Any:
    try:
        from rensa import RMinHash
    except ImportError:
        raise InvalidInput("near-duplicates need rensa: pip install 'catalogkit[near]'") from None
    return RMinHash
