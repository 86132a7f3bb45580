"""The contract's asserts explain themselves, too, though its modules are no test modules."""

from __future__ import annotations

import pytest

PARTS = (
    "accesses", "audits", "backups", "contents", "copies", "damage", "documents", "feeds", "intake", "ledger",
    "moments", "notes", "past", "purging", "questions", "quotas",
)  # fmt: skip
for part in PARTS:
    pytest.register_assert_rewrite(f"tests.catalog.contract_{part}")
