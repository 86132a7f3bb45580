"""catalogkit: know every document, prove its bytes, shrink the pile safely.

>>> import catalogkit as ck
>>> c = ck.open("my-collection")  # doctest: +SKIP
>>> ck.ingest(c, "downloads")     # doctest: +SKIP
>>> ck.verify(c)                  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from catalogkit.analytics import DedupAnalytics as DedupAnalytics
    from catalogkit.collection import Collection as Collection
    from catalogkit.collection import init as init
    from catalogkit.collection import open_collection as open
    from catalogkit.demo import demo_collection as demo_collection
    from catalogkit.demo import is_demo as is_demo
    from catalogkit.ingest import ingest as ingest
    from catalogkit.ingest import register_or_get as register_or_get
    from catalogkit.verify import verify as verify
    from catalogkit.verify import verify_batch as verify_batch

__version__ = "0.1.0"

# Public name -> where it lives. Loaded when first used, so that a command line that needs little stays quick.
_WHERE: Final = {
    "Collection": "collection",
    "DedupAnalytics": "analytics",
    "demo_collection": "demo",
    "init": "collection",
    "ingest": "ingest",
    "is_demo": "demo",
    "open": "collection:open_collection",
    "register_or_get": "ingest",
    "verify": "verify",
    "verify_batch": "verify",
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'catalogkit' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = globals()[name] = getattr(import_module(f"catalogkit.{module}"), attribute or name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
