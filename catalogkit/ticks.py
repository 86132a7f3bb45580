"""Round numbers along an axis, in equal steps: 1, 2 or 5 times a power of ten."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["round_step", "round_steps"]

_ROUND: Final = (1, 2, 5, 10)


def round_step(span: float, most: int) -> float:
    """The smallest round step that parts `span` into at most `most` pieces.

    Examples
    --------
    >>> [round_step(span, 5) for span in (1, 12, 7_712_252)]
    [0.2, 5, 2000000]
    """
    if span <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step for number in _ROUND if (step := number * power) * most >= span * (1 - 1e-9))
    return round(step) if step >= 1 else step


def round_steps(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """The multiples of a round step from `low` to `high`; of whole things no parts.

    Examples
    --------
    >>> round_steps(0, 7_712_252)
    [0, 2000000, 4000000, 6000000]
    >>> round_steps(0, 2, whole=True)
    [0, 1, 2]
    """
    step = max(round_step(high - low, most), 1 if whole else 0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]
