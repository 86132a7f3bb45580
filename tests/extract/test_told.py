"""The count of what is told right: it counts what is right, and finds what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import told as count
from benchmarks import told_data
from catalogkit.extract.reading import read
from catalogkit.policies.extract import Limits
from tests.extract.made import PROSE, epub, pdf

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = [{"id": n, "name": None if n % 3 else "a", "tags": ["x", n], "size": n / 2} for n in range(12)]


def differences(data: bytes, **changed: Any) -> set[str]:
    """The fields in which what is told differs from what other programs tell."""
    told = replace(read(data, Limits()), **changed)
    found = list(told_data.said(data, told))
    assert {field for field, _, _ in found} > {"json top level", "json records"}
    return {field for field, theirs, ours in found if theirs != ours}


@pytest.mark.parametrize("lines", [False, True])
def test_a_schema_is_judged_by_others(lines: bool) -> None:
    """Ours agrees with genson's; one that allows anything, or too little, or forgets a name does not."""
    data = ("\n".join(map(json.dumps, RECORDS)) if lines else json.dumps(RECORDS)).encode()
    assert differences(data) == set()
    told = dict(read(data, Limits()).schema or {})
    assert differences(data, schema={}) == {"json schema places", "json change refused"}
    record = told if lines else told["items"]
    narrow = record | {"properties": record["properties"] | {"name": {"type": "string"}}}
    wrong = differences(data, schema=narrow if lines else told | {"items": narrow})
    assert {"json values fit", "json schema places"} <= wrong
    lax = {key: value for key, value in record.items() if key != "required"}
    assert "json schema places" in differences(data, schema=lax if lines else told | {"items": lax})
    assert differences(data, more={"top_level": "string", "record_count": 1}) == {"json top level", "json records"}


def test_a_folder_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Field by field, each beside the program that is asked about it; a difference is told with its file."""
    (tmp_path / "a.json").write_text(json.dumps(RECORDS))
    (tmp_path / "a.pdf").write_bytes(pdf(PROSE, info="/Title (Birds) /Author (Ada ; Bo) /CreationDate (D:20200131)"))
    (tmp_path / "a.epub").write_bytes(epub("<dc:title>Birds</dc:title><dc:language>en</dc:language>"))
    (tmp_path / "a.html").write_text(
        '<!doctype html><title>A</title><title>B</title><meta name=description content="D">'
    )
    count.main(tmp_path)
    said = capsys.readouterr().out
    for field in ("json values fit", "epub title", "html description", "html title"):
        assert f"{field:<18}     1 of 1 " in said, said
    assert "json schema places" in said and ": a." not in said
