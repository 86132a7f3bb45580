"""Bad input made out of good: bytes and texts that were changed a little, at random places."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

# What readers stumble over: numbers without end, words with a meaning, marks that end or begin something.
NASTY: Final = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b"\\", b"[", b"]", b"{", b"}", b"[[[[[[[[",
    b"-", b"%", b"9" * 40, b"-1", b"1e999", b"NaN", b"null", b"true", b"../..", b"\xc3\x28", b"1e400", b"\x1b[2J",
    b"0x10", b"1_000", b"\xed\xa0\x80", b"2026-02-30", b"9999-12-31T23:59:59+14:00", b"0000-00-00", b"\xe2\x88\x9e",
)  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with one to four changes: something cut out, put in, flipped, or said twice."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["cut", "insert", "replace", "flip", "twice", "end"])):
            case "cut":
                del data[at:until]
            case "insert":
                data[at:at] = draw(st.sampled_from(NASTY) | st.binary(max_size=8))
            case "replace":
                data[at:until] = draw(st.sampled_from(NASTY) | st.binary(max_size=8))
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "twice":
                data[until:until] = data[at:until]
            case "end":
                del data[at:]
    return bytes(data)


def mangled_text(*good: str) -> st.SearchStrategy[str]:
    """Any text, or one of these, changed a little."""
    changed = st.sampled_from(good).flatmap(lambda one: mangled(one.encode()))
    return st.text(max_size=60) | changed.map(lambda data: data.decode("utf-8", "replace"))
