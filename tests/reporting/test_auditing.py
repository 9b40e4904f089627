"""The page of an audit: in order of severity, with its pictures, and with names that do not act."""

import numpy as np

from signet.errors import BadInput
from signet.findings import Audit, Exhibit, Finding
from signet.images import Image
from signet.reporting import audit_page, render
from signet.reporting.auditing import MOST_EXHIBITS
from signet.reporting.page import Chapter, Pictures, Scenes, Table

from .sample import HOSTILE


def read(source):
    if "gone" in source:
        raise BadInput("gone")
    return Image(np.full((8, 8, 3), 90, np.uint8), source)


def hostile_audit(names=HOSTILE):
    pairs = tuple(Exhibit((name, f"{name}2"), ("cat · train", name), "test 1, train 1") for name in names)
    ones = tuple(Exhibit((f"{number}.jpg",), (names[0],), "grey") for number in range(MOST_EXHIBITS + 3))
    return Audit(
        dataset=f"data/{names[0]}",
        images=3,
        findings=(
            Finding(
                kind="leak", severity="severe", message=names[1], fix=names[2], exhibits=pairs, sources=names
            ),
            Finding(kind="grey", severity="note", message="m", exhibits=ones, sources=("other.jpg",)),
        ),
        skipped=(names[0],),
        provenance={"model": names[0], "date": "2026-11-21T00:00:00+00:00"},
    )


def test_findings_stand_under_their_severity_with_their_evidence():
    page = audit_page(hostile_audit(), read=read)
    assert page.title == "1\u00a0severe finding in 3\u00a0images"
    assert [part.title for part in page.sections if isinstance(part, Chapter)] == [
        "Severe", "Notes", "About this audit",
    ]  # fmt: skip
    (scenes,) = [part for part in page.sections if isinstance(part, Scenes)]
    assert len(scenes.scenes) == len(HOSTILE)
    assert all(data.startswith("data:image/jpeg") for _, data in scenes.scenes[0].pictures)
    (pictures,) = [part for part in page.sections if isinstance(part, Pictures)]
    assert len(pictures.pictures) == MOST_EXHIBITS
    assert pictures.lead == f"The first {MOST_EXHIBITS} of {MOST_EXHIBITS + 3}."
    assert ("other.jpg",) in [row for part in page.sections if isinstance(part, Table) for row in part.rows]


def test_no_name_acts():
    text = render(audit_page(hostile_audit(), read=read))
    assert "<script" not in text
    assert "onerror='alert" not in text
    assert "\u202e" not in text


def test_a_picture_that_is_gone_is_left_out_and_nothing_found_is_said():
    exhibit = Exhibit(("gone.jpg",), ("",))
    found = Audit(
        dataset="d",
        images=1,
        findings=(Finding(kind="blank", severity="warning", message="m", exhibits=(exhibit,)),),
    )
    page = audit_page(found, read=read)
    assert "no picture" in render(page)
    assert page.title == "1\u00a0warning in 1\u00a0image"
    clean = audit_page(Audit(dataset="d", images=1, findings=()))
    assert (clean.title, clean.summary) == ("Nothing severe in 1\u00a0image", "No check found anything.")


def test_groups_of_many_show_a_few():
    exhibit = Exhibit(tuple(f"{n}.jpg" for n in range(9)), ("",) * 9, "patient 1")
    found = Audit(
        dataset="d",
        images=9,
        findings=(Finding(kind="groups apart", severity="severe", message="m", exhibits=(exhibit,)),),
    )
    (scenes,) = [part for part in audit_page(found, read=read).sections if isinstance(part, Scenes)]
    assert len(scenes.scenes[0].pictures) == 6
    assert scenes.scenes[0].note == "patient 1, 3 more not shown"
