"""Views: a tree of readable paths that lead to the stored bytes, rebuilt from the catalog on request.

A view is a symbolic link, and lies outside of what the store counts as documents. It costs no bytes and can be thrown
away. What it leads to is read-only; an editor that saves by renaming exchanges the link for a file of its own, which
the next call leaves alone and tells of.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput, StoreError
from catalogkit.layouts import Template
from catalogkit.planning.migrate import readable_keys
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.collection import Collection

FOLDER: Final = "views"


@dataclass(slots=True)
class ViewsReport:
    """What came of making views: links `made`, `kept` as they were, `removed` because nothing has that path any more.

    `in_the_way` are paths where something that is no view lies; it was left as it is. `without_bytes` counts documents
    of which every copy is known to be bad.
    """

    folder: str
    made: int = 0
    kept: int = 0
    removed: int = 0
    without_bytes: int = 0
    in_the_way: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Views", self.to_dict() | {"in_the_way": len(self.in_the_way)})


def make_views(collection: Collection, folder: Path | str | None = None, *, template: str | None = None) -> ViewsReport:
    """Make a readable path for every document, and remove those that no document has any more.

    Parameters
    ----------
    folder
        Where; by default ``views`` in the collection's folder. Only symbolic links into the store are ever removed.
    template
        Such as ``{resolver}/{artifact_id}/{basename}``; by default the collection's.

    Raises
    ------
    InvalidInput
        If the folder lies in the store, or the template is not acceptable.

    Examples
    --------
    >>> ck.make_views(c).to_dict()["made"]
    3
    """
    home = Path(os.path.realpath(folder or collection.path / FOLDER))
    root = Path(_local(collection).root)
    if home == root or root in home.parents:
        raise InvalidInput(f"{home} lies in the store; views lie elsewhere")
    collection.store.reach()
    report = ViewsReport(str(home))
    wanted = _wanted(collection, Template(template) if template else collection.template, home, report)
    for path in _views(home, root):
        if str(path) not in wanted:
            path.unlink()
            report.removed += 1
            _tidy(path.parent, home)
    for place, leads in wanted.items():
        _make(Path(place), leads, root, report)
    return report


def _local(collection: Collection) -> LocalStore:
    store = collection.store
    if not isinstance(store, LocalStore):
        raise InvalidInput(f"views lead into a folder, and this collection's bytes lie in {store.root}")
    return store


def _wanted(collection: Collection, template: Template, home: Path, report: ViewsReport) -> dict[str, str]:
    """Every view's path, and where it is to lead."""
    leads: dict[str, str] = {}
    documents = collection.frame("documents").sort("id")
    # One copy in the store for each content: the content address if there is one.
    copies = collection.frame("locations").filter(store=collection.store.name).sort("layout", "id")
    known = {
        row["sha256"]: row["key"] for row in reversed(copies.to_dicts()) if row["outcome"] in (None, "ok", "unknown")
    }
    for key, row in readable_keys(documents, template, {}):
        at = known.get(row["sha256"])
        if at is None:
            report.without_bytes += 1
        else:
            path = home / key.removeprefix("docs/")
            leads[str(path)] = os.path.relpath(_local(collection).path(at), path.parent)
    return leads


def _make(path: Path, leads: str, root: Path, report: ViewsReport) -> None:
    try:
        if path.is_symlink() and os.readlink(path) == leads:
            report.kept += 1
        elif os.path.lexists(path) and not _is_view(path, root):
            report.in_the_way.append(str(path))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{uuid.uuid4().hex}")
            new.symlink_to(leads)
            new.replace(path)
            report.made += 1
    except (FileExistsError, NotADirectoryError):
        report.in_the_way.append(str(path))  # a file where a folder should be
    except OSError as problem:
        raise StoreError(f"cannot make a view at {path}: {problem.strerror}") from problem


def _is_view(path: Path, root: Path) -> bool:
    """Whether a symbolic link into the store lies there."""
    return path.is_symlink() and root in Path(os.path.normpath(path.parent / os.readlink(path))).parents


def _views(folder: Path, root: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        for name in [*names, *folders]:
            if _is_view(path := Path(here, name), root):
                yield path


def _tidy(folder: Path, home: Path) -> None:
    """Remove folders that became empty."""
    while folder != home and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def drop_old_paths(collection: Collection) -> int:
    """Remove the symbolic links that a migration left at old paths, once nobody uses these any more; how many."""
    collection.store.reach()
    root = Path(_local(collection).root)
    found = list(_views(root / "docs", root))
    for path in found:
        path.unlink()
        _tidy(path.parent, root / "docs")
    return len(found)
