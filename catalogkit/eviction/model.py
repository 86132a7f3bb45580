"""The model: learns from the log's past how often objects are asked for within a horizon, and whether at all.

Gradient boosting (scikit-learn's histogram trees) tells two things from the same features: by how much the expected
number of requests differs from what the rate of its class says (a Poisson model with that rate as its offset), and the
chance of any request; a logistic regression tells the second, too. All are bound to be monotone: more requests, or more
recent ones, never make an object look less wanted, and more bytes never make it look more wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.eviction.features import HALF_LIVES, WINDOWS
from catalogkit.eviction.rates import class_rates, shrunken

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

SEED: Final = 0
# Small trees, slow steps and heavy leaves: a few thousand rows of the past are easily learned by heart.
TREES: Final = {
    "max_iter": 60, "learning_rate": 0.06, "max_leaf_nodes": 8, "min_samples_leaf": 40, "l2_regularization": 10.0,
}  # fmt: skip
# So many values of a column are told apart.
VALUES: Final = 63
ROWS: Final = 30_000
# How much less an expected request counts where many are expected: requests come in bursts, not alone.
BURST: Final = 2.0
_SMALLEST: Final = 1e-6


# In which direction a column may lead: 1 up, -1 down, 0 either.
WAYS: Final = (
    {f"{name}_{half:g}": 1 for half in HALF_LIVES for name in ("requests", "readings", "any", "class")}
    | {f"n_{window:g}": 1 for window in WINDOWS}
    | {"n_all": 1, "m_1": 1, "m_4": 1, "before": 1}
    | {"idle": -1, "size": -1, "age": 0, "newer": 0, "newest": 0, "followed": 0}
)


def rates(rows: pl.DataFrame, half_lives: Sequence[float] = HALF_LIVES) -> pl.DataFrame:
    """Those of the columns of `design` that rates tell."""
    typical = class_rates(rows, {f"{name}_{half:g}": f"wd_{half:g}" for half in half_lives for name in ("nd", "md")})
    columns: list[pl.DataFrame] = []
    for half in (f"{half:g}" for half in half_lives):
        requests, readings = (
            shrunken(rows, f"{name}_{half}", f"wd_{half}", typical[f"{name}_{half}"]) for name in ("nd", "md")
        )
        expected, usual = pl.col("expected").log(), typical[f"nd_{half}"].log().alias(f"class_{half}")
        columns += [
            requests.select(expected.alias(f"requests_{half}")).collect(),
            readings.select(expected.alias(f"readings_{half}"), pl.col("any").alias(f"any_{half}")).collect(),
            usual.to_frame(),
        ]
    return pl.concat(columns, how="horizontal")


def design(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns to learn from, those of `WAYS`.

    Parameters
    ----------
    rows
        What `features.features` returns.
    """
    logs = ("before", "age", "followed", "n_all", "m_1", "m_4", *(f"n_{window:g}" for window in WINDOWS))
    others = rows.select(
        *(pl.col(name).log1p() for name in logs), "idle", "newer", "newest", size=pl.col("bytes").log1p()
    )
    return pl.concat([rates(rows), others], how="horizontal").select(*WAYS)


# What the logistic regression looks at; those marked cannot lead down.
_PLAIN: Final = (
    ("any_0.5", True), ("any_2", True), ("any_8", True), ("idle", True), ("n_1", True), ("class_2", True),
    ("size", True), ("before", True), ("newer", False), ("newest", False), ("followed", False), ("age", False),
)  # fmt: skip
_FLIPPED: Final = ("idle", "size")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was fitted; `predict` says what it expects."""

    regressor: Any
    classifier: Any
    plain: tuple[np.ndarray, np.ndarray, np.ndarray]
    base: float

    def predict(self, columns: pl.DataFrame) -> pl.DataFrame:
        """``expected`` requests within a horizon and the chances of ``any``, by trees and by logistic regression."""
        import numpy as np
        from threadpoolctl import threadpool_limits

        given = columns.to_numpy()
        with threadpool_limits(1):
            factor = self.regressor.predict(given)
            trees = self.classifier.predict_proba(given)[:, 1] if self.classifier else np.full(len(given), self.base)
        middle, spread, weights = self.plain
        z = weights[0] + ((_plain(columns) - middle) / spread) @ weights[1:]
        expected = np.exp(columns["requests_2"].to_numpy()) * factor
        return pl.DataFrame(
            {"expected": np.maximum(expected, _SMALLEST), "trees": trees, "plain": 1 / (1 + np.exp(-z.clip(-30, 30)))}
        )


def fit(pasts: Sequence[tuple[pl.DataFrame, pl.Series]]) -> Model:
    """Learn from objects as they were at some times, and how often each was asked for within the horizon that followed.

    Parameters
    ----------
    pasts
        For each time the columns of `design`, and the number of requests that followed.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    columns = pl.concat([columns for columns, _ in pasts])
    given, asked = columns.to_numpy(), pl.concat([counts for _, counts in pasts]).to_numpy().astype(float)
    plain = _plain(columns)
    if len(given) > ROWS:
        some = np.sort(np.random.default_rng(SEED).choice(len(given), ROWS, replace=False))
        given, asked, plain = given[some], asked[some], plain[some]
        columns = columns[some.tolist()]
    offset = np.exp(columns["requests_2"].to_numpy())
    shared: Any = {"monotonic_cst": list(WAYS.values()), "random_state": SEED, "early_stopping": False, **TREES}
    used, given = asked > 0, _rounded(given)
    with threadpool_limits(1):
        regressor = HistGradientBoostingRegressor(loss="poisson", **shared)
        regressor.fit(given, asked / offset, sample_weight=offset / (1 + offset / BURST) + 1e-9)
        classifier = HistGradientBoostingClassifier(**shared).fit(given, used) if 0 < used.mean() < 1 else None
        return Model(regressor, classifier, _logistic(plain, used.astype(float)), float(used.mean()))


def _rounded(given: np.ndarray) -> np.ndarray:
    """Each value as the nearest of a few that lie evenly among those of its column.

    Trees would find such bins themselves, but for weighted rows that takes them longer than to grow.
    """
    import numpy as np

    ordered = np.sort(given, axis=0)
    some = ordered[np.linspace(0, len(ordered) - 1, VALUES).round().astype(int)]
    rounded = np.empty_like(given)
    for column in range(given.shape[1]):
        values = np.unique(ordered[:, column])
        values = values if len(values) <= VALUES else np.unique(some[:, column])
        rounded[:, column] = values[np.searchsorted((values[1:] + values[:-1]) / 2, given[:, column])]
    return rounded


def _plain(columns: pl.DataFrame) -> np.ndarray:
    odds = {name: (pl.col(name).clip(1e-6, 1 - 1e-6) / (1 - pl.col(name).clip(1e-6, 1 - 1e-6))).log()
            for name in columns.columns if name.startswith("any_")}  # fmt: skip
    flipped = {name: -pl.col(name) for name in _FLIPPED}
    return columns.with_columns(**odds, **flipped).select(name for name, _ in _PLAIN).to_numpy()


def _logistic(given: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ridge logistic regression with bounds on its coefficients, which scikit-learn's own has not."""
    import numpy as np
    from scipy.optimize import minimize

    middle, spread = given.mean(0), given.std(0) + 1e-9
    scaled = (given - middle) / spread
    ridge = np.concatenate([[1e-6], np.full(given.shape[1], 5.0)])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = weights[0] + scaled @ weights[1:]
        wrong = 1 / (1 + np.exp(-z.clip(-30, 30))) - used
        value = (np.logaddexp(0, z) - used * z).sum() + 0.5 * ridge @ weights**2
        return value, np.concatenate([[wrong.sum()], scaled.T @ wrong]) + ridge * weights

    bounds = [(None, None), *((0 if rising else None, None) for _, rising in _PLAIN)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds)
    return middle, spread, found.x
