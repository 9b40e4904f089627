"""The page of a compression: what was lost, what was gained, and what else was tried."""

from __future__ import annotations

import math
from pathlib import PurePath

from signet.comparisons import Contestant
from signet.compression.outcome import Candidate, Compressed
from signet.records import Interval
from signet.reporting.page import Differences, Gap, Mark, Note, Page, Section, Table, Tradeoff
from signet.reporting.words import counted, facts, percent, quoted, signed, signed_span, span

_MOST_COSTS = 20


def compression_page(found: Compressed) -> Page:
    """The page of one compression, delivered or refused."""
    ruling = found.chosen.ruling
    data = PurePath(str(found.provenance.get("dataset", ""))).name
    sections: list[Section] = [_figures(found), _frontier_gaps(found)]
    if len(found.frontier) > 1 and found.before_milliseconds is not None:
        sections.append(_tradeoff(found))
    sections.append(_frontier(found))
    if found.learned is not None:
        sections.append(Note((found.learned.words(),)))
    if found.costs:
        sections.append(_costs(found))
    if found.notes:
        sections.append(Note(found.notes))
    if found.verdicts:
        sections.append(_verdicts(found))
    sections.append(Table("How it was made", facts(dict(found.provenance)), folded=True))
    version, date = found.provenance.get("version signet", ""), found.provenance.get("date", "")
    return Page(
        title=_headline(found),
        summary=f"{quoted(found.before.name)} to {found.chosen.name}: {ruling.words()}.",
        sections=tuple(sections),
        kicker=" · ".join(part for part in ("Compression", found.target, data) if part),
        meaning=f"The gate: {ruling.gate.rule()}. Before and after saw the same images.",
        colophon=f"Made by Signet {version} on {date}.".replace(" on .", "."),
    )


def _headline(found: Compressed) -> str:
    if found.passed:
        smaller = "" if found.size_ratio is None else f"{1 / found.size_ratio:.1f} times smaller"
        faster = "" if found.speedup is None else f"{found.speedup:.1f} times as fast"
        return ", ".join(part for part in ("Passed", smaller, faster) if part)
    return "Refused, and kept as asked" if found.seal is not None else "Refused: nothing was written"


def _figures(found: Compressed) -> Table:
    after = found.chosen.row
    gaps = {pair.metric: pair for pair in found.chosen.differences}
    names = list(dict.fromkeys([*found.before.metrics, *after.metrics]))
    rows = [
        (
            name,
            _figure(found.before, name),
            _figure(after, name),
            signed(gaps[name].figure.value) if name in gaps else "",
            signed_span(gaps[name].figure) if name in gaps else "",
        )
        for name in names
    ]
    rows.append(("size, MB", _megabytes(found.before), _megabytes(after), "", ""))
    before_ms, after_ms = found.before_milliseconds, found.chosen.network_milliseconds
    rows.append(("network, ms an image", _clocked(before_ms), _clocked(after_ms), "", ""))
    rows.append(("runs in", _runs(found.before), _runs(after), "", ""))
    ruling = found.chosen.ruling
    lead = (
        f"On {counted(ruling.count, 'image', 'images')}, {ruling.count - ruling.alike} are decided otherwise."
        " "
        "The difference is after minus before, in points, paired. Milliseconds are of the network alone, one "
        "image at a time, in rounds in which the networks take turns."
    )
    columns = ("", "before", "after", "difference", "95\u00a0% interval")
    return Table("Before and after", tuple(rows), columns, lead)


def _frontier_gaps(found: Compressed) -> Differences:
    rows = tuple(
        Gap(one.name, _gain(one), "passed" if one.ruling.passed else "refused") for one in found.frontier
    )
    return Differences(
        f"{found.chosen.ruling.metric}: difference from the seal as it was",
        rows,
        "Each one minus the seal that it was made of, image by image. To the left of 0 something was lost.",
    )


def _gain(one: Candidate) -> Interval:
    drop = one.ruling.drop
    return Interval(-drop.value, -drop.high, -drop.low)


def _tradeoff(found: Compressed) -> Tradeoff:
    metric = found.chosen.ruling.metric
    all_rows = [
        ("as it was", found.before, found.before_milliseconds, False),
        *((one.name, one.row, one.network_milliseconds, one is found.chosen) for one in found.frontier),
    ]
    marks = tuple(
        Mark(place, name, row.metrics[metric], milliseconds, row.size_bytes, chosen=chosen)
        for place, (name, row, milliseconds, chosen) in enumerate(all_rows, 1)
        if milliseconds
    )
    return Tradeoff("What was tried, by time and accuracy", marks, "The area of each circle is its size.")


def _frontier(found: Compressed) -> Table:
    rows = tuple(
        (
            one.name,
            signed(0.0 - one.ruling.drop.value),
            signed_span(_gain(one)),
            f"{one.ruling.alike} of {one.ruling.count}",
            _megabytes(one.row),
            _clocked(one.network_milliseconds),
            "; ".join(one.ruling.faults()) or "passed",
        )
        for one in found.frontier
    )
    columns = ("network", "difference", "95\u00a0% interval", "decided alike", "MB", "ms", "the gate")
    return Table("Everything that was tried", rows, columns)


def _costs(found: Compressed) -> Table:
    rows = tuple((one.layer, one.operator, f"{one.error:.2e}") for one in found.costs[:_MOST_COSTS])
    lead = (
        "Each layer alone in int8, all others in floats, on calibration images: energy of the change of the "
        f"network's answers over their energy. The {len(rows)} costliest of {len(found.costs)}."
    )
    return Table("Which layers cost", rows, ("layer", "operator", "error"), lead, folded=True)


def _verdicts(found: Compressed) -> Table:
    rows = tuple(
        (name, one.precision, "agrees" if one.ok else "differs", f"{one.agree} of {one.total}")
        for name, one in found.verdicts.items()
    )
    return Table("Verified", rows, ("engine", "precision", "evidence", "golden decisions"))


def _figure(row: Contestant, name: str) -> str:
    figure = row.metrics.get(name)
    if figure is None or math.isnan(figure.value):
        return "unknown"
    return f"{percent(figure.value)} ({span(figure)})"


def _megabytes(row: Contestant) -> str:
    return "unknown" if row.size_bytes is None else f"{row.size_bytes / 1e6:.2f}"


def _clocked(milliseconds: float | None) -> str:
    return "unknown" if milliseconds is None else f"{milliseconds:.2f}"


def _runs(row: Contestant) -> str:
    return f"{row.provenance.get('engine', '')} {row.provenance.get('precision', '')}".strip()
