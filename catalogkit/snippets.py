"""Snippets: the part of a text that shows why it was found, and where in it the words are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catalogkit.words import UNSPACED, folded, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.words import Term

# Marks around words that were found: control characters, which are shown as nothing where nobody looks for them.
START, END = "\x02", "\x03"
LENGTH: Final = 160
_MARKS: Final = str.maketrans("", "", START + END)
# A text is looked through so far; the first part that has every word ends the search.
_FAR: Final = 400_000
_TOKEN: Final = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})[^\W_])+")


def snippet(text: str, terms: Sequence[Term], length: int = LENGTH) -> str:
    """The part of a text, about so many characters, with most of the words that are looked for.

    Words that were found stand between `START` and `END`; an ellipsis stands where the text goes on. A text with none
    of them is shown from its beginning.

    Examples
    --------
    >>> snippet("Cells divide.", parse_query("cells")).replace(START, "<").replace(END, ">")
    '<Cells> divide.'
    """
    text = text.translate(_MARKS)
    wanted = [term for term in terms if term.wanted]
    begin = _best(text, wanted, length)
    if begin:  # a word is not cut in two
        begin = text.find(" ", begin, begin + 20) + 1 or begin
    end = min(begin + length, len(text))
    if end < len(text):
        end = max(text.rfind(" ", end - 20, end), 0) or end
    words = " ".join(_marked(text[begin:end], wanted).split())
    return ("… " if begin else "") + words + (" …" if end < len(text) else "")


def _best(text: str, terms: Sequence[Term], length: int) -> int:
    """Where the first part begins that has most of the terms."""
    patterns = [_pattern(term) for term in terms]
    best, most = 0, 0
    for begin in range(0, min(len(text), _FAR), max(length // 2, 1)):
        part = folded(text[begin : begin + length])
        count = sum(pattern.search(part) is not None for pattern in patterns)
        if count > most:
            best, most = begin, count
            if count == len(patterns):
                break
    return best


def _pattern(term: Term) -> re.Pattern[str]:
    """A term in a folded text."""
    words = r"[\W_]+".join(map(re.escape, term.words))
    return re.compile(rf"(?<![^\W_]){words}" + ("" if term.prefix else r"(?![^\W_])"))


def _marked(part: str, terms: Sequence[Term]) -> str:
    """A short text with marks around every term in it."""
    words = [(piece.start(), piece.end(), word) for piece in _TOKEN.finditer(part) for word in words_of(piece[0])]
    marked, done = "", 0
    for at, (start, _, _) in enumerate(words):
        lengths = [len(term.words) for term in terms if _here(words, at, term)]
        if lengths and start >= done:
            end = words[at + max(lengths) - 1][1]
            marked += part[done:start] + START + part[start:end] + END
            done = end
    return marked + part[done:]


def _here(words: Sequence[tuple[int, int, str]], at: int, term: Term) -> bool:
    """Whether a term begins with the word at a place."""
    there = [word for _, _, word in words[at : at + len(term.words)]]
    if len(there) < len(term.words) or there[:-1] != list(term.words[:-1]):
        return False
    return there[-1].startswith(term.words[-1]) if term.prefix else there[-1] == term.words[-1]
