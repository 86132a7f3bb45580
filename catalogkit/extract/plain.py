"""Reads plain text: its encoding and its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.extract.encodings import decode
from catalogkit.extract.facts import Facts

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """The text, and its encoding."""
    text, encoding, guessed = decode(data)
    facts = Facts(text=text, more={"encoding": encoding, "lines": text.count("\n") + (not text.endswith("\n"))})
    if guessed:
        facts.warnings.append("encoding_guessed")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        facts.warnings.append("encoding_errors")
    return facts
