"""The doctor: every fault is found and said, nothing is changed, and no fault ends it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main

import catalogkit as ck
from catalogkit import equipment, health
from catalogkit.checkup import OK, PROBLEM, WARNING, Checkup, HealthCheck, of_error
from tests.conftest import NOON, make_tree, read_tree
from tests.plans.scene import put
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.pg import Blanks

ROOT = Path(__file__).parents[1]
SECRET = "Tr0ub4dor"
# The tests lie on one disk, and how full it is, is not theirs.
ONE_DISK = {"backup": WARNING}


def found(told: Checkup) -> dict[str, str]:
    """What is not well, by name; but for a disk of this machine that is nearly full."""
    return {one.name: one.outcome for one in told.checks if one.outcome != OK and not one.detail.startswith("only ")}


def the(told: Checkup, name: str) -> HealthCheck:
    """The check of that name."""
    (one,) = [one for one in told.checks if one.name == name]
    return one


@pytest.fixture
def home(make_collection: Callable[..., Collection]) -> Path:
    """A collection with one document, verified, that nobody has open."""
    collection = make_collection()
    put(collection, "a", b"one")
    ck.verify(collection)
    collection.close()
    return collection.path


def look(home: Path, **later: float) -> Checkup:
    """What the doctor finds there, some time after the last thing that was done."""
    return ck.doctor(home, as_of=NOON + timedelta(**later))


def edit(home: Path, text: str) -> None:
    """Add to the settings."""
    with (home / "catalogkit.toml").open("a", encoding="utf-8") as settings:
        settings.write(text)


def sql(home: Path, statement: str) -> None:
    """Change the catalog behind everybody's back."""
    db = sqlite3.connect(home / "catalog.sqlite")
    db.execute(statement)
    db.commit()
    db.close()


def test_a_collection_that_is_well(home: Path) -> None:
    """All is looked at; only that all of it lies on one disk is told. Open or not, the same is found."""
    told = look(home)
    assert found(told) == ONE_DISK and "one disk" in the(told, "backup").detail
    assert {one.name for one in told.checks} >= {
        "settings", "secrets", "catalog", "catalog's disk", "catalog's log", "store main", "clock", "verification",
        "ingests", "plans", "versions", "extras", "kernel",
    }  # fmt: skip
    assert all(bool(one.advice) == (one.outcome != OK) for one in told.checks)
    with ck.open(home) as collection:
        again = ck.doctor(collection, as_of=NOON)
    assert found(again) == ONE_DISK and [one.name for one in again.checks] == [one.name for one in told.checks]


def test_nothing_is_changed(home: Path, tmp_path: Path) -> None:
    """Not a byte of a collection that is closed, of one that a crash left with a log, of one with an older schema."""
    before = read_tree(home)
    look(home)
    assert read_tree(home) == before
    crashed = tmp_path / "crashed"
    with ck.open(home, clock=lambda: NOON) as collection:  # type: ignore[call-arg]
        put(collection, "b", b"two")
        shutil.copytree(home, crashed)
    before = read_tree(crashed)
    assert before["catalog.sqlite-wal"]
    assert found(look(crashed)) == ONE_DISK
    after = read_tree(crashed)
    # How the log is found in memory: SQLite writes it anew for whoever reads.
    assert {**before, "catalog.sqlite-shm": b""} == {**after, "catalog.sqlite-shm": b""}
    sql(home, "DELETE FROM migrations WHERE version = (SELECT max(version) FROM migrations)")
    before = read_tree(home)
    assert the(look(home), "catalog").outcome == WARNING
    assert read_tree(home) == before


def test_without_a_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named and none is there, the machine is looked at; one that is named has to be there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATALOGKIT_HOME", raising=False)
    told = ck.doctor()
    assert told.collection == "" and the(told, "versions").outcome == OK
    assert "settings" not in {one.name for one in told.checks}
    settings = the(ck.doctor("nowhere"), "settings")
    assert settings.outcome == PROBLEM and "catalogkit init" in settings.advice
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "told"), [("[store", "catalogkit.toml"), ("\ncatalgo = 1\n", "catalog")])
def test_settings_that_cannot_be_read(home: Path, text: str, told: str) -> None:
    """A slip, or no TOML at all: said in the words of the error, and the rest of the machine is looked at."""
    edit(home, text)
    settings = the(look(home), "settings")
    assert settings.outcome == PROBLEM and told in settings.detail and settings.advice


def test_a_password_that_others_can_read(home: Path) -> None:
    """A problem with a way out, also where the settings are broken; the password itself is never told."""
    edit(home, f'\nreplica = "postgresql://me:{SECRET}@host/papers"\n[broken')
    settings = home / "catalogkit.toml"
    settings.chmod(0o640)
    told = look(home)
    assert the(told, "secrets").outcome == PROBLEM and "chmod 600" in the(told, "secrets").advice
    assert SECRET not in json.dumps([one.detail + one.advice for one in told.checks])
    settings.chmod(0o600)
    assert the(look(home), "secrets").outcome == OK
    for text in ("sqlite:///catalog.sqlite", "postgresql://me@host/papers", "s3://bucket/a@b?region=eu"):
        assert health.secret("x", text, 0o644).outcome == OK, text
    assert health.secret("x", 'postgresql://host/papers?password="a', 0o644).outcome == PROBLEM


def test_a_catalog_that_cannot_be_used(home: Path) -> None:
    """Newer than this program, lost, or damaged: a problem with what to do, and stores are looked at all the same."""
    sql(home, "INSERT INTO migrations VALUES (999, 'later', 0)")
    told = the(look(home), "catalog")
    assert told.outcome == PROBLEM and "999" in told.detail and "pip install --upgrade" in told.advice
    (home / "catalog.sqlite").write_bytes(b"no database" * 1000)
    told = the(look(home), "catalog")
    assert told.outcome == PROBLEM and "recover BACKUP" in told.advice
    (home / "catalog.sqlite").unlink()
    gone = look(home)
    assert the(gone, "catalog").outcome == PROBLEM and "recover BACKUP" in the(gone, "catalog").advice
    assert the(gone, "store main").outcome == OK
    assert not (home / "catalog.sqlite").exists()


def test_a_store_that_is_away_or_anothers(home: Path, tmp_path: Path) -> None:
    """Gone, with the wrong token, or one that the catalog never heard of."""
    ck.init(tmp_path / "other").close()
    (home / "store").rename(home / "elsewhere")
    away = the(look(home), "store main")
    assert away.outcome == PROBLEM and "mounted" in away.advice
    assert "one disk" not in the(look(home), "backup").detail  # nobody knows where it is
    shutil.copytree(tmp_path / "other" / "store", home / "store")
    others = the(look(home), "store main")
    assert "another catalog" in others.detail and "store list" in others.advice
    shutil.rmtree(home / "store")
    (home / "elsewhere").rename(home / "store")
    assert found(look(home)) == ONE_DISK
    edit(home, '\n[stores]\ncold = "file:cold"\n')
    assert found(look(home)) == ONE_DISK | {"store cold": PROBLEM}


def test_it_costs_the_same_however_much_there_is(make_collection: Callable[..., Collection], source: Path) -> None:
    """SQLite takes as many steps for a hundred documents and their checks as for one, and counts no table at once."""
    collection, steps, asked = make_collection(), [], list[str]()
    for count in (1, 100):
        make_tree(source, {f"{number}": b"%d" % number for number in range(count)})
        ck.ingest(collection, source)
        ck.verify(collection)
        taken: list[None] = []
        collection.catalog._db.set_trace_callback(asked.append)  # type: ignore[attr-defined]
        collection.catalog._db.set_progress_handler(lambda: taken.append(None), 1)  # type: ignore[attr-defined]  # noqa: B023
        ck.doctor(collection)
        collection.catalog._db.set_progress_handler(None, 0)  # type: ignore[attr-defined]
        collection.catalog._db.set_trace_callback(None)  # type: ignore[attr-defined]
        steps.append(len(taken))
    assert 0 < steps[1] <= steps[0] + 10
    # Counting a whole table is one step, however long it takes.
    assert asked and not [sql for sql in asked if re.search(r"count\(\*\) FROM \w+$", sql)]


def test_a_copy_of_a_catalog(home: Path, tmp_path: Path) -> None:
    """Whoever copied it, and not its store, is told to whom that one belongs."""
    with ck.init(tmp_path / "first", store=f"file:{tmp_path}/shared"):
        pass
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    assert "still there" in the(ck.doctor(tmp_path / "second"), "store main").detail
    assert the(ck.doctor(tmp_path / "first"), "store main").outcome == OK


def test_where_it_lies(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of mounts tells of a network, and of a disk on which files have one name only."""
    look(home)  # loads the module
    table = tmp_path / "mounts"
    monkeypatch.setattr(sys.modules["catalogkit.doctor"], "MOUNTS", str(table))  # its name is the verb's, too
    table.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {home} nfs4 rw 0 0\n/dev/sdb {home}/store vfat rw 0 0\n")
    told = look(home)
    assert found(told) == ONE_DISK | {"catalog's disk": PROBLEM, "store main": PROBLEM}
    disk = the(told, "catalog's disk")
    assert "nfs4" in disk.detail and "migrate-catalog sqlite:///catalog.sqlite postgresql://" in disk.advice
    table.unlink()  # a system without one
    assert found(look(home)) == ONE_DISK and "cannot be told" in the(look(home), "catalog's disk").detail


def test_file_systems_by_their_mounts() -> None:
    """The longest mount point counts, whole names only, of two at one place the later one; blanks are escaped."""
    table = "a / ext4 rw\nb /mnt cifs rw\nc /mnt/my\\040disk xfs rw\nd /srv nfs rw\ne /srv btrfs rw\nodd\n"
    for path, kind in {"/home": "ext4", "/mnt": "cifs", "/mnt/x": "cifs", "/mntx": "ext4", "/mnt/my disk/a": "xfs",
                       "/srv/a": "btrfs"}.items():  # fmt: skip
        assert health.file_system(table, path) == kind
    assert health.file_system("", "/home") == ""


def test_room(home: Path) -> None:
    """Too little is told: below a gigabyte, below a share of a small disk, not of a large one; names run out, too."""
    gb = 10**9
    plenty = {(50 * gb, 100 * gb): "", (gb // 2, 8 * gb): "only", (40 * gb, 1000 * gb): "only", (200 * gb, 10**13): ""}
    for (free, total), words in plenty.items():
        assert health.scarce(health.Disk("/x", 1, "ext4", free, total)).startswith(words) or not words
        assert bool(health.scarce(health.Disk("/x", 1, "ext4", free, total))) == bool(words)
    few = health.Disk("/x", 1, "ext4", 50 * gb, 100 * gb, free_names=0.001)
    assert "few names" in health.scarce(few)
    for disk, outcome in ((few, WARNING), (few._replace(read_only=True), PROBLEM)):
        assert {one.outcome for one in health.catalog_disk(disk, "sqlite:///x", "ck")} == {outcome}
        assert health.store_disk("main", "/x", disk, writable=True, run="ck").outcome == outcome
    assert health.store_disk("main", "/x", few, writable=False, run="ck").outcome == PROBLEM
    assert [health.size(count) for count in (0, 1500, 49_200_000_000, 10**13)] == [
        "0 bytes",
        "1.5 kB",
        "49.2 GB",
        "10 TB",
    ]


def test_a_log_that_nobody_copies_back() -> None:
    """A large one is told, measured by the catalog."""
    assert health.log(300 * 10**6, 10**6, "ck").outcome == WARNING
    assert health.log(300 * 10**6, 10**10, "ck").outcome == health.log(10**6, 0, "ck").outcome == OK


def test_a_clock_that_is_behind(home: Path) -> None:
    """Minutes are careless, an hour is a problem."""
    assert the(look(home, minutes=-4), "clock").outcome == OK
    clock = the(look(home, hours=-1), "clock")
    assert clock.outcome == PROBLEM and "2026-03-01 12:00" in clock.detail


def test_verification(home: Path) -> None:
    """Against the age that the nightly round wants, unless it leaves that to others; never is a warning."""
    assert the(look(home, days=29), "verification").outcome == OK
    assert the(look(home, days=31), "verification").outcome == WARNING
    edit(home, '\n[maintain]\nskip = ["verify"]\n')
    assert the(look(home, days=31), "verification").outcome == OK
    never = health.verification(None, NOON, stored=True, max_age=None, run="ck")
    assert never.outcome == WARNING
    assert health.verification(None, NOON, stored=False, max_age=None, run="ck").outcome == OK


def test_backups(home: Path, clock: Clock) -> None:
    """None named, none made, one that was never brought back, one that was, one that is old, one on another disk."""
    edit(home, '\n[backup]\ndestination = "../backups"\n')
    assert "none lies in" in the(look(home), "backup").detail
    with ck.open(home, clock=clock) as collection:  # type: ignore[call-arg]
        ck.backup_catalog(home.parent / "backups", collection=collection)
        told = look(home)
        assert (
            found(told) == ONE_DISK | {"backup's proof": WARNING}
            and "on the catalog's disk" in the(told, "backup").detail
        )
        ck.drill(home.parent / "backups", collection=collection)
    assert found(look(home)) == ONE_DISK
    assert "does it run?" in the(look(home, days=8), "backup").detail
    away = health.Backups("/mnt/backups", NOON, NOON)
    assert {one.outcome for one in health.backups(away, NOON, nightly=True, run="ck")} == {OK}
    old = [health.backups(away, NOON + timedelta(days=60), nightly=on, run="ck")[0].outcome for on in (True, False)]
    assert old == [WARNING, OK]


def test_what_is_left_undone(make_collection: Callable[..., Collection], clock: Clock) -> None:
    """An ingest that died, a plan that was begun, one that expired, one that waits; an ingest at work is no fault."""
    collection = make_collection()
    put(collection, "a", b"one")
    ck.verify(collection)
    ck.plan_forget(collection, [1]).save(collection.path / "plans")
    told = ck.doctor(collection)
    assert found(told) == ONE_DISK and "waits for review" in the(told, "plans").detail
    _dead_ingest(collection, clock)
    assert found(ck.doctor(collection)) == ONE_DISK
    clock.advance(days=8)
    told = ck.doctor(collection)
    assert found(told) == ONE_DISK | {"ingests": WARNING, "plans": WARNING}
    assert "1 documents" in the(told, "ingests").detail and "1 expired" in the(told, "plans").detail
    collection.catalog.begin_plan("f" * 64, "gc", {}, {}, as_of=clock.now)
    assert "gc ffffffffffff" in the(ck.doctor(collection), "plans").detail
    collection.catalog.end_plan("f" * 64, given_up="no", as_of=clock.now)
    assert "gc" not in the(ck.doctor(collection), "plans").detail
    assert health.sites(2, "ck").outcome == WARNING and health.sites(0, "ck").outcome == OK


def _dead_ingest(collection: Collection, clock: Clock) -> None:
    """Announce a document as an ingest on another machine does."""
    from tests.catalog.desk import Desk

    desk = Desk.__new__(Desk)
    desk.catalog, desk.store_id = collection.catalog, collection.store_id("main")
    desk.stage(desk.entry("two", "b"), owner="elsewhere/1@1/x", as_of=clock.now)


def test_a_server(pg_blanks: Blanks, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """A catalog on a server, by its folder and by its address alone, which leaves nothing behind; one that is away."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pg_blanks.lent() as url:
        with ck.init(tmp_path / "served", catalog=url, clock=clock) as collection:
            put(collection, "a", b"one")
            assert collection.catalog.vitals().stored
        told = look(tmp_path / "served")
        assert found(told) == {"backup": WARNING, "verification": WARNING}
        assert "catalog's disk" not in {one.name for one in told.checks}
        by_address = ck.doctor(url, as_of=NOON)
        assert found(by_address) == found(told) and not (tmp_path / "state").exists()
        assert "--catalog" in the(by_address, "verification").advice
    settings = home / "catalogkit.toml"
    away = f"postgresql://me:{SECRET}@127.0.0.1:1/papers"
    settings.write_text(settings.read_text().replace("sqlite:///catalog.sqlite", away))
    told = look(home)
    assert the(told, "catalog").outcome == PROBLEM and the(told, "store main").outcome == OK
    by_address = ck.doctor(away)
    assert the(by_address, "catalog").outcome == PROBLEM
    assert SECRET not in repr(by_address.to_dict()) + repr(told.to_dict())


def test_a_look_at_a_server_changes_nothing(pg_blanks: Blanks) -> None:
    """The server itself refuses changes to whoever opened it for a look."""
    from catalogkit.catalog.postgres import PostgresCatalog
    from catalogkit.errors import CatalogError

    with pg_blanks.lent() as url:
        PostgresCatalog(url, create=True, as_of=NOON).close()
        looking = PostgresCatalog(url, as_of=NOON, looking=True)
        assert looking.schemas()[0] == looking.schemas()[1]
        with pytest.raises(CatalogError):
            looking.note("a", "b")
        looking.close()


# -- the machine -------------------------------------------------------------------------------------------------------


def test_the_extras_are_those_of_the_project() -> None:
    """Every extra but the tests' own, with the very packages that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def wanted(extra: str) -> set[str]:
        names = set()
        for line in extras[extra]:
            name, more = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", line).groups()  # type: ignore[union-attr]
            parts = more.split(",") if more else []
            within = [wanted(part) if name == "catalogkit" else {f"{name}-{part}"} for part in parts]
            names |= set().union(*within, {name} - {"catalogkit"})
        return names

    mine = {extra: set(equipment.packages(extra)) for extra in equipment.EXTRAS}
    assert mine == {extra: wanted(extra) for extra in extras if extra not in ("bench", "test")}


def test_extras_are_judged() -> None:
    """What nobody asked for is no fault; what the settings ask for, or what is too old, is."""
    needed = {"rensa": (">=", "0.5"), "duckdb": ("==", "1.5.5")}
    told = {one.name: one for one in equipment.extras({"rensa": "0.5.1", "duckdb": "1.5.5"}, needed, {})}
    assert {one.outcome for one in told.values()} == {OK}
    assert told["extras"].detail == "usable: near" and "fetch (downloading again)" in told["not installed"].detail
    old = {one.name: one for one in equipment.extras({"rensa": "0.4", "duckdb": "1.5.6"}, needed, {"s3": "[store]"})}
    assert {name for name, one in old.items() if one.outcome == WARNING} == {"rensa", "duckdb", "extra s3"}
    assert "boto3" in old["extra s3"].detail and "catalogkit[s3]" in old["extra s3"].advice


def test_settings_ask_for_extras(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring that is switched on, and reports that are named, need packages."""
    monkeypatch.setattr("catalogkit.installed._installed", dict)
    edit(home, '\n[telemetry]\nexporter = "console"\n[maintain]\nreports = ["tour"]\n')
    assert found(look(home)) == ONE_DISK | {"extra telemetry": WARNING, "extra report": WARNING}


def test_versions_and_kernel(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that is too old; a kernel whose Python was removed."""
    assert equipment.versions("1", "3.11.7", (3, 36, 0), (3, 37, 0)).outcome == PROBLEM
    spec = {"kernels/python3/kernel.json": b'{"argv": ["/no/such/python", "-m", "ipykernel_launcher"]}'}
    make_tree(tmp_path / "jupyter", spec)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    assert "/no/such/python" in the(look(home), "kernel").detail
    assert equipment.kernel(None, "", None).outcome == OK


# -- what a person and a program see -----------------------------------------------------------------------------------


def test_on_the_command_line(home: Path) -> None:
    """Problems first, each with what to do; one JSON object; the code says whether somebody should look."""
    sql(home, "INSERT INTO migrations VALUES (999, 'later', 0)")
    lines = run("-C", home, "doctor", code=2).stdout.splitlines()
    assert lines[0].startswith(f"{home}: 1 problem and ") and lines[1].startswith("  ✗ catalog ")
    told = answer("-C", home, "doctor", code=2)
    assert list(told) == ["collection", "as_of", "well", "problems", "warnings", "checks"]
    assert (told["collection"], told["well"], told["problems"]) == (str(home), False, 1)
    assert all(list(one) == ["name", "outcome", "detail", "advice"] for one in told["checks"])
    outcomes = [one["outcome"] for one in told["checks"]]
    assert outcomes == sorted(outcomes, key=[PROBLEM, WARNING, OK].index)
    assert answer("-C", home / "nowhere", "doctor", code=2)["problems"] == 1
    assert run("doctor", cwd=home.parent).stdout.startswith("This machine, no collection: all is well")


def test_what_it_advises_can_be_typed(home: Path) -> None:
    """Every command that an advice names is one, with arguments that it takes."""
    from catalogkit.cli import app

    run_ = "catalogkit -C papers"
    disk = health.Disk("/x", 1, "nfs4", 1, 10**9)
    checks = [
        *health.catalog_disk(disk, "sqlite:///catalog.sqlite", run_),
        health.log(10**9, 0, run_),
        health.store_disk("main", "/x", disk._replace(kind="vfat"), writable=True, run=run_),
        health.store_disk("main", "/x", disk, writable=True, run=run_),
        *health.backups(health.Backups(""), NOON, nightly=True, run=run_),
        *health.backups(health.Backups("b"), NOON, nightly=True, run=run_),
        *health.backups(health.Backups("b", NOON), NOON + timedelta(days=9), nightly=True, run=run_),
        health.verification(None, NOON, stored=True, max_age=None, run=run_),
        health.verification(NOON, NOON + timedelta(days=9), stored=True, max_age=timedelta(days=1), run=run_),
        health.ingests(0, 1, run_),
        health.plans(["gc f"], 1, 1, run_),
        health.sites(1, run_),
    ]
    typed = [one for check in checks for one in re.findall(r"`(catalogkit [^`]+)`", check.advice)]
    assert len(typed) >= 11
    for line in typed:
        command, words = typer.main.get_command(app), shlex.split(line)[1:]
        while words:
            context = command.make_context("catalogkit", list(words), resilient_parsing=True)
            rest = [*getattr(context, "_protected_args", []), *context.args]
            if not hasattr(command, "commands"):
                assert not rest, line
                break
            command, words = command.commands[rest[0]], rest[1:]


def test_errors_in_their_own_words() -> None:
    """What follows a semicolon is the advice, if it is one; so is what is to be installed."""
    for text, detail, advice in (
        ("no store at /x; is it mounted?", "no store at /x", "is it mounted?"),
        ("another's; nothing was touched", "another's", "look"),
        (
            "that needs psycopg: pip install 'catalogkit[postgres]'",
            "that needs psycopg",
            "`pip install 'catalogkit[postgres]'`",
        ),
        ("it is broken: very", "it is broken: very", "look"),
    ):
        assert of_error("x", ValueError(text), "look") == HealthCheck("x", PROBLEM, detail, advice)


def test_in_a_notebook() -> None:
    """A table, problems first; text of others is text, not markup; lines fit, but for what is to be copied."""
    checks = [HealthCheck("a", OK, "well"), HealthCheck("b", PROBLEM, "<b>" + "word " * 50, "`rm <x>` " + "y" * 100)]
    shown = Checkup.of("/papers", NOON, checks)._repr_mimebundle_()
    assert "&lt;b&gt;" in shown["text/html"] and "<code>rm &lt;x&gt;</code>" in shown["text/html"]
    assert shown["text/html"].index("problem</td>") < shown["text/html"].index("ok</td>")
    lines = shown["text/plain"].splitlines()
    assert lines[0] == "/papers: 1 problem" and all(len(one) <= 100 for one in lines if "> `rm" not in one)
    assert Checkup.of("", NOON, checks[:1]).well
