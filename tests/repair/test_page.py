"""docs/repair.md says what the code says. ``python tests/repair/test_page.py`` writes its tables anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from catalogkit.planners.repair import REASONS, REASONS_NOT

PAGE = Path(__file__).parents[2] / "docs" / "repair.md"


def page() -> str:
    """The page with its tables of reasons as the code has them."""
    text = PAGE.read_text(encoding="utf-8")
    for name, reasons in (("reasons", REASONS), ("reasons not", REASONS_NOT)):
        rows = "".join(f"| `{code}` | {words} |\n" for code, words in reasons.items())
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, times = marked.subn(rf"\1| code | because |\n|---|---|\n{rows}\2", text)
        assert times == 1, name
    return text


def test_the_reasons_are_those_of_the_code() -> None:
    """Every code is in its table, with its words."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/repair/test_page.py"


def test_the_numbers_are_those_of_the_code() -> None:
    """What the page says of times and counts is what the fetcher does."""
    from catalogkit.fetching import PATIENCE_SECONDS, REDIRECTS, Fetcher

    plain, text = Fetcher(), " ".join(PAGE.read_text(encoding="utf-8").split())
    assert (plain.per_second, plain.attempts, PATIENCE_SECONDS, REDIRECTS) == (1, 4, 60, 5)
    assert f"{plain.connect_seconds:g} s to take the connection, {plain.read_seconds:g} s for each" in text
    assert "of at most five" in text and "up to four times in all" in text and "one request a second" in text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
