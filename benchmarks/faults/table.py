"""The table of the suite: every mistake, who notices it and when, and what it costs where nobody does."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faults import detectors, planting, truths
from faults.injected import DATA, LABELS, MODEL, PREPROCESSING

SYSTEMS = ("signet", "timm", "torchvision", "transformers", "keras", "fastai")
SYMBOLS = {"before use": "●", "at use": "◐", "not": "○", "impossible": "–", "does not apply": ""}
LEGEND = (
    "● noticed before use, ◐ noticed while used, ○ not noticed, – the documented way leaves no room for it, "
    "blank: nothing of the kind in the package"
)
TRAINING = {"learning rate that kills": "pretrained stages learn at 0.01"}
FILES = {
    "exported in train mode": "without `eval()`",
    "fixed batch": "exported for one picture, given several",
    "calibrated with wrong preprocessing": "int8 ranges from 0 to 255 for -1 to 1",
    "sensitive layer collapsed": "int8 with one scale for all channels",
    "truncated file": "4 KiB are missing at the end",
    "altered file": "one bit of a weight",
    "engine upgraded": "bf16 where fp32 was computed",
}
GROUPS: Mapping[str, Mapping[str, str]] = {
    "preprocessing": {fault.name: fault.does for fault in PREPROCESSING},
    "labels": {fault.name: fault.does for fault in LABELS},
    "model": {fault.name: fault.does for fault in MODEL},
    "boxes": {fault.name: fault.does for fault in detectors.FAULTS},
    "data": {
        **{name: does for name, (_, does) in planting.DATASETS.items()},
        **{fault.name: fault.does for fault in DATA},
        **{name: does for name, (_, does) in truths.TRUTHS.items()},
        **TRAINING,
    },
    "export, int8, files": FILES,
}
_OF_THE_MACHINE = re.compile(r"(/[\w.-]+)+/tmp\w{8}/|\x1b\[\d+m")
"""Temporary folders, and codes of a terminal."""
Rows = Sequence[Mapping[str, Any]]


def names() -> Sequence[str]:
    """All mistakes of the suite, in order."""
    return [name for group in GROUPS.values() for name in group]


def lost(costs: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Points lost, "" where that is not measured."""
    found = costs.get(name)
    if found is None:
        return ""
    unit = " AP50" if found["figure"] == "ap50" else ""
    return f"{100 * (found['sound'] - found['faulty']):.1f}{unit}"


def markdown(rows: Rows, costs: Mapping[str, Mapping[str, Any]], *, told: bool = True) -> str:
    """One line a mistake, one column a system; with what each mistake is in words, where that is told."""
    said = {(row["fault"], row["system"]): row["when"] for row in rows}
    lines = [f"| mistake | {' | '.join(SYSTEMS)} | points lost |", f"|---|{':-:|' * len(SYSTEMS)}--:|"]
    for group, faults in GROUPS.items():
        lines.append(f"| **{group}** |{' |' * (len(SYSTEMS) + 1)}")
        for name, does in faults.items():
            symbols = [SYMBOLS[said[name, system]] if (name, system) in said else "?" for system in SYSTEMS]
            words = f"{name}: {does}" if told else name
            lines.append(f"| {words} | {' | '.join(symbols)} | {lost(costs, name)} |")
    return "\n".join(lines)


def counted(rows: Rows) -> str:
    """For each system how many were noticed, and how many not."""
    wanted = set(names())
    lines = [
        "| system | before use | while used | not noticed | no room for it | does not apply |",
        "|---|" + "--:|" * 5,
    ]
    for system in SYSTEMS:
        count = Counter(row["when"] for row in rows if row["system"] == system and row["fault"] in wanted)
        lines.append(f"| {system} | {' | '.join(str(count[when]) for when in SYMBOLS)} |")
    return "\n".join(lines)


def write_csv(rows: Rows, costs: Mapping[str, Mapping[str, Any]], to: Path, work: Path) -> None:
    """Every row with its message; no path of this machine."""
    fields = ("fault", "group", "does", "system", "when", "by", "message", "points lost")
    order = {name: place for place, name in enumerate(names())}
    with to.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, fields)
        table.writeheader()
        known = [row for row in rows if row["fault"] in order]
        for row in sorted(known, key=lambda row: (order[row["fault"]], SYSTEMS.index(row["system"]))):
            name = row["fault"]
            group = next(group for group, faults in GROUPS.items() if name in faults)
            message = _OF_THE_MACHINE.sub("", row["message"].replace(f"{work.resolve()}/", ""))
            does = GROUPS[group][name]
            table.writerow(
                {**row, "group": group, "does": does, "message": message, "points lost": lost(costs, name)}
            )
