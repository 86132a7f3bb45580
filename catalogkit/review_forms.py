"""Reviews without a widget: text for a terminal, HTML for a report, and the receipt.

`review` is the door: it shows the widget to a person in JupyterLab, and the static form to everyone else.
"""

from __future__ import annotations

import os
import sys
from html import escape
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit import review_words
from catalogkit.display import SCROLL, STYLE, Cards, Notice, clip_middle, format_bytes, format_share, table_html
from catalogkit.errors import CatalogKitError
from catalogkit.plan import Plan
from catalogkit.review import Review, State

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection

__all__ = ["receipt_html", "receipt_text", "render_text", "review", "rows", "static_html"]

TOP: Final = 20


def review(
    plan: Plan | Review | str | os.PathLike[str],
    collection: Collection | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    live: bool | None = None,
) -> Any:
    """Review a plan: the last line of a notebook's cell.

    Parameters
    ----------
    plan
        The plan, the folder it was saved in, or a `Review` of it.
    collection
        The collection it is for. Without one, that of ``$CATALOGKIT_HOME`` or of the current folder is taken if the
        plan is for it; else the plan can be looked at and approved, not applied.
    folder
        Where the plan is saved.
    live
        Whether somebody is there to click; found out without it.

    Returns
    -------
    ReviewWidget or Review
        The widget where somebody is there; else the review itself, which shows as a static form and never waits.
    """
    if not isinstance(plan, Review):
        loaded = plan if isinstance(plan, Plan) else Plan.load(os.fspath(plan))
        place = folder if isinstance(plan, Plan) else plan
        plan = Review(loaded, collection or _collection_of(loaded), folder=place)
    if not (is_live() if live is None else live):
        return plan
    from catalogkit.widgets import ReviewWidget

    return ReviewWidget(plan)


def is_live() -> bool:
    """Whether a person is there: a front end that could be asked for input, or Voila, which never says so."""
    if os.environ.get("VOILA_KERNEL_ID"):
        return True
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython.get_ipython(), "kernel", None) if ipython is not None else None
    if kernel is None:
        return False
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def _collection_of(plan: Plan) -> Collection | None:
    from catalogkit.collection import open_collection

    try:
        found = open_collection()
    except CatalogKitError:
        return None
    if found.identity == plan.head.catalog:
        return found
    found.close()
    return None


# -- parts that every face shows ---------------------------------------------------------------------------------


def subject(row: dict[str, Any]) -> str:
    """What a row is about, as people know it: the artifact, else the file, the document, the content."""
    about = row["artifact_id"] or row["key"] or (f"document {row['document_id']}" if row["document_id"] else "")
    digest = row["sha256"] or ""
    return f"{about} ({digest[:8]})" if about and digest else about or digest or f"unit {row['unit']}"


def cards(review: Review) -> list[tuple[str, str, str]]:
    """The summary: label, value, definition."""
    totals = review.totals()
    later = " Not yet: they go with a purge, after the grace." if review_words.waits_for_purge(review.kinds()) else ""
    return [
        ("Selected", f"{totals.units:,} of {totals.of:,}", "Units: what is approved or left out as a whole."),
        (
            "Frees",
            format_bytes(totals.bytes),
            f"Bytes in the stores that go if all of it is carried out.{later} Files in their owners' folders stay.",
        ),
        ("Share of the store", format_share(totals.share), "Of all bytes stored when the plan was made."),
        ("Age", review.ages(), "Since it became what the plan says, to when the plan was made."),
        (
            "Last copies",
            f"{totals.last_copies:,}",
            "Selected rows that take the last copy of something. They start unselected.",
        ),
    ]


def by_reason(review: Review) -> pl.DataFrame:
    """The plan by reason, in words, with how much of it is selected."""
    bytes_ = dict(review.plan.totals().select("reason", "bytes").rows())
    counted = review.table.select("reason", chosen=review.selected).group_by("reason")
    rows = counted.agg(pl.len().alias("units"), pl.col("chosen").sum().alias("selected")).rows(named=True)
    found = [
        (
            f"{row['reason']}: {review.plan.words(row['reason'])}",
            row["units"],
            row["selected"],
            format_bytes(bytes_[row["reason"]]),
        )
        for row in sorted(rows, key=lambda row: (-row["units"], row["reason"]))
    ]
    names = {"reason": pl.String(), "units": pl.Int64(), "selected": pl.Int64(), "bytes": pl.String()}
    return pl.DataFrame(found, schema=names, orient="row")


def largest(review: Review, top: int = TOP) -> pl.DataFrame:
    """The largest units that fit the filter, as a table to read."""
    return pl.DataFrame(
        [
            {
                "selected": "yes" if row["selected"] else "no, last copy" if row["last_copy"] else "no",
                "unit": str(row["unit"]),
                "what": clip_middle(row["what"], 48),
                "size": format_bytes(row["bytes"]),
                "age": "" if row["age_days"] is None else f"{row['age_days']:,} d",
                "resolver": row["resolver"] or "",
                "type": row["media_type"] or "",
                "reason": row["reason"],
            }
            for row in rows(review, 0, top, "bytes", True)
        ],
        schema=dict.fromkeys(("selected", "unit", "what", "size", "age", "resolver", "type", "reason"), pl.String()),
    )


def rows(review: Review, start: int, count: int, sort: str = "unit", descending: bool = False) -> list[dict[str, Any]]:
    """A window of rows as plain data, each with what it is about and its reason in words."""
    names = ("unit", "kind", "reason", "bytes", "age_days", "resolver", "media_type", "tenant", "last_copy", "steps")
    return [
        {name: row[name] for name in (*names, "selected")}
        | {"what": subject(row), "words": review.plan.words(row["reason"])}
        for row in review.page(start, count, sort, descending).iter_rows(named=True)
    ]


def heading(review: Review) -> str:
    """The plan in a line: kind, the start of its id, when it was made and how long it is good."""
    head = review.plan.head
    return (
        f"Plan {head.kind} {review.plan.id[:12]}, made {_minute(head.as_of)} by {head.author or 'nobody named'},"
        f" good until {_minute(head.expires_at)}"
    )


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


# -- the static form ---------------------------------------------------------------------------------------------


def static_html(review: Review, top: int = TOP, *, receipt: bool = True) -> str:
    """The review as HTML that needs no script: summary, by reason, the largest units, how to approve, the receipt."""
    notices = [*review.brakes(), *review_words.notices(review.plan)]
    shown = largest(review, top)
    approve, apply = review.commands()
    more = review.matching - shown.height
    parts = [
        f'{STYLE}<section class="ck-review-form" aria-label="Review">',
        f"<p><strong>{escape(review.state.value)}.</strong> {escape(heading(review))}.</p>",
        *(_html(Notice(text)) for text in notices),
        _html(Cards(cards(review))),
        f"<p><strong>{escape(review.consequences())}</strong></p>",
        "<h3>By reason</h3>",
        table_html(by_reason(review)),
        f"<h3>The largest units{f' (at most {top})' if more > 0 else ''}</h3>",
        table_html(shown, top),
        f"<p>and {more:,} more.</p>" if more > 0 else "",
    ]
    if review.state is State.DRAFT and not review.totals().units:
        parts.append(f"<p>{escape(review.what_to_select())}</p>")
    elif review.state is State.DRAFT:
        saved = "" if review.folder else " PLAN is the folder that <code>plan.save(folder)</code> returns."
        parts += [
            "<h3>To approve</h3>",
            f"<p>This page changes nothing. In a terminal, with what is selected here:{saved}</p>",
            f"<pre><code>{escape(approve)}\n{escape(apply)}</code></pre>",
            "<p>In Python:</p>",
            f"<pre><code>{escape(review.as_python())}</code></pre>",
        ]
    elif review.state is State.APPROVED:
        parts.append(f"<p>To apply it: <code>{escape(apply)}</code></p>")
    return "".join(parts) + f"{receipt_html(review) if receipt else ''}</section>"


def render_text(review: Review, top: int = TOP) -> str:
    """The review as text for a terminal or a log."""
    approve, apply = review.commands()
    lines = [f"{review.state.value}: {heading(review)}", *(f"! {text}" for text in review.brakes())]
    lines += [f"! {text}" for text in review_words.notices(review.plan)]
    lines += [f"  {label.lower():<18} {value}" for label, value, _ in cards(review)]
    lines += [f"  {review.consequences()}", "", *columns(by_reason(review))]
    shown = largest(review, top)
    if shown.height:
        lines += ["", *columns(shown)]
    if (more := review.matching - shown.height) > 0:
        lines.append(f"... and {more:,} more")
    if review.state is State.DRAFT and not review.totals().units:
        lines += ["", review.what_to_select()]
    elif review.state is State.DRAFT:
        lines += ["", "To approve what is selected, then to apply it:", f"  {approve}", f"  {apply}"]
    elif review.state is State.APPROVED:
        lines += ["", f"To apply it: {apply}"]
    if receipt := receipt_text(review):
        lines += ["", receipt]
    return printable("\n".join(lines))


def columns(frame: pl.DataFrame) -> list[str]:
    """A frame as lines of text, its columns one below the other."""
    lines = [frame.columns, *([_text(value) for value in row] for row in frame.rows())]
    widths = [max(len(line[i]) for line in lines) for i in range(frame.width)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value).replace("\n", " "))


def printable(text: str) -> str:
    """A name must not move the cursor or colour the terminal of whoever reads it."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _html(shown: Cards | Notice) -> str:
    return shown._repr_mimebundle_()["text/html"].removeprefix(STYLE)


# -- the receipt -------------------------------------------------------------------------------------------------


def _receipt(review: Review) -> tuple[dict[str, str], dict[str, int]]:
    facts = review.receipt()
    shown = {name.replace("_", " "): f"{value:,}" if isinstance(value, int) else value for name, value in facts.items()}
    if facts:
        later = " (a purge frees them, after the grace)" if review_words.waits_for_purge(review.kinds()) else ""
        shown["bytes freed"] = format_bytes(facts["bytes_freed"]) + later
    return shown, review.reasons_not_done() if facts else {}


def receipt_html(review: Review) -> str:
    """What was applied, for the saved notebook; empty as long as nothing was."""
    facts, why = _receipt(review)
    if not facts:
        return ""
    body = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in facts.items())
    parts = [
        f'{STYLE}<section class="ck-receipt" aria-label="Receipt"><h3>Receipt</h3>',
        f'{SCROLL}<table class="ck-table"><tbody>{body}</tbody></table></div>',
    ]
    if why:
        parts.append("<h4>What was not done, and why</h4>")
        parts.append(table_html(pl.DataFrame({"why": list(why), "steps": list(why.values())})))
    return "".join(parts) + "</section>"


def receipt_text(review: Review) -> str:
    """What was applied, as text; empty as long as nothing was."""
    facts, why = _receipt(review)
    if not facts:
        return ""
    lines = ["Receipt", *(f"  {name:<12} {value}" for name, value in facts.items())]
    return printable("\n".join(lines + [f"  not done: {count:,} x {reason}" for reason, count in why.items()]))
