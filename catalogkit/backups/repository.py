"""A folder of backups: which there are, which are complete, and what each proved last."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.backups.manifest import MANIFEST, NAME, PIECES, Manifest, content_of, decode
from catalogkit.backups.pieces import lengths, load_chunk
from catalogkit.catalog.sqlite.images import image_facts, image_problems
from catalogkit.errors import CatalogError, InvalidInput, StoreError
from catalogkit.model import Digest
from catalogkit.workers import processors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.backups.target import Target

PROOF: Final = "proof.json"
BYTES: Final = "bytes"


class Proof(NamedTuple):
    """What a drill found: when, whether all was well, and what it looked at."""

    as_of: datetime
    ok: bool
    facts: dict[str, Any]


def names(target: Target) -> list[str]:
    """Every backup that was completed, oldest first."""
    return [name for name in target.tops() if is_name(name) and target.size(f"{name}/{MANIFEST}") is not None]


def is_name(text: str) -> bool:
    """Whether a folder of that name is a backup's."""
    return bool(NAME.fullmatch(text))


def load(target: Target, name: str) -> Manifest:
    """The manifest of a backup.

    Raises
    ------
    InvalidInput
        If there is no such backup.
    StoreError
        If it is damaged.
    """
    if not is_name(name) or target.size(f"{name}/{MANIFEST}") is None:
        raise InvalidInput(f"there is no backup {name!r} in {target.describe()}; `catalogkit backups` lists them")
    key = f"{name}/{MANIFEST}"
    manifest = decode(target.get(key), target.describe(key))
    if manifest.name != name:
        raise StoreError(f"{target.describe(key)} is the manifest of {manifest.name}; use another backup")
    return manifest


def loaded(target: Target) -> tuple[list[Manifest], dict[str, str]]:
    """Every backup with a good manifest, oldest first; and what is wrong with the others."""
    good, bad = [], {}
    for name in names(target):
        try:
            good.append(load(target, name))
        except StoreError as problem:
            bad[name] = str(problem)
    # Their names tell seconds; of two in one second the later one comes last all the same.
    return sorted(good, key=lambda one: (one.as_of, one.name)), bad


def fitting(target: Target, catalog: str) -> list[Manifest]:
    """The backups there are of this catalog.

    Raises
    ------
    InvalidInput
        If the place holds another catalog's backups, or something else: nothing of ours is put among strangers.
    """
    strange = [name for name in target.tops() if name not in (PIECES, BYTES) and not is_name(name)]
    if strange:
        raise InvalidInput(f"{target.describe()} holds other files ({strange[0]}); name a new folder for backups")
    found, _ = loaded(target)
    for manifest in found:
        if manifest.catalog != catalog:
            raise InvalidInput(f"{target.describe()} holds backups of another catalog; name another folder")
    return found


def bytes_key(digest: Digest) -> str:
    """Where the bytes of a blob lie in a repository that has them."""
    text = digest.hex()
    return f"{BYTES}/{text[:2]}/{text}"


# -- reading a backup ----------------------------------------------------------------------------------------------


def parts(target: Target, manifest: Manifest) -> Iterator[bytes]:
    """The image, chunk by chunk, every piece compared with its digest.

    Raises
    ------
    StoreError
        If anything is missing, or is not what it was.
    """
    if content_of(chunk.sha256 for chunk in manifest.chunks) != manifest.content_sha256:
        raise StoreError(f"the manifest of {manifest.name} names chunks that are not its content")
    ahead = processors()
    with ThreadPoolExecutor(ahead) as threads:
        for start in range(0, len(manifest.chunks), ahead):
            some = manifest.chunks[start : start + ahead]
            sizes = lengths(manifest.image_bytes, manifest.chunk_bytes)[start : start + ahead]
            for data, (_, size) in zip(threads.map(lambda one: load_chunk(target, one), some), sizes, strict=True):
                if len(data) != size:
                    raise StoreError(f"a chunk of {manifest.name} has {len(data)} bytes instead of {size}")
                yield data


def put_together(target: Target, manifest: Manifest, path: str) -> bool:
    """Write an image to `path`, to be changed by whoever asked; False where it cannot be read any more."""
    try:
        with open(path, "xb") as file:
            for part in parts(target, manifest):
                file.write(part)
    except (StoreError, OSError):
        return False
    return True


def differs(path: str, manifest: Manifest) -> list[str]:
    """What is wrong with the image at `path`, put together from a backup; empty is good."""
    problems = image_problems(path)
    if problems:
        return problems
    try:
        found = image_facts(path)
    except CatalogError as problem:
        return [str(problem)]
    told = {
        "catalog": (found.identity, manifest.catalog),
        "schema": (found.schema, manifest.schema),
        "history": ((found.changes, found.last_id), (manifest.changes, manifest.last_id)),
        **{name: (found.counts.get(name), count) for name, count in manifest.counts.items()},
    }
    return [
        f"{name}: {is_now} where the manifest says {said}" for name, (is_now, said) in told.items() if is_now != said
    ]


# -- proofs --------------------------------------------------------------------------------------------------------


def write_proof(target: Target, name: str, proof: Proof) -> None:
    """Put what a drill found next to its backup, over what an earlier one found."""
    plain = {"as_of": proof.as_of.isoformat(), "ok": proof.ok, "facts": proof.facts}
    body = json.dumps(plain, indent=1)
    digest = hashlib.sha256(body.encode()).hexdigest()
    target.put(f"{name}/{PROOF}", [json.dumps({"proof": plain, "sha256": digest}, indent=1).encode()])
    target.settle(name)


def read_proof(target: Target, name: str) -> Proof | None:
    """What the last drill of a backup found; None where there was none, or where its proof is damaged."""
    key = f"{name}/{PROOF}"
    if target.size(key) is None:
        return None
    try:
        whole = json.loads(target.get(key))
        plain = whole["proof"]
        if hashlib.sha256(json.dumps(plain, indent=1).encode()).hexdigest() != whole["sha256"]:
            return None
        return Proof(datetime.fromisoformat(plain["as_of"]), bool(plain["ok"]), dict(plain["facts"]))
    except (ValueError, KeyError, TypeError):
        return None
