"""From a page to one HTML file that holds all it shows and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from signet.errors import MissingExtra
from signet.reporting.figures import (
    bar,
    heat_map,
    line_chart,
    reliability_diagram,
    scale_around_zero,
    scale_of,
    score,
    swatch,
    tradeoff_chart,
    whisker,
)
from signet.reporting.page import (
    Chapter,
    ClassBars,
    Commands,
    Comparison,
    Confusion,
    Curves,
    Differences,
    Note,
    Page,
    Picture,
    Pictures,
    Reliability,
    Scenes,
    Sentence,
    Table,
    Tiles,
    Tradeoff,
)
from signet.reporting.views import class_view, confusion_view, fact_groups, figure_of
from signet.reporting.words import counted, percent, signed, signed_span, span, visible, whole

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: dict[type, str] = {
    Chapter: "chapter",
    Sentence: "sentence",
    Tiles: "tiles",
    Comparison: "comparison",
    Differences: "differences",
    Tradeoff: "tradeoff",
    Confusion: "confusion",
    ClassBars: "class_bars",
    Reliability: "reliability",
    Curves: "curves",
    Pictures: "pictures",
    Scenes: "scenes",
    Table: "table",
    Note: "note",
    Commands: "commands",
}


_SIGNS = re.compile(r"(?<=[._/-])(?=\w)")
_LONG_WORD = 16
"""Letters of a word that may be too wide for a line of a title."""


def render(content: Page) -> str:
    """The page as HTML, to be written as UTF-8.

    Every text is escaped, and what could act on the text around it (control and direction marks) is
    written out. A content security policy forbids scripts, frames, forms and every connection; the only
    style it lets through is the page's own, by its digest.

    Raises:
        MissingExtra: Jinja is not installed.
    """
    style = resources.files("signet.reporting").joinpath("templates/page.css").read_text("utf-8")
    chapters = any(isinstance(section, Chapter) for section in content.sections)
    markup = _environment().get_template("page.html.j2")
    return markup.render(
        page=content,
        style=_markup(style),
        policy=policy(style),
        level=3 if chapters else 2,
        template_of=lambda section: f"{_TEMPLATES[type(section)]}.html.j2",
    )


def policy(style: str) -> str:
    """The content security policy of a page with one style sheet."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("Writing a report", "fit", "jinja2") from error

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        span=span,
        signed=signed,
        signed_span=signed_span,
        whole=whole,
        counted=counted,
        tick=lambda value: f"{value:g}",
        alternative=_alternative,
        breakable=_breakable,
    )
    drawings = (bar, heat_map, line_chart, reliability_diagram, score, swatch, tradeoff_chart, whisker)
    environment.globals.update({drawing.__name__: _drawn(drawing) for drawing in drawings})
    environment.globals.update(
        scale_of=lambda rows: scale_of([row.figure for row in rows]),
        scale_around_zero=lambda rows: scale_around_zero([row.figure for row in rows]),
        confusion_view=confusion_view,
        class_view=class_view,
        figure_of=figure_of,
        fact_groups=fact_groups,
    )
    return environment


def _template(name: str) -> str:
    return resources.files("signet.reporting").joinpath("templates", name).read_text("utf-8")


def _drawn(function: Callable[..., str]) -> Callable[..., Any]:
    """A chart as markup: `figures` escapes what it writes."""
    return lambda *arguments: _markup(function(*arguments))


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - of our own style sheet and charts only


def _harmless(value: Any) -> Any:
    """What every expression of every template goes through before it is escaped."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return value


def _breakable(text: str) -> Any:
    """A title whose long names break after a sign, and not in the middle of a word; copied it stays one."""
    from markupsafe import Markup

    words = [
        # What is joined is escaped by it.
        Markup("<wbr>").join(_SIGNS.split(word)) if len(word) > _LONG_WORD else Markup.escape(word)
        for word in visible(text).split(" ")
    ]
    return Markup(" ").join(words)


def _alternative(picture: Picture) -> str:
    """What a picture shows, for those who cannot see it."""
    parts = [f"{picture.truth}" if picture.truth else f"image {picture.source}"]
    if picture.answers:
        label, score = picture.answers[0]
        parts.append(f"called {label} with {percent(score)}")
    return ", ".join(parts)
