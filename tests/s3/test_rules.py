"""Rules of a bucket: the one that is offered, and those that would surprise the catalog."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.cli import main
from catalogkit.stores.s3.bucket import Bucket
from catalogkit.stores.s3.probing import probe
from catalogkit.stores.s3.rules import VERSIONS_DAYS, apply_rules, rules_of
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


def read(server: Server) -> list[dict[str, Any]]:
    return server.client().get_bucket_lifecycle_configuration(Bucket="rules")["Rules"]  # type: ignore[no-any-return]


def test_rules_that_clean_up_and_no_others(bucket: Bucket, s3_server: Server) -> None:
    """Old versions go where the bucket keeps any; nothing of ours expires or moves an object, or is about others'."""
    bucket.api.put_bucket_versioning(Bucket="rules", VersioningConfiguration={"Status": "Enabled"})
    write(s3_server, {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}})
    told = rules_of(bucket)
    assert [line[0] for line in told.lines()] == ["+", "+", "="] and len(read(s3_server)) == 1
    assert apply_rules(bucket).settled
    ours = [rule for rule in read(s3_server) if rule["ID"].startswith("catalogkit-")]
    assert len(ours) == 2 and all(rule["Filter"] == {"Prefix": bucket.settings.key("")} for rule in ours)
    assert not any(
        key in rule for rule in ours for key in ("Expiration", "Transitions", "NoncurrentVersionTransitions")
    )
    assert {"NoncurrentDays": VERSIONS_DAYS} in [rule.get("NoncurrentVersionExpiration") for rule in ours]


def test_a_rule_of_ours_that_was_changed_is_corrected(bucket: Bucket, s3_server: Server) -> None:
    """It is shown as a change and put right in its place; a rule of others that does the same is enough by itself."""
    apply_rules(bucket)
    (rule,) = read(s3_server)
    other = {"ID": "other", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 9}}
    write(s3_server, rule | {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, other)
    assert [line[0] for line in rules_of(bucket).lines()] == ["~", "="]
    apply_rules(bucket)
    assert read(s3_server) == [rule, other]
    write(s3_server, rule | {"ID": "theirs", "Filter": {"Prefix": ""}})
    assert rules_of(bucket).settled and rules_of(bucket).lines() == ["= theirs: stays as it is"]
    tagged = {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}
    write(s3_server, rule | {"ID": "some", "Filter": tagged, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    assert not rules_of(bucket).settled  # it is about some objects only


def test_the_rule_is_added_once_and_others_stay(bucket: Bucket, s3_server: Server) -> None:
    """What was there is there afterwards; a second time changes nothing."""
    write(s3_server, {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}})
    assert not rules_of(bucket).sweeps
    for _ in range(2):
        told = apply_rules(bucket)
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
    assert told["stores"][0]["added"][0]["ID"].startswith("catalogkit-uploads-")
    code, told = run("store", "lifecycle", "apply")
    assert code == 0 and told["stores"][0]["sweeps"] is True
    assert run("store", "lifecycle", "plan")[0] == 0 and run("store", "lifecycle", "undo")[0] == 1
    assert run("store", "lifecycle", "--versions-for", "1h")[0] == 1
    code, told = run("store", "list")
    assert code == 0 and [one["name"] for one in told["stores"]] == ["main", "cloud"]
    code, told = run("check-store", bucket.settings.url)
    assert code == 0 and told["usable"]
    for key in [one.key for one in bucket.list_all()]:
        bucket.delete(key)
