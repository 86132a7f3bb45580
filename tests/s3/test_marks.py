"""Two copies of one catalog at one bucket, and the mark by which the second is found out, on every kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import catalogkit as ck
from catalogkit.errors import StoreMismatch
from catalogkit.stores.s3 import identity
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock
from tests.plans.scene import AT_ONCE, put, run
from tests.plans.test_twins import REFUSED, clock, collection_at, twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection

__all__ = ["clock", "twin"]


@pytest.mark.parametrize("kind", ["s3_url", "no conditions", "gs_url", "az_url"])
def test_one_exchanges_what_several_saw(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several that saw the same mark one exchanges it, whenever it changed since they looked."""
    url = request.getfixturevalue("s3_url" if kind == "no conditions" else kind)
    store = S3Layout.create(url + ("?conditional=false" if kind == "no conditions" else ""), name="main", catalog="x")
    assert store.marks() == [] and store.exchange_mark([], "one") and not store.exchange_mark([], "other")
    seen = identity.mark_in(store.bucket)
    assert store.exchange_mark(["one"], "two") and not store.exchange_mark(["one"], "three")
    for before in (seen, (None, [])):  # the look came just before somebody else's exchange
        with monkeypatch.context() as patched:
            patched.setattr(identity, "mark_in", lambda _, before=before: before)
            assert not store.exchange_mark(before[1], "four")
    assert store.marks() == ["two"]


def test_a_copy_of_the_catalog_at_its_bucket(
    tmp_path: Path, clock: Clock, s3_url: str, twin: Callable[[Collection], Collection]
) -> None:
    """What one took in the other may not condemn, nor take anything in once the first removed something."""
    with collection_at(tmp_path, clock, s3_url) as one:
        two, three = twin(one), twin(one)
        clock.advance(minutes=2)
        put(one, "c", b"c")
        with pytest.raises(StoreMismatch, match=REFUSED):
            run(two, ck.plan_gc(two, AT_ONCE))
        run(one, ck.plan_forget(one, [1]))
        run(one, ck.plan_gc(one, AT_ONCE))
        assert run(one, ck.plan_purge(one, AT_ONCE)).removed == 1
        with pytest.raises(StoreMismatch, match=REFUSED):
            put(three, "c", b"c")
        ck.adopt_store(three, "main")
        put(three, "d", b"d")
