"""The cases of golden.md, which people read, one by one."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalogkit.policies.deciding import decisions
from catalogkit.policies.retention import REASONS, Circumstances, RetentionPolicy
from catalogkit.units import parse_bytes
from tests.retention.frames import NOW, copies, documents, record

SECTION = re.compile(r"^## (.*?)\n+```toml\n(.*?)```\n+(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def cases() -> list[Any]:
    text = (Path(__file__).parent / "golden.md").read_text(encoding="utf-8")
    found = []
    for title, policy, table in SECTION.findall(text):
        lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.strip().splitlines()]
        for number, line in enumerate(lines[2:], 1):
            found.append(pytest.param(policy, dict(zip(lines[0], line, strict=True)), id=f"{title} {number}"))
    return found


CASES = cases()


def test_the_cases_are_read() -> None:
    """The page has its sections, and shows nearly every reason."""
    told = {case.values[1]["reason"] for case in CASES}
    assert len(CASES) > 30
    assert set(REASONS) - told == {"not-asked", "age-unknown"}


@pytest.mark.parametrize("policy,case", CASES)
def test_a_case(policy: str, case: dict[str, str]) -> None:
    """One document alone, and the same in a frame, are decided about as the page says."""
    rules = RetentionPolicy.parse(tomllib.loads(policy))
    known = None if case["copies"] == "?" else int(case["copies"])
    about = record(
        media_type=case["type"] or "text/html",
        content_type=case["declared"],
        resolver=case["resolver"],
        bytes=parse_bytes(case["size"] or "100kB"),
        seen_at=NOW - timedelta(days=int(case["seen"])),
    )
    around = Circumstances(held=bool(case["held"]), needed=bool(case["others"]), healthy=known)
    decision = rules.evaluate(about, as_of=NOW, circumstances=around)
    said = ("keep" if decision.keep else "forget", decision.reason, str(decision.days))
    assert said == (case["decision"], case["reason"], case["days"])
    assert f"{decision.winner.kind} {decision.winner.name}".strip() == case["by"]

    twin = record(2, sha256=about.sha256, seen_at=NOW)
    together = documents(about, twin) if case["others"] else documents(about)
    frame = decisions(
        together, rules, as_of=NOW, copies=copies(about, healthy=known), held_documents=[1] if case["held"] else []
    )
    row = frame.row(0, named=True)
    assert (row["keep"], row["reason"], row["days"], row["rule"]) == (
        decision.keep,
        decision.reason,
        decision.days,
        str(decision.winner),
    )
