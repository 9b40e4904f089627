"""The page of the demo: several data sets, each with its contestants and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from signet.records import Report
from signet.reporting.evaluation import Reader, details, key_figures, provenance, sentence
from signet.reporting.page import (
    Chapter,
    Commands,
    Comparison,
    Note,
    Page,
    Pictures,
    Row,
    Section,
    Sentence,
    Table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One data set of the demo.

    Attributes:
        title: its name.
        lead: what it is and why it is here.
        rows: the adapted starter beside its baselines, on the same test images.
        report: the adapted starter's evaluation.
        pictures: a few test images with their answers.
        tables: anything else, such as verification by engine.
    """

    title: str
    lead: str
    rows: tuple[Row, ...]
    report: Report
    pictures: Pictures | None = None
    tables: tuple[Table, ...] = ()


def demonstration_page(
    summary: str,
    acts: Sequence[Act],
    commands: Commands,
    *,
    notes: tuple[str, ...] = (),
    read: Reader | None = None,
) -> Page:
    """The demo's page: what came out, then each data set, then what to do next.

    Args:
        summary: the paragraph below the headline.
        acts: the data sets, in the order in which they were run.
        commands: how to do the same with one's own images; stands at the beginning and is what to take away.
        notes: what a reader must know, such as a baseline that was not beaten.
        read: opens the images of the worst errors; `signet.decoding.read` when None.
    """
    sections: list[Section] = [Note(notes)] if notes else []
    sections.append(commands)
    for act in acts:
        sections += [Chapter(act.title, act.lead), Sentence(sentence(act.report)), key_figures(act.report)]
        if act.rows:
            lead = "All were fitted on the same training images and measured on the same test images."
            sections.append(Comparison("Beside simpler ways", act.rows, lead))
        if act.pictures is not None:
            sections.append(act.pictures)
        sections += details(act.report, read=read)
        sections += act.tables
        sections += [replace(table, folded=True) for table in provenance(act.report)]
    return Page(
        title="A pretrained model, adapted, sealed and checked on this machine",
        summary=summary,
        sections=tuple(sections),
        kicker="Signet · demo",
        colophon="Made by signet demo.",
    )
