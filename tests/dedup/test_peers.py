"""The same groups as a duplicate finder that looks at the files themselves, byte by byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.ingest import ingest
from catalogkit.planning import analyze_dedup_opportunities
from tests.dedup.cases import EAGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

Groups = set[frozenset[str]]


@pytest.fixture(scope="module")
def jdupes() -> str:
    """The peer; `make test` installs it where it can."""
    program = shutil.which("jdupes")
    assert program, "these tests compare with jdupes; install it (Debian: apt-get install jdupes) and run them again"
    return program


def peer(program: str, *folders: Path) -> Groups:
    """What jdupes finds below these folders: hard links and empty files are duplicates, too; every byte is compared."""
    options = ["--recurse", "--hard-links", "--zero-match", "--quiet", "--print-null"]
    done = subprocess.run([program, *options, *map(str, folders)], capture_output=True, check=True)
    sets = [one.strip(b"\0").split(b"\0") for one in done.stdout.split(b"\0\0")]
    return {frozenset(map(os.fsdecode, names)) for names in sets if names != [b""]}


def ours(collection: Collection) -> Groups:
    """What the catalog says: the names of each group, as paths."""
    found = analyze_dedup_opportunities(EAGER, collection=collection).decisions
    stores = {store.name: store for store in collection.stores.values()}
    groups: dict[tuple[str, str], set[str]] = {}
    for store, digest, keys in found.select("store", "sha256", "keys").iter_rows():
        groups.setdefault((store, digest), set()).update(map(stores[store].path, keys))
    return {frozenset(paths) for paths in groups.values()}


@pytest.fixture
def tree(source: Path) -> Path:
    """Files that are easy to take for duplicates and are not, and duplicates that are easy to miss."""
    random = Random(7)
    big = random.randbytes(300_000)
    contents = {
        "first": big,
        "last byte differs": big[:-1] + bytes([big[-1] ^ 1]),
        "first byte differs": bytes([big[0] ^ 1]) + big[1:],
        "longer": big + b"\0",
        "empty": b"",
        "nul": b"\0",
        "small": b"small",
    }
    names = [
        "plain.pdf",
        "with space.pdf",
        "Grüße.pdf",
        "Gru\u0308ße.pdf",
        "文書.pdf",
        "100%.pdf",
        "line\nbreak.pdf",
        "\udcff.pdf",
    ]
    for number, (folder, content) in enumerate(contents.items()):
        for name in names[: 1 + (number * 3) % len(names)] if folder != "nul" else names[:1]:
            path = source / folder / "deep" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (source / "twins").mkdir()
    for name in names:
        (source / "twins" / name).write_bytes(big)
    for number in range(40):
        (source / f"{number}").write_bytes(random.choice([b"a", b"b", b"c" * 5000, random.randbytes(20)]))
    os.link(source / "twins" / "plain.pdf", source / "one more name.pdf")
    os.link(source / "nul" / "deep" / "plain.pdf", source / "only hard links.pdf")
    return source


def test_the_same_groups_over_a_tree_that_stays_in_place(
    jdupes: str, tree: Path, make_collection: Callable[..., Collection]
) -> None:
    """Empty files, hard links, names in any alphabet or none: the groups are exactly those of jdupes."""
    collection = make_collection()
    assert ingest(collection, tree, mode="reference").failed == 0
    expected = peer(jdupes, tree)
    assert ours(collection) == expected
    assert len(expected) > 8 and sum(map(len, expected)) > 60


def lose_links(root: Path) -> int:
    """Make every name a file of its own, as a copy that does not know of hard links leaves a store; how many."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in files:
        copy = path.with_name("copy")
        shutil.copy2(path, copy)
        copy.replace(path)
    return len(files)


def test_the_same_groups_in_a_store(jdupes: str, tree: Path, make_collection: Callable[..., Collection]) -> None:
    """In a store of readable paths, with its links and without them; then what is spare is what jdupes would free."""
    collection = make_collection("policy")
    assert ingest(collection, tree).failed == 0
    docs = Path(collection.store.root, "docs")
    expected = peer(jdupes, docs)
    assert ours(collection) == expected
    assert analyze_dedup_opportunities(EAGER, collection=collection).totals.spare_bytes == 0
    assert lose_links(docs) > 60
    assert ours(collection) == peer(jdupes, docs) == expected
    apart = analyze_dedup_opportunities(EAGER, collection=collection).totals
    sizes = [Path(next(iter(group))).stat().st_size * (len(group) - 1) for group in expected]
    assert (apart.freed_bytes, apart.left_bytes) == (sum(sizes), 0)
