"""The `README.md` of a seal: its model card, for people. Every name in it is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

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
