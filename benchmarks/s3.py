"""Putting files into a bucket and getting them back, beside boto3's transfer manager and rclone, at the same server.

The server is SeaweedFS on this machine, so all of them share its processors. catalogkit is told the digests, as when a
plan moves documents; it hashes on the way up and down, and compares. Its peers compare no more than checksums of parts;
so that what proving costs shows, one of them also hashes what it fetched, as whoever needs proof would have to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.corpus import expect_files, wipe
from benchmarks.race import Contender, Goal, Race, Untrue, race

if TYPE_CHECKING:
    from tests.s3.server import Server

LARGE, QUICK_LARGE = 1_000_000_000, 100_000_000
SMALL, QUICK_SMALL = (2000, 100_000), (300, 100_000)
MEMORY = 150_000_000
BUCKET = "tests"
AT_ONCE = 16
VOLUMES = 60
PEERS = ("boto3", "rclone")
PROVED = "rclone, then sha256sum"


def run(bench: Bench) -> Iterator[Race]:
    """One large file, and many small ones; up and down again."""
    for result in races(bench, *((QUICK_LARGE, QUICK_SMALL) if bench.quick else (LARGE, SMALL))):
        for peer in PEERS:
            result.expect_speed(peer, 1.0, f"{result.title}: at least as fast as {peer}")
        yield result


def races(
    bench: Bench,
    large: int,
    small: tuple[int, int],
    through: Callable[[str], AbstractContextManager[str]] = contextlib.nullcontext,
    where: str = "",
) -> Iterator[Race]:
    """The same with a file of `large` bytes, and with so many small ones.

    Contenders ask at the address that the server has `through` something; titles say `where` that is.
    """
    work, rounds = bench.scratch(), min(bench.rounds, 3)
    count, size = small
    for title, files, each in (
        (f"one file of {large / 1e9:g} GB", 1, large),
        (f"{count:,} files of {size // 1000} kB", count, size),
    ):
        source = _write(work / f"source-{files}", files, each)
        for verb in ("put", "get"):
            with _server(work / "server") as server, through(server.url) as url:
                client = server.client()
                client.create_bucket(Bucket=BUCKET)
                environment = {**server.environment, "AWS_ENDPOINT_URL": url}
                grew: list[int] = []
                contenders = [
                    _contender(name, verb, source, work / "got", client, environment, grew)
                    for name in ("catalogkit", *PEERS, *((PROVED,) if verb == "get" else ()))
                    if name in ("catalogkit", "boto3") or shutil.which("rclone")
                ]
                if verb == "get":
                    for name in dict.fromkeys(one.name.partition(",")[0] for one in contenders):
                        _fill(client, name, source, server.environment)
                said = f"{verb} {title}{where}"
                result = race(said, contenders, rounds=rounds, watch=True, files=files, bytes=files * each)
                goal = f"{said}: less than 150 MB more than once it was loaded"
                verdict = "met" if max(grew) < MEMORY else "NOT MET"
                result.goals.append(Goal(goal, f"{max(grew) / 1e6:.0f} MB", verdict))
                yield result


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Server]:
    """A server for one case: what is removed from one takes room for a quarter of an hour."""
    from tests.s3.server import start

    server = start(folder, volumes=VOLUMES)
    try:
        yield server
    finally:
        server.stop()
        wipe(folder)


def _write(folder: Path, files: int, size: int) -> Path:
    folder.mkdir(parents=True)
    digests = {}
    for number in range(files):
        with (folder / f"{number:06}").open("wb") as file:
            left = size
            while left:
                left -= file.write(os.urandom(min(left, 1 << 24)))
        with (folder / f"{number:06}").open("rb") as file:
            digests[f"{number:06}"] = hashlib.file_digest(file, "sha256").hexdigest()
    folder.with_suffix(".json").write_text(json.dumps(digests))
    return folder


def _contender(
    name: str, verb: str, source: Path, got: Path, client: Any, env: dict[str, str], grew: list[int]
) -> Contender:
    place = f"{BUCKET}/{name.partition(',')[0]}"
    if name in ("rclone", PROVED):
        remote = f":s3:{place}"
        # rclone 1.60 does not start where a bundle of authorities is set, which a server without TLS does not need.
        argv = [
            "env",
            "-u",
            "AWS_CA_BUNDLE",
            "rclone",
            "copy",
            "--transfers",
            str(AT_ONCE),
            "--s3-no-check-bucket",
            "--config",
            "/dev/null",
        ]
        argv += [str(source), remote] if verb == "put" else [remote, str(got)]
        if name == PROVED:
            argv = ["sh", "-c", f"{shlex.join(argv)} && cd {shlex.quote(str(got))} && sha256sum * | tail -n 1"]
    else:
        argv = [sys.executable, "-m", "benchmarks.s3", name, verb, str(source), place, str(got)]
    more = {
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": env["AWS_ENDPOINT_URL"],
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_FORCE_PATH_STYLE": "true",
    }
    count, total = len(list(source.iterdir())), sum(one.stat().st_size for one in source.iterdir())

    def check(out: str) -> None:
        if verb == "get":
            expect_files(got, count, total)
        else:
            _expect(client, name, count, total)
        if name == "catalogkit":
            grew.append(json.loads(out)["grew"])

    prepare: Callable[[], object] = partial(_clear, client, name) if verb == "put" else partial(wipe, got)
    return Contender(name, argv, check, prepare, {**ours.ENV, **env, **more})


def _objects(client: Any, prefix: str) -> list[tuple[str, int]]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [(one["Key"], one["Size"]) for page in pages for one in page.get("Contents", ())]


def _expect(client: Any, prefix: str, count: int, total: int) -> None:
    sizes = [size for key, size in _objects(client, f"{prefix}/") if "/.catalogkit/" not in key]
    if (len(sizes), sum(sizes)) != (count, total):
        raise Untrue(f"{prefix} put {len(sizes)} objects of {sum(sizes)} bytes instead of {count} of {total}")


def _clear(client: Any, prefix: str = "") -> None:
    for key, _ in _objects(client, prefix):
        client.delete_object(Bucket=BUCKET, Key=key)


def _fill(client: Any, name: str, source: Path, env: dict[str, str]) -> None:
    """Have something to get: as catalogkit names it, or as the others do."""
    if name == "catalogkit":
        from catalogkit.stores.s3.bucket import bucket_of

        os.environ.update(env)
        bucket_of.cache_clear()  # it knows the server of the last case
        _ours("put", source, f"{BUCKET}/{name}", source)
    else:
        for one in source.iterdir():
            client.upload_file(str(one), BUCKET, f"{name}/{one.name}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _ours(verb: str, source: Path, place: str, got: Path) -> dict[str, int]:
    from catalogkit.layouts import cas_key
    from catalogkit.model import Digest
    from catalogkit.stores.files import REAL
    from catalogkit.stores.hashing import Hashing, pieces_of
    from catalogkit.stores.s3.store import S3Layout, Sent

    store = S3Layout(f"s3://{place}", name="main", token="benchmark")
    store.bucket.head("warm")
    before = _peak()

    def fetched(key: str) -> None:
        sha256 = Hashing()
        with store.open(key) as file, (got / key.rpartition("/")[2]).open("wb", buffering=0) as out:
            for piece in pieces_of(file):
                sha256.update(piece)
                REAL.write(out.fileno(), memoryview(piece))
        if key != cas_key(sha256.digest()):
            raise Untrue(f"{key} holds other bytes")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        if verb == "put":
            known = json.loads(source.with_suffix(".json").read_text()).items()
            digests = [(source / name, Digest.parse(text)) for name, text in known]
            entries = [Sent(cas_key(one), str(path), one, path.stat().st_size) for path, one in digests]
            if not all(store.send(entries)):
                raise Untrue("not all was shown")
        else:
            got.mkdir(parents=True, exist_ok=True)
            keys = [one.key for one in store.bucket.list("cas")]
            list(threads.map(fetched, keys))
    return {"grew": _peak() - before}


def _peak() -> int:
    """The most that this process has held; `getrusage` would count what its parent held, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _boto3(verb: str, source: Path, place: str, got: Path) -> dict[str, int]:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=4 * AT_ONCE, s3={"addressing_style": "path"}))
    bucket, _, prefix = place.partition("/")
    config = TransferConfig(max_concurrency=10)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        if verb == "put":

            def put(path: Path) -> None:
                client.upload_file(str(path), bucket, f"{prefix}/{path.name}", Config=config)

            list(threads.map(put, sorted(source.iterdir())))
        else:
            got.mkdir(parents=True, exist_ok=True)

            def get(key: str) -> None:
                client.download_file(bucket, key, str(got / key.rpartition("/")[2]), Config=config)

            list(threads.map(get, [key for key, _ in _objects(client, f"{prefix}/")]))
    return {}


if __name__ == "__main__":
    act = {"catalogkit": _ours, "boto3": _boto3}[sys.argv[1]]
    print(json.dumps(act(sys.argv[2], Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))))
