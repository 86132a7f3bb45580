"""Texts to compare: prose without end, and what happens to it on its way."""

from __future__ import annotations

import random
import textwrap

_SYLLABLES = ["ka", "lo", "mi", "tu", "re", "na", "po", "vi", "sa", "ge", "do", "fu", "en", "is", "ar"]


def prose(name: str, words: int = 400) -> str:
    """A text of its own for each name: sentences of words that other texts have, too, in another order."""
    chance = random.Random(name)
    vocabulary = random.Random("vocabulary")
    known = ["".join(vocabulary.choices(_SYLLABLES, k=vocabulary.randint(1, 4))) for _ in range(3000)]
    said = [chance.choice(known) for _ in range(words)]
    return " ".join(
        " ".join(said[at : at + 12]).capitalize() + ("." if at % 60 else ".\n\n") for at in range(0, words, 12)
    )


def watermarked(text: str, every: int = 150) -> str:
    """A line of somebody's name on every page."""
    words = text.split(" ")
    pages = [" ".join(words[at : at + every]) for at in range(0, len(words), every)]
    return "\n".join(f"Downloaded by reader 4711 from 10.0.0.1 on 3 May 2026\n{page}" for page in pages)


def hyphenated(text: str) -> str:
    """Narrow lines with words cut at their ends, capitals, ligatures, page numbers."""
    lines = textwrap.wrap(text, 40)
    cut = [
        line[:-3] + "-\n" + line[-3:] if n % 3 == 0 and line[-4:].isalpha() else line for n, line in enumerate(lines)
    ]
    return "\n".join(f"{line}\n{n // 30}" if n % 30 == 0 else line for n, line in enumerate(cut)).replace("fi", "ﬁ")


def page(text: str, site: str = "a", words: int = 60) -> str:
    """A menu before it and a footer after it."""
    return f"{prose('menu ' + site, words)}\n{text}\n{prose('footer ' + site, words)}"
