"""The contract's asserts explain themselves, too, though its modules are no test modules."""

from __future__ import annotations

import pytest

for part in ("audits", "backups", "contents", "documents", "feeds", "intake", "ledger", "moments", "past", "questions"):
    pytest.register_assert_rewrite(f"tests.catalog.contract_{part}")
