"""One fault planted, that code found, and nothing else; one code in one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.audit_codes import GROUPS, Code, Severity
from catalogkit.auditing import audit
from tests.audit.faults import FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_each_fault_is_found_by_its_code_and_nothing_else_is(stock: Callable[..., Collection], fault: Fault) -> None:
    """A collection that was clean has exactly the fault that was planted; a second audit says the same."""
    collection = stock(fault.layout)
    assert audit(collection, 0, note=False).findings == []
    fault.plant(collection)
    for _ in range(2):
        report = audit(collection, fault.sample)
        told = [(one.code.name, one.object, one.path, one.detail) for one in report.findings]
        assert dict(report.counts) == {fault.code.value: fault.count}, told
        assert report.complete == fault.complete, report.unseen
        assert not report.clean or fault.code.severity is Severity.INFO
        for one in report.findings:
            assert one.object and one.detail
            assert one.path == "" or (Path(one.path).is_absolute() and "…" not in one.path)
        collection.clock.advance(seconds=1)  # type: ignore[attr-defined]


def test_every_code_has_a_fault() -> None:
    """The table of codes and the table of broken collections are about the same."""
    assert {fault.code for fault in FAULTS} == set(Code)


def test_the_table_of_codes() -> None:
    """Codes are unique, grouped, in order, and each says what it is and what to do, in sentences."""
    codes = [code.value for code in Code]
    assert codes == sorted(set(codes))
    for code in Code:
        assert re.fullmatch(r"A[1-6]\d\d", code)
        assert code[:2] in GROUPS
        assert code.what.endswith(".") and code.todo.endswith(".") and "|" not in code.what + code.todo


def test_every_rule_of_the_schema_is_asked_about(stock: Callable[..., Collection]) -> None:
    """Every table with a CHECK in the schema has a rule among those an audit asks about."""
    from catalogkit.catalog.sql.audits import _RULES, _TIMES

    collection = stock()
    tables = collection.catalog.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")  # type: ignore[attr-defined]
    checked = {name for name, sql in tables if "CHECK" in sql} - {"meta", "txn"}
    assert checked - {rule[1] for rule in _RULES} == set()
    timed = {name for name, sql in tables if re.search(r"_us\b", sql) and not name.endswith("_history")}
    # A lease has no time but the one at which it will end.
    assert timed - {table for _, table, _ in _TIMES} - {"txn", "migrations", "journal", "leases"} == set()
