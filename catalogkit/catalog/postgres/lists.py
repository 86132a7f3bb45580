"""Sends lists to the server in binary, digests of a batch in one piece."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.array import ListBinaryDumper

if TYPE_CHECKING:
    from psycopg.abc import Buffer

_BYTEA: Final = 17
_DIGEST: Final = 32
_LENGTH: Final = struct.pack("!i", _DIGEST)
# Dimensions, whether there is a NULL, the type of what is in it, how many, counted from one (array_send, arrayfuncs.c).
_HEAD: Final = struct.Struct("!5i")


class Lists(ListBinaryDumper):
    """The driver's dumper, which takes an element at a time, but for lists of digests."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        """A list as the server takes it."""
        if not obj or self.sub_dumper is None or self.sub_dumper.oid != _BYTEA or None in obj:
            return super().dump(obj)
        if set(map(len, obj)) != {_DIGEST}:
            return super().dump(obj)
        return _HEAD.pack(1, 0, _BYTEA, len(obj), 1) + _LENGTH + _LENGTH.join(obj)


__all__ = ["Lists"]
