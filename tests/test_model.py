"""The nouns: what they accept, and that nothing is lost between a value and how it is written down."""

from __future__ import annotations

import os
import pickle
import types
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput
from catalogkit.model import (
    COLUMNS,
    Arrival,
    Digest,
    from_us,
    inode_of,
    json_text,
    path_text,
    schema,
    text_path,
    to_us,
)

HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
relaxed = settings(deadline=None)


# -- digests -----------------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_being_written(raw: bytes) -> None:
    """32 bytes, their 64 hex digits and their pickle are one digest."""
    digest = Digest(raw)
    assert Digest.parse(str(digest)) == digest == raw
    assert type(pickle.loads(pickle.dumps(digest))) is Digest
    assert pickle.loads(pickle.dumps(digest)) == digest
    assert {digest: 1}[Digest(raw)] == 1


@pytest.mark.parametrize(
    "bad",
    [
        "", HEX[:-1], HEX + "0", HEX.upper(), HEX[:-1] + "g", HEX + "\n", " " + HEX[1:], "0x" + HEX[2:],
        "../" + HEX[3:], HEX[:-1] + "٣", HEX[:-1] + "ａ", "é" * 64, "sha256:" + HEX, HEX[:32] + "\x00" + HEX[33:],
    ],
)  # fmt: skip
def test_only_64_lower_case_hex_digits_are_a_digest(bad: str) -> None:
    """Anything else is refused, whatever it looks like (hazard 27)."""
    with pytest.raises(InvalidInput, match="SHA-256"):
        Digest.parse(bad)


@relaxed
@given(st.one_of(st.text(max_size=70), st.text("0123456789abcdefABCDEF\n ./", min_size=60, max_size=68)))
@example(HEX)
def test_parsing_any_text_gives_its_digest_or_a_refusal(text: str) -> None:
    """Parsing never accepts a text that is not exactly how the digest is written."""
    try:
        digest = Digest.parse(text)
    except InvalidInput:
        assert len(text) != 64 or set(text) - set("0123456789abcdef")
    else:
        assert str(digest) == text


@pytest.mark.parametrize("size", [0, 20, 31, 33, 64])
def test_a_digest_has_32_bytes(size: int) -> None:
    """Bytes of another length are no SHA-256 digest."""
    with pytest.raises(InvalidInput, match=f"not {size}"):
        Digest(bytes(size))


def test_a_digest_is_shown_short() -> None:
    """For a person the first digits are enough."""
    assert repr(Digest.parse(HEX)) == "Digest('e3b0c442…')"


# -- arrivals ----------------------------------------------------------------------------------------------------


def arrival(**changes: Any) -> Arrival:
    return Arrival(**{"artifact_id": "a", "source_url": "https://example.org/a"} | changes)


@pytest.mark.parametrize("field", ["tenant", "artifact_id", "source_url"])
@pytest.mark.parametrize("empty", ["", None])
def test_a_document_needs_a_name(field: str, empty: str | None) -> None:
    """Without tenant, artifact id or source URL nothing is a document."""
    with pytest.raises(InvalidInput, match=field):
        arrival(**{field: empty})


@pytest.mark.parametrize("field", sorted(set(Arrival.__dataclass_fields__) - {"fetched_at", "metadata"}))
@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800b", 5, b"bytes"])
def test_fields_are_text_that_any_database_holds(field: str, bad: Any) -> None:
    """NUL, unpaired surrogates and other types are refused in every field (hazard 60)."""
    with pytest.raises(InvalidInput, match=field):
        arrival(**{field: bad})


@pytest.mark.parametrize("metadata", [{"a": object()}, {"a": "\ud800"}, {1: "a"}, {"a": pl}, 5, ["a"]])
def test_metadata_is_json(metadata: Any) -> None:
    """Metadata that JSON cannot hold is refused when it arrives, not when it is stored."""
    with pytest.raises(InvalidInput, match="JSON"):
        arrival(metadata=metadata)


def test_metadata_that_refers_to_itself_is_refused() -> None:
    """A structure without an end is an error, not an endless loop."""
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidInput, match="JSON"):
        arrival(metadata=endless)


def test_a_fetch_time_has_a_zone() -> None:
    """A naive fetch time would mean another moment elsewhere."""
    with pytest.raises(InvalidInput, match="time zone"):
        arrival(fetched_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_identity_is_five_fields() -> None:
    """What makes a document the same document is neither its run, nor its time, nor what a server says of it."""
    one = arrival(tenant="t", resolver="r", variant="v", run_id="1", content_type="x/y", metadata={"a": 1})
    other = arrival(tenant="t", resolver="r", variant="v", run_id="2", fetched_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert one.identity == other.identity == ("t", "a", "https://example.org/a", "r", "v")


# -- times, inodes, JSON -----------------------------------------------------------------------------------------


zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones))  # noqa: DTZ001
def test_a_time_survives_as_microseconds(when: datetime) -> None:
    """Any aware time comes back as the same moment, in UTC, to the microsecond."""
    back = from_us(to_us(when))
    assert back == when
    assert back.tzinfo is UTC


@given(st.integers(0, 2**64 - 1))
def test_an_inode_fits_a_signed_column(number: int) -> None:
    """Inodes of all 64 bits become signed numbers, different ones different."""
    about = os.stat_result((0, number, 0, 0, 0, 0, 0, 0, 0, 0))
    assert -(2**63) <= inode_of(about) < 2**63
    assert inode_of(about) % 2**64 == number


def test_json_text_is_stable_and_plain() -> None:
    """Equal values give equal text, digests are hex in it, times ISO 8601, and letters stay letters."""
    value = {"ü": Digest.parse(HEX), "a": types.MappingProxyType({"when": date(2026, 1, 1)}), "b": {"1": [None, True]}}
    assert json_text(value) == f'{{"a":{{"when":"2026-01-01"}},"b":{{"1":[null,true]}},"ü":"{HEX}"}}'
    assert json_text(dict(reversed(value.items()))) == json_text(value)


# -- file names --------------------------------------------------------------------------------------------------


names = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\x00", b"?").replace(b"/", b"_"))


@relaxed
@given(names)
@example(b"caf\xe9 100%.pdf")
@example(b"%41")
@example("é\u200b\U0001f642".encode())
@example(b"\xed\xa0\x80")
@example(b"\xff%FF\n")
def test_any_file_name_survives_as_text(name: bytes) -> None:
    """Whatever bytes a name has, its text can be stored anywhere and gives the name back."""
    written = path_text(name)
    assert os.fsencode(text_path(written)) == name
    assert written.encode().decode() == written
    assert written.isprintable()


@relaxed
@given(names, names)
def test_different_names_have_different_texts(one: bytes, other: bytes) -> None:
    """No two files share a text."""
    assert (path_text(one) == path_text(other)) == (one == other)


@pytest.mark.parametrize(
    "name, written",
    [
        ("paper.pdf", "paper.pdf"),
        ("Ünïcode 码 🙂.pdf", "Ünïcode 码 🙂.pdf"),
        ("100%.pdf", "100%25.pdf"),
        ("a\nb\x00c\x7f", "a%0Ab%00c%7F"),
        (b"caf\xe9", "caf%E9"),
        (b"\xc3\xa9\xe9", "é%E9"),
        ("a/b\\c", "a/b\\c"),
    ],
)
def test_names_stay_readable(name: str | bytes, written: str) -> None:
    """Only what cannot be shown, and the sign that marks it, is spelled out."""
    assert path_text(name) == written


# -- frames ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", COLUMNS)
def test_frames_have_plain_types(table: str) -> None:
    """Digests are text, sizes 64-bit, times microseconds in UTC, in every frame."""
    kinds = schema(table)
    for name, kind in kinds.items():
        if name.endswith("_at") or name.startswith("valid_"):
            assert kind == pl.Datetime("us", "UTC")
        if name == "sha256":
            assert kind == pl.String()
        if name in ("id", "bytes", "inode", "mtime_ns", "refs", "document_id", "location_id"):
            assert kind == pl.Int64()
    assert pl.DataFrame(schema=kinds).schema == kinds
