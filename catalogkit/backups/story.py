"""Invents five nights of backups of the demo, in a copy that may be thrown away."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.apply import apply
from catalogkit.backups.drilling import drill
from catalogkit.backups.making import backup_catalog
from catalogkit.collection import open_collection
from catalogkit.planning import plan_forget

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from catalogkit.collection import Collection

NIGHTS = 5
FORGOTTEN = 6


def demo_backups(demo: Collection, folder: str | os.PathLike[str], *, as_of: datetime) -> tuple[Collection, str]:
    """Copy the demo, back it up for some nights while documents are forgotten, and prove some of the backups.

    Returns
    -------
    tuple
        The copy's collection, and the folder of its backups.
    """
    home, destination = Path(folder) / "collection", str(Path(folder) / "backups")
    shutil.copytree(demo.path, home, symlinks=True)
    copy = open_collection(home, clock=lambda: as_of)
    documents = copy.frame("documents")["id"].sort().to_list()
    for night in range(NIGHTS):
        when = as_of - timedelta(days=NIGHTS - night, hours=1)
        backup_catalog(destination, include_storage_uri=True, collection=copy, as_of=when)
        if night % 2:
            drill(destination, collection=copy, as_of=when + timedelta(minutes=20))
        gone = documents[night * 40 : night * 40 + FORGOTTEN * (night + 1)]
        evening = when + timedelta(hours=9)
        plan = plan_forget(copy, gone, as_of=evening)
        apply(copy, plan, unapproved=True, max_share=1.0, as_of=evening)
    return copy, destination
