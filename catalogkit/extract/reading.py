"""From bytes to facts in one process: what a worker does for each document."""

from __future__ import annotations

from catalogkit.content import ContentMetadata, Reason
from catalogkit.extract.facts import RefusedError, told, words
from catalogkit.extract.registry import NONE, Extractor, reader_of
from catalogkit.extract.sniffing import is_encrypted_office, media_type_of
from catalogkit.policies.extract import Limits
from catalogkit.sniff import EMPTY


def read(data: bytes, limits: Limits) -> ContentMetadata:
    """What is inside a document, or why that cannot be told; raises nothing."""
    media_type = media_type_of(data)
    reader = reader_of(media_type)
    try:
        if media_type == EMPTY:
            raise RefusedError(Reason.EMPTY, "there are no bytes")
        if is_encrypted_office(data, media_type):
            raise RefusedError(Reason.ENCRYPTED, "it needs a password", encrypted=True)
        if reader is NONE:
            raise RefusedError(Reason.UNSUPPORTED, f"nothing here reads {media_type}")
        if package := reader.missing():
            extra = "pdf" if package.startswith("pypdf") else "extract"
            raise RefusedError(Reason.NEEDS_EXTRA, f"{package} is not installed: pip install 'catalogkit[{extra}]'")
        return told(reader.extract(data, limits, media_type), reader.name, reader.version, media_type, limits)
    except RefusedError as problem:
        return refused(problem.reason, problem.detail, media_type, encrypted=problem.encrypted)
    except RecursionError:
        return refused(Reason.DAMAGED, "it is nested too deeply", media_type)
    except MemoryError:
        return refused(Reason.MEMORY, "reading it took more memory than the limit", media_type)
    except Exception as problem:  # noqa: BLE001 - a library fails in ways of its own; that is a fact about the document
        return refused(Reason.CRASHED, f"{type(problem).__name__}: {problem}", media_type)


def refused(reason: Reason, detail: str, media_type: str, *, encrypted: bool = False) -> ContentMetadata:
    """The fact that nothing can be told."""
    reader: Extractor = reader_of(media_type)
    return ContentMetadata(
        extractor=reader.name,
        version=0 if reason is Reason.NEEDS_EXTRA else reader.version,
        media_type=media_type,
        reason=reason,
        detail=words(detail, 500) or "",
        encrypted=encrypted,
    )
