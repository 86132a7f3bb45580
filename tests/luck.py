"""How many examples a property gets: few in ``make test``; ``make stress`` asks all properties again, of many."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

DEEP: Final = int(os.environ.get("CATALOGKIT_DEEP", "1"))


def examples(few: int, base: settings | None = None, **more: object) -> settings:
    """Settings for `few` examples, ``CATALOGKIT_DEEP`` times as many if set; a busy machine is no finding."""
    return settings(base, max_examples=few * DEEP, deadline=None, **more)  # type: ignore[arg-type]
