"""`catalogkit plan retention`: real processes, exit codes, one JSON object."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import answer, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of three documents of today."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    for number in range(3):
        (pile / f"{number}.txt").write_text(f"document {number}")
    run("init", home)
    run("-C", home, "ingest", pile, "--resolver", "core")
    return home


def age(home: Path, days: int) -> None:
    """Make every document so many days older."""
    import sqlite3

    with sqlite3.connect(home / "catalog.sqlite") as db:
        db.execute("UPDATE documents SET seen_us = seen_us - ? * 86400000000", (days,))
    db.close()


def test_plan_approve_apply(home: Path) -> None:
    """Nothing is due at first; later all is planned, with counts and words, and forgotten once approved."""
    plan = answer("-C", home, "plan", "retention")
    assert (plan["units"], plan["decisions"][0]["documents"]) == (0, 3)
    age(home, 200)
    hold = answer("-C", home, "hold", "add", "1", "--reason", "law")
    plan = answer("-C", home, "plan", "retention", code=2)
    assert (plan["kind"], plan["units"]) == ("retention", 2)
    assert plan["bytes_freed"] == 2 * len("document 0")
    assert [(row["decision"], row["reason"], row["documents"]) for row in plan["decisions"]] == [
        ("keep", "held", 1),
        ("forget", "due-age", 2),
    ]
    assert hold["hold"]
    assert answer("-C", home, "approve", plan["path"])["approved"] == 2
    assert answer("-C", home, "apply", plan["path"], "--max-share", "1")["done"] == 2
    assert len(answer("-C", home, "find")["documents"]) == 1


def test_which_policy_is_taken(home: Path, tmp_path: Path) -> None:
    """A file beats the settings, a tenant's name takes its policy, and what is neither is an error (hazard 64)."""
    age(home, 20)
    assert answer("-C", home, "plan", "retention")["units"] == 0
    settings = home / "catalogkit.toml"
    plain = settings.read_text()
    settings.write_text(plain + "[retention]\nage_days = 10\n")
    assert answer("-C", home, "plan", "retention", code=2)["units"] == 3
    proposed = tmp_path / "proposed.toml"
    proposed.write_text("[retention]\nage_days = 10\nresolver_rules = { core = 30 }\n")
    assert answer("-C", home, "plan", "retention", "--policy", proposed)["units"] == 0
    proposed.write_text("age_days = 300\nresolver_rules = { core = 10 }\n")
    said = run("-C", home, "plan", "retention", "--policy", proposed)
    assert "Nothing is due." in said.stderr and "'core' gives 10 days and never decides" in said.stderr
    settings.write_text(plain + "[retention]\nage_days = 300\n[retention.tenants.default]\nage_days = 10\n")
    assert answer("-C", home, "plan", "retention", "--policy", "default", code=2)["units"] == 3


@pytest.mark.parametrize(
    "policy,said",
    [
        ("age_dayz = 4", "did you mean 'age_days'"),
        ("resolver_rules = { coer = 4 }", "did you mean 'core'"),
        ("age_days = ", "cannot be read as a policy"),
    ],
)
def test_a_bad_policy_is_one_clear_error(home: Path, tmp_path: Path, policy: str, said: str) -> None:
    """Exit code 1, the error in words, and no plan."""
    proposed = tmp_path / "proposed.toml"
    proposed.write_text(policy)
    assert said in answer("-C", home, "plan", "retention", "--policy", proposed, code=1)["error"]
    assert "no [retention.tenants.acme]" in answer("-C", home, "plan", "retention", "--policy", "acme", code=1)["error"]
    assert not (home / "plans").exists()


def test_a_back_test_plans_nothing(home: Path) -> None:
    """It says what would have been forgotten and asked for again, as totals, steps and regrets; and makes no plan."""
    age(home, 20)
    said = answer("-C", home, "plan", "retention", "--backtest", "30d", "--step", "2d")
    assert (said["steps"], len(said["by_step"]), said["regrets"]) == (16, 16, [])
    assert said["policy"]["age_days"] == 180
    assert "saved bytes" in run("-C", home, "plan", "retention", "--backtest", "30d").stdout
    assert "not a duration" in answer("-C", home, "plan", "retention", "--backtest", "ever", code=1)["error"]
    assert not (home / "plans").exists()


def test_a_person_reads_what_is_kept_and_why(home: Path) -> None:
    """Counts with words, and what to do next."""
    age(home, 200)
    said = run("-C", home, "plan", "retention", code=2)
    assert "forget            3  due by age_days (due-age)" in said.stdout
    assert "catalogkit approve" in said.stderr
