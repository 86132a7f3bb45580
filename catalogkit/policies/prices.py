"""The settings ``[prices]``: what stores charge, and sums of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

# What one request of a verification fetches at most.
RANGE_BYTES: Final = 4 << 20


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one store costs.

    Attributes
    ----------
    read_gb
        A gigabyte (10^9 bytes) that leaves the store.
    requests_1000
        A thousand requests that read.
    writes_1000
        A thousand requests that write.
    month_gb
        A gigabyte that is kept for a month; without it, nobody knows.
    least_bytes
        What is smaller costs as if it had so many bytes.
    least_days
        What is kept less long costs as if it were kept for so many days.
    currency
        Three letters.
    """

    read_gb: Decimal = Decimal(0)
    requests_1000: Decimal = Decimal(0)
    writes_1000: Decimal = Decimal(0)
    month_gb: Decimal | None = None
    least_bytes: int = 0
    least_days: int = 0
    currency: str = "USD"

    def __post_init__(self) -> None:
        numbers = (self.read_gb, self.requests_1000, self.writes_1000, self.month_gb or 0)
        if min(*numbers, self.least_bytes, self.least_days) < 0:
            raise ValueError("a price must not be negative")
        if len(self.currency) != 3 or not self.currency.isupper():
            raise ValueError("a currency has three capital letters, such as USD")

    def of_check(self, size: int) -> Decimal:
        """What it costs to prove a copy of so many bytes: a request for each range."""
        requests = max(1, -(-size // RANGE_BYTES))
        return self.read_gb * size / 1_000_000_000 + self.requests_1000 * requests / 1000


@dataclass(slots=True)
class Spending:
    """What the checks of a run cost, by the prices of the stores (by their ids), and what they may.

    A store without a price is free: a folder. Whether that may be said of a store is for `limit` to decide.
    """

    prices: Mapping[int, Price]
    most: Decimal | None = None
    spent: Decimal = Decimal(0)
    currency: str = field(default="")

    @classmethod
    def limit(
        cls, prices: Mapping[int, Price], charging: Mapping[int, str], most: tuple[Decimal, str] | None
    ) -> Spending:
        """Prices of a collection's stores, and a budget.

        Parameters
        ----------
        charging
            The stores that charge for reading, by id and name.
        most
            The budget: an amount and its currency.

        Raises
        ------
        InvalidInput
            If there is a budget, and a price is missing, or has another currency.
        """
        if most is None:
            names = {price.currency for price in prices.values()}
            return cls(prices, None, currency=names.pop() if len(names) == 1 else "")
        for number, name in charging.items():
            if number not in prices:
                raise InvalidInput(
                    f"what reading from {name} costs is not known: write read_gb and requests_1000 below"
                    f" [prices.{name}] in catalogkit.toml"
                )
            if prices[number].currency != most[1]:
                raise InvalidInput(f"reading from {name} is paid for in {prices[number].currency}, not in {most[1]}")
        return cls(prices, most[0], currency=most[1])

    def add(self, store_id: int, size: int) -> bool:
        """Count the check of a copy; False, and nothing counted, where it is more than may be spent."""
        price = self.prices.get(store_id)
        cost = price.of_check(size) if price else Decimal(0)
        if self.most is not None and self.spent + cost > self.most:
            return False
        self.spent += cost
        return True

    def told(self) -> dict[str, Any]:
        """The sum as plain data."""
        return {"amount": str(self.spent.quantize(Decimal("0.000001"))), "currency": self.currency}
