"""docs/retention.md says what the code says. ``python tests/retention/test_page.py`` writes its table anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from catalogkit.policies.retention import KEEP, REASONS, RetentionPolicy
from catalogkit.policies.wording import TIERS
from catalogkit.units import parse_bytes

PAGE = Path(__file__).parents[2] / "docs" / "retention.md"
MARKED = re.compile(r"(<!-- reasons -->\n).*?(<!-- /reasons -->)", re.DOTALL)


def page() -> str:
    """The page with its table of reasons as the code has them."""
    rows = [f"| `{code}` | {'keep' if code in KEEP else 'forget'} | {words} |\n" for code, words in REASONS.items()]
    table = "| code | decision | because |\n|---|---|---|\n" + "".join(rows)
    return MARKED.sub(lambda found: found[1] + table + found[2], PAGE.read_text(encoding="utf-8"))


def test_the_reasons_are_those_of_the_code() -> None:
    """Every code is in the table, with its words."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/retention/test_page.py"


def test_the_tiers_are_those_of_the_code() -> None:
    """Every tier begins where the page says."""
    for tier, begins in TIERS.items():
        (said,) = re.findall(rf"^\| `{tier}` \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        words = {"tiny": "below 10 kB", "huge": "from 100 MB on"}.get(tier, said)
        assert said == words
        first = "0" if tier == "tiny" else re.findall(r"\d+ [kM]B", said)[0]
        assert parse_bytes(first) == begins


def test_the_settings_are_a_policy() -> None:
    """The example is read as it stands, and every field is in it."""
    import tomllib

    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    values = tomllib.loads(example)["retention"]
    assert set(values) == set(RetentionPolicy().plain())
    assert RetentionPolicy.parse(values).remarks() == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
