"""Lifecycle rules of a bucket: those that clean up after catalogkit, and foreign ones that would harm it.

Ours remove what uploads in parts left, and old versions of what was replaced or purged. None of them ever moves or
expires an object: that is for plans, which the catalog knows of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput, StoreError

if TYPE_CHECKING:
    from catalogkit.stores.s3.bucket import Bucket

# Far longer than an upload that was cut off waits to be taken up again.
DAYS: Final = 7
# How long what was purged can be had back by whoever may read old versions.
VERSIONS_DAYS: Final = 30
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
    versioned
        Whether the bucket keeps old versions, and whether a rule ever removes them (`ends_versions`).
    behind
        Rules that remove or move documents without the catalog knowing, in words.
    added, changed
        Rules of ours that are missing, or are not as they should be.
    kept
        The names of all others, which stay as they are.
    """

    place: str
    sweeps: bool = False
    versioned: bool = False
    ends_versions: bool = False
    behind: list[str] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    existing: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def settled(self) -> bool:
        """Whether there is nothing to add or to change."""
        return not self.added and not self.changed

    def lines(self) -> list[str]:
        """The difference that applying makes, in words, a line for each rule; and what a person should look at."""
        return [
            *(f"+ {_words(rule)}" for rule in self.added),
            *(f"~ {_words(rule)}" for rule in self.changed),
            *(f"= {name}: stays as it is" for name in self.kept),
            *(f"! {said}" for said in self.behind),
        ]


def rules_of(bucket: Bucket, *, versions_days: int = VERSIONS_DAYS) -> Rules:
    """The rules of a bucket, as far as they are about this prefix, and what is missing among them.

    Parameters
    ----------
    versions_days
        After how many days old versions are to go, in a bucket that keeps them.

    Raises
    ------
    StoreUnreachable
        If they cannot be read.
    """
    if versions_days < 1:
        raise InvalidInput("old versions stay for a day at least")
    told = Rules(bucket.place(), existing=_existing(bucket))
    here, (uploads, versions) = bucket.settings.key(""), _ours(bucket, versions_days)
    ours = {rule["ID"]: rule for rule in (uploads, versions)}
    told.versioned = bucket.versioning() in ("Enabled", "Suspended")
    there = {rule.get("ID"): rule for rule in told.existing}
    for rule in told.existing:
        name = rule.get("ID") or "without a name"
        if name not in ours:
            told.kept.append(name)
        if rule.get("Status") != "Enabled":
            continue
        where = prefix_of(rule)
        whole = here.startswith(where) and not only_some(rule)
        told.sweeps |= whole and "AbortIncompleteMultipartUpload" in rule
        told.ends_versions |= whole and "NoncurrentVersionExpiration" in rule
        if here.startswith(where) or where.startswith(here):
            objects = f"objects below {where!r}" if where else "all objects"
            if any(_acts(rule.get(kind)) for kind in _REMOVES):
                told.behind.append(f"rule {name} removes {objects}: documents would be missing")
            if any(rule.get(kind) for kind in _MOVES):
                told.behind.append(
                    f"rule {name} moves {objects} to another storage class: reading them may fail or cost"
                )
    for rule, done in ((uploads, told.sweeps), (versions, told.ends_versions or not told.versioned)):
        known = there.get(rule["ID"])
        if known is not None and known != rule:
            told.changed.append(rule)
        elif known is None and not done:
            told.added.append(rule)
    return told


def apply_rules(bucket: Bucket, *, versions_days: int = VERSIONS_DAYS) -> Rules:
    """Add the rules of ours that are missing, and correct those that differ; all others stay as they are.

    Raises
    ------
    StoreError
        If the server does not keep them.
    """
    told = rules_of(bucket, versions_days=versions_days)
    if told.settled:
        return told
    new = {rule["ID"]: rule for rule in told.changed}
    rules = [*(new.get(rule.get("ID"), rule) for rule in told.existing), *told.added]
    with bucket.asking(""):
        bucket.api.put_bucket_lifecycle_configuration(
            Bucket=bucket.settings.bucket, LifecycleConfiguration={"Rules": rules}
        )
    told = rules_of(bucket, versions_days=versions_days)
    if not told.settled:
        raise StoreError(
            f"{bucket.place()} did not keep the rules; `catalogkit ingest` sweeps what uploads leave all the same"
        )
    return told


def _ours(bucket: Bucket, versions_days: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two rules of ours: about uploads, and about old versions."""
    prefix, name = bucket.settings.key(""), bucket.settings.prefix or "all"
    common = {"Status": "Enabled", "Filter": {"Prefix": prefix}}
    uploads = {"ID": f"catalogkit-uploads-{name}"[:255], **common}
    versions = {"ID": f"catalogkit-versions-{name}"[:255], **common}
    return (
        uploads | {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS}},
        versions | {"NoncurrentVersionExpiration": {"NoncurrentDays": versions_days}},
    )


def _words(rule: dict[str, Any]) -> str:
    """What a rule of ours does."""
    if "AbortIncompleteMultipartUpload" in rule:
        return f"{rule['ID']}: removes what uploads in parts left, after {DAYS} days"
    days = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
    return f"{rule['ID']}: removes old versions {days} days after they were replaced or purged"


def _existing(bucket: Bucket) -> list[dict[str, Any]]:
    try:
        with bucket.asking(""):
            found = bucket.api.get_bucket_lifecycle_configuration(Bucket=bucket.settings.bucket)
    except StoreError as problem:
        if "NoSuchLifecycleConfiguration" not in str(problem):
            raise
        return []
    return list(found.get("Rules", ()))


def prefix_of(rule: dict[str, Any]) -> str:
    filtered = rule.get("Filter") or {}
    return str(filtered.get("Prefix") or (filtered.get("And") or {}).get("Prefix") or rule.get("Prefix") or "")


def only_some(rule: dict[str, Any]) -> bool:
    """Whether a rule is about some objects of its prefix alone: those with a tag, or of a size."""
    filtered = rule.get("Filter") or {}
    return bool(set(filtered) - {"Prefix"})


def _acts(expiration: dict[str, Any] | None) -> bool:
    """Whether an expiration is about objects, not only about markers of what was deleted."""
    return any(name in (expiration or {}) for name in ("Days", "Date"))
