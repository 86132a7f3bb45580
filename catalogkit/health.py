"""How a collection's health is judged: where it lies, what it was last done for, what is left undone.

Nothing is looked at here; `catalogkit.doctor` does that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from catalogkit.checkup import OK, PROBLEM, WARNING, HealthCheck

if TYPE_CHECKING:
    from datetime import datetime, timedelta

# -- disks -------------------------------------------------------------------------------------------------------------

# Kinds of file system as /proc/self/mounts names them (proc_pid_mounts(5)). SQLite's log needs memory that all programs
# share, so all must be on one machine: https://www.sqlite.org/wal.html, "Overview", 2.
NETWORK: Final = (
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "smb3", "smbfs",
)  # fmt: skip
WITHOUT_LINKS: Final = ("exfat", "fuse.exfat", "fuse.gcsfuse", "fuse.rclone", "fuse.s3fs", "msdos", "vfat")
# Whether two files can share their blocks (clones); XFS and ZFS can, if they were made so.
SHARING: Final = {"bcachefs": "yes", "btrfs": "yes", "ext2": "no", "ext3": "no", "ext4": "no", "tmpfs": "no",
                  "xfs": "maybe", "zfs": "maybe"}  # fmt: skip
SMALLEST_BYTES: Final = 10**9
SHARE, ENOUGH_BYTES = 0.05, 100 * 10**9
LOG_BYTES: Final = 256 * 10**6
# Clocks that are set from the network differ by less than a second, those of careless machines by a minute or two.
CLOCK_SECONDS: Final = 300


class Disk(NamedTuple):
    """Where something lies: which file system (its number, its kind, empty if unknown), and how much room is there."""

    path: str
    device: int
    kind: str
    free_bytes: int
    total_bytes: int
    read_only: bool = False
    free_names: float = 1.0


def file_system(mounts: str, path: str) -> str:
    """The kind of file system that a path without links lies on, by the table of mounts; empty if that is unknown."""
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        at = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
        inside = path == at or path.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= longest:  # of two at one place the later one hides the other
            kind, longest = fields[2], len(at)
    return kind


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:,.3g} TB"


def scarce(disk: Disk) -> str:
    """What there is too little of; empty where there is enough."""
    free = f"{size(disk.free_bytes)} of {size(disk.total_bytes)} are free"
    if disk.free_bytes < min(max(SMALLEST_BYTES, SHARE * disk.total_bytes), ENOUGH_BYTES):
        return f"only {free}"
    return f"{free}, but few names are left for files" if disk.free_names < 0.01 else ""


def catalog_disk(disk: Disk, catalog: str, run: str) -> list[HealthCheck]:
    """Whether the file of an embedded catalog lies well."""
    name, kind = "catalog's disk", disk.kind or "a kind of file system that cannot be told here"
    if disk.kind in NETWORK:
        advice = (
            f"`{run} migrate-catalog {catalog} postgresql://user@host/database` moves it to a server (docs/postgres.md)"
        )
        detail = f"{disk.path} lies on {disk.kind}, over a network: SQLite's log does not work there, and loses changes"
        return [HealthCheck(name, PROBLEM, detail, advice)]
    if disk.read_only:
        return [HealthCheck(name, PROBLEM, f"{disk.path} can only be read", "mount it so that it can be written")]
    if little := scarce(disk):
        return [
            HealthCheck(name, WARNING, f"{little} at {disk.path}", f"make room; `df -h {disk.path}` shows the disk")
        ]
    return [HealthCheck(name, OK, f"{kind}, {size(disk.free_bytes)} free")]


def log(log_bytes: int, catalog_bytes: int, run: str) -> HealthCheck:
    """Whether the log of an embedded catalog is copied back in time."""
    if log_bytes > max(LOG_BYTES, catalog_bytes // 2):
        detail = f"{size(log_bytes)} wait to be copied into the catalog: some program has been reading it for long"
        advice = f"end programs and notebooks that have it open, then `{run} status`"
        return HealthCheck("catalog's log", WARNING, detail, advice)
    return HealthCheck(
        "catalog's log", OK, f"{size(log_bytes)} to be copied into the catalog" if log_bytes else "empty"
    )


def clock(newest: datetime | None, now: datetime) -> HealthCheck:
    """Whether this machine's clock is behind what the catalog has seen."""
    behind = (newest - now).total_seconds() if newest else 0.0
    if newest and behind > CLOCK_SECONDS:
        detail = f"it is {now:%Y-%m-%d %H:%M} UTC here, and the newest entry is of {newest:%Y-%m-%d %H:%M} UTC"
        return HealthCheck("clock", PROBLEM, detail, "`timedatectl` shows whether the clock is set from the network")
    return HealthCheck("clock", OK, f"{now:%Y-%m-%d %H:%M} UTC, not behind the catalog")


def store_disk(name: str, place: str, disk: Disk, *, writable: bool, run: str) -> HealthCheck:
    """Whether a store in a folder, which can be reached, lies well."""
    if disk.read_only or not writable:
        return HealthCheck(name, PROBLEM, f"{place} cannot be written by this user", f"`ls -ld {place}` shows by whom")
    if disk.kind in WITHOUT_LINKS:
        detail = f"{place} lies on {disk.kind}, which gives a file one name only: nothing can be taken in safely"
        advice = f"`{run} store add NAME file:/another/disk` makes one that can"
        return HealthCheck(name, PROBLEM, detail, advice)
    if little := scarce(disk):
        return HealthCheck(name, WARNING, f"{little} at {place}", f"`{run} plan gc` finds what can go")
    sharing = SHARING.get(disk.kind, "unknown")
    kind = disk.kind or "unknown file system"
    told = f"{place}, {kind}, {size(disk.free_bytes)} free, hard links yes, clones {sharing}"
    return HealthCheck(name, OK, told)


# -- secrets and what is left undone -----------------------------------------------------------------------------------

_SECRET: Final = re.compile(
    r"://[^\s/@\"']*:[^\s@\"']+@|[?&](?:ssl)?password=|[?&](?:oauth_client_secret|scram_\w+_key)=", re.IGNORECASE
)
BACKUP_DAYS: Final = 7


def secret(path: str, text: str, mode: int) -> HealthCheck:
    """Whether a password stands in a file that others can read."""
    if not _SECRET.search(text):
        return HealthCheck("secrets", OK, "no password in the settings")
    if mode & 0o077:
        detail = f"a password stands in {path}, which others can read"
        advice = f"`chmod 600 {path}`, or leave it to ~/.pgpass, and change it"
        return HealthCheck("secrets", PROBLEM, detail, advice)
    return HealthCheck("secrets", OK, "a password stands in the settings, which nobody else can read")


class Backups(NamedTuple):
    """What is known of backups: where they go (empty: nowhere), and the newest, and when one was last proved."""

    destination: str
    last: datetime | None = None
    proved: datetime | None = None
    one_disk: bool = False


def backups(found: Backups, now: datetime, *, nightly: bool, run: str) -> list[HealthCheck]:
    """Whether what is here could be brought back."""
    setting = 'destination = "/another/disk/backups"` below [backup] in the settings'
    if not found.destination:
        told = "no destination is named in the settings"
        told = f"{told}, and catalog and bytes lie on one disk: if that is lost, both are" if found.one_disk else told
        return [HealthCheck("backup", WARNING, told, f"write `{setting}, then `{run} backup`")]
    if found.last is None:
        return [
            HealthCheck(
                "backup",
                WARNING,
                f"none lies in {found.destination} yet, or its disk is not mounted",
                f"`{run} backup`",
            )
        ]
    checks = []
    if nightly and (now - found.last).days >= BACKUP_DAYS:
        detail = f"the last one was made {ago(found.last, now)}, though the nightly round makes one: does it run?"
        checks.append(HealthCheck("backup", WARNING, detail, f"`{run} maintain` (docs/schedules.md)"))
    elif found.one_disk:
        told = f"the last one was made {ago(found.last, now)}, on the catalog's disk: if that is lost, both are"
        checks.append(HealthCheck("backup", WARNING, told, f"write `{setting}"))
    else:
        checks.append(
            HealthCheck("backup", OK, f"the last one was made {ago(found.last, now)}, in {found.destination}")
        )
    if found.proved is None:
        told = "no backup was ever brought back as a test"
        checks.append(HealthCheck("backup's proof", WARNING, told, f"`{run} drill`"))
    else:
        checks.append(HealthCheck("backup's proof", OK, f"one was brought back {ago(found.proved, now)}"))
    return checks


def verification(
    checked: datetime | None, now: datetime, *, stored: bool, max_age: timedelta | None, run: str
) -> HealthCheck:
    """When a copy was last read and compared, against how old that may be."""
    if not stored:
        return HealthCheck("verification", OK, "nothing is stored yet")
    if checked is None:
        return HealthCheck("verification", WARNING, "no copy was ever read and compared", f"`{run} verify`")
    if max_age is not None and now - checked > max_age:
        detail = f"the last check was {ago(checked, now)}, though none should be older than {max_age.days} days"
        return HealthCheck("verification", WARNING, detail, f"`{run} verify --max-age {max_age.days}d`")
    return HealthCheck("verification", OK, f"the last check was {ago(checked, now)}")


def ingests(alive: int, dead: int, run: str) -> HealthCheck:
    """Documents that were announced: by ingests at work, and by some that died."""
    if dead:
        detail = f"{dead:,} documents of ingests that died half way"
        return HealthCheck("ingests", WARNING, detail, f"run that `{run} ingest` again: it completes them first")
    return HealthCheck("ingests", OK, f"{alive:,} documents on their way" if alive else "none is left half way")


def plans(unfinished: list[str], expired: int, waiting: int, run: str) -> HealthCheck:
    """Plans that were begun and not ended, that expired, that wait for a person."""
    parts = [f"begun and not ended: {', '.join(unfinished)}"] if unfinished else []
    parts += [f"{expired} expired unused"] if expired else []
    waits = f"{waiting} {'wait' if waiting != 1 else 'waits'} for review"
    if not parts:
        return HealthCheck("plans", OK, waits if waiting else "none waits")
    advice = f"`{run} plans` lists them"
    advice += (
        "; apply one that was begun again, or `plan give-up` it"
        if unfinished
        else "; a new plan sees what is there now"
    )
    return HealthCheck("plans", WARNING, "; ".join([*parts, *([waits] if waiting else [])]), advice)


def sites(contested: int, run: str) -> HealthCheck:
    """Documents of which sites said different things."""
    if contested:
        told = f"{contested:,} documents were changed at two sites at once"
        return HealthCheck("sites", WARNING, told, f"`{run} conflicts`")
    return HealthCheck("sites", OK, "no conflict waits")


def ago(when: datetime, now: datetime) -> str:
    """How long ago something was, and when."""
    days = (now - when).days
    words = "today" if days < 1 else "a day ago" if days == 1 else f"{days:,} days ago"
    return f"{words} ({when:%Y-%m-%d %H:%M} UTC)"
