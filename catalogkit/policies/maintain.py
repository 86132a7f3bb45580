"""The settings ``[maintain]`` of the nightly round. All have defaults; an unknown one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from catalogkit.units import parse_bytes, parse_duration

if TYPE_CHECKING:
    from datetime import timedelta

Step = Literal["verify", "audit", "snapshot", "backup", "gc", "retention", "dedup", "tier", "purge", "reports", "tidy"]
# In this order: what is proved is proved first; what is to be kept is kept before anything is planned; what was
# planned is in the reports.
STEPS: Final[tuple[Step, ...]] = (
    "verify", "audit", "snapshot", "backup", "retention", "gc", "dedup", "tier", "purge", "reports",
    "tidy",
)  # fmt: skip
Planned = Literal["gc", "retention", "dedup", "tier", "purge"]
PLANNED: Final[tuple[Planned, ...]] = ("gc", "retention", "dedup", "tier", "purge")


def _duration(text: str) -> timedelta | None:
    return parse_duration(text) if text else None


def _durations(settings: msgspec.Struct, *names: str) -> None:
    for name in names:
        _duration(getattr(settings, name))


class VerifyStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much is read each night: only what was not checked for `max_age`, until time or bytes run out.

    Attributes
    ----------
    budget
        Time, such as ``30m`` or ``2h``; empty for no limit.
    max_bytes
        Bytes, such as ``50GB``; empty for no limit.
    max_age
        What was checked within this time is left out; empty leaves out nothing.
    """

    budget: str = "30m"
    max_bytes: str = ""
    max_age: str = "30d"

    def __post_init__(self) -> None:
        _durations(self, "budget", "max_age")
        if self.max_bytes:
            parse_bytes(self.max_bytes)

    def limits(self) -> dict[str, timedelta | int | None]:
        """As `catalogkit.verify` takes them; an empty text is no limit."""
        return {
            "budget": _duration(self.budget),
            "max_age": _duration(self.max_age),
            "max_bytes": parse_bytes(self.max_bytes) if self.max_bytes else None,
        }


class AuditStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the nightly audit does.

    Attributes
    ----------
    sample
        The share of the copies that it reads; it looks at all of them either way.
    """

    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01


class SnapshotStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The night's snapshot.

    Attributes
    ----------
    keep_for
        How long it is kept, and with it the bytes that its documents had.
    prefix
        What its label begins with; the date follows.
    """

    keep_for: str = "14d"
    prefix: str = "nightly"

    def __post_init__(self) -> None:
        _durations(self, "keep_for")
        if not self.keep_for:
            raise ValueError(
                "keep_for must not be empty: a snapshot a night that nobody drops keeps all bytes for ever"
            )


class BackupStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The night's backup.

    Attributes
    ----------
    with_bytes
        Whether the documents' bytes are copied, too.
    thin
        Whether old backups go by ``[backup.keep]``.
    """

    with_bytes: bool = False
    thin: bool = True


class TidyStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is tidied away.

    Attributes
    ----------
    plans
        How long plans that expired unused are kept; empty is for ever.
    reports
        How long runs of reports are kept; empty is for ever.
    """

    plans: str = "30d"
    reports: str = "365d"

    def __post_init__(self) -> None:
        _durations(self, "plans", "reports")


USUAL_REPORTS: Final = ("storage_overview", "verification_coverage")


class MaintainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The nightly round.

    Attributes
    ----------
    skip
        Steps that are left out.
    apply
        Kinds of plan that are carried out without a person; none unless they are named.
    reports
        The reports to make, by name; without it storage_overview and verification_coverage, where reports can be made.
    """

    skip: tuple[Step, ...] = ()
    apply: tuple[Planned, ...] = ()
    reports: tuple[str, ...] | None = None
    verify: VerifyStep = VerifyStep()
    audit: AuditStep = AuditStep()
    snapshot: SnapshotStep = SnapshotStep()
    backup: BackupStep = BackupStep()
    tidy: TidyStep = TidyStep()
