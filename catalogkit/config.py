"""``catalogkit.toml``: which catalog, store, policies. Read strictly: an unknown or mistyped setting is an error."""

from __future__ import annotations

import os
import re
import tomllib
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from catalogkit.catalog.urls import public
from catalogkit.errors import InvalidInput, NotACollection
from catalogkit.layouts import DEFAULT_TEMPLATE
from catalogkit.planners.thin import Keep
from catalogkit.policies.dedup import DedupPolicy
from catalogkit.policies.extract import Limits
from catalogkit.policies.maintain import MaintainConfig
from catalogkit.policies.prices import Price
from catalogkit.policies.retention import RetentionPolicy
from catalogkit.policies.slips import in_words, twice
from catalogkit.policies.tiering import TierPolicy
from catalogkit.units import parse_duration

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_NAME: Final = "catalogkit.toml"
SERVER_NAME: Final = "tenants.toml"


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The store that new bytes go to.

    Attributes
    ----------
    name
        What the catalog calls it.
    url
        Where it is: ``file:`` and a path, seen from the collection's folder, or ``s3://bucket/prefix?...``, ``gs://...``
        or ``az://...``.
    layout
        ``cas`` names files by their digest; ``policy`` by a template, for people and for other programs.
    template
        How the layout ``policy`` names a file.
    """

    name: str = "main"
    url: str = "file:store"
    layout: Literal["cas", "policy"] = "cas"
    template: str = DEFAULT_TEMPLATE


class KeepConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many backups thinning keeps: each of these rules keeps its own, and a backup that no rule keeps goes.

    Attributes
    ----------
    last
        The newest ones.
    daily, weekly, monthly
        The last one of each of so many days, weeks (ISO 8601) and months that have one, in UTC.
    """

    last: Annotated[int, msgspec.Meta(ge=0)] = Keep.last
    daily: Annotated[int, msgspec.Meta(ge=0)] = Keep.daily
    weekly: Annotated[int, msgspec.Meta(ge=0)] = Keep.weekly
    monthly: Annotated[int, msgspec.Meta(ge=0)] = Keep.monthly


class BackupConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where backups go, and how many are kept.

    Attributes
    ----------
    destination
        A folder, best on another disk, or a bucket, ``s3://bucket/prefix?...``. Without one nothing is backed up of
        itself.
    """

    destination: str = ""
    keep: KeepConfig = KeepConfig()

    @property
    def rules(self) -> Keep:
        """What thinning goes by."""
        return Keep(**msgspec.structs.asdict(self.keep))


class TelemetryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where measurements go; where this is silent, the environment's ``OTEL_*`` variables say it.

    A secret, such as a header with a token, belongs into ``OTEL_EXPORTER_OTLP_HEADERS``, never into the settings.

    Attributes
    ----------
    exporter
        To whom: a collector (``otlp``), standard error (``console``), whoever scrapes (``prometheus``), or nobody
        (``none``).
    endpoint
        The collector's address.
    interval_seconds
        How often measurements are sent; without it once a minute.
    host, port
        Where ``prometheus`` answers while a command runs; without them on localhost, port 9464.
    textfile
        A file for the node exporter's textfile collector, written when a command ends.
    flush_seconds
        How long the end of a command waits for the last measurements to leave.
    """

    exporter: Literal["", "otlp", "console", "prometheus", "none"] = ""
    endpoint: str = ""
    interval_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    textfile: str = ""
    flush_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0

    def __post_init__(self) -> None:
        if not self.endpoint:
            return
        parts = urlsplit(self.endpoint)
        # Not a word of it is repeated: it may be a secret.
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("endpoint must be an http or https address, such as http://localhost:4318")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError(
                "endpoint must be no more than an address: put user, password or token"
                " into the environment variable OTEL_EXPORTER_OTLP_HEADERS"
            )

    def __repr__(self) -> str:
        shown = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "endpoint"}
        if self.endpoint:  # some services have the token in the path
            shown["endpoint"] = f"{urlsplit(self.endpoint).scheme}://{urlsplit(self.endpoint).netloc}"
        return f"TelemetryConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class TenantConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose collection it is, alone; nothing where several tenants' documents may lie in one.

    Attributes
    ----------
    id
        The tenant. `catalogkit tenant register` writes it.
    """

    id: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A collection's settings.

    Attributes
    ----------
    catalog
        Where the records are: ``sqlite:///`` and a path, seen from the collection's folder, or ``postgresql://...``.
    replica
        A server that follows the catalog's by streaming, ``postgresql://...``: whoever says that only reading is meant
        (``$CATALOGKIT_REPLICA``) asks that one.
    stores
        Stores beside the one that new bytes go to, by name: ``{ cold = "s3://papers-cold" }``.
    regions
        Other sites that this one syncs with, by name: a collection's folder, seen from this one's, or the address of a
        catalog on a server.
    cadence
        By the name of a store, how often its copies are checked at most, such as ``{ cold = "365d" }``.
    """

    catalog: str = "sqlite:///catalog.sqlite"
    replica: str = ""
    store: StoreConfig = StoreConfig()
    stores: dict[str, str] = {}  # more of them: name and URL
    regions: dict[str, str] = {}
    prices: dict[str, Price] = {}  # what it costs, by the name of the store
    cadence: dict[str, str] = {}
    tiering: TierPolicy = TierPolicy()
    retention: dict[str, Any] = {}
    dedup: DedupPolicy = DedupPolicy()
    backup: BackupConfig = BackupConfig()
    maintain: MaintainConfig = MaintainConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    tenant: TenantConfig = TenantConfig()
    extract: Limits = Limits()

    def __repr__(self) -> str:
        regions = {name: public(place) for name, place in self.regions.items()}
        shown = msgspec.structs.replace(
            self, catalog=public(self.catalog), replica=public(self.replica), regions=regions
        )
        return f"Config({', '.join(f'{name}={getattr(shown, name)!r}' for name in self.__struct_fields__)})"


def read_config(folder: Path) -> Config:
    """The settings of the collection in `folder`.

    Raises
    ------
    NotACollection
        If there are none.
    InvalidInput
        If they are not acceptable; the message names the setting.
    """
    path = folder / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise NotACollection(
            f"no collection at {folder}: it has no {CONFIG_NAME}; make one with `catalogkit init {folder}`,"
            " or name another with -C"
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"{path} cannot be read as UTF-8 text: {problem}") from None
    try:
        return parse_config(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, InvalidInput) as problem:
        raise InvalidInput(f"{path}: {twice(str(problem))}") from None


def parse_config(values: dict[str, Any]) -> Config:
    """Settings out of plain data; an unknown name or a value of the wrong kind is an `InvalidInput`."""
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as problem:
        raise InvalidInput(in_words(str(problem), Config)) from None
    for length in config.cadence.values():
        parse_duration(length)
    RetentionPolicy.parse(config.retention)  # only the names in a catalog are still to be looked at
    return config


def write_config(folder: Path, config: Config) -> None:
    """Write the settings of a new collection, whole or not at all: an empty file would mean every default."""
    store = config.store
    text = (
        f"catalog = {_toml(config.catalog)}\n\n[store]\nname = {_toml(store.name)}\nurl = {_toml(store.url)}\n"
        f"layout = {_toml(store.layout)}\ntemplate = {_toml(store.template)}\n"
    )
    _put(folder, text)


def rewrite_layout(folder: Path, layout: str) -> Config:
    """Change the layout in a collection's settings, in one step, and leave all else as it was written.

    Raises
    ------
    InvalidInput
        If the file is written in a way that this cannot edit.
    """
    path = folder / CONFIG_NAME
    old, text = read_config(folder), path.read_text(encoding="utf-8-sig")
    wanted = msgspec.structs.replace(old, store=msgspec.structs.replace(old.store, layout=layout))
    line = f"layout = {_toml(layout)}"
    for edited in (
        re.sub(r"(?m)^(\s*)layout\s*=\s*[\"'][a-z]*[\"']", rf"\1{line}", text),
        re.sub(r"(?m)^(\s*\[store\]\s*)$", rf"\1\n{line}", text),
        f"{text}\n[store]\n{line}\n",
    ):
        try:
            if parse_config(tomllib.loads(edited)) == wanted:
                _put(folder, edited)
                return wanted
        except (tomllib.TOMLDecodeError, InvalidInput):
            continue
    raise InvalidInput(f"{path} cannot be edited safely; write {line} below [store] yourself")


def add_tenant(folder: Path, tenant: TenantConfig, policies: str) -> None:
    """Write down, in one step, whose collection it is, and its policies, as TOML; the rest stays as it was written."""
    text = (folder / CONFIG_NAME).read_text(encoding="utf-8-sig")
    wanted = f"{text}\n[tenant]\nid = {_toml(tenant.id)}\n\n{policies}".rstrip() + "\n"
    parse_config(tomllib.loads(wanted))
    _put(folder, wanted)


class _Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: str


def read_server(folder: Path) -> str:
    """On which server the tenants below a folder are; nothing where they are on none."""
    path = folder / SERVER_NAME
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8-sig")), _Server).server
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise InvalidInput(f"{path}: {problem}") from None


def write_server(folder: Path, server: str) -> None:
    """Write down on which server the tenants below a folder are; no password of it."""
    _put(folder, f"server = {_toml(public(server))}\n", SERVER_NAME)


def rewrite_stores(folder: Path, name: str, url: str, others: dict[str, str]) -> Config:
    """Change which store new bytes go to, and which others there are, and leave all else as it was written.

    Raises
    ------
    InvalidInput
        If a name is not plain, or the file is written in a way that this cannot edit.
    """
    if bad := [one for one in (name, *others) if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", one)]:
        raise InvalidInput(f"{bad[0]!r} is no name for a store: use small letters, digits, - and _")
    path = folder / CONFIG_NAME
    old, text = read_config(folder), path.read_text(encoding="utf-8-sig")
    store = msgspec.structs.replace(old.store, name=name, url=url)
    wanted = msgspec.structs.replace(old, store=store, stores=others)
    if (name, url) != (old.store.name, old.store.url):
        text = _in_table(text, "store", {"name": name, "url": url})
    gone = dict.fromkeys(old.stores.keys() - others.keys())
    new = {one: place for one, place in others.items() if old.stores.get(one) != place}
    edited = _in_table(text, "stores", {**gone, **new}) if gone or new else text
    try:
        if parse_config(tomllib.loads(edited)) == wanted:
            _put(folder, edited)
            return wanted
    except (tomllib.TOMLDecodeError, InvalidInput):
        pass
    raise InvalidInput(f"{path} cannot be edited safely; write {name} = {_toml(url)} yourself")


def _in_table(text: str, table: str, values: dict[str, Any]) -> str:
    """A table of a TOML text with these values; None takes a line away."""
    found = re.search(rf"(?m)^\[{table}\][ \t]*\n", text)
    if found is None:
        text = f"{text.rstrip()}\n\n[{table}]\n"
        found = re.search(rf"(?m)^\[{table}\][ \t]*\n", text)
        assert found is not None
    after = re.search(r"(?m)^\[", text[found.end() :])
    end = found.end() + after.start() if after else len(text)
    body = text[found.end() : end]
    for name, value in values.items():
        line = re.compile(rf"(?m)^[ \t]*{re.escape(name)}[ \t]*=.*\n?")
        new = "" if value is None else f"{name} = {_toml(value)}\n"
        body = line.sub(lambda _, new=new: new, body) if line.search(body) else f"{new}{body}"  # type: ignore[misc]
    return f"{text[: found.end()]}{body}{text[end:]}"


def _put(folder: Path, text: str, name: str = CONFIG_NAME) -> None:
    unfinished = folder / f"{name}.{uuid.uuid4().hex}.part"  # programs of two machines may write it at once
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / name)


def _toml(text: str) -> str:
    # A JSON string is a TOML basic string, but for surrogate pairs, which this encoder never makes, and DEL.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
