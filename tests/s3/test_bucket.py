"""What a URL says, how objects are encrypted, and that no key of anybody's shows anywhere."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import pickle
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from catalogkit.errors import InvalidInput, KeyTaken, StoreError, StoreUnreachable
from catalogkit.layouts import Template, cas_key
from catalogkit.model import Arrival, Digest
from catalogkit.stores.s3 import bucket as bucket_module
from catalogkit.stores.s3 import clients, multipart
from catalogkit.stores.s3.bucket import Bucket
from catalogkit.stores.s3.probing import probe
from catalogkit.stores.s3.settings import SSE_C_KEY, S3Settings
from catalogkit.stores.s3.store import S3Layout, Sent
from tests.s3.proxy import proxied
from tests.s3.server import DOMAIN

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.awsrequest import AWSPreparedRequest

    from tests.s3.server import Server

CONTENT = b"a document"
DIGEST = Digest(hashlib.sha256(CONTENT).digest())


def put(store: S3Layout, folder: Path, key: str = "") -> str:
    key = key or cas_key(DIGEST)
    (folder / "source").write_bytes(CONTENT)
    assert store.send([Sent(key, str(folder / "source"), DIGEST, len(CONTENT))])[0]
    return key


@pytest.mark.parametrize(
    "url",
    [
        "s3://papers",
        "s3://papers/deep/prefix",
        "s3://papers/p?endpoint=https://s3.example.org&region=eu-central-1&profile=backups&style=path",
        "s3://papers/p?sse=aws:kms&kms_key=alias/x&storage_class=STANDARD_IA&requester_pays=true&conditional=false",
        "s3://papers/a%20b?bandwidth=20000000",
    ],
)
def test_a_url_says_it_all(url: str) -> None:
    """Settings come back from the URL that they make, unchanged."""
    settings = S3Settings.parse(url)
    assert S3Settings.parse(settings.url) == settings and settings.url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "not the URL"),
        ("s3:///x", "not the URL"),
        ("http://papers/x", "not the URL"),
        ("s3://pa pers", "not the URL"),
        ("s3://x", "name is 3 to 63 small letters"),
        ("s3://AKIAX:secret/x", "name is 3 to 63 small letters"),
        ("s3://papers-/x", "a letter or digit first and last"),
        ("gs://x/y", "hyphens, underscores and dots"),
        ("az://x?account=abc", "a container's name is 3 to 63"),
        ("s3://papers/a/../b", "plain names"),
        ("s3://papers/x?colour=red", "no setting 'colour'"),
        ("s3://papers/x?sse=rot13", "sse is one of"),
        ("s3://papers/x?kms_key=alias/x", "goes with"),
        ("s3://papers/x?conditional=perhaps", "true or false"),
        ("s3://papers/x?bandwidth=fast", "not a size"),
        ("s3://papers/x?endpoint=ftp://x", "http or https"),
    ],
)
def test_what_a_url_cannot_say(url: str, said: str) -> None:
    """What is misspelt or means nothing is an error that says what to do."""
    with pytest.raises(InvalidInput, match=said):
        S3Settings.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA123:hunter2@papers/x",
        "s3://papers/x?secret_access_key=hunter2",
        "s3://papers/x?aws_session_token=hunter2",
        "s3://papers/x?sse_customer_key=hunter2",
        "s3://papers/x?password=hunter2",
    ],
)
def test_a_url_with_a_key_is_refused_and_not_repeated(url: str) -> None:
    """A secret in a URL would be in the settings, in logs and in plans."""
    with pytest.raises(InvalidInput, match="no place for keys") as told:
        S3Settings.parse(url)
    assert "hunter2" not in str(told.value)


def test_a_name_that_the_server_takes_for_no_bucket(s3_url: str) -> None:
    """Some servers take more names than Amazon; where one does not, it is told what a bucket may be called."""
    with pytest.raises(StoreError, match="can be no bucket there: a bucket's name is 3 to 63 small letters"):
        probe(S3Settings.parse("s3://Bad_Name/x"))


def test_secrets_show_nowhere(
    s3_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in what a store says of itself, nor in what is sent to workers, nor in errors or logs."""
    caplog.set_level(logging.DEBUG)
    store = S3Layout.create(s3_url, name="main", catalog="x")
    put(store, tmp_path)
    shown = [repr(store), repr(store.settings), repr(store.bucket), str(vars(store)), store.settings.url, caplog.text]
    shown.append(pickle.dumps(store.examiner()).decode("latin-1"))
    monkeypatch.setattr(clients, "RETRIES", 1)
    gone = Bucket(S3Settings.parse("s3://papers/x?endpoint=http://127.0.0.1:9"))
    for ask in (lambda: gone.put("x", b"x", create=True), lambda: gone.delete("x")):
        with pytest.raises(StoreUnreachable) as told:
            ask()
        shown.append(str(told.value))
    assert not [text for text in shown if os.environ["AWS_SECRET_ACCESS_KEY"] in text]


def test_the_wrong_key_opens_nothing(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses us is one that cannot be reached; it is not empty."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = S3Layout(f"{s3_url}-refused", name="main", token="x")
    with pytest.raises(StoreUnreachable):
        store.reach()
    with pytest.raises(StoreUnreachable):
        store.stat(cas_key(DIGEST))
    with pytest.raises(StoreUnreachable):
        list(store.bucket.list())


def test_no_keys_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nobody says who we are, the error says how to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreUnreachable, match="AWS_ACCESS_KEY_ID"):
        Bucket(S3Settings.parse("s3://papers/x")).head("x")
    with pytest.raises(InvalidInput, match="no profile"):
        Bucket(S3Settings.parse("s3://papers/x?profile=nobody")).head("x")


@pytest.mark.parametrize(("sse", "told"), [("AES256", "AES256"), ("aws:kms&kms_key=alias/x", "aws:kms"), ("sse-c", "")])
def test_hazard_54_encryption_by_the_server(
    s3_url: str, tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch, sse: str, told: str
) -> None:
    """What is asked for is what the server says of the object, small or in parts; and it can be read back."""
    customer = os.urandom(32)
    monkeypatch.setenv(SSE_C_KEY, base64.b64encode(customer).decode())
    settings = S3Settings.parse(f"{s3_url}?sse={sse}")
    assert {one.name: one.works for one in probe(settings).found}["encrypts"]
    store = S3Layout.create(settings, name="main", catalog="x")
    with store.open(put(store, tmp_path)) as file:
        assert file.read() == CONTENT
    large = os.urandom((16 << 20) + 1)
    digest = Digest(hashlib.sha256(large).digest())
    (tmp_path / "large").write_bytes(large)
    assert store.send([Sent(cas_key(digest), str(tmp_path / "large"), digest, len(large))])[0]
    assert store.holds(cas_key(digest), digest)
    client = s3_server.client()
    for one in (DIGEST, digest):
        at = {"Bucket": "tests", "Key": store.settings.key(cas_key(one))}
        if told:
            assert client.head_object(**at)["ServerSideEncryption"] == told
        else:
            with pytest.raises(client.exceptions.ClientError):
                client.get_object(**at)  # not without the customer's key
    store.quarantine(cas_key(DIGEST))
    assert len(list(store.quarantined())) == 1


def test_a_customers_key_must_be_one(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, or with half of it, nothing is written, and it is not repeated."""
    for value in ("", "c2hvcnQ=", "not base64"):
        monkeypatch.setenv(SSE_C_KEY, value)
        with pytest.raises(InvalidInput, match="32 bytes in base64"):
            Bucket(S3Settings.parse(f"{s3_url}?sse=sse-c")).put("x", b"x", create=True)


def test_each_store_can_have_a_customers_key_of_its_own(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL names the variable, never the key; what one key wrote another does not read."""
    for name in ("ACME_KEY", "BETA_KEY"):
        monkeypatch.setenv(name, base64.b64encode(os.urandom(32)).decode())
    monkeypatch.delenv(SSE_C_KEY, raising=False)
    acme, beta = (Bucket(S3Settings.parse(f"{s3_url}?sse=sse-c&sse_c_env={name}_KEY")) for name in ("ACME", "BETA"))
    acme.put("x", b"acme's", create=True)
    assert bytes(acme.get("x", 0, 6)) == b"acme's" and S3Settings.parse(acme.settings.url) == acme.settings
    with pytest.raises(StoreError):
        beta.get("x", 0, 6)
    with pytest.raises(InvalidInput, match="needs \\$OTHER_KEY"):
        Bucket(S3Settings.parse(f"{s3_url}?sse=sse-c&sse_c_env=OTHER_KEY")).put("y", b"y", create=True)
    key = base64.b64encode(b"x" * 32).decode()
    for wrong in (f"?sse=sse-c&sse_c_env={quote(key)}", "?sse=AES256&sse_c_env=ACME_KEY", "?sse=sse-c&sse_c_env=$A"):
        with pytest.raises(InvalidInput, match="sse_c_env") as refused:
            S3Settings.parse(f"{s3_url}{wrong}")
        assert key not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["../../up", "ünïcode/日本", "a b+c&d=e?f#g%20h", "C:\\x|<>*", "\u202e.pdf", "a\nb", "~", "'\"`", "x" * 500],
)
def test_hazard_56_any_id_has_a_safe_key(s3_url: str, tmp_path: Path, s3_server: Server, name: str) -> None:
    """Whatever a document is called, its readable path is one object of the prefix, and comes back from a list."""
    store = S3Layout.create(s3_url, name="main", catalog="x")
    arrival = Arrival(artifact_id=name, source_url="https://example.org/x", resolver=name)
    key = put(store, tmp_path, Template().key(arrival, name, DIGEST))
    assert list(store.keys()) == [key] and store.stat(key) is not None
    with store.open(key) as file:
        assert file.read() == CONTENT
    listed = s3_server.client().list_objects_v2(Bucket="tests", Prefix=f"{store.settings.prefix}/docs")
    assert [one["Key"] for one in listed["Contents"]] == [store.settings.key(key)]


def test_hazard_53_a_key_is_given_once(s3_url: str) -> None:
    """The second who creates it is told so, whatever it brings, and changes nothing."""
    bucket = Bucket(S3Settings.parse(s3_url))
    bucket.put("x", b"first", create=True)
    with pytest.raises(KeyTaken):
        bucket.put("x", b"other", create=True)
    assert bytes(bucket.get("x", 0, 5)) == b"first"


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_how_a_bucket_is_named(
    s3_url: str, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    """In the host name or in the path, as the URL says: by both clients, in parts, in a link, and when deleting."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    client = s3_server.client()  # which knows of no proxy
    monkeypatch.setattr(multipart, "WHOLE_BYTES", 5 << 20)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    with proxied(s3_server.url, None) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        store = S3Layout.create(f"{s3_url}?endpoint=http://{DOMAIN}&style={style}", name="main", catalog="x")
        large = os.urandom((5 << 20) + 7)
        digest = Digest(hashlib.sha256(large).digest())
        (tmp_path / "large").write_bytes(large)
        assert store.send([Sent(cas_key(digest), str(tmp_path / "large"), digest, len(large))])[0]
        assert store.holds(cas_key(digest), digest) and list(store.keys()) == [cas_key(digest)]
        link = store.presigned(put(store, tmp_path), timedelta(minutes=5))
        with urllib.request.build_opener().open(link) as answer:
            assert answer.read() == CONTENT
        about = store.bucket.head(cas_key(digest))
        assert about is not None and store.bucket.delete(cas_key(digest), about.etag)
        host = f"tests.{DOMAIN}" if style == "virtual" else DOMAIN
        assert proxy.hosts == {host} and link.startswith(f"http://{host}/")
        assert {path.startswith(("/tests/", "/tests?")) for _, path in proxy.seen} == {style == "path"}
    found = client.list_objects_v2(Bucket="tests", Prefix=f"{store.settings.prefix}/cas")["Contents"]
    assert [one["Key"] for one in found] == [store.settings.key(cas_key(DIGEST))]


def test_what_is_not_installed_is_said(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, one error says what to install."""
    monkeypatch.setattr(bucket_module, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"catalogkit\[s3\]"):
        S3Layout(f"{s3_url}/x", name="main", token="x")


@pytest.mark.parametrize("endpoint", ["https://bucket.invalid", "http://bucket.invalid"])
def test_parts_are_hashed_once(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is sent with the checksum that it is given, and is not signed by a digest of its own besides."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "some")
    api = clients.api_of(S3Settings.parse(f"s3://papers?endpoint={quote(endpoint, safe='')}&region=eu-central-1"))
    sent: list[dict[str, bytes]] = []

    def stopped(request: AWSPreparedRequest, **_: object) -> None:
        sent.append(dict(request.headers))
        raise InterruptedError

    api.meta.events.register("before-send.s3.UploadPart", stopped)
    with pytest.raises(InterruptedError):
        api.upload_part(Bucket="papers", Key="a", UploadId="b", PartNumber=1, Body=b"part", ChecksumCRC32="AAAAAA==")
    (headers,) = sent
    assert (headers["X-Amz-Content-SHA256"], headers["x-amz-checksum-crc32"]) == (b"UNSIGNED-PAYLOAD", b"AAAAAA==")


def test_a_link_for_a_while(s3_url: str, tmp_path: Path) -> None:
    """Whoever has it reads the object without keys; with one letter changed it opens nothing."""
    store = S3Layout.create(s3_url, name="main", catalog="x")
    link = store.presigned(put(store, tmp_path), timedelta(minutes=5))
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == CONTENT
    spoiled = link[:-1] + ("0" if link[-1] != "0" else "1")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(spoiled)
