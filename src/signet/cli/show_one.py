"""What is known of one model or system, for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from signet.catalogue.systems import PUBLIC, System
from signet.cli.columns import Column
from signet.cli.terminal import Terminal
from signet.naming import shown

if TYPE_CHECKING:
    from signet.cards import Card, Claim, Licence

VERDICTS = {
    "permissive": "let through by --licence permissive",
    "restricted": "left out by --licence permissive",
    "unknown": "not known: left out and counted by --licence",
}


def tell(terminal: Terminal, card: Card, plain: Mapping[str, Any], rows: Sequence[System]) -> None:
    """The whole card.

    Args:
        terminal: where to.
        card: what is known of the model.
        plain: the JSON of the same, with status, recipe, features and what else is not in a card.
        rows: the systems of the list that it belongs to.
    """
    size, recipe = card.input_size, plain["recipe"]
    terminal.result(card.name)
    lines = [
        ("task", card.task),
        ("family", card.family),
        ("architecture", card.architecture),
        ("parameters", "" if card.parameters is None else f"{card.parameters:,}"),
        ("GMACs", "" if card.gmacs is None else f"{card.gmacs:.3g}"),
        ("input", "" if size is None else f"{size[0]}x{size[1]} px"),
        ("depth", "" if card.depth is None else str(card.depth)),
        ("paper", " ".join(filter(None, (card.paper, f"({card.year})" if card.year else "")))),
        ("labels", _labels(card.labels)),
        ("answers", _answers(card)),
        ("vectors", "" if card.output.width is None else f"{card.output.width} values"),
        ("licence", _licence(card.licence)),
        ("code", card.licence.code or ""),
        ("training data", card.licence.training_data or ""),
        ("recipe", f"{recipe['words']} ({recipe['source']})" if recipe["words"] else ""),
        ("published by", recipe["by"]),
        ("domain", card.domain),
        ("weights", f"{plain['status']}, digest {card.digest_trust} {card.weights_digest or ''}".strip()),
        ("nearest", card.nearest),
        ("origin", card.origin),
        ("good for", card.good_for),
        ("features", plain["features"]),
        ("outputs", ", ".join(plain.get("outputs", ()))),
    ]
    terminal.table(("", ""), [line for line in lines if line[1]])
    section(terminal, "preprocessing", [f"{n}. {words}" for n, words in enumerate(card.program.words(), 1)])
    if card.claims:
        _claims(terminal, card.claims)
    for row in rows:
        section(terminal, f"stated and published: {row.variant}", _figures(row))
    if card.lineage:
        terminal.result("")
        terminal.result("lineage")
        _nested(terminal, card.lineage, 2)
    section(terminal, "layers", plain.get("layers", []))


def tell_guess(terminal: Terminal, guessed: Any) -> None:
    """What a weight file says of itself."""
    for line in guessed.lines():
        terminal.line(shown(line))


def tell_system(terminal: Terminal, row: System, name: str | None = None) -> None:
    """A system of the list that no card of a zoo is called by; `name` is what it is shown as."""
    terminal.result(name or str(row.own))
    weights = row.status if row.status != PUBLIC or not row.names else f"{row.status}: {', '.join(row.names)}"
    nearest = f"; nearest: {row.nearest}" if row.nearest else ""
    lines = [
        ("system", row.variant),
        ("task", row.task),
        ("paper", " ".join(filter(None, (row.paper, f"({row.year})" if row.year else "")))),
        ("weights", f"{weights}{nearest}"),
    ]
    terminal.table(("", ""), lines)
    section(terminal, "stated and published", _figures(row))


def _answers(card: Card) -> str:
    """How a detector's or segmenter's outputs are read; nothing of other models."""
    from signet.answers import head_of

    if card.task not in ("detect", "instances", "segment"):
        return ""
    head = head_of(card)
    how = "" if head.suppression is None else f": {head.suppression.words()}"
    return f"laid out as {head.name}{how}"


def _licence(licence: Licence) -> str:
    words = licence.words or ("" if licence.stated else "inherited, not stated")
    told = [part for part in (words, VERDICTS[licence.verdict]) if part]
    return f"{licence.weights} ({'; '.join(told)})"


def _claims(terminal: Terminal, claims: Sequence[Claim]) -> None:
    """One row for each data set, size and source; the sources stand below, by number."""
    sources = list(dict.fromkeys(claim.source for claim in claims))
    metrics = list(dict.fromkeys(claim.metric for claim in claims))
    cells: dict[tuple[str, int | None, str], dict[str, str]] = {}
    for claim in claims:
        key = claim.dataset, claim.evaluation_size, claim.source
        cells.setdefault(key, {})[claim.metric] = _value(claim)
    rows = [
        (
            dataset,
            "" if size is None else f"{size} px",
            *(values.get(metric, "") for metric in metrics),
            f"[{sources.index(source) + 1}]",
        )
        for (dataset, size, source), values in cells.items()
    ]
    columns = [Column("measured on"), Column("at", right=True, spare=len(metrics) + 1)]
    columns += [
        Column(_metric(metric), right=True, spare=len(metrics) - n) for n, metric in enumerate(metrics)
    ]
    terminal.result("")
    terminal.result("claims")
    terminal.rows([*columns, Column("source")], rows)
    for number, source in enumerate(sources, 1):
        terminal.result(f"[{number}] {source}", indent=2)


def _metric(metric: str) -> str:
    return {"top1": "top-1", "top5": "top-5"}.get(metric, metric.replace("_", " "))


def _value(claim: Claim) -> str:
    if claim.low is None or claim.high is None:
        return f"{100 * claim.value:.2f} %"
    return f"{100 * claim.value:.1f} % ({100 * claim.low:.1f} to {100 * claim.high:.1f})"


def _figures(row: System) -> list[str]:
    """Stated figures, counts and published figures of a system, and why they differ."""
    stated = ", ".join(f"{key} {value:,}" for key, value in row.stated.items())
    counts = ", ".join(f"{value:,} as {key} counts" for key, value in row.parameters.items())
    return [
        *([f"stated: {stated}"] if stated else []),
        *([f"parameters: {counts}"] if counts else []),
        *(
            f"{figure.metric} {figure.value:.4g} on {figure.dataset}"
            f"{', ' + figure.how if figure.how else ''} ({figure.source})"
            for figure in row.published
        ),
        *([row.explains] if row.explains else []),
    ]


def section(terminal: Terminal, title: str, lines: Sequence[str]) -> None:
    """A title and what stands below it; nothing where nothing does."""
    if lines:
        terminal.result("")
        terminal.result(title)
        for line in lines:
            terminal.result(line, indent=2)


def _nested(terminal: Terminal, fields: Mapping[str, Any], indent: int) -> None:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            terminal.result(f"{key}:", indent)
            _nested(terminal, value, indent + 2)
        else:
            terminal.result(f"{key}: {value}", indent)


def _labels(labels: tuple[str, ...] | None) -> str:
    if labels is None:
        return "none"
    return f"{len(labels)}: {', '.join(labels[:4])}{', ...' if len(labels) > 4 else ''}"
