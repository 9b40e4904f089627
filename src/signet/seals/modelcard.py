"""The `README.md` of a seal: its model card, for people. Every name in it is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from signet.cards import Card
from signet.heads import HEADS, Head, Suppression
from signet.naming import shown
from signet.seals.manifest import Manifest

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$:@=^\"'])")
_MOST_LABELS = 20


def model_card(manifest: Manifest) -> str:
    """Markdown with plain headings, lists and tables, and no HTML, link or picture."""
    card = manifest.card
    parts = [f"# {escaped(card.name)}", ""]
    if card.good_for:
        parts += [escaped(card.good_for), ""]
    parts += _table(
        ("fact", "value"),
        [
            ("task", card.task),
            ("architecture", card.architecture or "unknown"),
            ("family", card.family or "unknown"),
            ("parameters", "unknown" if card.parameters is None else f"{card.parameters:,}"),
            ("input", "any size" if card.input_size is None else " x ".join(map(str, card.input_size))),
            ("answer", card.output.head),
            (
                "licence of the weights",
                card.licence.weights + ("" if card.licence.stated else " (not stated)"),
            ),
            ("training data", card.licence.training_data or "not stated"),
            ("origin", card.origin or "unknown"),
        ],
    )
    parts += [
        "## Preprocessing",
        "",
        *(f"{n}. {escaped(words)}" for n, words in enumerate(card.program.words(), 1)),
        "",
    ]
    parts += _answer(card)
    parts += _labels(card.labels)
    if card.claims:
        rows = [(claim.metric, f"{claim.value:g}", claim.dataset, claim.source) for claim in card.claims]
        parts += ["## Figures", "", *_table(("metric", "value", "data", "source"), rows)]
    if manifest.training:
        parts += ["## Training", "", *_facts(manifest.training)]
    if card.lineage:
        parts += ["## Lineage", "", *_facts(card.lineage)]
    parts += _evidence(manifest)
    return "\n".join(parts).rstrip() + "\n"


def _answer(card: Card) -> list[str]:
    """How a detector's or segmenter's outputs become its answer, in words."""
    row = HEADS.get(card.output.head)
    if row is None or card.task not in row.tasks:
        return []
    head = Head.of(card.output.head, card.output.extra, card.output.tensor)
    words = {
        "detect": "Boxes with labels and scores, in pixels of the original image.",
        "instances": "Boxes with labels and scores and the pixels of each object, in the original image.",
        "segment": "A label for each pixel of the original image.",
    }
    lines = [words[card.task]]
    if head.strides:
        lines.append(f"A box for each cell of {', '.join(map(str, head.strides))} pixels.")
    how = head.suppression
    if how is not None:
        lines.extend(suppression_words(how))
    if card.task == "instances":
        lines.append(f"A pixel belongs to an object when its probability is above {head.mask_threshold:g}.")
    return ["## Answer", "", *(f"- {escaped(line)}" for line in lines), ""]


def suppression_words(how: Suppression) -> list[str]:
    """A card's `nms` in sentences."""
    lines = []
    if how.score_floor > 0:
        lines.append(f"A box needs a score of at least {how.score_floor:g}.")
    if how.multi_label:
        lines.append("Each label of a box that reaches it is an answer of its own.")
    others = "a better one of its class" if how.class_wise else "any better one"
    if how.soft == "gaussian":
        lines.append(f"The score of a box that overlaps {others} is lowered, by a gaussian of {how.sigma:g}.")
    elif how.soft == "linear":
        lines.append(f"The score of a box that overlaps {others} by more than {how.iou:g} is lowered.")
    elif how.iou is not None:
        lines.append(f"A box that overlaps {others} by more than {how.iou:g} is left out.")
    else:
        lines.append("No box is left out because it overlaps another.")
    if how.before is not None:
        lines.append(f"The best {how.before} boxes are compared.")
    if how.after is not None:
        lines.append(f"At most {how.after} boxes are answers.")
    return lines


def escaped(text: object) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no link, one line."""
    return _SPECIAL.sub(r"\\\1", shown(" ".join(str(text).split())))


def _labels(labels: Sequence[str] | None) -> list[str]:
    if not labels:
        return []
    names = ", ".join(escaped(label) for label in labels[:_MOST_LABELS])
    more = (
        f", and {len(labels) - _MOST_LABELS} more (all are in seal\\.json)"
        if len(labels) > _MOST_LABELS
        else ""
    )
    return ["## Labels", "", f"{len(labels)}: {names}{more}", ""]


def _evidence(manifest: Manifest) -> list[str]:
    own = sum(entry.source == "own" for entry in manifest.golden)
    made = len(manifest.golden) - own
    origin = [f"{own} of the user's images (metadata removed)"] * bool(own) + [
        f"{made} made by Signet"
    ] * bool(made)
    parts = [
        "## Evidence",
        "",
        f"Golden images: {', '.join(origin)}\\. `signet verify` replays them and compares every stage\\.",
        "",
    ]
    if manifest.variants:
        rows = [
            (
                variant.engine,
                variant.version,
                variant.precision,
                f"{variant.equal} of {variant.compared}",
                variant.processor,
            )
            for variant in manifest.variants
        ]
        parts += _table(("engine", "version", "precision", "same decision", "processor"), rows)
    parts += [
        "Made with " + ", ".join(f"{escaped(k)} {escaped(v)}" for k, v in manifest.versions.items()),
        "",
    ]
    return parts


def _facts(facts: Mapping[str, Any], most: int = 40) -> list[str]:
    """The plain values of a record, nested keys joined by a space; long ones are left to seal.json."""
    rows = list(_flat(facts))
    return _table(("fact", "value"), [(key, value) for key, value in rows[:most]])


def _flat(facts: Mapping[str, Any], start: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{start}{key}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name} ")
        elif not isinstance(value, list | tuple) or len(str(value)) <= 80:
            rows.append((name, str(value)))
    return rows


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(escaped(value) for value in row)} |" for row in rows]
    return [*lines, ""]
