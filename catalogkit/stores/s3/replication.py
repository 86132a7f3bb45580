"""Checks whether a bucket is ready for replication by the server, and what its rules leave out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import StoreError
from catalogkit.stores.s3.rules import only_some, prefix_of

if TYPE_CHECKING:
    from catalogkit.stores.s3.bucket import Bucket
    from catalogkit.stores.s3.settings import S3Settings

_NONE: Final = "ReplicationConfigurationNotFoundError"
_UNABLE: Final = ("NotImplemented", "MethodNotAllowed", "501", "405")


@dataclass(slots=True)
class Replication:
    """Whether what lies in a bucket is copied elsewhere by its server.

    Attributes
    ----------
    ready
        Whether all of this prefix is: the bucket keeps versions, and a rule is about all of it. None where the server
        does not say.
    targets
        The buckets it goes to.
    problems
        What is missing, in words that say what to do.
    notes
        What a person should know: what goes with it, and what does not.
    """

    place: str
    ready: bool | None = False
    targets: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def replication_of(bucket: Bucket) -> Replication:
    """Look at the versioning of a bucket, and at its rules about replication.

    Raises
    ------
    StoreUnreachable
        If it cannot be reached.
    """
    versions = bucket.versioning()
    rules: list[dict[str, Any]] | None
    try:
        with bucket.asking(""):
            found = bucket.api.get_bucket_replication(Bucket=bucket.settings.bucket)
        rules = found.get("ReplicationConfiguration", {}).get("Rules", [])
    except StoreError as problem:
        if not any(word in str(problem) for word in (_NONE, *_UNABLE)):
            raise
        rules = [] if _NONE in str(problem) else None
    return judged(bucket.settings, versions, rules)


def judged(settings: S3Settings, versions: str, rules: list[dict[str, Any]] | None) -> Replication:
    """What a bucket's versioning and rules (None: the server does not say) come to, for the objects of a prefix."""
    told, here, name = Replication(settings.place()), settings.key(""), settings.bucket
    if versions != "Enabled":
        told.problems.append(
            "it keeps no versions, without which nothing is replicated: here and at the target, aws s3api"
            f" put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled"
        )
    if rules is None:
        told.ready = None
        told.problems.append("the server says nothing about replication; compare with --with URL")
        return told
    whole = [rule for rule in rules if rule.get("Status") == "Enabled" and here.startswith(prefix_of(rule))]
    whole = [rule for rule in whole if not only_some(rule)]
    for rule in whole:
        target = rule.get("Destination", {})
        told.targets.append(str(target.get("Bucket", "")).rpartition(":")[2])
        told.notes += _notes(rule, target)
        if settings.sse.startswith("aws:kms") and not _kms(rule):
            told.problems.append(
                f"rule {rule.get('ID', '')} leaves out what is encrypted with {settings.sse}, which all of this"
                " is: SourceSelectionCriteria.SseKmsEncryptedObjects and a key at the target make it go"
            )
    if not whole:
        told.problems.append(
            f"no rule replicates all objects below {here!r}" if rules else "it has no rule that replicates anything"
        )
    told.ready = not told.problems
    return told


def _notes(rule: dict[str, Any], target: dict[str, Any]) -> list[str]:
    name = rule.get("ID", "without a name")
    said = []
    if rule.get("DeleteMarkerReplication", {}).get("Status") == "Enabled":
        said.append(f"rule {name}: what is purged here is hidden there as well, as an old version")
    else:
        said.append(f"rule {name}: what is purged here stays there")
    if target.get("StorageClass"):
        said.append(f"rule {name}: it lies there as {target['StorageClass']}")
    return [*said, "what lay here before the rule did is not replicated by it: S3 Batch Replication does that"]


def _kms(rule: dict[str, Any]) -> bool:
    criteria = rule.get("SourceSelectionCriteria", {}).get("SseKmsEncryptedObjects", {})
    return bool(criteria.get("Status") == "Enabled")
