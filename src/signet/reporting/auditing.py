"""The page of an audit: what was found, the worst first, each with its pictures and what mends it."""

from __future__ import annotations

from collections.abc import Sequence

from signet.errors import SignetError
from signet.findings import Audit, Exhibit, Finding
from signet.reporting.evaluation import Reader, base_name
from signet.reporting.page import (
    Chapter,
    Note,
    Page,
    Picture,
    Pictures,
    Scene,
    Scenes,
    Section,
    Table,
    Tile,
    Tiles,
)
from signet.reporting.pictures import thumbnail
from signet.reporting.words import counted, duration, facts, whole

MOST_EXHIBITS = 24
"""Exhibits of one finding on the page; the JSON has all of them."""

_MOST_SIDE_BY_SIDE = 6
_MOST_FILES = 200
_LEADS = {
    "severe": "What is learned or measured would be wrong, or files cannot be used at all.",
    "warning": "Probably a mistake, or it costs accuracy.",
    "note": "Good to know; nothing has to be done.",
}
_TITLES = {"severe": "Severe", "warning": "Warnings", "note": "Notes"}


def audit_page(found: Audit, *, read: Reader | None = None) -> Page:
    """The page of one audit.

    Args:
        found: what was found.
        read: opens the images of the evidence; `signet.decoding.read` when None. One that cannot be opened is
            left without a picture.
    """
    sections: list[Section] = [_tiles(found)]
    for severity, count in found.counts.items():
        if count:
            sections.append(Chapter(_TITLES[severity], _LEADS[severity]))
            for one in found.findings:
                if one.severity == severity:
                    sections += _finding(one, read)
    sections.append(Chapter("About this audit"))
    if found.skipped:
        sections.append(Note(found.skipped, "What was not looked for"))
    rows = facts({"dataset": found.dataset, "looked for": ", ".join(found.checks), **found.provenance})
    sections.append(Table("How it was made", rows, folded=True))
    return Page(
        title=_headline(found),
        summary=_summary(found),
        sections=tuple(sections),
        kicker=f"Audit · {base_name(found.dataset)}",
        colophon=f"{found.provenance.get('date', '')}, {duration(found.seconds)}".lstrip(", "),
    )


def _headline(found: Audit) -> str:
    severe = found.counts["severe"]
    if severe:
        return f"{counted(severe, 'severe finding', 'severe findings')} in {_images(found)}"
    if found.counts["warning"]:
        return f"{counted(found.counts['warning'], 'warning', 'warnings')} in {_images(found)}"
    return f"Nothing severe in {_images(found)}"


def _summary(found: Audit) -> str:
    if not found.findings:
        return "No check found anything."
    kinds = list(dict.fromkeys(one.kind for one in found.findings if one.severity != "note"))
    return f"Found: {', '.join(kinds)}." if kinds else "Only notes: nothing has to be done."


def _images(found: Audit) -> str:
    return counted(found.images, "image", "images")


def _tiles(found: Audit) -> Tiles:
    tiles = [Tile(_TITLES[name], str(count), _LEADS[name]) for name, count in found.counts.items()]
    return Tiles((*tiles, Tile("Images", whole(found.images), "read once, each to its end")))


def _finding(one: Finding, read: Reader | None) -> list[Section]:
    title = one.kind[:1].upper() + one.kind[1:]
    rows = tuple(row for row in (("found", one.message), ("what to do", one.fix)) if row[1])
    sections: list[Section] = [Table(title, rows)]
    if one.exhibits:
        sections.append(_evidence(title, one.exhibits, read))
    shown = {source for exhibit in one.exhibits[:MOST_EXHIBITS] for source in exhibit.sources}
    others = [source for source in one.sources if source not in shown]
    if others:
        files = tuple((source,) for source in others[:_MOST_FILES])
        left = len(others) - len(files)
        lead = f"{whole(left)} more are in the JSON." if left else ""
        sections.append(
            Table(f"{title}: {'other ' if shown else ''}files", files, ("file",), lead, folded=True)
        )
    return sections


def _evidence(title: str, exhibits: Sequence[Exhibit], read: Reader | None) -> Section:
    some = exhibits[:MOST_EXHIBITS]
    lead = f"The first {len(some)} of {whole(len(exhibits))}." if len(some) < len(exhibits) else ""
    heading = f"{title}: evidence"
    if all(len(exhibit.sources) == 1 for exhibit in some):
        pictures = tuple(
            Picture(
                _picture(exhibit.sources[0], read),
                base_name(exhibit.sources[0]),
                truth=exhibit.captions[0],
                note=exhibit.note,
            )
            for exhibit in some
        )
        return Pictures(heading, pictures, lead)
    return Scenes(heading, tuple(_scene(exhibit, read) for exhibit in some), lead, small=True)


def _scene(exhibit: Exhibit, read: Reader | None) -> Scene:
    """Images side by side, each with its file and what is said of it."""
    pairs = list(zip(exhibit.sources, exhibit.captions, strict=True))
    note = exhibit.note
    if len(pairs) > _MOST_SIDE_BY_SIDE:
        note = f"{note}, {len(pairs) - _MOST_SIDE_BY_SIDE} more not shown".lstrip(", ")
    pictures = tuple(
        (" · ".join(part for part in (base_name(source), words) if part), _picture(source, read))
        for source, words in pairs[:_MOST_SIDE_BY_SIDE]
    )
    return Scene(base_name(pairs[0][0]), note, pictures)


def _picture(source: str, read: Reader | None) -> str:
    if read is None:
        from signet.decoding import read as read_file

        read = read_file
    try:
        return thumbnail(read(source))
    except SignetError:
        return ""
