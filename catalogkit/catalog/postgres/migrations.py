"""The schema's versions on a server, and upgrading a database to this program's version.

All that is pending is one transaction under an advisory lock that writers share: of two programs that upgrade at once
the second finds it done, nobody writes meanwhile, and a crash leaves the old schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.postgres.history import install_history
from catalogkit.errors import CatalogError, SchemaTooNew

if TYPE_CHECKING:
    from psycopg import Connection

# The first half of every advisory lock of ours ("ckit"), and the second halves.
LOCK: Final = 0x636B6974
WRITE, STILL, MIGRATE = 1, 2, 3
MINIMUM_SERVER: Final = 150_000


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a schema version to the next: the SQL in the files of these names, history between them."""

    version: int
    names: tuple[str, ...]

    def scripts(self) -> list[str]:
        """The statements of this step, file by file."""
        return [files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8") for name in self.names]


# The embedded engine's schema that ours says the same as; whoever adds a migration there sees to one here.
EMBEDDED: Final = 19
MIGRATIONS: Final = (
    Migration(1, ("core", "rules", "search")),
    Migration(2, ("whole", "hands")),
    Migration(3, ("notes",)),
    Migration(4, ("late",)),
    Migration(5, ("sites",)),
    Migration(6, ("waiting",)),
    Migration(7, ("counted",)),
    Migration(8, ("overtaking",)),
    Migration(9, ("stands",)),
    Migration(10, ("leases",)),
    Migration(11, ("hidden",)),
    Migration(12, ("bulk",)),
    Migration(13, ("holding",)),
)


def applied(db: Connection[Any]) -> list[int]:
    """The versions already applied, oldest first."""
    row = db.execute("SELECT to_regclass('migrations') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return []
    return [version for (version,) in db.execute("SELECT version FROM migrations ORDER BY version")]


def migrate(db: Connection[Any], at_us: int, *, create: bool) -> list[int]:
    """Bring the database to this program's schema; the versions applied now.

    Raises
    ------
    SchemaTooNew, CatalogError
        As `pending` does, or if this user may not change its schema; nothing is changed.
    """
    if not pending(db, create=create):
        return []
    row = db.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    if row and row[0] is False:
        raise CatalogError(
            "this catalog has an older schema, which its owner brings up to date: a tenant's with"
            " `catalogkit tenant upgrade`, every other by opening it"
        )
    with db.transaction():
        db.execute(f"SELECT pg_advisory_xact_lock({LOCK}, {MIGRATE}), pg_advisory_xact_lock({LOCK}, {WRITE})")
        todo = pending(db, create=create)
        for step in todo:
            _apply(db, step, at_us)
    return [step.version for step in todo]


def pending(db: Connection[Any], *, create: bool = False) -> list[Migration]:
    """The migrations still to apply, in order.

    Raises
    ------
    SchemaTooNew
        If the database has a version this program does not know.
    CatalogError
        If the server is too old, or the database holds something else, or nothing and `create` is not given.
    """
    if db.info.server_version < MINIMUM_SERVER:
        raise CatalogError(f"PostgreSQL {db.info.server_version // 10_000} is too old; catalogkit needs 15 or newer")
    done = applied(db)
    if not done:
        if not create:
            raise CatalogError("there is no catalog in that database; make one with `catalogkit init`")
        row = db.execute("SELECT to_regclass('documents') IS NULL AND to_regclass('blobs') IS NULL").fetchone()
        if not row or not row[0]:
            raise CatalogError("that database has tables of something else; name an empty one. Nothing was changed")
    newest = max(done, default=0)
    if newest > MIGRATIONS[-1].version:
        raise SchemaTooNew(
            f"this catalog has schema {newest}, this catalogkit knows {MIGRATIONS[-1].version}: upgrade catalogkit"
        )
    return [step for step in MIGRATIONS if step.version not in done]


def _apply(db: Connection[Any], step: Migration, at_us: int) -> None:
    db.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version bigint NOT NULL PRIMARY KEY, name text NOT NULL,"
        " applied_us bigint NOT NULL)"
    )
    for script in step.scripts():
        db.execute(script)
        install_history(db)
    db.execute("INSERT INTO migrations VALUES (%s, %s, %s)", [step.version, step.names[0], at_us])
