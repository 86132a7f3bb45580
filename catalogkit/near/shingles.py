"""Texts as sets of shingles, and how similar two of them are."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from catalogkit.words import UNSPACED

# Letters of a shingle: three English words or more. Shorter ones are common to texts about the same thing; longer ones
# lose more text to each word that a watermark or a page number puts in between.
LETTERS: Final = 16
# With fewer shingles than this a text says too little: titles, captions, "404 not found".
FEWEST: Final = 20
# What two texts must have in common: of both together, and of the shorter. Boilerplate and watermarks add to one of
# them, which the second forgives; the first, that a chapter is not its book. Over real documents, translations and
# sister pages of one template had up to 0.65 and 0.80, the EPUB and the PDF of one book 0.83 and 0.94.
JACCARD: Final = 0.6
CONTAINMENT: Final = 0.82
# In a text of so few shingles every other word may change what it says, so nearly all of it must agree.
SHORT: Final = 50
SHORT_JACCARD: Final = 0.8
SHORT_CONTAINMENT: Final = 0.9
_WORDS: Final = 8

_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two texts are, `a` and `b`.

    Attributes
    ----------
    jaccard : float
        Shingles of both, divided by those of either.
    containment : float
        Shingles of both, divided by those of the one that has fewer.
    only_a, only_b : int
        Shingles that the other does not have.
    same : bool
        Whether they are one text, by the thresholds above.
    """

    jaccard: float
    containment: float
    only_a: int
    only_b: int
    same: bool


class Shingles:
    """A text as a set of shingles: the `LETTERS` letters and digits from the beginning of each word on.

    Case, ligatures, punctuation, spaces, line ends and hyphens at them make no difference (NFKC and case folding), as
    they differ between a book's PDF and its EPUB. Accents do: they tell languages apart.

    Parameters
    ----------
    text
        The text.

    Examples
    --------
    >>> compared(Shingles(PAGE), Shingles(PAGE.upper().replace("er ", "e-\\nr "))).jaccard  # doctest: +SKIP
    1.0
    """

    def __init__(self, text: str) -> None:
        self._text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
        words = _WORD.findall(self._text.casefold())
        letters = "".join(words)
        at, starts = 0, list[int]()
        for word in words:
            starts.append(at)
            # Scripts that put no spaces between words: a shingle begins at every letter of them.
            if UNSPACED.search(word):
                starts.extend(range(at + 1, at + len(word)))
            at += len(word)
        self.all = frozenset(letters[at : at + LETTERS] for at in starts if at + LETTERS <= len(letters))

    def __len__(self) -> int:
        return len(self.all)

    @cached_property
    def words(self) -> list[str]:
        """The words in their order, as they were written."""
        return _WORD.findall(self._text)

    def only(self, other: Shingles) -> str:
        """The first words that `other` does not have, as somebody would look for them; empty if there are none."""
        folded = [word.casefold() for word in self.words]
        for at in range(len(folded)):
            ahead = "".join(folded[at : at + LETTERS])[:LETTERS]
            if len(ahead) == LETTERS and ahead not in other.all:
                # The shingle began to differ with its last letters: what stands before them is common.
                return " ".join(self.words[at : at + _WORDS])
        return ""


def compared(a: Shingles, b: Shingles) -> Likeness:
    """How alike two texts are."""
    both = len(a.all & b.all)
    either, fewer = len(a) + len(b) - both, min(len(a), len(b))
    jaccard, containment = both / either if either else 0.0, both / fewer if fewer else 0.0
    return Likeness(
        jaccard=jaccard,
        containment=containment,
        only_a=len(a) - both,
        only_b=len(b) - both,
        same=fewer >= FEWEST and is_same(jaccard, containment, fewer),
    )


def is_same(jaccard: float, containment: float, fewer: int) -> bool:
    """Whether texts that have so much in common, the shorter of them with so many shingles, are one text."""
    if fewer < SHORT:
        return jaccard >= SHORT_JACCARD and containment >= SHORT_CONTAINMENT
    return jaccard >= JACCARD and containment >= CONTAINMENT
