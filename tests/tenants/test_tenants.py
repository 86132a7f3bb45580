"""Registering tenants, what each has, quotas, and the bill."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from catalogkit import tenants
from catalogkit.billing import NOBODY, Prices
from catalogkit.collection import open_collection
from catalogkit.config import CONFIG_NAME
from catalogkit.errors import CatalogKitError, InvalidInput, QuotaExceeded
from catalogkit.ingest import ingest
from catalogkit.maintaining import maintain
from catalogkit.planning import common, plan_dedup, plan_retention
from catalogkit.policies.maintain import STEPS
from catalogkit.tenants import MultiTenantCatalog, TenantSettings, bill_of
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import hurry, make_tree
from tests.plans.scene import forget, put
from tests.tenants.conftest import put as put_for

if TYPE_CHECKING:
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.tenants.conftest import Both


def test_a_tenant_is_a_collection(every: MultiTenantCatalog) -> None:
    """It has its own folder, policies and quota; it is listed, and opened again by its name or its folder."""
    assert every.names() == [] and every.frame().is_empty()
    policies = "[retention]\nage_days = 30\n"
    settings = TenantSettings(max_documents=9, max_bytes=99, layout="policy", policies=policies)
    with every.register_tenant("acme", settings) as made:
        assert made.path == every.path / "tenants" / "acme"
        assert (made.config.retention, made.config.store.layout) == ({"age_days": 30}, "policy")
        put_for(made, "a", b"12345")
    with open_collection(every.path / "tenants" / "acme") as opened:
        assert opened.config.tenant.id == "acme" and opened.find()["tenant"].to_list() == ["acme"]
    every.register_tenant("beta").close()
    assert every.names() == ["acme", "beta"]
    first, second = every.frame().to_dicts()
    assert (first["tenant"], first["documents"], first["logical_bytes"], first["max_bytes"]) == ("acme", 1, 5, 99)
    assert (second["documents"], second["max_documents"]) == (0, None)
    assert [record.artifact_id for record in every.get_tenant_records("acme")] == ["a"]


def test_each_tenant_goes_by_its_own_policies(every: MultiTenantCatalog, clock: Clock) -> None:
    """What one keeps for a month another keeps for a year; what is too small to share, how often copies are checked."""
    rules = {
        "short": '[retention]\nage_days = 30\n[dedup]\nmin_file_size = 5\n[maintain.verify]\nmax_age = "7d"\n',
        "long": '[retention]\nage_days = 365\n[dedup]\nmin_file_size = 500\n[maintain.verify]\nmax_age = "90d"\n',
    }
    for name, policies in rules.items():
        with every.register_tenant(name, TenantSettings(policies=policies)) as made:
            put_for(made, "a", b"alike")
    due, shared, checked = {}, {}, {}
    clock.advance(days=60)
    for name in rules:
        with every.tenant(name) as opened:
            due[name] = plan_retention(opened).units
            shared[name] = plan_dedup(opened).head.policy["min_file_size"]
            checked[name] = opened.config.maintain.verify.max_age
    assert due == {"short": 1, "long": 0}
    assert shared == {"short": 5, "long": 500}
    assert checked == {"short": "7d", "long": "90d"}


def test_each_tenant_is_verified_as_often_as_it_says(every: MultiTenantCatalog, clock: Clock) -> None:
    """A round reads what one tenant wants to be read every week, and leaves alike what another wants every quarter."""
    alone = f"[maintain]\nskip = {[step for step in STEPS if step != 'verify']}\n[maintain.verify]\nmax_age = "
    for name, age in {"weekly": "7d", "quarterly": "90d"}.items():
        with every.register_tenant(name, TenantSettings(policies=f'{alone}"{age}"\n')) as made:
            put_for(made, "a", b"alike")
            assert verify(made, executor=Inline()).ok == 1
    read = {}
    for days in (5, 25, 70):
        clock.advance(days=days)
        for name in ("weekly", "quarterly"):
            with hurry(every.tenant(name)) as opened:
                read[name, days] = maintain(opened).steps["verify"]["ok"]
    assert [read["weekly", days] for days in (5, 25, 70)] == [0, 1, 1]
    assert [read["quarterly", days] for days in (5, 25, 70)] == [0, 0, 1]


def test_every_record_of_a_tenant(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them come, over as many pages as there are."""
    monkeypatch.setattr(tenants, "_PAGE", 2)
    for number in range(4):
        put_for(both.mine, f"n{number}", str(number).encode())
    assert [one.artifact_id for one in both.all.get_tenant_records("mine")] == ["own", "n0", "n1", "n2", "n3"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "a.b", "-a", "a b", "ä", "a\n", "a" * 64, "\0"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    """A tenant's name is a plain folder name that no file system takes for another; nothing is made otherwise."""
    every = MultiTenantCatalog(tmp_path / "all")
    for ask in (every.register_tenant, every.tenant, every.get_tenant_records):
        with pytest.raises(InvalidInput, match="no name for a tenant"):
            ask(name)
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (TenantSettings(max_documents=-1), "max_documents"),
        (TenantSettings(max_bytes=True), "max_bytes"),
        (TenantSettings(policies="[retention"), "no TOML"),
        (TenantSettings(policies="[retention]\nage_dyas = 3"), "age_dyas"),
        (TenantSettings(policies="[tenant]\nid = 'theirs'"), "tenant is not for the policies"),
        (TenantSettings(policies="catalog = 'sqlite:////etc/x'"), "catalog is not for the policies"),
        (TenantSettings(layout="heap"), "layout"),
    ],
)
def test_settings_that_are_none(tmp_path: Path, settings: TenantSettings, words: str) -> None:
    """What is not acceptable is named, and there is no tenant then."""
    every = MultiTenantCatalog(tmp_path)
    with pytest.raises(InvalidInput, match=words):
        every.register_tenant("acme", settings)
    assert every.names() == []


@pytest.mark.parametrize("both", ["sqlite"], indirect=True)
def test_a_tenant_is_registered_once(both: Both) -> None:
    """A second time is refused; who is not there is named."""
    with pytest.raises(InvalidInput, match="registered already"):
        both.all.register_tenant("mine")
    with pytest.raises(InvalidInput, match="no tenant 'nobody'"):
        both.all.tenant("nobody")


def test_registering_goes_on_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short before it is the tenant's, it is none; the next attempt completes it, with its quota."""
    every = MultiTenantCatalog(tmp_path)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(tenants, "add_tenant", cut)
        with pytest.raises(KeyboardInterrupt):
            every.register_tenant("acme", TenantSettings(max_documents=1))
    assert every.names() == []
    with every.register_tenant("acme", TenantSettings(max_documents=2)) as made:
        quota = made.catalog.quota()
        assert quota is not None and quota.max_documents == 2
    assert every.names() == ["acme"]


@pytest.mark.parametrize("both", ["sqlite"], indirect=True)
def test_a_folder_that_was_renamed_is_no_tenant(both: Both) -> None:
    """Whose collection it is stands in it; under another's name it is nobody's."""
    both.theirs.rename(both.theirs.parent / "hers")
    assert both.all.names() == ["mine"]
    assert (both.theirs.parent / "hers" / CONFIG_NAME).exists()


def test_quotas_are_each_tenants_own(both: Both, tmp_path: Path) -> None:
    """One tenant's quota stops it, and no other; it can be raised."""
    both.all.set_quota("mine", max_documents=1, max_bytes=None)
    source = make_tree(tmp_path / "in", {"x.txt": b"x"})
    with pytest.raises(QuotaExceeded, match="quota of 1 documents"):
        ingest(both.mine, source, executor=Inline())
    with both.all.tenant("theirs") as theirs:
        assert ingest(theirs, source, executor=Inline()).ingested == 1
    both.all.set_quota("mine", max_documents=2, max_bytes=None)
    assert ingest(both.mine, source, executor=Inline()).ingested == 1


def test_the_bill_of_tenants_that_share_nothing(both: Both, clock: Clock) -> None:
    """Equal bytes of two tenants are two things: each pays for its own, and the parts are what lies there."""
    start = clock.now
    put_for(both.mine, "same", b"something else")
    clock.advance(days=1)
    found = {row["tenant"]: row for row in both.all.bill(start, clock.now).iter_rows(named=True)}
    physical = sum(both.all.frame()["physical_bytes"])
    assert sum(row["fair_bytes"] for row in found.values()) == physical
    assert found["mine"]["fair_bytes"] == found["mine"]["full_bytes"] == len(b"nothing specialsomething else")
    assert found["theirs"]["documents"] == 2 and found[NOBODY]["fair_bytes"] == 0
    with pytest.raises(InvalidInput, match="not ended yet"):
        both.all.bill(start, clock.advance(days=1) + (clock.now - start))


def test_the_bill_of_a_collection_with_several_tenants(collection: Collection, clock: Clock) -> None:
    """Where tenants share a collection, and so bytes, full and fair charge differ, and the fair parts add up."""
    start = clock.now
    put(collection, "a", b"shared by both", tenant="a")
    shared = put(collection, "b", b"shared by both", tenant="b")
    put(collection, "c", b"only for b", tenant="b")
    clock.advance(days=10)
    forget(collection, shared)
    clock.advance(days=10)
    frame = bill_of([collection], start, clock.now, Prices(gb_month=Decimal(10**6)))
    found = {row["tenant"]: row for row in frame.iter_rows(named=True)}
    # `a` shares for ten days and has it alone for ten: 15 of 20; the clock moves a second on with every plan.
    assert found["a"]["fair_gb_months"] / found["a"]["full_gb_months"] == pytest.approx(15 / 20, rel=1e-5)
    assert found["b"]["full_cost"] > found["b"]["fair_cost"]
    total = collection.catalog.totals()["physical_bytes"]
    assert frame["fair_bytes"].sum() == total
    assert frame["fair_gb_months"].sum() == pytest.approx(total * 20 * 24 / 730 / 10**9, rel=1e-5)


def test_the_bill_from_the_mirror(collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many documents the mirror tells the same: documents that came and went, requests for what is gone, too."""
    early = put(collection, "early", b"early", tenant="a")
    forget(collection, early)
    start = clock.advance(days=1)
    came = [
        put(collection, name, content, tenant=tenant, resolver=resolver)
        for name, content, tenant, resolver in (
            ("a", b"shared", "a", "one"), ("b", b"shared", "b", ""), ("c", b"only for b", "b", "one"),
        )
    ]  # fmt: skip
    clock.advance(days=10)
    forget(collection, came[1])
    asked = [(one.id, start + timedelta(days=day), "read", None) for day, one in enumerate([early, *came, came[1]])]
    collection.catalog.record_accesses(asked)
    end = clock.advance(days=10)
    for by in ("tenant", "resolver"):
        monkeypatch.setattr(common, "MANY", 10**9)
        wanted = bill_of([collection], start, end, by=by)
        monkeypatch.setattr(common, "MANY", 1)
        assert bill_of([collection], start, end, by=by).equals(wanted)
        assert wanted["requests"].sum() == 5
        assert tenants.payers([collection]) == "tenant"
    with pytest.raises(InvalidInput, match="no bill by 'operation'"):
        bill_of([collection], start, end, by="operation")


def test_a_bill_of_nothing(tmp_path: Path, clock: Clock) -> None:
    """No tenants, no costs; a period that is none is refused."""
    every = MultiTenantCatalog(tmp_path, clock=clock)
    start = clock.now
    assert every.bill(start, clock.advance(days=1))["tenant"].to_list() == [NOBODY]
    with pytest.raises(CatalogKitError, match="ends after it begins"):
        every.bill(clock.now, clock.now)
