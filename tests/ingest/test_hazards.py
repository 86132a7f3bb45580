"""How the earlier system lost data while taking it in, and that none of it can happen here.

Hazards 19 and 28 are with the odd files, 21 and 22 with the crashes, 27 with the stores, 29 with them and the modes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.catalog.contract import Committed, Registration
from catalogkit.errors import CatalogBusy, ConstraintError, InvalidInput, SourceError, StoreError, StoreUnreachable
from catalogkit.ingest import ingest, register_or_get
from catalogkit.ingest_report import IngestReport
from catalogkit.intents import recover
from catalogkit.planning import plan_migrate
from catalogkit.planning.gc import plan_gc
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry, make_tree, read_tree
from tests.crash.world import leftovers
from tests.plans.scene import run
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


def take(collection: Collection, *paths: Path, **settings: Any) -> IngestReport:
    return ingest(collection, *paths, executor=Inline(), **settings)


def register(collection: Collection, path: Path, url: str, **settings: Any) -> bytes:
    """What a reader gets of a document that a downloader has just handed over."""
    settings = {"artifact_id": "paper", "resolver": "web"} | settings
    return collection.read(register_or_get(collection, path, source_url=url, **settings).id)


def healthy(collection: Collection) -> bool:
    report = verify(collection, executor=Inline())
    return report.ok == collection.frame("locations").height and leftovers(collection) == []


# -- readable paths ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
def test_hazard_18_same_name_different_bytes(collection: Collection, source: Path, together: bool) -> None:
    """Two URLs with the same last segment and different bytes become two files, and both verify."""
    make_tree(source, {"a/paper.pdf": b"%PDF one", "b/paper.pdf": b"%PDF two", "c/paper.pdf": b"%PDF one"})
    for paths in [[source]] if together else [[source / name] for name in "abc"]:
        take(collection, *paths, resolver="web")
    documents = collection.find()
    assert [Path(place).read_bytes() for place in documents.sort("source_url")["location"]] == [
        b"%PDF one", b"%PDF two", b"%PDF one",
    ]  # fmt: skip
    assert documents["location"].n_unique() == 2
    assert healthy(collection)


def test_hazard_18_twins_of_case(make_collection: Callable[..., Collection], source: Path) -> None:
    """Names that differ only in case get paths that would not collide on any disk, in one run or in several."""
    collection = make_collection("policy", template="{basename}")
    for number, name in enumerate(["a/Paper.pdf", "b/paper.PDF", "c/PAPER.pdf"]):
        take(collection, make_tree(source, {name: b"%PDF " + b"%d" % number}))
    keys = list(collection.store.keys())
    assert len(keys) == 3 == len({key.casefold() for key in keys})
    assert healthy(collection)


def test_hazard_20_equal_bytes_are_one_inode(make_collection: Callable[..., Collection], source: Path) -> None:
    """In the readable layout equal documents are names of one file, in one run or in several; others never are."""
    collection = make_collection("policy")
    for more in ({"a.txt": b"same", "b.txt": b"same", "other.txt": b"Same"}, {"c.txt": b"same"}):
        take(collection, make_tree(source, more))
    paths = {row["artifact_id"]: collection.store.path(row["key"]) for row in keys_of(collection)}
    inodes = {name: os.stat(path).st_ino for name, path in paths.items()}
    assert inodes["a.txt"] == inodes["b.txt"] == inodes["c.txt"] != inodes["other.txt"]
    assert os.stat(paths["a.txt"]).st_nlink == 3
    assert healthy(collection)


def keys_of(collection: Collection) -> list[dict[str, Any]]:
    """The last segment of every readable path, as the document's name."""
    return [{"artifact_id": Path(key).name, "key": key} for key in collection.store.keys()]  # noqa: SIM118


@pytest.mark.parametrize("content", [b"%PDF mine", b"somebody else's"], ids=["equal", "other"])
def test_a_stranger_at_a_readable_path(
    make_collection: Callable[..., Collection], source: Path, content: bytes
) -> None:
    """A file that the catalog knows nothing of is used if its bytes are right, and left alone if not."""
    collection = make_collection("policy")
    stranger = (
        make_tree(Path(collection.store.root), {"docs/web/paper/paper.pdf": content}) / "docs/web/paper/paper.pdf"
    )
    path = make_tree(source, {"x": b"%PDF mine"}) / "x"
    assert register(collection, path, "https://example.org/paper.pdf") == b"%PDF mine"
    assert stranger.read_bytes() == content
    assert len(list(collection.store.keys())) == (1 if content == b"%PDF mine" else 2)
    assert healthy(collection)


def test_strangers_at_every_path(make_collection: Callable[..., Collection], source: Path) -> None:
    """A document for which no path is free is reported, and the rest of its batch is taken in."""
    collection = make_collection("policy", template="{basename}")
    digest = hashlib.sha256(b"%PDF mine").hexdigest()
    strangers = dict.fromkeys(["paper.pdf", f"paper~{digest[:12]}.pdf", f"paper~{digest}.pdf"], b"somebody else's")
    docs = make_tree(Path(collection.store.root, "docs"), strangers)
    report = take(collection, make_tree(source, {"paper.pdf": b"%PDF mine", "other.txt": b"x"}))
    assert (report.ingested, report.failed) == (1, 1)
    assert "move them away" in report.failures[0][1]
    assert read_tree(docs) == strangers | {"other.txt": b"x"}
    assert leftovers(collection) == []


def test_garbage_at_a_content_address(make_collection: Callable[..., Collection], source: Path) -> None:
    """What lies at a content address and is not known makes way for the bytes that belong there, and is kept."""
    collection = make_collection("cas")
    digests = [hashlib.sha256(content).hexdigest() for content in (b"small", b"also")]
    for digest in digests:
        make_tree(Path(collection.store.root), {f"cas/{digest[:2]}/{digest}": b"garbage"})
    take(collection, make_tree(source, {"small.txt": b"small"}))
    assert register(collection, make_tree(source, {"also.txt": b"also"}) / "also.txt", "u") == b"also"
    assert healthy(collection)
    kept = read_tree(Path(collection.store.root, ".catalogkit", "quarantine"))
    assert list(kept.values()) == [b"garbage"] * 2


class Meanwhile(Unsynced):
    """File calls that let something happen when the first name is about to be shown."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act

    def link(self, source: str, target: str) -> None:
        act, self.act = self.act, None
        if act:
            act()
        super().link(source, target)


@pytest.mark.parametrize("twins", [1, 2])
def test_hazard_23_somebody_else_takes_the_path(
    make_collection: Callable[..., Collection], source: Path, clock: Clock, twins: int
) -> None:
    """Of two ingests that chose one readable path for different bytes, one wins, the other fails and can go again."""
    collection = make_collection("policy", template="{basename}")
    mine = {f"{folder}/paper.pdf": b"%PDF mine" for folder in range(twins)}
    make_tree(source, mine | {"other.txt": b"x"})
    theirs = make_tree(source.parent / "theirs", {"paper.pdf": b"%PDF theirs"})
    with hurry(collection.__class__(collection.path, collection.config, collection.catalog, clock=clock)) as other:
        collection.store.files = Meanwhile(lambda: take(other, theirs))
        report = take(collection, source)
        assert (report.ingested, report.failed) == (1, twins)
        assert "run it again" in report.failures[0][1]
        assert healthy(collection)
        assert take(collection, source).ingested == twins
        assert healthy(collection)
        contents = [collection.read(number) for number in collection.frame("documents")["id"]]
        assert sorted(contents) == sorted([*mine.values(), b"%PDF theirs", b"x"])


def test_hazard_23_twins_of_case_at_once(
    make_collection: Callable[..., Collection], source: Path, clock: Clock
) -> None:
    """Two ingests that chose paths which differ only in case: the catalog refuses one document, and only that one."""
    collection = make_collection("policy", template="{basename}")
    make_tree(source, {"Paper.pdf": b"%PDF mine", "other.txt": b"x"})
    theirs = make_tree(source.parent / "theirs", {"paper.pdf": b"%PDF theirs"})
    with hurry(collection.__class__(collection.path, collection.config, collection.catalog, clock=clock)) as other:
        collection.store.files = Meanwhile(lambda: take(other, theirs))
        report = take(collection, source)
        assert (report.ingested, report.failed) == (1, 1)
        assert leftovers(collection) == []
        assert take(collection, source).ingested == 1
        assert healthy(collection)


@pytest.mark.parametrize("moment", ["stage", "known"], ids=["before its intent", "after its intent"])
def test_a_path_that_is_given_up_meanwhile(
    make_collection: Callable[..., Collection], source: Path, clock: Clock, moment: str
) -> None:
    """A path that an ingest chose because its bytes lie there goes to others: their bytes are no bad copy of these."""
    collection = make_collection("policy", template="{basename}")
    take(collection, make_tree(source, {"paper.pdf": b"%PDF one"}))
    mine = make_tree(source.parent / "mine", {"paper.pdf": b"%PDF one"})
    theirs = make_tree(source.parent / "theirs", {"paper.pdf": b"%PDF two"})
    real = getattr(collection.catalog, moment)
    with hurry(collection.__class__(collection.path, collection.config, collection.catalog, clock=clock)) as other:

        def meanwhile(*args: Any, **kwargs: Any) -> Any:
            setattr(collection.catalog, moment, real)
            run(other, plan_migrate(other, "cas", views=False))
            assert take(other, theirs).ingested == 1
            return real(*args, **kwargs)

        setattr(collection.catalog, moment, meanwhile)
        take(collection, mine)
        assert take(collection, mine).failures == []
        contents = [collection.read(number) for number in collection.frame("documents")["id"]]
        assert sorted(contents) == [b"%PDF one", b"%PDF one", b"%PDF two"]
        assert healthy(collection)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
def test_a_path_that_leads_through_a_document(
    make_collection: Callable[..., Collection], source: Path, together: bool
) -> None:
    """Where one document is a file another one needs a folder: both are taken in, and the rest with them."""
    collection = make_collection("policy", template="{resolver}/{artifact_id}")
    make_tree(source, {"file": b"a file", "below": b"below it", "other": b"another"})
    rows = [
        '{"path": "file", "artifact_id": "x", "source_url": "u:1"}\n',
        '{"path": "below", "artifact_id": "y", "source_url": "u:2", "resolver": "x"}\n',
        '{"path": "other", "artifact_id": "z", "source_url": "u:3"}\n',
    ]
    manifest = source / "manifest.jsonl"
    for some in [rows] if together else [rows[:1], rows]:
        manifest.write_text("".join(some))
        report = take(collection, manifest=manifest)
    assert (report.ingested, report.failed) == (2, int(together))
    assert take(collection, manifest=manifest).failures == []
    contents = [collection.read(number) for number in collection.frame("documents")["id"]]
    assert sorted(contents) == [b"a file", b"another", b"below it"]
    assert healthy(collection)


def test_what_died_at_a_path_since_given_away(
    make_collection: Callable[..., Collection], source: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest that died with its bytes at a path whose twin of case was taken meanwhile does not block later ones."""
    collection = make_collection("policy", template="{basename}")
    make_tree(source, {"Paper.pdf": b"%PDF mine"})
    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            take(collection, source)
    assert collection.catalog.intents()
    with monkeypatch.context() as patch:
        patch.setattr("catalogkit.intents.is_dead", lambda *args: False)
        take(collection, make_tree(source.parent / "theirs", {"paper.pdf": b"%PDF theirs"}))
    completed, dropped = recover(collection, clock.now)
    assert completed == 0 and list(dropped.values()) == [1]
    assert take(collection, source).failures == []
    assert sorted(collection.read(number) for number in (1, 2)) == [b"%PDF mine", b"%PDF theirs"]


def stop(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


# -- versions ----------------------------------------------------------------------------------------------------


def test_hazard_24_a_changed_download_is_a_new_version(collection: Collection, source: Path) -> None:
    """The second download of a URL becomes current; the first stays readable under its own digest."""
    for wrote in (b"%PDF v1", b"%PDF v2"):
        path = make_tree(source, {"x.pdf": wrote}) / "x.pdf"
        assert register(collection, path, "https://example.org/paper.pdf") == wrote
    (row,) = collection.frame("documents").to_dicts()
    versions = collection.catalog.versions(row["id"])["sha256"].to_list()
    assert len(versions) == 2 and versions[-1] == row["sha256"]
    assert collection.frame("locations").height == 2
    assert healthy(collection)


def test_what_comes_late_does_not_go_back(
    collection: Collection, source: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest that is completed after its death never replaces a version that was fetched later than it."""
    path = make_tree(source, {"x.pdf": b"%PDF v1"}) / "x.pdf"
    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            register(collection, path, "u", fetched_at=clock.now)
    path.unlink()
    path.write_bytes(b"%PDF v2")
    with monkeypatch.context() as patch:
        patch.setattr("catalogkit.intents.is_dead", lambda *args: False)  # to whoever comes, the first is alive still
        register(collection, path, "u", fetched_at=clock.advance(minutes=1))
    assert recover(collection, clock.now) == (1, {})
    assert collection.read(1) == b"%PDF v2"
    assert collection.catalog.versions(1).height == 2


def test_what_was_forgotten_does_not_come_back(
    collection: Collection, source: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that died while its document was forgotten brings it back no more; its bytes are garbage, found."""
    path = make_tree(source, {"x.pdf": b"%PDF v1"}) / "x.pdf"
    register(collection, path, "u")
    path.write_bytes(b"%PDF v2")
    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            register(collection, path, "u")
    assert collection.catalog.intents()
    with collection.catalog.hand("f" * 64, as_of=clock.advance(minutes=1)) as hand:
        assert hand.forget(1, collection.catalog.digests_of([1])[1]) == ""
    other = make_tree(source.parent / "other", {"y.txt": b"another"})
    report = take(collection, other)
    assert (report.ingested, report.recovered, report.dropped.total()) == (1, 0, 1)
    assert "was forgotten after its ingest had begun" in next(iter(report.dropped))
    assert collection.catalog.find(source_url="u") == collection.catalog.intents() == []
    strays = [name for name, content in read_tree(Path(collection.store.root)).items() if content == b"%PDF v2"]
    # Files are as old as the machine's clock says.
    assert len(strays) == 1 and strays[0] in plan_gc(collection, as_of=clock.now.replace(year=2100)).frame["key"]
    assert register(collection, path, "u") == b"%PDF v2", "somebody who asks for it anew gets it"
    assert healthy(collection)


# -- a catalog that fails ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["start_run", "stage", "known", "commit", "end_run"])
@pytest.mark.parametrize("error", [CatalogBusy, ConstraintError])
def test_hazard_25_no_success_without_a_record(
    collection: Collection, source: Path, method: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the catalog fails, the ingest fails: either as a whole, or each document that has no record."""
    files = {"a.txt": b"a", "b.txt": b"b"}
    make_tree(source, files)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, method, fail)
        try:
            report = take(collection, source, mode="move")
        except error:
            assert collection.catalog.totals()["documents"] in (0, 2)
        else:
            assert (method, error, report.failed, report.ingested) == ("commit", ConstraintError, 2, 0)
    kept = {
        row["artifact_id"]: collection.read(row["id"]) for row in collection.frame("documents").iter_rows(named=True)
    }
    assert read_tree(source) | kept == files, "whatever is not in the catalog is still at its source"
    assert take(collection, source, mode="move").failures == []
    assert read_tree(source) == {}
    assert healthy(collection)


def test_hazard_25_a_download_that_was_not_registered(
    collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A downloader gets an error and still has its file; calling again completes the work."""
    path = make_tree(source, {"x": b"content"}) / "x"
    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, "stage", stop_busy)
        with pytest.raises(CatalogBusy):
            register(collection, path, "u")
    assert path.read_bytes() == b"content"
    assert register(collection, path, "u") == b"content"
    assert not path.exists() and healthy(collection)


def stop_busy(*args: Any, **kwargs: Any) -> None:
    raise CatalogBusy("made to fail")


def test_one_document_that_the_catalog_refuses(
    collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that breaks a rule of the catalog is reported; the rest of its batch is committed."""
    make_tree(source, {f"{number}.txt": b"%d" % number for number in range(9)})
    real = collection.catalog.commit

    def picky(staged: list[tuple[int | None, Registration]], **settings: Any) -> list[Committed]:
        if any(entry.arrival.artifact_id == "4.txt" for _, entry in staged):
            raise ConstraintError("not this one")
        return real(staged, **settings)

    monkeypatch.setattr(collection.catalog, "commit", picky)
    report = take(collection, source)
    assert (report.ingested, report.failures) == (8, [(str(source / "4.txt"), "not this one")])
    assert leftovers(collection) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"artifact_id": ""}, {"url": ""}, {"tenant": ""}, {"artifact_id": "a\x00"}, {"artifact_id": "\ud800"},
        {"metadata": {"x": object()}}, {"mode": "steal"}, {"artifact_id": None},
        {"metadata": {"x": "\ud800"}},
    ],
)  # fmt: skip
def test_hazard_26_bad_facts_change_nothing(collection: Collection, source: Path, wrong: dict[str, Any]) -> None:
    """Facts that no catalog can hold are bad input: nothing is stored, the file stays."""
    path = make_tree(source, {"x": b"content"}) / "x"
    facts = {"url": "u"} | wrong
    with pytest.raises(InvalidInput):
        register(collection, path, **facts)
    assert path.read_bytes() == b"content"
    assert list(collection.store.keys()) == [] and leftovers(collection) == []


# -- a store that goes away --------------------------------------------------------------------------------------


def test_hazard_4_an_empty_mount_point(collection: Collection, source: Path, tmp_path: Path) -> None:
    """With the store's disk not mounted nothing is taken in, and nothing is written where it should be."""
    make_tree(source, {"a.txt": b"a"})
    root = Path(collection.store.root)
    root.rename(tmp_path / "elsewhere")
    root.mkdir()
    for act in (lambda: take(collection, source), lambda: register(collection, source / "a.txt", "u")):
        with pytest.raises(StoreUnreachable):
            act()
    assert list(root.iterdir()) == []
    assert read_tree(source) == {"a.txt": b"a"}


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "an empty mount point"])
def test_a_disk_that_goes_away_in_the_middle(
    collection: Collection, source: Path, tmp_path: Path, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the store is gone, the ingest ends with an error; when it is back, the next one completes."""
    make_tree(source, {"a.txt": b"a", "b.txt": b"b"})
    root = Path(collection.store.root)
    real = collection.catalog.known

    def unplug(*args: Any) -> Any:
        root.rename(tmp_path / "elsewhere")
        if empty:
            root.mkdir()
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(collection.catalog, "known", unplug)
        with pytest.raises((StoreError, SourceError)):
            take(collection, source, mode="move")
    assert read_tree(source) == {"a.txt": b"a", "b.txt": b"b"}
    assert collection.catalog.totals()["documents"] == 0
    if empty:
        assert not [path for path in root.rglob("*") if path.is_file()]
        for folder in sorted(root.rglob("*"), reverse=True):
            folder.rmdir()
        root.rmdir()
    (tmp_path / "elsewhere").rename(root)
    assert take(collection, source, mode="move").ingested == 2
    assert healthy(collection)
