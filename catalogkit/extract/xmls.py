"""Safe XML (no entities, no DTDs, no network) and safe zip archives."""

from __future__ import annotations

import contextlib
import io
import unicodedata
import zipfile
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import Reason
from catalogkit.extract.facts import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES: Final = 50_000
UTF8_NAME: Final = 0x800  # APPNOTE.TXT 4.4.4, bit 11
XML_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"


def parse_xml(data: bytes, *, recover: bool = False) -> Any:
    """The root element of an XML document.

    Raises
    ------
    RefusedError
        If it is not well-formed; with `recover` only if nothing of it is.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True, recover=recover,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        raise RefusedError(Reason.DAMAGED, f"not well-formed: {problem}") from None
    except ValueError as problem:
        raise RefusedError(Reason.DAMAGED, f"not XML: {problem}") from None
    if root is None:
        raise RefusedError(Reason.DAMAGED, "not well-formed from the first tag on")
    return root


def local(node: Any) -> str:
    """The name of an element without its namespace."""
    tag = node.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def named(root: Any, *names: str) -> Iterator[Any]:
    """Every element below with one of these names, whatever its namespace."""
    return (node for node in root.iter() if local(node) in names)


def text_of(node: Any) -> str:
    """All text within an element."""
    return "".join(node.itertext())


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class Archive:
    """A zip archive that is read member by member, and never unpacks more than a limit, all members together.

    Names are only ever looked up in the archive: nothing is written, whatever path a member claims.
    """

    def __init__(self, data: bytes, most: int) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as problem:
            raise RefusedError(Reason.DAMAGED, f"not a whole zip archive: {problem}") from None
        self._left = most
        self.names = self._zip.namelist()
        if len(self.names) > ENTRIES:
            raise RefusedError(Reason.TOO_LARGE, f"{len(self.names):,} members in the archive")
        self._there = set(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._there or _alike(name) in self._meant

    @cached_property
    def _meant(self) -> dict[str, str]:
        """Members by the names that were meant: in UTF-8 though the archive does not say so, in any case and form."""
        meant: dict[str, str] = {}
        for info in self._zip.infolist():
            name = info.filename
            if not info.flag_bits & UTF8_NAME:
                with contextlib.suppress(UnicodeError):
                    name = name.encode("cp437").decode()
            meant.setdefault(_alike(name), info.filename)
        return meant

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises
        ------
        RefusedError
            If they are damaged, encrypted, or more than may still be unpacked.
        """
        try:
            info = self._zip.getinfo(name if name in self._there else self._meant[_alike(name)])
            if info.flag_bits & 1:
                raise RefusedError(Reason.ENCRYPTED, f"{name} needs a password", encrypted=True)
            with self._zip.open(info) as member:
                data = member.read(self._left + 1)
        except KeyError:
            raise RefusedError(Reason.DAMAGED, f"{name} is not in the archive") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as problem:
            raise RefusedError(Reason.DAMAGED, f"{name} cannot be unpacked: {problem}") from None
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(Reason.TOO_LARGE, "it unpacks to more than the limit")
        return data

    def ending(self, *ends: str) -> str | None:
        """The first member whose name ends so."""
        return next((name for name in self.names if name.endswith(ends)), None)
