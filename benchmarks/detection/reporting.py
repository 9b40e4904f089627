"""What was found of several programs, as Markdown: rates and ratios, and how alike they decide."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detection.comparing import Compared
from detection.systems import Asked
from signet import machine
from signet.running import Evidence

OWN = "signet-fp32"
FAST = "signet-bf16"
REQUIRED = "ultralytics-loop"
"""Without its decisions being ours on fitted images, nothing is reported."""
OTHERS = ("torchvision-ssdlite", "torchvision-fasterrcnn")
"""Other networks, with random weights: their boxes are not compared."""
NOTES = {
    "ultralytics-rect": "its default, without grey rows and columns that no stride needs: another input",
    "torchvision-loop": "our network in torch, all around it by functions of torchvision",
    **dict.fromkeys(OTHERS, "another network with random weights, 320 pixels; the speed alone"),
}


@dataclass(frozen=True, slots=True)
class Decided:
    """A program's answers beside those of Signet in fp32.

    Attributes:
        fine: box by box, as two engines in fp32 are compared.
        coarse: image by image, as bf16 is compared with fp32.
    """

    fine: Compared
    coarse: Evidence


Found = Decided | str
"""The comparison, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a report is made of.

    Attributes:
        asked: what every program was asked for.
        counts: (images, distinct ones).
        required: `REQUIRED` on images that were fitted beforehand.
        found: each program on the files.
        rates: the rows of each program's rounds.
        commands: images per second of `signet predict` itself, by precision.
        peer_versions: of the environment of ultralytics.
    """

    asked: Asked
    counts: tuple[int, int]
    required: Decided
    found: Mapping[str, Found]
    rates: Mapping[str, Sequence[Mapping[str, Any]]]
    commands: Mapping[str, float]
    peer_versions: str


def report(outcome: Outcome) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    asked, (images, distinct) = outcome.asked, outcome.counts
    commands = ", ".join(f"{rate:.1f} images/s in {name}" for name, rate in outcome.commands.items())
    lines = [
        "# From image file to boxes",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}, {os.cpu_count()} processors; {images} images "
        f"({distinct} distinct), fitted into {asked.size[0]} x {asked.size[1]}; best of "
        f"{len(outcome.rates[OWN])} rounds.",
        f"Versions: {versions}; in the other environment {outcome.peer_versions}.",
        "",
        f"One state dict in all programs but torchvision's own two. Boxes from {asked.least}, suppressed "
        f"above an overlap of {asked.iou}, at most {asked.most} an image. Decides: distinct images on which "
        f"every box is that of {OWN}.",
        "",
        "| program | decides | images/s | signet bf16 is | signet fp32 is | start | peak memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *table(outcome),
        "",
        f"`signet predict` itself, from its start to its end: {commands}.",
        "",
        *(f"- {system}: {why}." for system, why in NOTES.items()),
        *own_words(outcome.found.get(FAST)),
        f"- ultralytics-openvino: in {asked.files['openvino-precision']}, which OpenVINO takes on this "
        "processor where nobody states a precision; the package has no argument for it.",
        "",
        f"Beside {OWN}, the images fitted beforehand so that nobody resamples: {REQUIRED}, "
        f"{words(outcome.required)}.",
        "",
        f"Beside {OWN}, on the files:",
        "",
        *(f"- {system}: {words(answers)}." for system, answers in outcome.found.items() if system != OWN),
    ]
    return "\n".join(lines) + "\n"


def table(outcome: Outcome) -> Iterator[str]:
    """One row a program, its best round."""
    best = {
        name: max(rows, key=lambda row: float(row.get("images_per_second", 0.0)))
        for name, rows in outcome.rates.items()
    }
    for system, row in best.items():
        if "error" in row:
            yield f"| {system} | | {row['error']} | | | | |"
            continue
        answers = outcome.found.get(system)
        alike = f"{answers.fine.equal} of {answers.fine.images}" if isinstance(answers, Decided) else ""
        rate = row["images_per_second"]
        own = (best.get(name, {}).get("images_per_second") for name in (FAST, OWN))
        ratios = " | ".join(f"{value / rate:.2f}x" if value else "" for value in own)
        yield (
            f"| {system} | {alike} | {rate:.1f} | {ratios} | {row['start_seconds']:.1f} s | "
            f"{row['peak_memory_bytes'] / 2**20:,.0f} MiB |"
        )


def own_words(found: Found | None) -> Iterator[str]:
    """When `signet predict` takes bf16 for this model."""
    if isinstance(found, Decided):
        when = "by itself" if found.coarse.allows else "only where it is asked for: --precision bf16"
        yield f"- {FAST}: {found.coarse.words()}, so `signet predict` takes it {when}."


def words(found: Found) -> str:
    """One line of a comparison."""
    if isinstance(found, str):
        return found
    said = found.fine.words()
    return f"{said}; within the bounds of bf16: {found.coarse.words()}" if found.fine.alone else said
