"""Addresses of catalogs, and the secrets in them: hostile ones are refused, and no word of any is ever shown."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog import open_catalog
from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.catalog.urls import engine_of, file_of, has_secret, parameters, public
from catalogkit.collection import init, open_collection
from catalogkit.config import Config
from catalogkit.errors import CatalogError, CatalogKitError, InvalidInput
from tests.catalog.desk import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pg import Server

SECRET = "Tr0ub4dor"


def test_what_is_shown_of_an_address() -> None:
    """Everything but its secrets, wherever they stand (hazard 63)."""
    assert public(f"postgresql://me:{SECRET}@host:5432/papers?sslmode=require") == (
        "postgresql://me@host:5432/papers?sslmode=require"
    )
    assert public(f"postgres://host/papers?user=me&password={SECRET}") == "postgresql://host/papers?user=me"
    assert public(f"postgresql://me:a%40{SECRET}@/papers?host=/run/pg") == "postgresql://me@/papers?host=/run/pg"
    assert public("sqlite:///catalog.sqlite") == "sqlite:///catalog.sqlite"
    assert has_secret(f"postgresql://me:{SECRET}@host/papers") and not has_secret("postgresql://me@host/papers")
    assert not has_secret("sqlite:///a") and not has_secret("postgres://host/db?host=/run/pg")


def test_what_an_address_says() -> None:
    """Each part, decoded; what is not said is left to the environment."""
    assert parameters("postgresql://me:p%40ss%3A%2F@host:5433/my%20papers?sslmode=require") == {
        "user": "me", "password": "p@ss:/", "host": "host", "port": "5433", "dbname": "my papers",
        "sslmode": "require",
    }  # fmt: skip
    assert parameters("postgresql:///papers?host=/run/pg") == {"dbname": "papers", "host": "/run/pg"}
    assert (engine_of("sqlite:///x"), engine_of("postgres://h/d")) == ("sqlite", "postgresql")
    assert (file_of("sqlite:///x"), file_of("postgresql://h/d")) == ("x", None)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:a@{SECRET}@host/papers",
        f"postgresql://me:{SECRET}:x@host/papers",
        f"postgresql://me:#{SECRET}@host/papers",
        f"postgresql://me:x@host:{SECRET}/papers",
        f"postgresql+psycopg2://me:{SECRET}@host/papers",
        f"postgresql://me:[{SECRET}@host/papers",
        f"postgresql://me:12/{SECRET}@host/papers",
        f"mysql://me:{SECRET}@host/papers",
        f"host=h password={SECRET}",
        f"{SECRET}@host:5432/papers",
        f"postgresql://me:{SECRET}@host,other/papers",
    ],
)
def test_hostile_addresses_are_refused_unseen(url: str, tmp_path: Path) -> None:
    """What cannot be understood without doubt is refused, and nothing of it repeated, not even in a traceback."""
    with pytest.raises(InvalidInput) as caught:
        open_catalog(url, base=tmp_path, as_of=NOW)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(CatalogKitError) as caught:
        init(tmp_path / "c", catalog=url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("secret", [SECRET, f"p%40{SECRET}", f"%3A%2F{SECRET}%23"])
def test_a_password_is_used_and_never_told(
    secret: str, pg: Server, pg_template: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by a catalog, a collection, its settings, a log, or an error with its traceback."""
    caplog.set_level(logging.DEBUG)
    plain = pg.database(pg_template)
    url = plain.replace("://postgres@", f"://postgres:{secret}@")
    with init(tmp_path / "c", catalog=url) as made:
        told = [repr(made), str(made._repr_mimebundle_()), repr(made.catalog), made.catalog.url, made.catalog.home]
        told += [repr(made.config), repr(vars(made.catalog)), repr(Config(catalog=url))]
    told.append((tmp_path / "c" / "catalogkit.toml").read_text())
    told.append((tmp_path / "c" / "store" / ".catalogkit" / "store.json").read_text())
    with open_collection(tmp_path / "c") as again:  # the server of the tests asks for none
        assert again.identity == made.identity
    with pytest.raises(CatalogError) as caught:
        made.catalog.stores()
    told.append("".join(traceback.format_exception(caught.value)))
    pg.drop(plain)
    with pytest.raises(CatalogError) as caught:
        PostgresCatalog(url, as_of=NOW)
    told.append("".join(traceback.format_exception(caught.value)))
    told.append(caplog.text)
    assert [text for text in told if SECRET in text] == []
