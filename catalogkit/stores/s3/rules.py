"""Rules of a bucket: one that removes what uploads in parts leave, and those that work behind the catalog's back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import StoreError

if TYPE_CHECKING:
    from catalogkit.stores.s3.bucket import Bucket

# Far longer than an upload that was cut off waits to be taken up again.
DAYS: Final = 7
_REMOVES: Final = ("Expiration",)
_MOVES: Final = ("Transitions", "Transition")


@dataclass(slots=True)
class Rules:
    """What a bucket does by itself.

    Attributes
    ----------
    place
        Which.
    sweeps
        Whether a rule removes what uploads in parts leave.
    behind
        Rules that remove or move documents without the catalog knowing, in words.
    """

    place: str
    sweeps: bool
    behind: list[str] = field(default_factory=list)
    existing: list[dict[str, Any]] = field(default_factory=list, repr=False)


def rules_of(bucket: Bucket) -> Rules:
    """The rules of a bucket, as far as they are about this prefix.

    Raises
    ------
    StoreUnreachable
        If they cannot be read.
    """
    try:
        with bucket.asking(""):
            found = bucket.api.get_bucket_lifecycle_configuration(Bucket=bucket.settings.bucket)
        existing = list(found.get("Rules", ()))
    except StoreError as problem:
        if "NoSuchLifecycleConfiguration" not in str(problem):
            raise
        existing = []
    told = Rules(bucket.place(), False, existing=existing)
    for rule in existing:
        if rule.get("Status") != "Enabled":
            continue
        where, here = _prefix(rule), bucket.settings.key("")
        if "AbortIncompleteMultipartUpload" in rule and here.startswith(where):
            told.sweeps = True
        if here.startswith(where) or where.startswith(here):
            name, objects = rule.get("ID") or "without a name", f"objects below {where!r}" if where else "all objects"
            if any(_acts(rule.get(kind)) for kind in _REMOVES):
                told.behind.append(f"rule {name} removes {objects}: documents would be missing")
            if any(rule.get(kind) for kind in _MOVES):
                told.behind.append(
                    f"rule {name} moves {objects} to another storage class: reading them may fail or cost"
                )
    return told


def add_sweeping_rule(bucket: Bucket) -> Rules:
    """Have the bucket remove what uploads in parts leave; its other rules stay as they are.

    Raises
    ------
    StoreError
        If the server does not keep the rule.
    """
    told = rules_of(bucket)
    if told.sweeps:
        return told
    prefix = bucket.settings.key("")
    rule = {
        "ID": f"catalogkit-uploads-{bucket.settings.prefix or 'all'}"[:255],
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS},
    }
    with bucket.asking(""):
        bucket.api.put_bucket_lifecycle_configuration(
            Bucket=bucket.settings.bucket, LifecycleConfiguration={"Rules": [*told.existing, rule]}
        )
    told = rules_of(bucket)
    if not told.sweeps:
        raise StoreError(
            f"{bucket.place()} did not keep the rule; `catalogkit ingest` sweeps what is left all the same"
        )
    return told


def _prefix(rule: dict[str, Any]) -> str:
    filtered = rule.get("Filter") or {}
    return str(filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix") or rule.get("Prefix") or "")


def _acts(expiration: dict[str, Any] | None) -> bool:
    """Whether an expiration is about objects, not only about markers of what was deleted."""
    return any(name in (expiration or {}) for name in ("Days", "Date"))
