"""Stock pages: what servers say instead of the document. They are all alike, and nobody's duplicate."""

from __future__ import annotations

import re
from typing import Final

# A page that says one of these things and little else; a document about them is longer.
LONGEST_WORDS: Final = 200
_SIGNS: Final = re.compile(
    r"""
      \b 40[0134] \b .{0,40} \b (?: not\ found | forbidden | unauthorized | bad\ request | error ) \b
    | \b (?: page | file | document | url | resource ) \b .{0,40} \b (?: not\ found | could\ not\ be\ found
        | cannot\ be\ found | no\ longer\ (?: exists | available ) | does\ not\ exist ) \b
    | \b (?: access | permission ) \ denied \b
    | \b 50[0234] \b .{0,40} \b (?: error | bad\ gateway | unavailable | time-?out ) \b
    | \b service \ (?: is \ )? (?: temporarily \ )? unavailable \b
    | \b (?: enable | turn\ on | accept | allow | disabled ) \b .{0,30} \b (?: cookies | javascript ) \b
    | \b (?: we | this \ (?: web)? site | our \ (?: web)? site ) \b .{0,30} \b uses? \b .{0,20} \b cookies \b
    | \b (?: verify | prove | confirm | checking ) \b .{0,30} \b (?: you \ are | you're | if ) \b .{0,20} \b human \b
    | \b (?: captcha | unusual\ traffic | automated\ (?: access | requests | queries ) | rate\ limit\ exceeded ) \b
    | \b (?: log | sign ) \ ?-? in \b .{0,40} \b (?: to \ (?: continue | view | access | read | your ) | required ) \b
    | \b (?: you \ (?: must | need \ to ) \ (?: log | sign ) \ ?-? in ) \b
    | \b (?: purchase | buy | get | request ) \ (?: this \ )? (?: access | article | pdf ) \b
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_stock(text: str) -> bool:
    """Whether a text looks like what a server says instead of the document.

    Examples
    --------
    >>> is_stock("404 Not Found. The page you asked for could not be found on this server.")
    True
    >>> is_stock("The cell is the unit of life.")
    False
    """
    words = text.split()
    return len(words) <= LONGEST_WORDS and _SIGNS.search(" ".join(words)) is not None
