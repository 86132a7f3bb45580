"""Catalogs: the databases of facts; `open_catalog` picks the engine by the URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.passfiles import PASSFILE, users_in
from catalogkit.catalog.urls import SQLITE, engine_of, parameters
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog

__all__ = ["goes_on", "open_catalog"]

# Whoever only looks does not wait for long.
_PATIENCE: Final[dict[str, Any]] = {"looking": True, "busy_seconds": 5.0}


def open_catalog(
    url: str, *, base: Path, create: bool = False, as_of: datetime, identity: str | None = None, looking: bool = False
) -> Catalog:
    """Open the catalog that `url` names.

    Parameters
    ----------
    url
        ``sqlite:///file``, where a relative file lies in `base`, or ``postgresql://user@host/database``.
    base
        The collection's folder.
    create
        Whether a catalog that is not there is made.
    identity
        Whose catalog a new one is, where its stores say so already.
    looking
        Whether it is opened for a look only: nothing is written, an older schema stays as it is.
    as_of
        The time to note where the catalog is made or its schema upgraded.

    Raises
    ------
    InvalidInput
        If no engine has that kind of URL, or the extra ``postgres`` is not installed.
    """
    given: dict[str, Any] = {"create": create, "as_of": as_of, "identity": identity, **(_PATIENCE if looking else {})}
    if engine_of(url) == SQLITE:
        from catalogkit.catalog.sqlite import SQLiteCatalog

        return SQLiteCatalog(base / url.removeprefix("sqlite:///"), **given)
    try:
        from catalogkit.catalog.postgres import PostgresCatalog
    except ModuleNotFoundError as problem:
        raise InvalidInput(f"catalogs on a server need {problem.name}: pip install 'catalogkit[postgres]'") from None

    # One that catalogkit made lies beside the settings; every other comes from where libpq looks.
    password = users_in(base / PASSFILE).get(parameters(url).get("user", ""))
    return PostgresCatalog(url, password=password, **given)


def goes_on(home: str, mine: str) -> bool:
    """Whether the catalog at `home` is another than `mine`, and may still be used; a server is not asked, it may be."""
    if home.startswith("postgresql:"):
        return home != mine
    return os.path.exists(home) and not (os.path.exists(mine) and os.path.samefile(home, mine))
