"""Readable paths out of the catalog: they lead to the stored bytes, and nobody changes these through them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import InvalidInput
from catalogkit.migrating import migrate_to_cas_gradual
from catalogkit.planning import plan_forget
from catalogkit.viewing import drop_old_paths, make_views
from tests.migration.scene import CONTENTS, old_path, settle, wrong
from tests.plans.scene import condemn, files, put, run, stray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.collection import Collection
    from tests.conftest import Clock


@pytest.fixture
def cas(tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    """A collection that was moved to content addresses."""
    with settle(tmp_path / "collection", clock) as collection:
        migrate_to_cas_gradual(collection=collection, views=False)
        yield collection


def test_every_document_has_a_readable_path(cas: Collection) -> None:
    """By the collection's template or another, in its folder or another; again, nothing changes."""
    report = make_views(cas)
    assert (report.made, report.kept, report.removed, report.in_the_way) == (len(CONTENTS), 0, 0, [])
    assert {path.name: path.read_bytes() for path in (cas.path / "views").iterdir()} == CONTENTS
    assert all(path.is_symlink() for path in (cas.path / "views").iterdir())
    assert make_views(cas).kept == len(CONTENTS)
    other = make_views(cas, cas.path / "other", template="{tenant}/{artifact_id}.txt")
    assert (cas.path / "other" / "default" / "a.txt").read_bytes() == b"alpha"
    assert (other.made, wrong(cas, paths=False)) == (len(CONTENTS), [])


def test_views_follow_the_catalog(cas: Collection) -> None:
    """What was forgotten goes, its empty folders too; what has other bytes now leads there; new ones come."""
    make_views(cas, template="{artifact_id}/text")
    run(cas, plan_forget(cas, [1]))
    put(cas, "b", b"second version")
    put(cas, "new", b"new")
    report = make_views(cas, template="{artifact_id}/text")
    assert (report.made, report.removed) == (2, 1)
    assert not (cas.path / "views" / "a").exists()
    assert (cas.path / "views" / "b" / "text").read_bytes() == b"second version"


def test_documents_share_a_path_only_if_their_bytes_are_equal(cas: Collection) -> None:
    """Hazard 18: a template that gives many the same path gives others a suffix out of their digest."""
    make_views(cas, template="{tenant}/{basename}")
    make_views(cas, cas.path / "same", template="{tenant}/x{variant}{sha256}")
    found = {path.read_bytes() for path in (cas.path / "views").rglob("*") if path.is_file()}
    assert found == set(CONTENTS.values())


def test_views_are_no_copies(cas: Collection) -> None:
    """Neither in views, nor at the old paths after a migration, are they taken for documents or strays."""
    make_views(cas)
    (old_path(cas, "link")).parent.mkdir(exist_ok=True)
    os.symlink(cas.store.path(next(iter(files(cas)))), old_path(cas, "link"))
    assert "docs/link" not in list(cas.store.keys())
    assert condemn(cas).done == 1  # what was forgotten


def test_nobody_edits_stored_bytes_through_a_view(tmp_path: Path, clock: Clock) -> None:
    """Hazard 29: somebody who may do no more than others is refused; saving by rename exchanges the view alone."""
    with settle(tmp_path / "collection", clock) as cas:
        migrate_to_cas_gradual(collection=cas)
        make_views(cas)
        for view in (cas.path / "views" / "a", old_path(cas, "a")):
            stored = Path(os.path.realpath(view))
            assert stored.stat().st_mode & 0o222 == 0
            code = f"import os\nif not os.getuid(): os.seteuid(65534)\nopen({str(view)!r}, 'w').write('edited')"
            refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            assert "PermissionError" in refused.stderr
            saved = view.with_name("saved")
            saved.write_bytes(b"edited")
            saved.replace(view)
            assert (view.read_bytes(), stored.read_bytes()) == (b"edited", b"alpha")
        assert make_views(cas).in_the_way == [str(cas.path / "views" / "a")]
        assert (cas.path / "views" / "a").read_bytes() == b"edited"


def test_only_views_are_removed(cas: Collection) -> None:
    """Files, folders and links that lead elsewhere stay, whatever they are called."""
    home = cas.path / "views"
    home.mkdir()
    (home / "mine.txt").write_text("mine")
    (home / "elsewhere").symlink_to("/etc/hostname")
    (home / "b").mkdir()
    report = make_views(cas)
    assert (report.removed, report.in_the_way) == (0, [str(home / "b")])
    assert (home / "mine.txt").read_text() == "mine"
    assert (home / "elsewhere").is_symlink()


def test_views_lie_outside_of_the_store(cas: Collection) -> None:
    """Nor does a link into it get them there."""
    inside = Path(cas.store.root, "docs")
    (cas.path / "sly").symlink_to(cas.store.root)
    for folder in (inside, cas.path / "sly" / "views", Path(cas.store.root)):
        with pytest.raises(InvalidInput, match="lies in the store"):
            make_views(cas, folder)


def test_old_paths_are_given_up_when_somebody_says_so(tmp_path: Path, clock: Clock) -> None:
    """The links that a migration left go, and their empty folders; files stay."""
    with settle(tmp_path / "collection", clock) as cas:
        migrate_to_cas_gradual(collection=cas)
        stray(cas, b"stray", key="docs/deep/stray")
        assert drop_old_paths(cas) == len(CONTENTS) + 1
        assert {key for key in files(cas) if key.startswith("docs/")} == {"docs/deep/stray"}
        assert wrong(cas, paths=False) == []
