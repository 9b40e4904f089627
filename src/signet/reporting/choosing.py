"""The page of a choice: the pick, what it may lose, every candidate by time and accuracy, who stayed out."""

from __future__ import annotations

from signet.choices import Choice, Contender
from signet.records import Interval
from signet.reporting.evaluation import base_name
from signet.reporting.page import Commands, Mark, Note, Page, Section, Table, Tile, Tiles, Tradeoff
from signet.reporting.words import counted, duration, facts, percent, points, quoted, span, whole

_LEVEL = "90\u00a0%"


def choice_page(found: Choice) -> Page:
    """The page of one choice."""
    pick = found.picked
    sections: list[Section] = [_tiles(found, pick)]
    if found.notes:
        sections.append(Note(found.notes))
    marks = tuple(
        Mark(
            number,
            row.name,
            _interval(row),
            row.milliseconds,
            row.size_bytes,
            chosen=row.name == found.pick,
        )
        for number, row in enumerate(found.ranking, 1)
    )
    sections.append(
        Tradeoff(
            "Accuracy, time and size", marks, "Of a probe on all images, on images it did not see.", _LEVEL
        )
    )
    sections += [_ranking(found), _scores(found), _reasons(found)]
    if found.left_out:
        rows = tuple((one.name, one.why) for one in found.left_out)
        sections.append(Table("Who stayed out", rows, ("model", "why"), folded=len(rows) > 8))
    lines = (f"signet finetune {found.pick} DATASET --out NAME.signet",)
    sections.append(Commands("What comes next", lines, "Features that were kept are not computed again."))
    rows = facts({"dataset": found.dataset, **found.provenance})
    sections.append(Table("How it was made", rows, folded=True))
    return Page(
        title=f"{quoted(base_name(found.pick))} suits these images best",
        summary=_summary(found, pick),
        sections=tuple(sections),
        kicker=f"Choice \u00b7 {base_name(found.dataset)}",
        meaning=found.runner_up and f"Next: {found.runner_up}.",
        colophon=f"{found.provenance.get('date', '')}, {duration(found.seconds)}".lstrip(", "),
    )


def _summary(found: Choice, pick: Contender) -> str:
    return (
        f"A probe on its features is expected to get {percent(pick.expected)} right ({_LEVEL} interval "
        f"{span(_interval(pick))}). Taking it loses {points(found.regret)} on average against the best of "
        f"{counted(len(found.ranking), 'candidate', 'candidates')}."
    )


def _tiles(found: Choice, pick: Contender) -> Tiles:
    tiles = [
        Tile("Expected", percent(pick.expected), span(_interval(pick))),
        Tile("Regret", points(found.regret), "lost on average against the best"),
        Tile("Time", f"{pick.milliseconds:.1f}\u00a0ms", "an image here, all stages"),
    ]
    base = found.of(found.baseline)
    if base is not None:
        same = base.name == found.pick
        words = "the same model" if same else f"{base_name(base.name)}, which loses {points(base.regret)}"
        tiles.append(Tile("Highest ImageNet top-1", percent(base.expected), words))
    share = f"of running all over {counted(found.images, 'image', 'images')}"
    return Tiles((*tiles, Tile("Cost", percent(found.spent), share)))


_SCORES = (("LogME", "logme"), ("H-score", "h_score"), ("LEEP", "leep"), ("NCE", "nce"))


def _ranking(found: Choice) -> Table:
    columns = ("", "model", "expected", f"{_LEVEL} interval", "ms", "size", "ImageNet")
    rows = tuple(
        (
            number,
            f"{base_name(row.name)} (pick)" if row.name == found.pick else base_name(row.name),
            percent(row.expected),
            span(_interval(row)),
            f"{row.milliseconds:.1f}",
            "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f}\u00a0MB",
            "" if row.top1 is None else percent(row.top1),
        )
        for number, row in _numbered(found)
    )
    return Table("The candidates", rows, columns)


def _scores(found: Choice) -> Table:
    """Beside each other in a table of their own: with all columns in one, the last ones were out of sight."""
    columns = ("", "model", "neighbours", *(title for title, _ in _SCORES))
    rows = tuple(
        (
            number,
            base_name(row.name),
            "" if (knn := row.scores.get("knn")) is None else percent(knn),
            *("" if row.scores.get(key) is None else f"{row.scores[key]:.3f}" for _, key in _SCORES),
        )
        for number, row in _numbered(found)
    )
    lead = (
        "Nearest neighbours, LogME, H-score, LEEP and NCE of the same images stand beside the probe; they "
        "decide nothing. LEEP and NCE are empty for a network without labels of its own that exclude each "
        "other."
    )
    return Table("Scores of their features", rows, columns, lead)


def _numbered(found: Choice) -> list[tuple[str, Contender]]:
    """The candidates with their places, and the one with random weights, which has none."""
    rows = [(str(number), row) for number, row in enumerate(found.ranking, 1)]
    return rows if found.scratch is None else [*rows, ("", found.scratch)]


def _reasons(found: Choice) -> Table:
    some = (*found.ranking, *([found.scratch] if found.scratch is not None else ()))
    rows = tuple((row.name, row.licence, whole(row.images), row.why) for row in some)
    return Table("Why they stand where they do", rows, ("model", "licence", "images", "why"), folded=True)


def _interval(row: Contender) -> Interval:
    return Interval(row.expected, row.low, row.high)
