"""Every operation is told, once, with the right numbers (hazard 75)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import catalogkit as ck
from catalogkit import errors, planning
from catalogkit.backups.drilling import drill
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.federation.syncing import sync
from catalogkit.metrics import METRICS, Kind
from catalogkit.plan import StepKind
from catalogkit.planners.gc import GCPolicy
from catalogkit.reports import list_reports
from catalogkit.signals import ALLOWED, OTHER
from catalogkit.stores.local import LocalStore
from catalogkit.stores.memory import MemoryStore
from catalogkit.stores.reference import ReferenceStore
from catalogkit.stores.s3.store import S3Layout
from catalogkit.telemetry import percentile
from tests.conftest import make_tree
from tests.plans.scene import AT_ONCE, collect, forget, path_of, put, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.telemetry.conftest import Heard

FILES = {"a.txt": b"same", "b.txt": b"same", "c.txt": b"other", "d/e.txt": b"more"}


@pytest.fixture
def pile(source: Path) -> Path:
    """Four files, two of them equal; 17 bytes."""
    return make_tree(source, FILES)


def test_ingest_is_told(collection: Collection, pile: Path, heard: Heard) -> None:
    """Documents by outcome, bytes, new contents, and what sharing spares by then."""
    ck.ingest(collection, pile, resolver="pmc")
    assert heard.span("catalog.ingest") == {
        "catalog.mode": "copy", "catalog.store": "local", "catalog.outcome": "done",
        "catalog.count.ingested": 4, "catalog.count.skipped": 0,
        "catalog.count.failed": 0, "catalog.count.bytes": 17, "catalog.count.new_blobs": 3,
    }  # fmt: skip
    ck.ingest(collection, pile, resolver="pmc")
    put(collection, "f", b"x")  # of one file alone the ratio is not told: counting takes a look at everything
    assert heard.values("catalog.dedup_ratio") == {(): 4 / 17}
    documents = heard.values("catalog.ingest_documents")
    assert documents == {("ingested",): 5, ("skipped",): 4, ("failed",): 0}
    assert heard.values("catalog.ingest_bytes") == {(): 18}
    assert heard.values("catalog.ingest_new_blobs") == {(): 4}
    make_tree(pile, {"g.txt": b"y"})
    ck.ingest(collection, pile, resolver="pmc")
    assert heard.values("catalog.dedup_ratio") == {(): ck.DedupAnalytics(collection).dedup_ratio()} == {(): 4 / 19}


def test_extract_is_told(collection: Collection, pile: Path, heard: Heard) -> None:
    """Looking into what was taken in is one operation, and says how it ended."""
    ck.ingest(collection, pile)
    ck.extract(collection)
    assert heard.span("catalog.extract")["catalog.outcome"] == "done"


def test_verify_is_told(collection: Collection, pile: Path, heard: Heard) -> None:
    """Copies by outcome, bytes, and a time for each copy."""
    ck.ingest(collection, pile)
    path = path_of(collection, b"other")
    path.chmod(0o600)
    path.write_bytes(b"OTHER")
    path_of(collection, b"more").unlink()
    found = ck.verify(collection)
    assert found.corrupt == found.missing == 1 and found.ok >= 1
    copies = heard.values("catalog.verify_copies")
    assert copies == {("ok",): found.ok, ("corrupt",): 1, ("missing",): 1, ("unknown",): 0}
    assert heard.span("catalog.verify")["catalog.outcome"] == "done"
    assert heard.values("catalog.verify_bytes") == {(): found.bytes}
    (times,) = heard.points()["catalog.verification_ms"]
    assert times.count == found.checked and 0 < times.min <= times.max
    ((_, p99),) = heard.values("catalog.verification_p99_ms").items()
    assert p99 == pytest.approx(times.max)


def test_audit_is_told(collection: Collection, pile: Path, heard: Heard) -> None:
    """Findings by severity, anomalies of the last whole audit; its sample is a verify of its own, below it."""
    ck.ingest(collection, pile)
    first = ck.audit(collection, 1.0).severities()
    assert heard.values("catalog.consistency_check_anomalies") == {(): first["error"] + first["warning"]}
    path_of(collection, b"more").unlink()
    found = ck.audit(collection, 1.0).severities()
    anomalies = found["error"] + found["warning"]
    assert found["error"] > first["error"]
    assert heard.values("catalog.consistency_check_anomalies") == {(): anomalies}
    assert heard.values("catalog.audit_findings") == {(name,): first[name] + found[name] for name in found}
    audits, samples = heard.spans("catalog.audit"), heard.spans("catalog.verify")
    assert [one.parent and one.parent.span_id for one in samples] == [one.context.span_id for one in audits]
    ck.CatalogConsistencyChecker(collection).check_orphans()
    assert heard.values("catalog.consistency_check_anomalies") == {(): anomalies}


def test_every_kind_of_step_and_store_may_be_told() -> None:
    """Both sets are closed, and the same as the program's own."""
    assert ALLOWED["step"] == {one.value for one in StepKind}
    kinds = {made.kind for made in (LocalStore, MemoryStore, ReferenceStore, S3Layout)}
    assert ALLOWED["store"] == kinds


def test_garbage_collection_is_told(collection: Collection, clock: Clock, heard: Heard) -> None:
    """Plans and their steps by kind and outcome, bytes freed, how long planning and applying took."""
    record = put(collection, "a", b"12345")
    put(collection, "b", b"keep")
    forget(collection, record)
    collect(collection)
    steps = heard.values("catalog.apply_steps")
    assert {key: count for key, count in steps.items() if count} == {
        ("forget", "done"): 1, ("gc", "done"): 1, ("purge", "done"): 1,
    }  # fmt: skip
    assert {key: count for key, count in heard.values("catalog.steps_done").items() if count} == {
        ("forget", "forget"): 1, ("gc", "condemn"): 1, ("purge", "purge"): 1,
    }  # fmt: skip
    assert {key: freed for key, freed in heard.values("catalog.freed_bytes").items() if freed} == {("purge",): 5}
    took = heard.values("catalog.gc_duration_seconds")
    assert set(took) == {(verb, kind) for verb in ("plan", "apply") for kind in ("gc", "purge")}
    assert min(took.values()) > 0
    kinds = [dict(one.attributes or {})["catalog.kind"] for one in heard.spans("catalog.apply")]
    assert kinds == ["forget", "gc", "purge"]


def test_steps_that_were_not_right_any_more_are_told(collection: Collection, clock: Clock, heard: Heard) -> None:
    """What is skipped counts as that."""
    record = put(collection, "a", b"12345")
    forget(collection, record)
    plan = ck.plan_gc(collection, AT_ONCE)
    put(collection, "again", b"12345")
    run(collection, plan)
    assert heard.values("catalog.apply_steps")[("gc", "skipped")] == 1


def test_every_kind_of_plan_is_told(collection: Collection, pile: Path, clock: Clock, heard: Heard) -> None:
    """Each planner is an operation, of its kind."""
    ck.ingest(collection, pile)
    clock.advance(days=400)
    applied = run(collection, ck.plan_forget(collection, [1]))
    ck.plan_gc(collection)
    ck.plan_purge(collection)
    ck.plan_retention(collection, ck.RetentionPolicy.parse({"age_days": 30}))
    ck.plan_dedup(collection)
    ck.plan_repair(collection)
    ck.plan_migrate(collection, "policy" if collection.layout == "cas" else "cas")
    ck.plan_undo(collection, applied.plan_id)
    ck.plan_near(collection)
    ck.plan_evict(collection, n=1)
    ck.plan_fetch(collection)
    ck.add_store(collection, "second", f"file:{collection.path.parent / 'second'}")
    ck.plan_relocate(collection, "second")
    ck.plan_tier(collection, ck.TierPolicy(cold="second"))
    kinds = [dict(one.attributes or {})["catalog.kind"] for one in heard.spans("catalog.plan")]
    assert kinds == ["forget", "gc", "purge", "retention", "dedup", "repair", "migrate", "undo", "near",
                     "evict", "fetch", "relocate", "tier"]  # fmt: skip
    assert {f"plan_{kind}" for kind in kinds} == {name for name in planning.__all__ if name.startswith("plan_")}


def test_backup_and_the_ways_back_are_told(collection: Collection, pile: Path, tmp_path: Path, heard: Heard) -> None:
    """Snapshot, backup, drill, recover and rebuild, each once."""
    ck.ingest(collection, pile)
    ck.take_snapshot(collection, "first")
    ck.backup_catalog(tmp_path / "backups", collection=collection)
    proved = drill(tmp_path / "backups", collection=collection)
    assert heard.values("catalog.backup_proof_timestamp_seconds") == {(): proved.as_of.timestamp()}
    collection.close()
    catalog = collection.path / "catalog.sqlite"
    ck.recover_from_backup(tmp_path / "backups", catalog)
    for file in collection.path.glob("catalog.sqlite*"):
        file.unlink()
    ck.rebuild_catalog(collection.path)
    told = [one.name.removeprefix("catalog.") for one in heard.spans()]
    assert [name for name in told if name not in ("ingest", "verify")] == [
        "snapshot", "backup", "drill", "recover", "rebuild",
    ]  # fmt: skip


def test_a_sync_is_told(make_collection: Callable[..., Collection], heard: Heard) -> None:
    """Once, by the site that began it."""
    east, west = make_collection(name="east"), make_collection(name="west")
    for one in (east, west):
        one.catalog.begin_site(one.path.name, as_of=one.now())
    sync(east, west)
    assert [one.name for one in heard.spans()] == ["catalog.sync"]


def test_the_nightly_round_is_told(make_collection: Callable[..., Collection], pile: Path, heard: Heard) -> None:
    """As one operation, with those of its steps below it."""
    collection = make_collection("cas")
    with (collection.path / "catalogkit.toml").open("a") as file:
        file.write("[maintain]\nreports = []\n")
    collection.close()
    with ck.open(collection.path) as opened:
        ck.ingest(opened, pile)
        ck.maintain(opened)
    (round_,) = heard.spans("catalog.maintain")
    below = {one.name for one in heard.spans() if one.parent and one.parent.span_id == round_.context.span_id}
    assert below >= {"catalog.verify", "catalog.audit", "catalog.snapshot", "catalog.plan"}


def test_every_error_of_ours_is_told_by_its_kind() -> None:
    """None of them is `other`."""
    ours = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert ours - {"CatalogKitError"} <= ALLOWED["error"]


def test_queries_are_told(collection: Collection, pile: Path, heard: Heard) -> None:
    """Each by how it was asked, with its time; the mirror's refresh is part of the question that needed it."""
    ck.ingest(collection, pile)
    collection.find(resolver="pmc")
    collection.frame("documents")
    collection.frame("blobs")
    assert collection.sql("SELECT count(*) AS n FROM documents")["n"].to_list() == [4]
    asked = {tuple(one.attributes.values()): one.count for one in heard.points()["catalog.query_latency_ms"]}
    assert asked == {("find",): 1, ("frame",): 2, ("sql",): 1}
    ((_, p95),) = heard.values("catalog.query_latency_p95_ms").items()
    assert p95 == pytest.approx(max(one.max for one in heard.points()["catalog.query_latency_ms"]))
    (refresh,) = heard.spans("catalog.mirror_refresh")
    asking = next(one for one in heard.spans("catalog.query") if (one.attributes or {})["catalog.query"] == "sql")
    assert refresh.parent is not None and refresh.parent.span_id == asking.context.span_id
    with pytest.raises(InvalidInput, match="nothing"):
        collection.frame("nothing")
    assert sum(one.count for one in heard.points()["catalog.query_latency_ms"]) == 4


def test_a_report_is_told(collection: Collection, pile: Path, tmp_path: Path, heard: Heard) -> None:
    """By its name; a notebook of somebody's own is `other`, whatever it is called."""
    import nbformat

    from catalogkit.reports import run_report

    own = tmp_path / "acme-secret-project.ipynb"
    cell = nbformat.v4.new_code_cell("top = 1", metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), own)
    run_report(own, {}, tmp_path / "out", as_of=collection.now())
    assert heard.span("catalog.report") == {"catalog.report": OTHER, "catalog.outcome": "done"}
    assert set(list_reports()) <= ALLOWED["report"]


def test_what_is_refused_is_told_by_kind(collection: Collection, heard: Heard) -> None:
    """A failure has the kind of its error, never its words."""
    (collection.path.parent / "b").mkdir()
    (collection.path.parent / "b" / "foreign").write_text("")
    with pytest.raises(InvalidInput):
        ck.backup_catalog(collection.path.parent / "b", collection=collection)
    (span,) = heard.spans("catalog.backup")
    assert dict(span.attributes or {}) == {"catalog.outcome": "failed", "catalog.error": "InvalidInput"}
    assert (span.status.status_code.name, span.status.description, span.events) == ("ERROR", "InvalidInput", ())


def test_every_metric_and_operation_is_told_by_something() -> None:
    """No metric is about an operation that there is not; every operation has its test above."""
    source = Path(__file__).read_text(encoding="utf-8")
    for one in METRICS:
        assert one.operations and one.operations <= ALLOWED["operation"], one.name
        assert set(one.labels) <= set(ALLOWED), one.name
        for labels in one.counts.values():
            assert all(value in ALLOWED[label] for label, value in labels.items()), one.name
        assert bool(one.buckets) == (one.kind is Kind.HISTOGRAM)
        assert one.kind is not Kind.GAUGE or f'"{one.name}"' in source, one.name
    for name in ALLOWED["operation"]:
        assert re.search(rf'catalog\.{name}\b|"{name}"', source), name


def test_acts_use_operations_and_attributes_of_the_list() -> None:
    """Every `operation(...)` of the package names what the list has, so nothing is told as `other` by mistake."""
    found = 0
    for path in (Path(ck.__file__).parent).rglob("*.py"):
        for name, more in re.findall(r'\boperation\("(\w+)"(.*?)\)', path.read_text(encoding="utf-8")):
            if path.name != "signals.py":
                found += 1
                assert name in ALLOWED["operation"], path
            for attribute, value in re.findall(r'(\w+)="(\w+)"', more):
                assert value in ALLOWED[attribute], path
            for attribute in re.findall(r"(\w+)=", more):
                assert attribute in ALLOWED, path
    assert found > 20


SECRETS = ("10.1234/secret-id", "https://example.org/secret", "acme-resolver", "acme-tenant", "acme-run")


def test_no_attribute_says_what_is_in_the_catalog(
    collection: Collection, source: Path, tmp_path: Path, clock: Clock, heard: Heard
) -> None:
    """After all of that with telling names: no id, path, digest, URL or resolver is in any attribute."""
    identity, url, resolver, tenant, run_id = SECRETS
    make_tree(source, FILES)
    rows = [
        {"path": name, "artifact_id": f"{identity}/{name}", "source_url": f"{url}/{name}", "resolver": resolver,
         "tenant": tenant, "run_id": run_id, "variant": "acme-variant"}
        for name in FILES
    ]  # fmt: skip
    (source / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ck.ingest(collection, manifest=source / "manifest.jsonl", run_id=run_id)
    assert collection.catalog.totals()["documents"] == 4
    ck.verify(collection)
    path_of(collection, b"more").unlink()
    ck.audit(collection, 1.0)
    with pytest.raises(PlanError):
        ck.apply(collection, ck.plan_gc(collection))
    run(collection, ck.plan_forget(collection, [1, 2, 3]))
    collect(collection)
    run(collection, ck.plan_gc(collection, GCPolicy(grace=timedelta(0))))
    ck.take_snapshot(collection, "acme-label")
    ck.backup_catalog(tmp_path / "acme-backups", collection=collection)
    collection.find(resolver=resolver)
    attributes = heard.attributes()
    assert len(attributes) > 100
    numbers = re.compile(r"catalog\.count\.[a-z_]+")
    for name, value in attributes:
        if numbers.fullmatch(name):
            assert isinstance(value, int), name
        else:
            assert value in ALLOWED[name.removeprefix("catalog.")] | {OTHER}, (name, value)
    for span in heard.spans():
        assert span.name.removeprefix("catalog.") in ALLOWED["operation"]
        assert not span.events and not span.links
        assert (span.status.description or "") in ALLOWED["error"] | {OTHER, ""}


@pytest.mark.parametrize("count, which, rank", [(1, 99, 1), (100, 99, 99), (101, 99, 100), (20, 95, 19), (21, 95, 20)])
def test_a_percentile_is_one_of_the_values(count: int, which: int, rank: int) -> None:
    """Nearest rank: the smallest value that so many percent do not exceed."""
    values = [float(n) for n in range(count, 0, -1)]
    assert percentile(values, which) == rank
