"""Collections with replicas, ways to damage them, and what must hold of them after a repair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.collection import IN_PLACE
from catalogkit.ingest import register_or_get
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.plans.scene import digest_of, put

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.model import LocationRecord


def rotten(content: bytes) -> bytes:
    """As many bytes, and other ones."""
    return bytes(byte ^ 0xFF for byte in content) or b"rot"


def stock(collection: Collection, name: str, content: bytes, *, replica: bool = True, **more: Any) -> None:
    """Take `content` in, and keep a replica of it in its owner's hands."""
    put(collection, name, content, **more)
    if replica:
        path = collection.path.parent / "owner" / name
        path.parent.mkdir(exist_ok=True)
        (path.parent / "something else").touch()  # an empty folder might be a disk that is away
        path.write_bytes(content)
        url = f"https://example.org/{name}"
        register_or_get(collection, path, artifact_id=name, source_url=url, variant="replica", mode="reference")


def copies(collection: Collection, content: bytes) -> dict[str, LocationRecord]:
    """The copies of some bytes: one's place by what is told of it, such as ``main`` or ``in-place``."""
    return {f"{one.store} {one.key}": one for one in collection.catalog.locations_of(digest_of(content))}


def place(collection: Collection, one: LocationRecord) -> Path:
    """Where a copy lies."""
    return Path(collection.stores[collection.store_id(one.store)].path(one.key))


def ours(collection: Collection, content: bytes) -> Path:
    """Where the first copy in the store lies."""
    return next(place(collection, one) for one in copies(collection, content).values() if one.store != IN_PLACE)


def theirs(collection: Collection, content: bytes) -> Path:
    """Where the copy in its owner's hands lies."""
    return next(place(collection, one) for one in copies(collection, content).values() if one.store == IN_PLACE)


def corrupt(path: Path) -> bytes:
    """Other bytes of the same length in a file; what is there now."""
    content = rotten(path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    return content


def part(path: Path) -> None:
    """Give a name of several a file of its own, as a backup that was copied back would."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def scrub(collection: Collection) -> dict[str, int]:
    """Read everything; how many copies were what."""
    report = verify(collection, executor=Inline())
    return {name: getattr(report, name) for name in ("ok", "corrupt", "missing", "unknown")}


def set_aside(collection: Collection) -> list[bytes]:
    """The files in quarantine; a folder or a link that lay at a key is there, too, and holds no bytes."""
    paths = [Path(collection.store.describe(about.key)) for about in collection.store.quarantined()]
    return sorted(path.read_bytes() for path in paths if path.is_file() and not path.is_symlink())
