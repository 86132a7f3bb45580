"""papermill without its heavy imports, for notebooks in local folders.

papermill also reads and writes buckets and clusters, and loads whatever is installed for them: boto3, Arrow, numpy.
jsonschema, which notebooks are checked with, loads what addresses, durations and so on are checked with, none of which
notebooks have. Both do without what is absent. So it is said to be, for as long as they are loaded.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_papermill"]

_STORES: Final = ("boto3", "pyarrow", "azure", "gcsfs", "github")
_FORMATS: Final = ("rfc3987_syntax", "rfc3986_validator", "isoduration", "webcolors", "fqdn")


def load_papermill() -> None:
    """Load papermill without all that: for a process of our own, where nobody else uses it or waits for memory.

    Without it, `catalogkit.reports` loads it whole.
    """
    if "papermill" in sys.modules:
        return
    # Looking for garbage in what libraries are made of takes a tenth of a report, and as much again at the end.
    gc.set_threshold(100_000, 10, 10)
    atexit.register(gc.freeze)
    with _absent(*_STORES, *_FORMATS), contextlib.suppress(ImportError):  # whoever needs it says what is lacking
        import papermill as papermill


@contextlib.contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Have modules that are not loaded look as if they were not installed."""
    hidden = dict.fromkeys(name for name in names if name not in sys.modules)
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
