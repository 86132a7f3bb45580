"""The review widget of JupyterLab, around `catalogkit.review.Review`.

It holds no truth and no rows: the page asks by message, the review answers. What must outlive the kernel, the receipt,
is an output of its own beside the widget, because a saved notebook keeps outputs and not widgets.
"""

from __future__ import annotations

import time
import uuid
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import anywidget

from catalogkit import review_words
from catalogkit.errors import CatalogKitError, InvalidInput
from catalogkit.review_forms import cards, heading, receipt_html, receipt_text, render_text, rows, static_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalogkit.review import Review
    from catalogkit.selecting import Slice

# How often progress is shown, in seconds: a message a batch would be many a second.
_OFTEN: Final = 0.25
_MOST_ROWS: Final = 500


def _static(name: str) -> str:
    return resources.files("catalogkit").joinpath("static", name).read_text(encoding="utf-8")


class ReviewWidget(anywidget.AnyWidget):
    """A live review; `review` is what it shows."""

    _esm = _static("review.js")
    _css = _static("review.css")

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self._version = 0
        self._shown = 0.0
        self._face_id, self._receipt_id = (f"catalogkit-{uuid.uuid4().hex}" for _ in range(2))
        self.on_msg(self._hear)

    # -- messages ----------------------------------------------------------------------------------------------

    def _hear(self, _: object, message: Mapping[str, Any], __: object) -> None:
        asked = message.get("ask")
        try:
            self._answer(asked, message)
        except CatalogKitError as problem:
            self.send({"problem": str(problem), "of": asked})
        except (KeyError, TypeError, ValueError) as problem:
            self.send({"problem": f"not understood: {asked} ({problem})", "of": asked})

    def _answer(self, asked: object, message: Mapping[str, Any]) -> None:
        review = self.review
        if asked == "rows":
            self._send_rows(message)
        elif asked == "why":
            self.send({"why": review.why(int(message["unit"])), "unit": int(message["unit"])})
        elif asked == "python":
            self.send({"python": review.as_python()})
        elif asked == "stop":
            review.stop()
        elif asked == "apply":
            review.start(self._changed)
        else:
            self._choose(asked, message)
            self._send_state()

    def _choose(self, asked: object, message: Mapping[str, Any]) -> None:
        """What changes the view or the selection. While it is being applied, and after, the selection stays."""
        review = self.review
        if asked == "look":
            return
        self._version += 1
        if asked == "filter":
            review.set_filter(str(message["text"]))
        elif asked == "clause":
            review.toggle_clause(str(message["clause"]))
        elif asked in ("toggle", "include", "exclude", "only"):
            review.must_be_open()
            if asked == "toggle":
                review.toggle(int(message["unit"]))
            else:
                getattr(review, f"{asked}_filtered")()
        elif asked == "approve":
            review.approve(typed=str(message["typed"]))
            self._show_receipt()
        elif asked == "withdraw":
            review.withdraw()
            self._show_receipt()
        else:
            raise InvalidInput("the page and the kernel speak different versions; run the cell again")

    def _send_rows(self, message: Mapping[str, Any]) -> None:
        start, count = int(message["start"]), min(_MOST_ROWS, int(message["count"]))
        sort, descending = str(message["sort"]), bool(message["descending"])
        page = rows(self.review, start, count, sort, descending)
        echo = {"start": start, "sort": sort, "descending": descending, "version": self._version}
        self.send({"rows": page} | echo)

    def _send_state(self) -> None:
        self.send({"state": view(self.review) | {"version": self._version}})

    # -- from the thread that applies ----------------------------------------------------------------------------

    def _changed(self) -> None:
        now = time.monotonic()
        if self.review.running and now - self._shown < _OFTEN:
            return
        self._shown = now
        self._version += not self.review.running
        self._send_state()
        if not self.review.running:
            self._show_receipt()

    # -- showing -------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        from IPython.display import display

        shown = self._repr_mimebundle_()
        if shown is not None:
            display(shown[0], raw=True, display_id=self._face_id)  # type: ignore[no-untyped-call]
        display(self._receipt(), raw=True, display_id=self._receipt_id)  # type: ignore[no-untyped-call]

    def _show_receipt(self) -> None:
        from IPython.display import update_display

        update_display(self._receipt(), raw=True, display_id=self._receipt_id)  # type: ignore[no-untyped-call]
        if self.review.ended:
            # A widget does not outlive its kernel. Nothing can be chosen any more, so a page takes its place.
            page = {"text/html": static_html(self.review, receipt=False), "text/plain": render_text(self.review)}
            update_display(page, raw=True, display_id=self._face_id)  # type: ignore[no-untyped-call]

    def _receipt(self) -> dict[str, str]:
        """What a reader of the saved notebook sees: the receipt, or that nothing was applied."""
        review = self.review
        if page := receipt_html(review):
            return {"text/html": page, "text/plain": receipt_text(review)}
        text = f"{heading(review)}: {review.state.value}. Nothing was applied. Run the cell again to review it."
        return {"text/html": f"<p><small>{escape(text)}</small></p>", "text/plain": text}


def view(review: Review) -> dict[str, Any]:
    """What the page shows, but for the rows, as plain data."""
    brakes, selection = review.brakes(), review.selection
    exceptions = [
        f"{count:,} {what}"
        for what, count in (("more", len(selection.include)), ("left out", len(selection.exclude)))
        if count
    ]
    progress = review.progress
    return {
        "heading": heading(review),
        "state": review.state.value,
        "ended": review.ended,
        "notices": [*review_words.notices(review.plan), *brakes],
        "brakes": brakes,
        "apply_brakes": [text for text in review.apply_brakes() if text not in brakes],
        "can_withdraw": review.can_withdraw,
        "cards": cards(review),
        "consequences": review.consequences(),
        "facets": {name: [_plain(part) for part in parts] for name, parts in review.facets().items()},
        "histograms": {name: [_plain(part) for part in parts] for name, parts in review.histograms().items()},
        "filter": review.filter,
        "matching": review.matching,
        "matching_last": review.matching_last_copies,
        "phrase": review.phrase,
        "rule": " and ".join([selection.rule or "everything", *exceptions]),
        "running": review.running,
        "progress": {"done": progress.done, "total": progress.total} if progress else None,
        "problem": review.problem,
    }


def _plain(part: Slice) -> tuple[str, str, int, int]:
    return part.label, part.clause, part.total, part.selected
