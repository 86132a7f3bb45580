"""The settings ``[extract]``: how much reading one document may cost, and how much of it is kept."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=1)]
_MEGABYTE = 1_000_000


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one document may take; beyond any of these it is refused, with a reason.

    Attributes
    ----------
    seconds : float
        Time by the clock.
    cpu_seconds : int
        Time of a processor.
    memory_bytes : int
        Address space of the process that reads it.
    input_bytes : int
        Its own size.
    unpacked_bytes : int
        The size of all that is unpacked from it.
    pages : int
        Pages whose text is read; all are counted. More of them cost more time for every document.
    text_chars : int
        Characters of text that are kept; 0 keeps none.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    cpu_seconds: _Count = 20
    memory_bytes: Annotated[int, msgspec.Meta(ge=256 * _MEGABYTE)] = 2000 * _MEGABYTE
    input_bytes: _Count = 256 * _MEGABYTE
    unpacked_bytes: _Count = 128 * _MEGABYTE
    pages: _Count = 100
    text_chars: Annotated[int, msgspec.Meta(ge=0)] = 200_000
