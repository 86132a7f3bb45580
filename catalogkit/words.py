"""Normalizes words for search: the same for indexed texts and queries, in every engine.

Case, accents, ligatures and full-width forms make no difference. Scripts that put no spaces between words are taken
letter by letter, and a word of a query as the letters next to each other: so any part of a text is found, however
short, where an index of trigrams would miss words of two letters, the most common ones of Chinese.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

from catalogkit.errors import InvalidInput

_UNSPACED: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_ACCENT: Final = re.compile(r"[\u0300-\u036f]")
_PARTS: Final = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
# Whatever changes what `folded` makes of a text gets another name here, and indexes are built anew.
FORM: Final = "1"
LONGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Term:
    """What must, or must not, be in a document.

    Attributes
    ----------
    words : tuple of str
        Folded words that stand next to each other.
    prefix : bool
        Whether the last of them may go on.
    wanted : bool
        False for what must not be there.
    """

    words: tuple[str, ...]
    prefix: bool = False
    wanted: bool = True


def folded(text: str) -> str:
    """A text in which words that differ in nothing that counts are the same letters.

    Examples
    --------
    >>> folded("Ele\\ufb01ante S\\u00e3o 中文")
    'elefiante sao  中  文 '
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text).replace("\u00ad", "").casefold()
    plain = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", plain)))
    return UNSPACED.sub(r" \g<0> ", plain)


def indexed(text: str) -> str:
    """A text as an index takes it: its folded words, so that no engine's own idea of what a letter is matters."""
    return text.lower() if text.isascii() else " ".join(words_of(text))


def words_of(text: str) -> list[str]:
    """The folded words of a text, in their order."""
    return _word().findall(folded(text))


@cache
def _word() -> re.Pattern[str]:
    # Takes as long to compile as a tenth of starting any command, and few of them look for words.
    return re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def parse_query(text: str) -> list[Term]:
    """What somebody typed: ``words``, ``"a phrase"``, ``prefix*``, ``-without``. All else is taken as words.

    Raises
    ------
    InvalidInput
        If there is no word to look for, or there are too many.

    Examples
    --------
    >>> parse_query('"open access" journal* -draft')
    [Term(words=('open', 'access'), prefix=False, wanted=True), Term(words=('journal',), prefix=True, wanted=True), \
Term(words=('draft',), prefix=False, wanted=False)]
    """
    terms = []
    for part in _PARTS.finditer(text):
        said = part["word"] or part["phrase"] or ""
        if words := words_of(said):
            prefix = part["word"] is not None and said.endswith("*")
            terms.append(Term(tuple(words), prefix, part["minus"] is None))
    if not any(term.wanted for term in terms):
        raise InvalidInput(
            f'there is no word to look for in {text[:80]!r}; give one, such as: cells "open access" -draft'
        )
    if sum(len(term.words) for term in terms) > LONGEST:
        raise InvalidInput(f"that is more than {LONGEST} words; look for fewer")
    return list(dict.fromkeys(terms))
