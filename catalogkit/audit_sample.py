"""Statistics of an audit's sample: what it says about everything that it did not look at.

A sample is drawn at random: documents by themselves, copies by themselves. What is told by few rows, or by an index, is
asked of everything all the same; what only a walk through all there is can tell, a sample leaves out, and says so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Final

from catalogkit.audit_codes import Code
from catalogkit.errors import InvalidInput

CONFIDENCE: Final = 0.95
# Looked for in what was drawn, and nowhere else; all other questions to the catalog are about everything.
DRAWN_FROM: Final = {
    Code.MISSING_FILE: "copies", Code.WRONG_TYPE: "copies", Code.WRONG_SIZE: "copies", Code.WRITABLE: "copies",
    Code.TOUCHED: "copies", Code.LOCATION_TO_NO_BLOB: "copies", Code.WRONG_KEY: "copies",
    Code.CHECK_NOT_IN_LEDGER: "copies", Code.CHECK_CONTRADICTED: "copies",
    Code.DOCUMENT_TO_NOTHING: "documents", Code.VERSIONS_OVERLAP: "documents", Code.VERSIONS_GAP: "documents",
    Code.WRONG_REFS: "contents",
    Code.MALFORMED_ROW: "rows", Code.VERSION_BACKWARDS: "rows", Code.TIME_IN_FUTURE: "rows",
    Code.TIME_LONG_AGO: "rows",
}  # fmt: skip
# Why a sample cannot tell.
LEFT_OUT: Final = {
    Code.DAMAGED_DATABASE: "the database's own check reads its whole file",
    Code.BROKEN_REFERENCE: "the database's own check follows every reference",
    Code.ORPHAN_FILE: "it takes a list of all that lies in the stores",
    Code.FOREIGN_FILE: "it takes a list of all that lies in the stores",
    Code.SHARED_INODE: "both of two copies would have to be drawn",
}

# Rows that are not questioned one by one, as nothing that was drawn leads to them.
NOT_DRAWN: Final = {
    "sources (files that ingest knows), the journal's steps, and evictions of what came back":
        "no index leads there from what was drawn",
    "a quota": "its counts are held against all documents and contents",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many of the copies were read, and what that says about the others.

    Copies are read in the order of their last check, so samples do not repeat before everything was read.
    """

    copies: int
    read: int

    @property
    def share(self) -> float | None:
        """The share of the copies that were read, 0 to 1: the chance to have met one given bad copy."""
        return self.read / self.copies if self.copies else None

    @property
    def runs_until_all(self) -> int | None:
        """How many audits like this one read every copy once; None where that never comes."""
        return math.ceil(self.copies / self.read) if self.read else (None if self.copies else 0)

    def chance(self, bad: int) -> float | None:
        """The chance to have met at least one of `bad` bad copies that lie anywhere.

        ``1 - C(copies - bad, read) / C(copies, read)``, the hypergeometric distribution's complement of none.
        """
        rest = self.copies - bad
        if not self.copies or bad > self.copies or bad < 0:
            return None
        if self.read > rest:
            return 1.0 if bad else 0.0
        log = math.lgamma
        none = log(rest + 1) - log(rest - self.read + 1) - log(self.copies + 1) + log(self.copies - self.read + 1)
        return 1 - math.exp(min(none, 0.0))

    def in_words(self) -> str:
        """The odds in a sentence."""
        if not self.copies:
            return "there are no copies"
        if not self.read:
            return f"none of {self.copies:,} copies: nothing learnt about their contents"
        if self.read >= self.copies:
            return f"every one of {self.copies:,} copies"
        odds = [f"{_percent(self.chance(n))} one of {n}" for n in (10, 100) if n <= self.copies]
        chances = ", ".join([f"a chance of {_percent(self.share)} to meet a single bad one", *odds])
        runs = f"{self.runs_until_all:,} such audits read everything"
        return f"{self.read:,} of {self.copies:,} copies: {chances}; {runs}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the odds."""
        return asdict(self) | {
            "share": self.share,
            "chance_of_1": self.chance(1),
            "chance_of_10": self.chance(10),
            "chance_of_100": self.chance(100),
            "runs_until_all": self.runs_until_all,
            "in_words": self.in_words(),
        }


def _percent(chance: float | None) -> str:
    """In percent; certainty is only said of certainty."""
    return ">99.9 %" if chance is not None and 0.999 < chance < 1 else f"{100 * (chance or 0):.1f} %"


def sample_size(rate: float, copies: int) -> int:
    """How many of so many copies a sample has: rounded up, so that every rate above 0 gets to an end.

    Raises
    ------
    InvalidInput
        If `rate` is no number between 0 and 1.
    """
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
        raise InvalidInput(f"a sample rate is a number between 0 and 1, not {rate!r}")
    # A rate such as 0.1 is a little more than a tenth: 10 of 100 copies are meant, not 11.
    return min(copies, math.ceil(round(rate * copies, 6)) or int(bool(rate and copies)))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows that were drawn at random, without putting any back: ids of documents and of copies, and of how many."""

    documents: tuple[int, ...]
    copies: tuple[int, ...]
    all_documents: int
    all_copies: int


@dataclass(frozen=True, slots=True)
class Part:
    """How many of how many were looked at."""

    looked: int
    of: int

    def at_most(self, found: int) -> float | None:
        """The largest share of faulty ones among all that fits what was found, with 95 % confidence."""
        return found / self.of if self.looked >= self.of > 0 else at_most(found, self.looked)


def parts(drawn: Drawn, looked_at: int) -> dict[str, Part]:
    """How many ``documents`` and ``copies`` of all were looked at; of the copies there may be some that nobody sees."""
    documents = Part(len(drawn.documents), drawn.all_documents)
    return {"documents": documents, "copies": Part(looked_at, drawn.all_copies)}


def left_out(drawn: Drawn) -> list[tuple[str, str]]:
    """What a sample does not look at, and why."""
    counts = ((drawn.all_documents, drawn.documents, "documents"), (drawn.all_copies, drawn.copies, "copies"))
    rest = [(f"{total - len(some):,} of {total:,} {name}", "they were not drawn")
            for total, some, name in counts if total > len(some)]  # fmt: skip
    for why, codes in groupby(LEFT_OUT, key=lambda code: LEFT_OUT[code]):
        rest.append(("; ".join(f"{code}: {code.what}" for code in codes), why))
    single = ", ".join(code for code, these in DRAWN_FROM.items() if these == "rows")
    rest += [(f"{single}: rows of {rows}", why) for rows, why in NOT_DRAWN.items()]
    return rest


def at_most(found: int, looked: int, confidence: float = CONFIDENCE) -> float | None:
    """The largest share of faulty ones that still makes it likely enough to find so few of them; None of nothing.

    The upper end of the one-sided interval of C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial
    limits illustrated in the case of the binomial" (Biometrika 26, 1934): the share with which ``found`` or fewer
    among ``looked`` have a probability of ``1 - confidence``. Where none was found that is about ``3 / looked`` for
    95 %, the rule of three (J. A. Hanley and A. Lippman-Hand, JAMA 249, 1983). It is on the safe side for what was
    drawn without putting back.
    """
    if looked <= 0:
        return None
    if found >= looked:
        return 1.0
    low, high = found / looked, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _so_few(found, looked, middle) > 1 - confidence else (low, middle)
    return high


def _so_few(found: int, looked: int, share: float) -> float:
    """The chance of `found` or fewer among `looked`, each with probability `share`; the last terms weigh most."""
    log = math.lgamma
    term = log(looked + 1) - log(found + 1) - log(looked - found + 1)
    term += found * math.log(share) + (looked - found) * math.log1p(-share) if share < 1 else -math.inf
    total = last = math.exp(term)
    for count in range(found, 0, -1):
        last *= count / (looked - count + 1) * (1 - share) / share
        total += last
        if last < total * 1e-12:
            break
    return total
