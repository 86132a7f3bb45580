"""Layouts of keys: by content (``cas/ab/<sha256>``) or by a readable path (``docs/<template>``).

Everything here is pure: computing a key touches no disk.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, Layout, path_text

if TYPE_CHECKING:
    from catalogkit.model import Arrival

DEFAULT_TEMPLATE: Final = "{resolver}/{artifact_id}/{basename}"
FIELDS: Final = ("tenant", "artifact_id", "resolver", "variant", "run_id", "basename", "sha256")

# A name may have 255 bytes on every common file system; the rest is room for what `beside` adds.
LONGEST_NAME_BYTES: Final = 255
MAX_NAME_BYTES: Final = 180
# Windows and SMB shares refuse these whatever the extension (Microsoft, "Naming Files, Paths, and Namespaces").
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*]')
_CAS: Final = re.compile(r"cas/([0-9a-f]{2})/(\1[0-9a-f]{62})", re.ASCII)


def cas_key(digest: Digest) -> str:
    """The content address of `digest`: 256 folders by the first byte, the whole digest as the name."""
    text = digest.hex()
    return f"cas/{text[:2]}/{text}"


def layout_of(key: str) -> Layout | None:
    """The layout whose form `key` has, or None for a foreign name (which nothing may ever delete)."""
    if _CAS.fullmatch(key):
        return Layout.CAS
    parts = key.split("/")
    if (
        parts[0] == "docs"
        and len(parts) > 1
        and all(part and part == segment(part, LONGEST_NAME_BYTES) for part in parts[1:])
    ):
        return Layout.POLICY
    return None


def digest_of(key: str) -> Digest | None:
    """The digest that a content address names, or None where `key` is not one."""
    match = _CAS.fullmatch(key)
    return Digest.parse(match[2]) if match else None


def segment(text: str, room: int = MAX_NAME_BYTES) -> str:
    """`text` as one safe path segment of at most `room` bytes, the same on every platform; empty text gives ``_``.

    Examples
    --------
    >>> segment("10.1000/x:1"), segment(".."), segment("con.pdf")
    ('10.1000_x_1', '_', '_con.pdf')
    """
    # Names of unpaired surrogates and control characters are spelled out first, so that no byte is lost silently.
    name = unicodedata.normalize("NFC", text if text.isprintable() else path_text(text))
    name = _FORBIDDEN.sub("_", name).rstrip(". ").lstrip(" ")
    if not name or name.startswith(".") or _RESERVED.match(name):
        name = f"_{name}"
    return _shorten(name, room)


def _shorten(name: str, room: int) -> str:
    if len(name.encode()) <= room:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        stem, dot, extension = name, "", ""
    mark = f"~{hashlib.sha256(name.encode()).hexdigest()[:8]}{dot}{extension}"
    kept = stem.encode()[: room - len(mark.encode())]
    return kept.decode(errors="ignore").rstrip(". ") + mark


def fold(key: str) -> str:
    """`key` as a case- and normalisation-blind file system sees it; equal folds are one file there."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", key).casefold())


@dataclass(frozen=True, slots=True)
class Template:
    """A readable path made from a document's fields, such as ``{resolver}/{artifact_id}/{basename}``.

    Raises
    ------
    InvalidInput
        If the template names an unknown field, has no ``{basename}``, ``{artifact_id}`` or ``{sha256}``,
        or is not a relative path.
    """

    text: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as problem:
            raise InvalidInput(f"template {self.text!r}: {problem}") from None
        names = [name for _, name, spec, conversion in parsed if name is not None]
        unknown = [name for name in names if name not in FIELDS]
        if unknown or any(spec or conversion for _, _, spec, conversion in parsed):
            raise InvalidInput(f"template {self.text!r}: use plain fields out of {', '.join(FIELDS)}")
        if not {"basename", "artifact_id", "sha256"} & set(names):
            raise InvalidInput(f"template {self.text!r} must name {{basename}}, {{artifact_id}} or {{sha256}}")
        if self.text.startswith("/") or "\\" in self.text or ".." in self.text.split("/"):
            raise InvalidInput(f"template {self.text!r} must be a relative path without '..'")

    def key(self, arrival: Arrival, basename: str, digest: Digest) -> str:
        """The key of a document's bytes; fields never add folders of their own, empty segments are left out."""
        fields = {name: getattr(arrival, name, "") for name in FIELDS}
        fields |= {"basename": basename or arrival.artifact_id, "sha256": digest.hex()}
        parts = [part.format_map(fields) for part in self.text.split("/")]
        return "/".join(["docs", *(segment(part) for part in parts if part)])


def beside(key: str, digest: Digest, hex_digits: int = 12) -> str:
    """Another key for `digest` where other bytes hold `key`: ``paper.pdf -> paper~1f2e3d4c5b6a.pdf``."""
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        stem, dot, extension = name, "", ""
    return f"{folder}{slash}{stem}~{digest.hex()[:hex_digits]}{dot}{extension}"


def apart(key: str, digest: Digest) -> str:
    """Another key for `digest` where a file lies on the way to `key`: ``docs/a/x.pdf -> docs/~1f2e3d4c5b6a/x.pdf``."""
    return f"docs/~{digest.hex()[:12]}/{key.rpartition('/')[2]}"


def basename_of(source_url: str, path_name: str) -> str:
    """The file name a reader expects: the last segment of the URL's path, else the name of the file."""
    if not source_url.startswith(("http://", "https://", "ftp://")):
        return path_name
    try:
        name = unquote(urlsplit(source_url).path.rpartition("/")[2])
    except ValueError:  # a host in brackets that is no address
        return path_name
    return name if "." in name.strip(".") else path_name
