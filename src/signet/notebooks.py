"""How values show themselves in a notebook: small tables in which no name acts."""

from __future__ import annotations

import html
from collections.abc import Sequence

from signet.naming import shown

MOST_ROWS = 50
"""Rows of a table; a notebook keeps what it shows, and is scrolled past it."""


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    right: Sequence[int] = (),
    most: int = MOST_ROWS,
) -> str:
    """A table as HTML: every text escaped, control and direction marks written out.

    Args:
        titles: of the columns; none for a table of names and values.
        rows: their cells, one for each column.
        caption: what it is about.
        right: positions of columns that stand flush right.
        most: rows shown; the caption says how many there are when they are more.
    """
    if len(rows) > most:
        counted = f"the first {most} of {len(rows):,}"
        caption = f"{caption}, {counted}" if caption else counted
    head = "".join(_cell("th", title, place in right) for place, title in enumerate(titles))
    body = "".join(
        "<tr>" + "".join(_cell("td", text, place in right) for place, text in enumerate(row)) + "</tr>"
        for row in rows[:most]
    )
    # Notebooks set captions in the middle of the table, where a long one is hard to read.
    above = f'<caption style="text-align: left">{_safe(caption)}</caption>' if caption else ""
    top = f"<thead><tr>{head}</tr></thead>" if titles else ""
    return f"<table>{above}{top}<tbody>{body}</tbody></table>"


def _cell(tag: str, text: str, right: bool) -> str:
    return f'<{tag} style="text-align: {"right" if right else "left"}">{_safe(text)}</{tag}>'


def _safe(text: str) -> str:
    # A name written from right to left turns nothing but itself.
    return f"<bdi>{html.escape(shown(text))}</bdi>"
