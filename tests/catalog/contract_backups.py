"""What every catalog engine must do for backups: hold still while others write, and keep blobs one by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.catalog.desk import NOW, sha

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect, Desk


class Backups:
    """Images and roots."""

    def test_an_image_holds_still(self, desk: Desk, connect: Connect, tmp_path: Path) -> None:
        """While it is open, writers of this and of another connection go on at once; the image does not change."""
        desk.put_one("one")
        with desk.catalog.image(str(tmp_path)) as image:
            before = Path(image.path).read_bytes()[: image.bytes]
            desk.put_one("two", "b")
            other = connect(busy_seconds=0)
            other.touch([1], as_of=NOW)
            assert Path(image.path).read_bytes()[: image.bytes] == before
        assert desk.catalog.totals()["documents"] == 2

    def test_a_scratch_is_left_empty(self, desk: Desk, tmp_path: Path) -> None:
        """What a copy needed is gone afterwards, also where something went wrong."""
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        desk.put_one("one")
        try:
            with desk.catalog.image(str(scratch)):
                raise KeyError
        except KeyError:
            pass
        assert list(scratch.iterdir()) == []
        desk.put_one("two", "b")

    def test_roots_are_dropped_by_name(self, catalog: Catalog, desk: Desk) -> None:
        """The roots of one name go together, and only they."""
        desk.put_one("one")
        with catalog.write("test") as db:  # type: ignore[attr-defined]
            for kind, name in (("replaced", "x"), ("replaced", "y"), ("other", "x")):
                db.execute("INSERT INTO roots VALUES (?, ?, ?)", (kind, name, sha("one")))
        assert catalog.root_names("replaced") == ["x", "y"]
        catalog.drop_roots("replaced", "x", as_of=NOW)
        assert catalog.root_names("replaced") == ["y"] and catalog.root_names("other") == ["x"]
