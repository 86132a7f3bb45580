"""Settings: read strictly, written so that they are read back, never a silent default (hazard 64)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.config import CONFIG_NAME, Config, StoreConfig, parse_config, read_config, write_config
from catalogkit.errors import InvalidInput, NotACollection

if TYPE_CHECKING:
    from pathlib import Path

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(catalog=text, name=text, url=text, layout=st.sampled_from(["cas", "policy"]), template=text)
def test_settings_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, catalog: str, name: str, url: str, layout: str, template: str
) -> None:
    """Whatever the settings, quotes, control characters and all, the file gives them back."""
    folder = tmp_path_factory.mktemp("config")
    config = Config(
        catalog=catalog,
        store=StoreConfig(name=name, url=url, layout=layout, template=template),  # type: ignore[arg-type]
    )
    write_config(folder, config)
    assert read_config(folder) == config
    assert os.listdir(folder) == [CONFIG_NAME]


@pytest.mark.parametrize("special", ["\x7f", "\x00", "\\", '"""', "\r\n", "\x85\u2028", "\U0001f642"])
def test_special_characters_survive(tmp_path: Path, special: str) -> None:
    """Characters that TOML wants escaped are escaped."""
    write_config(tmp_path, Config(catalog=special))
    assert read_config(tmp_path).catalog == special


def test_an_interrupted_write_leaves_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file would mean defaults, so until it is whole there is none; what was there stays."""

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write_config(tmp_path, Config())
    with pytest.raises(NotACollection):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "content, named",
    [
        ('catalogue = "sqlite:///c"', "catalogue"),
        ('[store]\nroot = "x"', "root"),
        ('[store]\nlayout = "tree"', "tree"),
        ("catalog = 20240101", "catalog"),
        ("[store]\nname = 5", "name"),
        ('store = "here"', "store"),
        ("[retention]\nage_dayz = 5", "'age_dayz' is not known; did you mean 'age_days'"),
        ("[retention.size_tier_rules]\nlarg = 5", "did you mean 'large'"),
        ("[retention.tenants.acme]\nage_days = 'x'", "tenants.acme: age_days"),
        ("retention = 5", "retention"),
        ("catalog = ", CONFIG_NAME),
        ('catalog = "a"\ncatalog = "b"', CONFIG_NAME),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, named: str) -> None:
    """An unknown setting, a value of the wrong kind or a slip of the pen is an error that names file and setting."""
    (tmp_path / CONFIG_NAME).write_text(content)
    with pytest.raises(InvalidInput, match=named) as caught:
        read_config(tmp_path)
    assert CONFIG_NAME in str(caught.value)


@pytest.mark.parametrize("content", [b"catalog = '\xff'", "catalog = 'a'".encode("utf-16")])
def test_other_encodings_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is not UTF-8 is an error of the file, not of Python."""
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_config(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Some editors begin a UTF-8 file with a mark."""
    (tmp_path / CONFIG_NAME).write_bytes(b"\xef\xbb\xbfcatalog = 'sqlite:///ours'")
    assert read_config(tmp_path).catalog == "sqlite:///ours"


def test_a_folder_by_that_name_is_refused(tmp_path: Path) -> None:
    """Something that cannot be read where the settings should be is told, as one of our own errors."""
    (tmp_path / CONFIG_NAME).mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_config(tmp_path)


def test_no_settings_is_no_collection(tmp_path: Path) -> None:
    """A folder without settings, or that is no folder, is no collection; the error says how to make one."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "no such", tmp_path / "file"):
        with pytest.raises(NotACollection, match="catalogkit init"):
            read_config(folder)
    (tmp_path / "below").mkdir()
    write_config(tmp_path, Config())
    with pytest.raises(NotACollection):
        read_config(tmp_path / "below")


def test_plain_data_becomes_settings() -> None:
    """What is left out has its default; what is given is kept."""
    assert parse_config({}) == Config()
    assert parse_config({"store": {"layout": "policy"}}).store == StoreConfig(layout="policy")
    with pytest.raises(InvalidInput, match="layout"):
        parse_config({"store": {"layout": None}})
