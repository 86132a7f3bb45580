"""The benchmarks themselves: that what they time was really done, by everybody, and that they count right."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import benchmarks
from benchmarks import __main__ as door
from benchmarks import (
    backup,
    corpus,
    growth,
    ingest,
    keepers,
    memory,
    opening,
    ours,
    page,
    peers,
    race,
    reclaim,
    report,
    simulation,
    verify,
)
from benchmarks.bench import Bench
from benchmarks.corpus import NoRoom, Recipe
from benchmarks.race import Contender, Failed, Goal, Race, Sample, Untrue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEW = {
    "documents": Recipe("documents", files=8, copies=0.3, least=1_000, most=60_000, median=9_000),
    "small": Recipe("small", files=9, copies=0.3, least=400, most=1_600),
    "tiny": Recipe("tiny", files=10, copies=0.1, least=100, most=1_500),
}
EVERY = {peer.name: peer for peer in peers.HASHERS} | {
    f"{keeper.name} {job}": keeper.peer(job) for keeper in keepers.KEEPERS for job in keeper.jobs
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Benchmarks of a handful of files."""
    folder = tmp_path_factory.mktemp("bench")
    yield Bench(folder, rounds=1, recipes=FEW)
    shutil.rmtree(folder)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make it so that just these programs are installed."""

    def set_up(*programs: str) -> None:
        monkeypatch.setattr(peers, "shutil", SimpleNamespace(which=lambda name: name if name in programs else None))

    return set_up


@pytest.fixture(scope="module", autouse=True)
def _no_sync() -> Iterator[None]:
    """Spare the tests the wait for the disk before each timing: it is only there to make timings alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.sync", lambda: None)
        yield


def python(code: str, *arguments: object) -> list[str]:
    """A Python program."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def raced(**samples: list[tuple[float, float]]) -> Race:
    """A race with these (wall, CPU) seconds."""
    return Race("a race", {}, {name: [Sample(*pair) for pair in pairs] for name, pairs in samples.items()})


# -- corpora -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW)
def test_a_corpus_is_what_it_says_it_is(name: str, tmp_path: Path) -> None:
    """The totals of a corpus are those of its files, copies told from originals by content, not by the generator."""
    made = corpus.make(replace(FEW[name], files=40), tmp_path)
    contents = [path.read_bytes() for path in corpus.files(made.tree)]
    unique = {hashlib.sha256(content).digest(): len(content) for content in contents}
    assert (made.files, made.bytes) == (len(contents), sum(map(len, contents))) == (40, made.bytes)
    assert (made.unique_files, made.unique_bytes) == (len(unique), sum(unique.values()))
    assert made.unique_files < made.files
    assert all(FEW[name].least <= len(content) <= FEW[name].most for content in contents)


def test_a_corpus_is_the_same_everywhere(tmp_path: Path) -> None:
    """Two machines measure with the same bytes under the same names."""
    trees = [corpus.make(FEW["small"], tmp_path / place).tree for place in ("a", "b") if not (tmp_path / place).mkdir()]
    first, second = ({p.relative_to(tree): p.read_bytes() for p in corpus.files(tree)} for tree in trees)
    assert first == second


def test_a_kept_corpus_is_used_again_and_another_recipe_is_not_taken_for_it(tmp_path: Path) -> None:
    """A second run finds the files of the first, with their truth; changed sizes make a new corpus."""
    first = corpus.make(FEW["tiny"], tmp_path)
    before = [path.stat().st_ino for path in corpus.files(first.tree)]
    assert corpus.make(FEW["tiny"], tmp_path) == first
    assert [path.stat().st_ino for path in corpus.files(first.tree)] == before
    assert corpus.make(replace(FEW["tiny"], least=1_400), tmp_path).bytes >= 1_400 * first.files


def test_a_half_made_corpus_is_made_anew(tmp_path: Path) -> None:
    """Files that an interrupted run left are not taken for a corpus."""
    made = corpus.make(FEW["tiny"], tmp_path)
    (made.tree.parent / "truth.json").unlink()
    (made.tree / "0000" / "left-over").write_bytes(b"x")
    assert len(corpus.files(corpus.make(FEW["tiny"], tmp_path).tree)) == made.files


def test_a_corpus_that_would_fill_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the corpus and all its copies nothing is written, and the message says what to do."""
    room = FEW["small"].room()
    monkeypatch.setattr(corpus.shutil, "disk_usage", lambda _: SimpleNamespace(free=room - 1))
    with pytest.raises(NoRoom, match="--quick"):
        corpus.make(FEW["small"], tmp_path)
    assert not list(tmp_path.iterdir())
    assert room > 3 * FEW["small"].files * FEW["small"].least


def test_the_corpora_are_those_that_are_claimed_about() -> None:
    """A median of a megabyte, 50,000 small files, 200,000 tiny ones; a quick look has fewer of the same."""
    full = {name: corpus.recipe(name, quick=False) for name in corpus.RECIPES}
    assert full["documents"].median == 1_000_000
    assert (full["small"].files, full["tiny"].files) == (50_000, 200_000)
    for name, recipe in full.items():
        quick = corpus.recipe(name, quick=True)
        assert quick.files < recipe.files and replace(quick, files=recipe.files) == recipe


# -- racing --------------------------------------------------------------------------------------------------------


def test_contenders_take_turns(tmp_path: Path) -> None:
    """Each runs once a round, prepared right before, and every round begins with another one."""
    log = tmp_path / "log"

    def note(text: str) -> None:
        with log.open("a") as file:
            file.write(text)

    contenders = [
        Contender(name, ["sh", "-c", f"printf {name} >>{log}"], lambda out: None, lambda: note("-")) for name in "abc"
    ]
    result = race.race("turns", contenders, rounds=3)
    assert log.read_text() == "-a-b-c-b-c-a-c-a-b"
    assert {name: len(samples) for name, samples in result.samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_compare_the_runs_of_one_round() -> None:
    """A slow round slows both and cancels out: ratios are taken round by round, and only then their median."""
    result = raced(ours=[(1, 10), (4, 10), (2, 10)], peer=[(2, 5), (8, 20), (1, 10)])
    wall, cpu = result.ratio("peer", "wall"), result.ratio("peer", "cpu")
    assert (wall.least, wall.median, wall.most) == (0.5, 2, 2)
    assert (cpu.least, cpu.median, cpu.most) == (0.5, 1, 2)
    assert result.spread("peer", "wall").median == 2


@pytest.mark.parametrize(
    "wall, cpu, verdict",
    [
        (0.9, 0.9, "met"),
        (0.8, 0.8, "NOT MET"),
        (0.8, 0.9, "NOT MET on the wall"),
        (0.9, 0.8, "NOT MET in CPU time"),
    ],
)
def test_a_claim_of_speed_needs_wall_and_cpu(wall: float, cpu: float, verdict: str) -> None:
    """A claim is met only where both times bear it out; where one does, the verdict says which does not."""
    result = raced(ours=[(1, 1)], peer=[(wall, cpu)])
    result.expect_speed("peer", 0.9, "as quick")
    result.expect_speed("absent", 0.9, "nothing can be said")
    assert [(goal.text, goal.verdict) for goal in result.goals] == [("as quick", verdict)]


def test_claims_of_memory_go_by_the_worst_run() -> None:
    """One run above the limit breaks the claim, whatever the median."""
    result = Race("memory", {}, {"ours": [Sample(1, 1, peak_bytes=peak) for peak in (10, 10, 300)]})
    result.expect_less("peak_bytes", 300, "below 300")
    result.expect_less("peak_bytes", 301, "below 301")
    result.expect_less("cpu", 1.5, "quick")
    assert [goal.verdict for goal in result.goals] == ["NOT MET", "met", "met"]


def test_claims_of_share_compare_with_the_other() -> None:
    """Needing three times as much as another is more than twice and at most thrice."""
    result = raced(full=[(3, 3)], empty=[(1, 1)])
    result.expect_share("empty", "cpu", 2, "twice")
    result.expect_share("empty", "cpu", 3, "thrice")
    assert [(goal.found, goal.verdict) for goal in result.goals] == [("3.00x", "NOT MET"), ("3.00x", "met")]


def test_cpu_time_is_that_of_all_descendants() -> None:
    """Work done by a child of the program that is timed is counted."""
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    assert race.measure(python(code, burn)).cpu >= 0.3


def test_memory_is_that_of_all_descendants() -> None:
    """What a program and its child hold at the same time is added up."""
    hold = "held = bytearray(b'x') * 40_000_000; print('held', flush=True); input()"
    code = (
        "import subprocess, sys; held = bytearray(b'x') * 40_000_000\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=-1, stdout=-1)\n"
        "child.stdout.readline()\n"
        "import time; until = time.monotonic() + 0.3\n"
        "while time.monotonic() < until: pass\n"
        "child.communicate(b'\\n')"
    )
    peak = race.measure(python(code, hold), watch=True).peak_bytes
    assert peak is not None and 80_000_000 < peak < 200_000_000
    assert race.measure(python("")).peak_bytes is None


def test_a_program_that_fails_has_no_time() -> None:
    """An error of what is timed ends the benchmark, with the program's own words."""
    with pytest.raises(Failed, match=r"(?s)ended with 3.*no such thing"):
        race.measure(python("import sys; print('no such thing', file=sys.stderr); sys.exit(3)"))


def test_programs_may_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run as a user has them, with compiled modules, however the tests were started."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert race.measure(python("import sys; print(sys.dont_write_bytecode)")).out == "False\n"


# -- peers ---------------------------------------------------------------------------------------------------------

SAID = {
    "openssl, all cores": "2\n",
    "rhash": "\n--( Verifying s )---\n/t/a         OK \n/t/b         OK \n-----\nEverything OK\n",
    "sha256sum": "/t/a: OK\n/t/b: OK\n",
    "hashdeep": "hashdeep: Audit passed\n   Input files examined: 0\n          Files matched: 2\n     Files moved: 0\n",
    "restic store": '{"message_type":"summary","files_new":2,"files_unmodified":0,"total_files_processed":2}\n',
    "restic again": '{"message_type":"summary","files_unmodified":2,"total_files_processed":2}\n',
}


@pytest.mark.parametrize("name", SAID)
def test_a_peer_is_believed_for_its_count(name: str) -> None:
    """What a tool says about two files counts as two, not as one or three; silence counts as none."""
    peer = EVERY[name]
    peer.check(SAID[name], 2)
    for out, expected in ((SAID[name], 1), (SAID[name], 3), ("", 2)):
        with pytest.raises(Untrue):
            peer.check(out, expected)


def test_a_second_backup_that_reads_everything_again_is_no_rescan() -> None:
    """restic is timed for looking at unchanged files only where it found them unchanged."""
    with pytest.raises(Untrue):
        EVERY["restic again"].check(SAID["restic store"], 2)


def test_absent_peers_are_named_with_the_way_to_get_them(bench: Bench, only: Callable[..., None]) -> None:
    """A peer that is not installed takes no part, and the result names it and its package."""
    only("openssl", "sha256sum")
    result = next(verify.run(bench))
    assert list(result.samples) == ["catalogkit verify", "openssl, all cores", "sha256sum"]
    assert result.left_out == [
        "rhash (apt-get install rhash)",
        "hashdeep (apt-get install hashdeep)",
        "restic (apt-get install restic)",
        "borg (apt-get install borgbackup)",
        "git-annex (apt-get install git-annex)",
    ]
    assert "left out: hashdeep (apt-get install hashdeep)" in report.text(result)
    only()
    result = next(ingest.run(bench))
    assert result.left_out[-1] == "dvc (pip install dvc)" and len(result.left_out) == 4
    assert not result.goals


# -- the jobs ------------------------------------------------------------------------------------------------------


def test_verify_does_what_it_times(bench: Bench) -> None:
    """With whatever peers there are, every contender checks every stored file, and the claims are about documents."""
    documents, small = verify.run(bench)
    hashers = {"catalogkit verify"} | {peer.name for peer in peers.HASHERS if not peer.absent}
    all_of_them = {f"{keeper.name} check" for keeper in keepers.able("store", "check")[0]}
    expected = {"documents": hashers | all_of_them, "small": hashers | all_of_them - {"git-annex check"}}
    for result in (documents, small):
        name = result.title.split()[-1]
        truth = bench.corpus(name)
        assert set(result.samples) == expected[name]
        assert result.facts == {"files": truth.unique_files, "bytes": truth.unique_bytes}
    assert len(documents.goals) == len(expected["documents"] - {"catalogkit verify", "rhash"})
    assert not small.goals


def test_ingest_does_what_it_times(bench: Bench) -> None:
    """First everything is stored, then everything is unchanged."""
    titles = [(result.title, result.first, result.facts["files"]) for result in ingest.run(bench)]
    assert titles == [
        ("ingest, documents", "catalogkit ingest", 8),
        ("ingest, small", "catalogkit ingest", 9),
        ("rescan, small, unchanged", "catalogkit ingest, again", 9),
        ("rescan, small, 1 % changed", "catalogkit ingest, again", 9),
    ]


def test_reclaim_frees_what_it_times(bench: Bench) -> None:
    """The bytes of half the files are off the disk, and those of the other half are not, whoever removed them."""
    results = list(reclaim.run(bench))
    assert [result.title for result in results] == ["reclaim, documents", "reclaim, small"]
    for result in results:
        truth = bench.corpus(result.title.split()[-1])
        assert 0 < result.facts["bytes"] < truth.unique_bytes
    contender = keepers.RESTIC.free(bench.folder / "nothing", truth, truth)
    with pytest.raises(Untrue, match="are needed"):
        contender.check("")


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_an_exponent_is_that_of_the_numbers(power: float) -> None:
    """Times that grow as a power of the size are told to do so; the start of the program is no part of it."""
    sizes = (10, 100, 1000)
    assert growth.exponent([(size, 3 * size**power) for size in sizes]) == pytest.approx(power)
    result = raced(**{f"{size} files": [(9, 5 + 3 * size**power)] for size in sizes} | {"nothing": [(9, 5)]})
    (goal,) = growth.judge(result, sizes, 1.15).goals
    assert (goal.found, goal.verdict) == (f"exponent {power:.2f}", "met" if power < 1.15 else "NOT MET")


def test_what_is_hidden_by_the_start_has_no_exponent() -> None:
    """Where no size costs more than the start of the program, that is said, and it counts as not having grown."""
    result = raced(a=[(1, 1.0)], b=[(1, 1.02)], c=[(1, 1.1)], nothing=[(1, 1)])
    (goal,) = growth.judge(result, (1, 10, 100), 1.15).goals
    assert goal.found == "+10% of the start at the largest" and goal.verdict == "met"
    result = raced(a=[(1, 1.0)], b=[(1, 1.02)], c=[(1, 1.5)], nothing=[(1, 1)])
    assert growth.judge(result, (1, 10, 100), 1.15).goals[0].verdict == "unclear"


@pytest.mark.stress
def test_growth_does_what_it_times(bench: Bench) -> None:
    """Each job runs at every size and on nothing, and each has a verdict."""
    results = list(growth.run(bench, files=(3, 6), documents=(10, 30)))
    assert {result.title.removeprefix("growth of ") for result in results} >= {"ingest", "verify", "a backup", "status"}
    assert all(len(result.samples) == 3 and len(result.goals) == 1 for result in results)


def test_memory_is_watched(bench: Bench) -> None:
    """Each job of the memory benchmark has a peak and a claim about it."""
    results = list(memory.run(bench))
    assert [result.title.split()[1] for result in results] == ["ingest", "rescan", "verify"]
    for result in results:
        assert result.spread(result.first, "peak_bytes").most > 1_000_000
        assert len(result.goals) == 1


def test_opening_is_of_a_catalog_that_has_them_all(bench: Bench) -> None:
    """The catalog that is opened knows as many documents as the title says; status, which is asked, confirms it."""
    results = list(opening.run(bench, count=30))
    assert [result.first for result in results] == ["open 30 documents", "status of 30 documents", "catalogkit --help"]
    assert sum(len(result.goals) for result in results) == 4


@pytest.fixture(scope="module")
def work(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of the small files, to spoil."""
    folder = tmp_path_factory.mktemp("work")
    race.once(ours.ingest(folder / "ours", bench.corpus("small")))
    return folder


@pytest.mark.parametrize("name", ["catalogkit", *(peer.name for peer in peers.HASHERS if not peer.absent)])
def test_nobody_gets_a_time_who_overlooks_a_spoilt_byte(name: str, bench: Bench, work: Path, tmp_path: Path) -> None:
    """One flipped bit in one file ends the benchmark, whoever read it: all are known to compare."""
    home = tmp_path / "ours"
    shutil.copytree(work / "ours", home)
    store, truth = ours.cas(home), bench.corpus("small")
    peer = None if name == "catalogkit" else EVERY[name]
    contender = ours.verify(home, truth) if peer is None else peers.hasher(peer, tmp_path, store)
    race.once(contender)
    victim = corpus.files(store)[3]
    content = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises((Failed, Untrue)):
        race.once(contender)


def test_catalogkit_gets_no_time_for_less_than_all(bench: Bench, work: Path) -> None:
    """An answer that is about fewer files, or fewer bytes, than the corpus has is not believed."""
    truth, home = bench.corpus("small"), work / "ours"
    for wrong in (
        replace(truth, unique_files=truth.unique_files + 1),
        replace(truth, unique_bytes=truth.unique_bytes + 1),
    ):
        with pytest.raises(Untrue, match="instead of"):
            race.once(ours.verify(home, wrong))
    with pytest.raises(Untrue, match="skipped"):
        race.once(ours.rescan(home, replace(truth, files=truth.files + 1)))


def test_what_was_stored_is_counted_on_the_disk(bench: Bench, work: Path) -> None:
    """A tool's word for what it stored is not enough: the files lie there, or it gets no time."""
    truth, store = bench.corpus("small"), ours.cas(work / "ours")
    corpus.expect_files(store, truth.unique_files, truth.unique_bytes)
    for count, total in ((truth.unique_files + 1, truth.unique_bytes), (truth.unique_files, truth.unique_bytes - 1)):
        with pytest.raises(Untrue):
            corpus.expect_files(store, count, total)


# -- the simulation ------------------------------------------------------------------------------------------------


def test_sites_lose_nothing_by_the_rule_and_something_without() -> None:
    """A site that was silent comes back: what it still needed is there by the rule, and not where it went after a day.

    So the world is one in which something can be lost, and the rule is what keeps it.
    """
    world = simulation.World("test", sync=120, writes_a_day=200, days=9, silent_days=5, silent_from=2, documents=40)
    by_rule, by_time = (simulation.play(world, grace_days=grace) for grace in (None, 0.5))
    for told in (by_rule, by_time):
        assert told.converged and told.contested
        assert len(told.lags) == told.writes > 1000
        assert 5 * 24 * 60 <= max(told.lags) < 6 * 24 * 60, "the silent site's"
    assert len(by_rule.lost) == 0 < len(by_time.lost)


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_has_every_race_once_and_what_is_not_met_first() -> None:
    """Of a race that was run again the later one is shown; claims that fail come before those that hold."""
    machine = dict[str, object].fromkeys(("cores", "processor", "memory", "kernel", "disk", "python", "sqlite"), "some")
    machine |= {"memory": "16000000 kB", "kernel": "Linux 6.1.0-9-amd64", "disk": "ext4 (rw)"}
    machine |= {"when": "2026-01-02T00:00:00+00:00", "peers": {"other": "the other, version 1.0 of 2025"}}
    runs = []
    for seconds in (1.0, 4.0):
        one, other = raced(ours=[(1, 1)], peer=[(2, seconds)]), raced(ours=[(2, 3)])
        other.title = "alone"
        one.expect_speed("peer", 1, "met later than told")
        one.expect_speed("peer", 9, "never so quick")
        one.goals.append(Goal("by the way", "7 a second", "told"))
        runs.append({"quick": False, "machine": machine, "races": [report.data(race) for race in (one, other)]})
    found = page.merged([{"machine": {}, "quick": True, **page.merged(runs[:1])}, runs[1]])
    text = page.render(found)
    assert text.count("## a race") == text.count("## alone") == 1
    assert "| peer | 2 | 4 | 2.00x | 4.00x |" in text and "a quick look" not in text
    assert "1 of 2 are met" in text and text.index("never so quick") < text.index("met later than told")
    assert "\nby the way: 7 a second.\n" in text and "| by the way" not in text
    assert "some cores, some, 16 GB of memory, Linux 6.1.0, ext4, Python some" in text and "Peers: other 1.0." in text


# -- the command ---------------------------------------------------------------------------------------------------


def job(*results: Race | Exception) -> SimpleNamespace:
    """A benchmark with these results."""

    def run(bench: Bench) -> Iterator[Race]:
        (bench.scratch() / "left-over").write_text("")
        bench.recipes = FEW
        bench.corpus("tiny")
        for result in results:
            if isinstance(result, Exception):
                raise result
            yield result

    return SimpleNamespace(run=run)


def test_the_command_keeps_numbers_and_corpora_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is printed, every sample and the machine are in the file, and the work is cleared away."""
    result = raced(ours=[(1, 2), (3, 4)], peer=[(5, 6), (7, 8)])
    result.expect_speed("peer", 1, "quicker")
    monkeypatch.setattr(door, "JOBS", {"job": job(result)})
    assert door.main(["--keep", str(tmp_path / "kept"), "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert {"cores", "kernel", "disk", "python", "when"} <= {key for key, value in found["machine"].items() if value}
    samples = found["races"][0]["contenders"]["peer"]["samples"]
    assert [(sample["wall"], sample["cpu"]) for sample in samples] == [(5, 6), (7, 8)]
    assert found["races"][0]["goals"][0]["verdict"] == "met"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["tiny-10"]
    assert "met: quicker" in capsys.readouterr().out


def test_a_result_that_cannot_be_believed_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1, the reason is said, and what was found before is kept."""
    monkeypatch.setattr(door, "JOBS", {"job": job(raced(ours=[(1, 1)]), Untrue("only half of it"))})
    assert door.main(["--keep", str(tmp_path), "--json", str(tmp_path / "found.json")]) == 1
    assert "only half of it" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "found.json").read_text())["races"]) == 1


@pytest.mark.parametrize("arguments", [["verfy"], ["--rounds", "0"]])
def test_a_mistyped_command_measures_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown names and impossible numbers are refused before anything is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(door, "JOBS", {"job": job(raced(ours=[(1, 1)]))})
    with pytest.raises(SystemExit) as refused:
        door.main([*arguments, "--keep", "kept"])
    assert refused.value.code == 2
    assert not list(tmp_path.iterdir())


def test_the_door_has_every_job() -> None:
    """Each module of the package that can run as a benchmark can be named on the command line."""
    modules = [import_module(f"benchmarks.{found.name}") for found in iter_modules(benchmarks.__path__)]
    jobs = [module for module in modules if hasattr(module, "run")]
    assert {verify, ingest, memory, opening} <= set(jobs)
    assert set(door.JOBS.values()) == set(jobs)


def test_a_backup_is_raced_with_sqlites_own_ways(bench: Bench) -> None:
    """Each copy is counted before it gets a time; a later backup says what it wrote, a writer what it waited."""
    first, later = backup.run(bench, count=300)
    assert first.first == "catalogkit backup" and later.first == "catalogkit backup, again"
    assert {"sqlite3 .backup", "sqlite3 VACUUM INTO"} <= set(first.samples) or not shutil.which("sqlite3")
    assert [goal.text.split()[0] for goal in later.goals] == ["after", "a"]
