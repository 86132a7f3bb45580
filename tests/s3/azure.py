"""Azurite, which speaks as Azure's blob storage does: started on a free port, in a folder that is thrown away."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT = "papers"
READY_SECONDS = 120
# Where `make programs` installs it.
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catalogkit-tests" / "azurite-3.37.0"


@dataclass
class Azure:
    """A running server, its address, and the key of its only account."""

    url: str
    key: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to enter it."""
        return {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": self.key}

    def create_container(self, name: str) -> None:
        """Make a container: a request that is signed by hand, for obstore has no verb for that."""
        stamp, version = email.utils.formatdate(usegmt=True), "2021-08-06"
        signed = "PUT" + "\n" * 12 + f"x-ms-date:{stamp}\nx-ms-version:{version}\n"
        signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        mac = hmac.new(base64.b64decode(self.key), signed.encode(), hashlib.sha256).digest()
        headers = {"x-ms-date": stamp, "x-ms-version": version, "Content-Length": "0"}
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
        address = f"{self.url}/{name}?restype=container"
        urllib.request.urlopen(urllib.request.Request(address, method="PUT", headers=headers)).close()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def start(folder: Path) -> Azure:
    """Start a server in an empty folder, and wait until it answers.

    Raises
    ------
    RuntimeError
        If it is not installed, or does not come up; with what it said.
    """
    main = HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not main.exists():
        raise RuntimeError("no Azurite: `make programs` installs it")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    command = ["node", str(main), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    # It knows no newer versions of the protocol than its own, and would tell its makers about itself.
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    log = folder / "log"
    with log.open("wb") as out:
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
    server = Azure(f"http://127.0.0.1:{port}/{ACCOUNT}", key, process)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return server
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                server.stop()
                raise RuntimeError(f"Azurite did not come up:\n{log.read_text(errors='replace')[-3000:]}") from None
            time.sleep(0.05)
