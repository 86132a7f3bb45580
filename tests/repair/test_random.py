"""Whatever is damaged: what has a healthy copy somewhere is whole again, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalogkit.collection import init
from catalogkit.planners.repair import RepairPolicy
from catalogkit.planning import repair_report
from tests.conftest import LAYOUTS, NOON, Clock, hurry
from tests.plans.scene import digest_of, put, run
from tests.repair.damage import copies, corrupt, part, place, scrub, set_aside, stock

if TYPE_CHECKING:
    from catalogkit.collection import Collection

CONTENTS = (b"one", b"two " * 300, b"", b"four" * 5_000)
KINDS = ("fine", "fine", "corrupt", "missing", "short", "long", "parted", "parted and corrupt", "folder", "link")


def damage(path: Path, kind: str) -> None:
    """Do something to a copy; names of one file share what happens to its bytes."""
    if kind == "fine" or not path.is_file():
        return
    path.chmod(0o644)
    if kind.startswith("parted"):
        part(path)
    if kind.endswith("corrupt"):
        corrupt(path)
    elif kind == "short":
        path.write_bytes(path.read_bytes()[:-1])
    elif kind == "long":
        path.write_bytes(path.read_bytes() + b"x")
    elif kind in ("missing", "folder", "link"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/etc/hostname")


def look(path: Path) -> bytes | str | None:
    """What lies at a place."""
    if path.is_symlink() or path.is_dir():
        return "something else"
    return path.read_bytes() if path.exists() else None


def seen(collection: Collection) -> dict[bytes, dict[Path, bytes | str | None]]:
    """Every copy and what lies there, by what should."""
    return {
        content: {place(collection, one): look(place(collection, one)) for one in copies(collection, content).values()}
        for content in CONTENTS
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(
    deadline=None,
    max_examples=10,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes long to make, and tells enough as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shape=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=len(CONTENTS), max_size=len(CONTENTS)),
    kinds=st.lists(st.sampled_from(KINDS), min_size=16, max_size=16),
    enough=st.sampled_from([None, 1, 2]),
    batch=st.integers(1, 20),
)
def test_random_damage(
    layout: str, shape: list[tuple[int, bool]], kinds: list[str], enough: int | None, batch: int, tmp_path: Path
) -> None:
    """Each blob with a healthy copy is right at every place of the store; the others are as they were, and told."""
    top = tmp_path / "world"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    with hurry(init(top / "collection", layout=layout, clock=Clock(NOON))) as collection:
        for number, (content, (names, replica)) in enumerate(zip(CONTENTS, shape, strict=True)):
            stock(collection, f"{number}", content, replica=replica)
            for more in range(1, names):
                put(collection, f"{number}-{more}", content)
        places = [path for there in seen(collection).values() for path in there]
        for path, kind in zip(places, kinds, strict=False):
            damage(path, kind)
        scrub(collection)
        before, documents = seen(collection), collection.frame("documents")
        report = repair_report(collection, RepairPolicy(enough=enough))
        done = run(collection, report.plan, batch=batch)
        assert (done.done, done.skipped, done.failed) == (report.plan.frame.height, 0, 0), done.why
        kept = set_aside(collection)
        for content, there in before.items():
            healthy = content in there.values()
            told = set(report.unrepairable.filter(sha256=str(digest_of(content)))["reason"])
            now = seen(collection)[content]
            for path, was in there.items():
                ours = path.is_relative_to(collection.store.root)
                if ours and healthy:
                    assert now.get(path, content) == content
                    assert isinstance(was, str | None) or was in (content, *kept)
                else:
                    assert now[path] == was
                if path not in now:  # dropped, as one of enough
                    assert enough and was is None
            assert (told <= {"owner"}) if healthy else told == {"not-asked"}
        assert collection.frame("documents").equals(documents)
        assert scrub(collection)["unknown"] == 0
        assert repair_report(collection).plan.units == 0
