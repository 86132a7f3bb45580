"""Password files for roles that this program made, in libpq's format, readable by their owner only.

A line is ``host:port:database:user:password``, so that ``PGPASSFILE=.pgpass psql ...`` works, too. The file is read
here and not by libpq, for which a password in the environment, the operator's own maybe, would come first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from catalogkit.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

PASSFILE: Final = ".pgpass"


def make_password(path: Path, user: str, database: str) -> str:
    """A new password for `user`, in a new file."""
    import secrets

    password = secrets.token_urlsafe(32)  # no character of it has a meaning there
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(f"*:*:{database}:{user}:{password}\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return password


def users_in(path: Path) -> dict[str, str]:
    """Users and passwords in a file; none where there is no file.

    Raises
    ------
    CatalogError
        If others may read it, as libpq refuses it then, or it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise CatalogError(f"{path} has a password, and others may read it; chmod 600 it")
            lines = [line.rstrip("\n").split(":") for line in file if line.count(":") == 4]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError):
        raise CatalogError(f"{path} cannot be read; it has the password of a catalog") from None
    return {user: password for *_, user, password in lines}


__all__ = ["PASSFILE", "make_password", "users_in"]
