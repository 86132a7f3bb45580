"""docs/dedup.md: its table of reasons is that of the code, its numbers are those of the model."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from catalogkit.config import parse_config
from catalogkit.policies.dedup import REASONS, Costs, DedupPolicy, How
from tests.dedup.cases import copy, decided

PAGE = Path(__file__).parents[2] / "docs" / "dedup.md"
BEGIN, END = "<!-- reasons: written by `python tests/dedup/test_page.py` -->\n", "<!-- end of reasons -->"


def table() -> str:
    """The reasons as a table."""
    rows = [f"| `{code}` | {words} | {change or 'nothing to change'} |" for code, (words, change) in REASONS.items()]
    return "\n".join(["| reason | in words | what would change it |", "|---|---|---|", *rows, ""])


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    """Every reason, in its order, with its words."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(), "run python tests/dedup/test_page.py"


def test_the_settings_are_those_that_are_read() -> None:
    """The example is accepted, names every setting, and has the defaults but for what has none."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    values = tomllib.loads(text)
    assert set(values["dedup"]) == set(DedupPolicy.__struct_fields__)
    assert set(values["dedup"]["costs"]) == set(Costs.__struct_fields__)
    usual = DedupPolicy(resolver_allowlist=["arxiv", "core"], costs=Costs(read_mb_per_second=200))
    assert parse_config(values).dedup == usual


def test_the_ways_are_those_that_there_are() -> None:
    """The table of ways has a row for each."""
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8").partition("## Reasons")[0], re.MULTILINE)) == set(
        How
    )


def test_the_numbers_in_the_text_are_those_of_the_model() -> None:
    """The worked examples: a copy of 1 MB at the defaults, and the size at which it stops to pay."""

    def pair(size: int, threshold: float = 0.1) -> tuple[str, str, str]:
        policy = DedupPolicy(0, None, threshold, costs=Costs(read_mb_per_second=200))
        found = decided([copy("a", "1", 1), copy("a", "2", 2)], policy, contents={"a": {"bytes": size}})
        (row,) = found.filter("spare").iter_rows(named=True)
        return row["reason"], f"{row['cost']:.7f}", f"{row['saving']:.5f}"

    assert pair(10**6) == ("worthwhile", "0.0000011", "0.00096")
    assert (pair(80)[0], pair(90)[0]) == ("too-costly", "worthwhile")


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
