"""`Plan`: steps with a reason for each, decided before anything happens.

A plan is a frame of steps in *units*, which are approved or rejected whole, and a head that says what it is about.
Its id is the SHA-256 of both: whoever approves a plan approves these steps and no others.
"""

from __future__ import annotations

import enum
import hashlib
import io
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit import parquet
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 2
# Columns that a format added: plans of earlier ones have none of them, and their ids do not cover them.
ADDED: Final = {2: ("from_store", "from_key")}
VALID_FOR: Final = timedelta(days=7)


class StepKind(enum.StrEnum):
    """Everything the executor can do; the set is closed.

    A step's `bytes` are those that it frees: the size of a file that is removed or exchanged, 0 where bytes are only
    added or moved (copy, fetch, quarantine, a link that makes a new name).
    """

    CONDEMN = "condemn"
    REARM = "rearm"
    PURGE = "purge"
    FORGET = "forget"
    RECALL = "recall"
    ABANDON = "abandon"
    COPY = "copy"
    LINK = "link"
    CLONE = "clone"
    DROP = "drop"
    QUARANTINE = "quarantine"
    FETCH = "fetch"
    EVICT = "evict"
    RESOLVE = "resolve"


# They never free anything.
ADDING: Final = (StepKind.COPY.value, StepKind.FETCH.value, StepKind.QUARANTINE.value)

SCHEMA: Final = pl.Schema(
    {
        "unit": pl.Int64(),
        "step": pl.Int64(),
        "kind": pl.String(),
        "reason": pl.String(),
        "sha256": pl.String(),
        "document_id": pl.Int64(),
        "store": pl.String(),
        "key": pl.String(),
        "from_store": pl.String(),
        "from_key": pl.String(),
        "bytes": pl.Int64(),
        "object": pl.String(),
        "users": pl.Int64(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "since": pl.Datetime("us", "UTC"),
        "last_copy": pl.Boolean(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "media_type": pl.String(),
        "tenant": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a plan is about.

    Attributes
    ----------
    kind : str
        For people; the executor never looks at it.
    catalog : str
        The identity of the catalog it is for.
    as_of, expires_at : datetime
        The state it was made from, and until when it may be applied.
    policy : mapping
        The policy as it was, in plain data.
    reasons : mapping
        Reason code to words.
    documents, physical_bytes : int
        How much there was, so that a catalog that shrank since is noticed.
    complete : str
        Empty if everything was looked at, else what was not.
    """

    kind: str
    catalog: str
    as_of: datetime
    expires_at: datetime
    policy: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    documents: int = 0
    physical_bytes: int = 0
    complete: str = ""

    def to_json(self) -> str:
        """As JSON with sorted keys: the same head gives the same text."""
        plain = asdict(self) | {"as_of": self.as_of.isoformat(), "expires_at": self.expires_at.isoformat()}
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Head:
        """Read what `to_json` wrote."""
        plain = json.loads(text)
        times = {name: datetime.fromisoformat(plain[name]) for name in ("as_of", "expires_at")}
        return cls(**plain | times)


class Plan:
    """Steps in units, each with a reason; see the module.

    Parameters
    ----------
    head
        What it is about.
    frame
        The steps, with the columns of `SCHEMA`; units in ascending order, steps in order within them.
    form
        The format of its id and its columns; an earlier one for a plan that was saved before there was this.

    Raises
    ------
    InvalidInput
        If a step's kind or reason is unknown, a column is missing, or units and steps are not in order.

    Examples
    --------
    >>> plan = ck.plan_forget(c, [3])
    >>> home = plan.save("plans")
    >>> ck.Plan.load(home).id == plan.id
    True
    """

    def __init__(self, head: Head, frame: pl.DataFrame, *, form: int = FORMAT) -> None:
        to_us(head.as_of)
        to_us(head.expires_at)
        self.form, later = form, _later_than(form)
        try:
            self.frame = frame.select(
                (pl.lit(None) if name in later else pl.col(name)).cast(kind).alias(name)
                for name, kind in SCHEMA.items()
            )
        except pl.exceptions.PolarsError as problem:
            raise InvalidInput(f"these are not the steps of a plan: {problem}") from None
        unknown = set(self.frame["kind"].unique()) - set(StepKind)
        wordless = set(self.frame["reason"].unique()) - set(head.reasons)
        if unknown or wordless:
            raise InvalidInput(f"unknown kinds of step: {unknown or '-'}; reasons without words: {wordless or '-'}")
        if wrong := _disorder(self.frame):
            raise InvalidInput(f"these are not the steps of a plan: {wrong}")
        self.head = head
        rows = io.BytesIO()
        self.frame.drop(later).write_csv(rows, quote_style="non_numeric")
        digest = hashlib.sha256(f"{form}\n{head.to_json()}\n".encode())
        digest.update(rows.getbuffer())
        self.id = digest.hexdigest()

    # -- what it says ------------------------------------------------------------------------------------------

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(self.frame["unit"].n_unique())

    def bytes_freed(self, units: pl.Series | None = None) -> int:
        """Physical bytes that go if these units (all, without any) are carried out together.

        An object with several names frees its bytes only when every one of them goes: steps that name an `object`
        count once, and only where as many of them are chosen as it has `users`.
        """
        chosen = self.frame if units is None else self.frame.filter(pl.col("unit").is_in(units.implode()))
        alone = chosen.filter(pl.col("object").is_null())["bytes"].sum()
        shared = (
            chosen.filter(pl.col("object").is_not_null())
            .group_by("object")
            .agg(pl.len().alias("names"), pl.col("users").max(), pl.col("bytes").max())
            .filter(pl.col("names") >= pl.col("users"))["bytes"]
            .sum()
        )
        return int(alone) + int(shared)

    def totals(self, by: str = "reason") -> pl.DataFrame:
        """Units and bytes by ``reason``, ``resolver``, ``media_type``, ``tenant`` or ``kind``.

        The bytes add up to `bytes_freed`: those of an object with several names are split over the names that go,
        and are none where it stays. A unit whose steps differ counts in each part.
        """
        if by not in ("reason", "resolver", "media_type", "tenant", "kind"):
            raise InvalidInput(f"no totals by {by!r}; use reason, resolver, media_type, tenant or kind")
        names, size = pl.len().over("object"), pl.col("bytes").max().over("object")
        first = pl.int_range(pl.len()).over("object") < size % names
        goes = names >= pl.col("users").max().over("object")
        joint = pl.when(goes).then(size // names + first.cast(pl.Int64)).otherwise(0)
        alone = self.frame.filter(pl.col("object").is_null())
        shared = self.frame.filter(pl.col("object").is_not_null()).with_columns(bytes=joint)
        return (
            pl.concat([part.select(by, "unit", "bytes") for part in (alone, shared)])
            .group_by(by)
            .agg(pl.col("unit").n_unique().alias("units"), pl.col("bytes").sum())
            .sort("bytes", "units", by, descending=[True, True, False])
        )

    def summary(self) -> dict[str, Any]:
        """The plan in a few facts, as the command line and the widget show them."""
        return {
            "id": self.id,
            "kind": self.head.kind,
            "units": self.units,
            "bytes_freed": self.bytes_freed(),
            "last_copies": int(self.frame.filter("last_copy")["unit"].n_unique()),
            "as_of": self.head.as_of,
            "expires_at": self.head.expires_at,
            "complete": self.head.complete or "yes",
        }

    def words(self, reason: str) -> str:
        """A reason in words."""
        return self.head.reasons[reason]

    def diff(self, other: Plan) -> pl.DataFrame:
        """How `other` differs: subjects only one of them has, ``added`` or ``dropped``, with reason and bytes."""
        subject = ["kind", "sha256", "document_id", "store", "key"]
        mine, theirs = self.frame, other.frame
        added = theirs.join(mine, on=subject, how="anti", nulls_equal=True).with_columns(change=pl.lit("added"))
        dropped = mine.join(theirs, on=subject, how="anti", nulls_equal=True).with_columns(change=pl.lit("dropped"))
        return pl.concat([added, dropped]).select("change", *subject, "reason", "bytes")

    # -- keeping it --------------------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> Path:
        """Write the plan into a new folder below `folder` (Parquet and a JSON head); returns that folder."""
        home = Path(folder) / f"{self.head.kind}-{self.head.as_of:%Y%m%dT%H%M%SZ}-{self.id[:12]}"
        home.mkdir(parents=True, exist_ok=True)
        columns = [name for name in SCHEMA if name not in _later_than(self.form)]
        self.frame.select(columns).write_parquet(home / "plan.parquet", compression_level=1, statistics=False)
        head = json.loads(self.head.to_json())
        about = {
            "format": self.form,
            "id": self.id,
            "units": self.units,
            "bytes_freed": self.bytes_freed(),
            "steps_sha256": hashlib.sha256((home / "plan.parquet").read_bytes()).hexdigest(),
        }
        text = json.dumps(about | {"head": head}, indent=1, ensure_ascii=False) + "\n"
        (home / "plan.json").write_text(text, encoding="utf-8")
        return home

    @classmethod
    def load(cls, folder: Path | str) -> Plan:
        """Read a saved plan, wherever it was made; an expired one, or one of an earlier format, can be looked at, too.

        Raises
        ------
        InvalidInput
            If there is no plan, or a newer catalogkit wrote it.
        PlanError
            If it was edited since it was made.
        """
        saved = Saved.read(folder)
        home = Path(folder)
        edited = PlanError(f"the plan at {home} was edited since it was made; make a new one")
        try:
            # Damaged Parquet can end the whole process in the library that reads it, so the bytes are compared first.
            steps = (home / "plan.parquet").read_bytes()
            if saved.steps_sha256 not in (None, hashlib.sha256(steps).hexdigest()):
                raise edited
            plan = cls(saved.head, parquet.read(home / "plan.parquet", steps), form=saved.form)
        except FileNotFoundError:
            raise InvalidInput(f"there is no plan at {home}") from None
        except (OSError, InvalidInput, pl.exceptions.PolarsError) as problem:
            raise PlanError(f"the plan at {home} cannot be read: {problem}; make a new one") from None
        told = (saved.id, saved.units, saved.bytes_freed)
        if told != (plan.id, plan.units, plan.bytes_freed()) and told != (plan.id, None, None):
            raise edited
        return plan

    def limited(self, limit: int | None) -> Plan:
        """The first `limit` units as a plan of their own, which says that it is not complete.

        Without a limit it is all of it.
        """
        if limit is not None and limit < 0:
            raise InvalidInput("a plan cannot have fewer than 0 units")
        if limit is None or self.units <= limit:
            return self
        keep = self.frame["unit"].unique().sort().head(limit)
        few = left_out(self.units - limit)
        head = replace(self.head, complete="; ".join(filter(None, [self.head.complete, few])))
        return Plan(head, self.frame.filter(pl.col("unit").is_in(keep.implode())))

    def __len__(self) -> int:
        return self.units

    def __repr__(self) -> str:
        return f"Plan({self.head.kind!r}, {self.units:,} units, {self.bytes_freed():,} bytes, id {self.id[:12]})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        rows = {
            f"{row['units']:,} x {row['reason']}: {self.words(row['reason'])}": row["bytes"]
            for row in self.totals().iter_rows(named=True)
        }
        return facts(f"Plan: {self.head.kind}", {**self.summary(), **rows})


@dataclass(frozen=True, slots=True)
class Saved:
    """What lies beside the steps of a saved plan: enough to list it, and checked when the plan is loaded.

    Plans of the first format did not say there how many units they have, and what they free; `steps_sha256` is None
    where the steps were saved before their digest was.
    """

    form: int
    id: str
    head: Head
    units: int | None
    bytes_freed: int | None
    steps_sha256: str | None = None

    @classmethod
    def read(cls, folder: Path | str) -> Saved:
        """Read it; the steps are not looked at.

        Raises
        ------
        InvalidInput
            If there is no plan, or a newer catalogkit wrote it.
        PlanError
            If it cannot be read.
        """
        home = Path(folder)
        form: object = FORMAT
        try:
            about = json.loads((home / "plan.json").read_text(encoding="utf-8"))
            form = about["format"]
            if isinstance(form, int) and 1 <= form <= FORMAT:
                head = Head.from_json(json.dumps(about["head"]))
                sums = (about.get("units"), about.get("bytes_freed"), about.get("steps_sha256"))
                return cls(form, about["id"], head, *sums)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidInput(f"there is no plan at {home}") from None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise PlanError(f"the plan at {home} cannot be read: {problem}; make a new one") from None
        raise InvalidInput(f"{home} has format {form}; this catalogkit reads formats up to {FORMAT}")


def left_out(units: int) -> str:
    """That a plan could have so many units more."""
    return f"{units:,} more {'unit was' if units == 1 else 'units were'} left out"


def _later_than(form: int) -> set[str]:
    """The columns that plans of a format do not have."""
    return {name for number, names in ADDED.items() if number > form for name in names}


def _disorder(frame: pl.DataFrame) -> str:
    """What is wrong with the numbers, digests and sizes of some steps, in words."""
    if frame.is_empty():
        return ""
    unit, step = pl.col("unit"), pl.col("step")
    after = (unit > unit.shift()) | ((unit == unit.shift()) & (step > step.shift()))
    facts = frame.select(
        nulls=pl.any_horizontal(pl.col("unit", "step", "kind", "reason", "bytes").has_nulls()),
        negative=(pl.col("bytes") < 0).any(),
        disorder=~after.all(),  # the first has nothing before it, which counts for nothing
        digest=~pl.col("sha256").str.contains("^[0-9a-f]{64}$").all(),
        adding=(pl.col("kind").is_in(ADDING) & (pl.col("bytes") > 0)).any(),
    ).row(0)
    words = (
        "a number, kind or reason is missing",
        "bytes below zero",
        "units or steps out of order",
        "a bad digest",
        "a step that only adds or moves bytes cannot free any",
    )
    return next((text for text, wrong in zip(words, facts, strict=True) if wrong), "")
