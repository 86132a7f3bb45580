"""The contract's asserts explain themselves, too, though its module is no test module."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.catalog.contract")
