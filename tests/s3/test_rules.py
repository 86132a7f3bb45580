"""Rules of a bucket: the one that is offered, and those that would surprise the catalog."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.cli import main
from catalogkit.stores.s3.bucket import Bucket
from catalogkit.stores.s3.probing import probe
from catalogkit.stores.s3.rules import add_sweeping_rule, rules_of
from catalogkit.stores.s3.settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.collection import Collection
    from tests.s3.server import Server


@pytest.fixture
def bucket(s3_server: Server, s3_url: str) -> Iterator[Bucket]:
    """A prefix of a bucket of its own, for rules are of the whole bucket."""
    client = s3_server.client()
    client.create_bucket(Bucket="rules")
    yield Bucket(S3Settings.parse(s3_url.replace("s3://tests", "s3://rules")))
    client.delete_bucket(Bucket="rules")


def write(server: Server, *rules: dict[str, Any]) -> None:
    server.client().put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration={"Rules": list(rules)})


def test_the_rule_is_added_once_and_others_stay(bucket: Bucket, s3_server: Server) -> None:
    """What was there is there afterwards; a second time changes nothing."""
    write(s3_server, {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}})
    assert not rules_of(bucket).sweeps
    for _ in range(2):
        told = add_sweeping_rule(bucket)
        assert told.sweeps and told.behind == []
        assert len(s3_server.client().get_bucket_lifecycle_configuration(Bucket="rules")["Rules"]) == 2
    assert {one.name: one.works for one in probe(bucket.settings).found}["sweeps uploads in parts by itself"]


@pytest.mark.parametrize("prefix", ["", "here", "below"])
def test_what_works_behind_the_catalogs_back(bucket: Bucket, s3_server: Server, prefix: str) -> None:
    """A rule that removes objects of ours is told, by `check-store`, too, wherever its prefix begins."""
    where = {"": "", "here": bucket.settings.key(""), "below": bucket.settings.key("cas/")}[prefix]
    write(s3_server, {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": where}, "Expiration": {"Days": 365}})
    (said,) = rules_of(bucket).behind
    assert "rule old removes" in said
    found = {one.name: one for one in probe(bucket.settings).found}["leaves objects as they are"]
    assert found.works is False and "rule old" in found.detail
    write(s3_server, {"ID": "old", "Status": "Disabled", "Filter": {"Prefix": where}, "Expiration": {"Days": 365}})
    assert rules_of(bucket).behind == []


def test_the_command(
    bucket: Bucket,
    make_collection: Callable[..., Collection],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says what is there, changes nothing unless asked to, and ends with 2 where somebody should look."""
    import catalogkit as ck

    collection = make_collection()
    ck.add_store(collection, "cloud", bucket.settings.url)

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(collection.path), *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), json.loads(capsys.readouterr().out)

    code, told = run("store", "lifecycle")
    assert code == 2 and told["stores"][0]["sweeps"] is False
    code, told = run("store", "lifecycle", "--apply")
    assert code == 0 and told["stores"][0]["sweeps"] is True
    code, told = run("store", "list")
    assert code == 0 and [one["name"] for one in told["stores"]] == ["main", "cloud"]
    code, told = run("check-store", bucket.settings.url)
    assert code == 0 and told["usable"]
    for key in [one.key for one in bucket.list_all()]:
        bucket.delete(key)
