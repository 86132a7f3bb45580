"""Processes that read documents: whatever happens to one, every document gets its answer, and the right one."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from catalogkit.content import Reason
from catalogkit.extract.sandbox import Sandbox, kept
from catalogkit.policies.extract import Limits
from tests.extract.made import PROSE, epub

SLOW = b"<!doctype html><title>x</title>" + b"<div>" * 300_000
LIMITS = Limits(seconds=30, cpu_seconds=1)


def texts(count: int) -> list[bytes]:
    return [f"Text number {n}. {PROSE}".encode() for n in range(count)]


def test_every_document_is_answered_once_by_its_digest() -> None:
    """Many documents, two processes: each answered, none twice, the digest that of the bytes that were read."""
    asked = texts(200)
    with Sandbox(LIMITS, 2) as sandbox:
        answers = dict(sandbox.read(asked, kept))
        assert len(sandbox._children) == 2
    assert answers.keys() == set(asked)
    for document, answer in answers.items():
        assert (answer.sha256, answer.size_bytes) == (hashlib.sha256(document).digest(), len(document))
        assert answer.content is not None and answer.content.preview.startswith(document[:14].decode())


def test_a_document_that_takes_too_long_is_refused_and_no_other() -> None:
    """Processor time ends the process; those that were sent ahead are read by the next one."""
    asked = [*texts(5), SLOW, *texts(12)[5:]]
    with Sandbox(LIMITS, 1) as sandbox:
        answers = dict(sandbox.read(asked, kept))
    refused = {document for document, answer in answers.items() if answer.content and answer.content.reason}
    assert refused == {SLOW} and len(answers) == 13
    content = answers[SLOW].content
    assert content is not None and content.reason is Reason.TIME and content.media_type == "text/html"
    assert answers[SLOW].sha256 == hashlib.sha256(SLOW).digest()


def test_time_by_the_clock_ends_it_too() -> None:
    """A process that gets no processor, or waits for ever, is ended by its parent."""
    with Sandbox(Limits(seconds=0.2, cpu_seconds=60), 1) as sandbox:
        list(sandbox.read(texts(1), kept))  # the time to load libraries is no document's
        ((_, answer),) = sandbox.read([SLOW], kept)
    assert answer.content is not None and answer.content.reason is Reason.TIME


def test_memory_is_bounded(tmp_path: Path) -> None:
    """What takes more memory than the limit is refused; the process that asked for it does not grow without end."""
    big = b"[" + b'{"a":1,"b":[1,2,3,4]},' * 1_200_000 + b"0]"
    with Sandbox(Limits(memory_bytes=400_000_000, cpu_seconds=60, seconds=60), 1) as sandbox:
        answers = dict(sandbox.read([big, *texts(3)], kept))
    content = answers[big].content
    assert content is not None and content.reason in (Reason.MEMORY, Reason.CRASHED)
    assert all(answer.content and answer.content.ok for document, answer in answers.items() if document != big)


@pytest.mark.parametrize(
    "number, reason",
    [(signal.SIGSEGV, Reason.CRASHED), (signal.SIGKILL, Reason.MEMORY), (signal.SIGABRT, Reason.CRASHED)],
)
def test_a_process_that_dies_refuses_one_document(number: int, reason: Reason) -> None:
    """A crash in a library is a fact about the document it was reading, and no more."""
    asked = [SLOW, *texts(8)]

    def strike(sandbox: Sandbox) -> None:
        while not sandbox._children:
            time.sleep(0.01)
        (child,) = sandbox._children
        while not (int(Path(f"/proc/{child._process.pid}/stat").read_text().split()[13]) > 60):
            time.sleep(0.01)
        os.kill(child._process.pid, number)

    with Sandbox(Limits(cpu_seconds=60, seconds=60), 1) as sandbox:
        striker = threading.Thread(target=strike, args=(sandbox,))
        striker.start()
        answers = dict(sandbox.read(asked, kept))
        striker.join()
    refused = {
        document: told.reason for document, answer in answers.items() if (told := answer.content) and told.reason
    }
    assert refused == {SLOW: reason} and len(answers) == 9


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A file that is not there is a problem of its own, not a fact about any bytes."""
    (tmp_path / "there").write_bytes(b"words")
    with Sandbox(LIMITS, 1) as sandbox:
        answers = dict(sandbox.read(["gone", "there"], lambda name: (tmp_path / name).open("rb")))
    assert answers["there"].content is not None and not answers["there"].problem
    assert answers["gone"].content is None and "No such file" in answers["gone"].problem


def test_closing_ends_everything() -> None:
    """Whoever stops asking leaves no process behind, also in the middle of a document."""
    sandbox = Sandbox(Limits(cpu_seconds=60, seconds=60), 2)
    answers = sandbox.read([*texts(4), SLOW], kept)
    next(answers)
    pids = [child._process.pid for child in sandbox._children]
    answers.close()
    sandbox.close()
    sandbox.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_answers_are_plain_data() -> None:
    """What a process says is decoded as known types; a book comes across as it was told."""
    with Sandbox(LIMITS, 1) as sandbox:
        ((_, answer),) = sandbox.read([epub("<dc:title>On Birds</dc:title><dc:date>2020</dc:date>")], kept)
    content = answer.content
    assert content is not None and (content.title, content.outline) == ("On Birds", ())
    assert content.created_at is not None and content.created_at.utcoffset() is not None
    assert isinstance(content.authors, tuple) and isinstance(content.more, dict)
