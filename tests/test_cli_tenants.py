"""Tenants on the command line: real processes, exit codes, one JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from catalogkit.config import read_config
from catalogkit.tenants import MultiTenantCatalog
from tests.tenants.conftest import dropped
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from tests.pg import Server


def test_tenants_from_the_beginning_to_the_bill(tmp_path: Path) -> None:
    """Added with quota and policies, worked with like any collection, listed, limited, billed, exported."""
    pile, home = tmp_path / "pile", tmp_path / "all"
    pile.mkdir()
    (pile / "a.txt").write_text("first")
    (tmp_path / "policies.toml").write_text("[retention]\nage_days = 30\n")
    made = answer("-C", home, "tenant", "add", "acme", "--max-bytes", "5kB", "--policies", tmp_path / "policies.toml")
    assert made == {"tenant": "acme", "path": str(home / "tenants" / "acme")}
    assert "ingest" in run("-C", home, "tenant", "add", "beta").stderr
    assert answer("-C", made["path"], "ingest", pile)["ingested"] == 1
    assert answer("-C", home, "tenant", "quota", "acme", "--max-documents", "1")["max_documents"] == 1
    (pile / "b.txt").write_text("second")
    assert "quota of 1 documents" in answer("-C", made["path"], "ingest", pile, code=1)["error"]
    acme, beta = answer("-C", home, "tenant", "list")["tenants"]
    assert (acme["tenant"], acme["documents"], acme["max_documents"], acme["max_bytes"]) == ("acme", 1, 1, None)
    assert beta["documents"] == 0
    assert "1 of 1 documents" in run("-C", home, "tenant", "list").stdout
    used = answer("-C", home, "tenant", "usage", "--gb-month", "1000000000000", "-o", tmp_path / "bill.csv")
    assert [row["tenant"] for row in used["tenants"]] == ["acme", ""]
    assert used["tenants"][0]["fair_bytes"] == 5 and float(used["tenants"][0]["fair_cost"]) > 0
    assert pl.read_csv(tmp_path / "bill.csv")["tenant"].to_list() == ["acme", ""]
    told = run("-C", made["path"], "tenant", "usage", "-o", tmp_path / "bill.parquet").stdout
    assert "costs in USD" in told and "(no one)" in told
    assert pl.read_parquet(tmp_path / "bill.parquet")["fair_bytes"].sum() == 5


def test_tenants_and_readers_on_a_server(pg: Server, pg_template: str, operator: str, tmp_path: Path) -> None:
    """Added on the server that is named once, and brought up to date; a reader of a shared catalog comes and goes."""
    every = MultiTenantCatalog(tmp_path / "all", server=operator)
    with dropped(every):
        made = answer("-C", every.path, "tenant", "add", "acme", "--server", operator)
        assert read_config(Path(made["path"])).catalog.startswith("postgresql://ckit_")
        assert "p@ss" not in str(made)
        assert "PGPASSWORD" in answer("-C", every.path, "tenant", "upgrade", code=1)["error"]
    url, reader = pg.database(pg_template), ("-C", tmp_path / "shared", "tenant", "reader", "acme")
    try:
        run("init", tmp_path / "shared", "--catalog", url)
        told = answer(*reader)
        assert (told["tenant"], Path(told["passfile"]).stat().st_mode & 0o777) == ("acme", 0o600)
        assert answer(*reader, "--drop")["dropped"]
        assert "nobody reads" in answer(*reader, "--drop", code=1)["error"]
    finally:
        pg.drop(url)


def test_what_is_refused(tmp_path: Path) -> None:
    """Bad names, months, prices, files and places are one clear error each."""
    for given, words in {
        ("tenant", "add", "Acme"): "no name for a tenant",
        ("tenant", "add", "acme", "--max-bytes", "much"): "not a size",
        ("tenant", "add", "acme", "--policies", str(tmp_path / "none.toml")): "cannot be read",
        ("tenant", "quota", "acme"): "no tenant 'acme'",
        ("tenant", "usage", "--month", "2026-13"): "not a month",
        ("tenant", "usage", "--month", "2999-01"): "has not begun",
        ("tenant", "usage", "--month", "2026-01", "--since", "2026-01-01"): "either --month",
        ("tenant", "usage", "--until", "2026-01-01"): "needs --since",
        ("tenant", "usage", "--gb-month", "free"): "not a price",
        ("tenant", "usage", "--gb-month", "-1"): "is a price",
        ("tenant", "usage", "-o", str(tmp_path / "bill.xls")): ".csv or .parquet",
    }.items():
        assert words in answer("-C", tmp_path, *given, code=1)["error"]
    assert not (tmp_path / "tenants").exists()
    run("init", tmp_path / "one")
    assert "is a collection" in answer("-C", tmp_path / "one", "tenant", "list", code=1)["error"]
