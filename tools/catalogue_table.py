"""Every system that Signet answers for, and whether it works: `make catalogue`, `make catalogue LARGE=1`.

    python tools/catalogue_table.py [--large] [--again] [--only TEXT] [--width COLUMNS]

Each system has a line for each library that carries it: its cards, the parameter count as stated, published
and built, where its weights are, and what `catalogue_checks` saw of the first card. Counts are made anew each
time, on the meta device. Small networks are also run anew; the others are run by `--large`, which keeps the
outcome with its date in `benchmarks/results/catalogue-systems.csv`, where it is read from. Exit 1 when a
count is not the published one and `systems.jsonl` does not say why, or when a network does not work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import catalogue_checks as checks
import catalogue_dense
import catalogue_records as records
from signet.architectures.catalogue import ARCHITECTURES, NOT_BUILT
from signet.architectures.yolo_table import NETWORKS
from signet.catalogue import index
from signet.catalogue.systems import NOT_PUBLIC, NOT_YET, System, systems

SMALL = 8_000_000
"""Learned numbers up to which a network is run anew each time."""

CLOSE = 0.02
"""A stated count within this share of a published one is the same figure, rounded."""

NOTHING_PUBLISHED = "nothing to build: neither code nor weights were published"


@dataclass(frozen=True, slots=True)
class Line:
    """One system in one library; every cell has words.

    Attributes:
        system: and its variant.
        cards: names of its weights.
        stated: parameters as the user's list states them.
        published: as the library or the paper states them.
        built: as counted here.
        status: of the weights.
        forward: what was seen; also backward and tune.
        program: where its preprocessing comes from.
    """

    system: str
    cards: str
    stated: str
    published: str
    built: str
    status: str
    forward: str
    backward: str
    tune: str
    program: str


def lines(only: str = "", run: bool = True) -> Iterator[tuple[Line, list[str]]]:
    """Each line with its faults, in the order of `systems.jsonl`.

    Args:
        only: a word that the line's system or variant has in it.
        run: run the small networks; else their cells say that they were not.
    """
    kept = records.read()
    for row in systems():
        if only.lower() not in f"{row.system} {row.variant}".lower():
            continue
        for names in groups(row):
            yield _line(row, names, kept, run)


def groups(row: System) -> list[tuple[str, ...]]:
    """The names of a system, those of one library together; one empty group when it has none."""
    every = (*([row.own] if row.own else []), *row.names)
    libraries = dict.fromkeys(name.partition("/")[0] for name in every)
    found = [tuple(name for name in every if name.startswith(f"{library}/")) for library in libraries]
    return found or [()]


def to_run() -> list[str]:
    """The first card of every line that can be run: each network once."""
    found = []
    for row in systems():
        found += [names[0] for names in groups(row) if _is_held(row, names) and _missing(row, names) is None]
    return list(dict.fromkeys(checks.SAME_NETWORK.get(name, name) for name in found))


def _is_held(row: System, names: tuple[str, ...]) -> bool:
    """Whether the checks know what to ask: networks that give labels, and our own that find objects."""
    return bool(names) and (row.task == "classify" or names[0].startswith("signet/"))


def is_small(name: str) -> bool:
    """Whether a network is run each time."""
    return count(name) <= SMALL


def count(name: str) -> int:
    """See `catalogue_checks.built`; several weights of one network are built once."""
    network = name if name.startswith(("keras/", "open_clip/")) else checks.subject(name).network
    if network not in _COUNTS:
        _COUNTS[network] = checks.built(name)
    return _COUNTS[network]


_COUNTS: dict[str, int] = {}


def _line(
    row: System, names: tuple[str, ...], kept: dict[str, records.Record], run: bool
) -> tuple[Line, list[str]]:
    faults: list[str] = []
    missing = _missing(row, names)
    built = missing or _built(row, names, faults)
    seen = (missing,) * 3 if missing else _seen(names[0], kept, run, faults)
    if names and not missing and not _is_held(row, names):
        seen = ("as in its own row",) * 3
    status = row.status if row.nearest is None else f"{row.status}; nearest {row.nearest}"
    line = Line(
        system=row.variant if row.system in row.variant else f"{row.system} {row.variant}",
        cards=_cards(names) or "none",
        stated=_stated(row, faults),
        published=_published(row, names),
        built=built,
        status=status,
        forward=seen[0],
        backward=seen[1],
        tune=seen[2],
        program=_program(row, names, missing),
    )
    empty = [spec.name for spec in fields(line) if not getattr(line, spec.name).strip()]
    faults += [f"{line.system}: the cell {name!r} is empty" for name in empty]
    return line, faults


def _missing(row: System, names: tuple[str, ...]) -> str | None:
    """Why nothing can be built, in words; None where it can."""
    if not names:
        return NOT_YET if row.status == NOT_YET else "not in the index"
    zoo, _, architecture = names[0].partition("/")
    if zoo == "signet":
        if architecture in NOT_BUILT:
            return NOT_BUILT[architecture].rpartition(" Stated:")[0]
        known = architecture in ARCHITECTURES or names[0] in checks.SAME_NETWORK
        return None if known else NOTHING_PUBLISHED
    if index.has(names[0]):
        return None
    return NOT_YET if row.status == NOT_YET else "not in the index"


def _built(row: System, names: tuple[str, ...], faults: list[str]) -> str:
    cells: dict[str, list[str]] = {}
    for name in names:
        if not (name.startswith("signet/") or index.has(name)):
            cells.setdefault("not in the index", []).append(name)
            continue
        number = count(name)
        words = label(row, name, number)
        if row.parameters and words is None:
            faults.append(f"{row.variant}: {name} has {number:,}; published are {_published(row, names)}")
        listed = _indexed(name)
        if listed not in (None, number) and "auxiliary" not in (words or ""):
            faults.append(f"{row.variant}: {name} has {number:,}; its card says {listed:,}")
        cells.setdefault(f"{number:,}{_rounded(row, name, faults)}", []).append(name)
    if len(cells) == 1:
        return next(iter(cells))
    return "; ".join(f"{words} ({_cards(tuple(own))})" for words, own in cells.items())


def _rounded(row: System, name: str, faults: list[str]) -> str:
    """Of a YOLO, its size as published: that of inference, in millions to one digit; "" for all else."""
    network = NETWORKS.get(name.partition("/")[2])
    if network is None:
        return ""
    import torch

    with torch.device("meta"):
        millions = catalogue_dense.deployed(checks.subject(name).build()) / 1e6
    if round(millions, 1) != network.stated[0]:
        faults.append(
            f"{row.variant}: {name} has {millions:.2f} M in inference; published {network.stated[0]}"
        )
    return f" ({millions:.1f} M in inference)"


def _indexed(name: str) -> int | None:
    """The count on the card of a name, as its library counts."""
    if not index.has(name):
        return None
    key = "keras_parameters" if name.startswith("keras/") else "parameters"
    listed: int | None = index.config(name).get(key)
    return listed


def label(row: System, name: str, number: int) -> str | None:
    """Under which label a system's row lists a count; None when under none.

    Weights with other classes than the usual 1,000 have a wider head and nothing else.
    """
    for words, listed in row.parameters.items():
        if (words == "Keras") != name.startswith("keras/"):
            continue
        if number == listed or ("to 10,000" in words and round(number, -4) == listed):
            return words
        classes = int(index.config(name)["num_classes"]) if index.has(name) else 1000
        if classes > 1000 and (number - listed) % (classes - 1000) == 0:
            return f"{words}, with {classes:,} classes"
    return None


def _stated(row: System, faults: list[str]) -> str:
    stated = row.stated.get("params")
    if stated is None:
        return "not stated"
    near = [number for number in row.parameters.values() if abs(stated / number - 1) <= CLOSE]
    if row.parameters and not near and not row.explains:
        faults.append(f"{row.variant}: {stated:,} are stated and {dict(row.parameters)} published; say why")
    words = f"{stated / 1e6:g} M"
    return words if near or not row.parameters else f"{words} (explained in show)"


def _published(row: System, names: tuple[str, ...]) -> str:
    keras = bool(names) and names[0].startswith("keras/")
    found = [
        f"{number:,} ({words})" for words, number in row.parameters.items() if (words == "Keras") == keras
    ]
    own = names[0].partition("/")[2] if names else ""
    if own in ARCHITECTURES:
        found.insert(0, ARCHITECTURES[own].stated)
    elif own in NOT_BUILT:
        found.append(NOT_BUILT[own].partition("Stated: ")[2].partition(".  ")[0].partition(". Nearest")[0])
    return "; ".join(found) or "not published"


def _seen(name: str, kept: dict[str, records.Record], run: bool, faults: list[str]) -> tuple[str, ...]:
    name = checks.SAME_NETWORK.get(name, name)
    if not is_small(name):
        if name not in kept:
            return ("not run yet: make catalogue LARGE=1",) * 3
        record = kept[name]
        faults += [f"{name}: {cell}" for cell in record.cells if "FAILED" in cell]
        return tuple(f"{cell} ({record.date})" for cell in record.cells)
    if not run:
        return ("run by make catalogue",) * 3
    found = records.outcome(lambda: checks.works(name, batch=2))
    faults += [f"{name}: {cell}" for cell in found if "FAILED" in cell]
    return found


def _program(row: System, names: tuple[str, ...], missing: str | None) -> str:
    if missing:
        return f"none: {missing}" if row.status in (NOT_PUBLIC, NOT_YET) else missing
    tags = ", ".join(name.partition("/")[2].partition(".")[2] for name in names)
    match names[0].partition("/")[0]:
        case "timm":
            return f"timm's pretrained_cfg of {tags}"
        case "torchvision":
            return f"torchvision's transforms of the weight entry {tags.upper()}"
        case "keras":
            return "preprocess_input of the architecture's own module in keras.applications"
        case "open_clip":
            return "open_clip's preprocessing entry of the weights"
        case "signet" if row.system == "YOLO":
            return "that of architectures/yolo_table.py, with the size that a checkpoint states"
        case _ if row.status == NOT_PUBLIC:
            return f"none published; ImageNet's usual one, at the size of the paper ({row.paper})"
        case _:
            return "that of the weights that are read into it, from their own config"


def _cards(names: tuple[str, ...]) -> str:
    """`zoo/architecture.{tag, tag}`, so that several weights of one network stay one word."""
    tags: dict[str, list[str]] = {}
    for name in names:
        architecture, dot, tag = name.partition(".")
        tags.setdefault(architecture, []).extend([tag] if dot else [])
    parts = []
    for architecture, own in tags.items():
        tail = "" if not own else f".{own[0]}" if len(own) == 1 else f".{{{', '.join(own)}}}"
        parts.append(f"{architecture}{tail}")
    return ", ".join(parts)


def _print(found: list[Line], width: int | None) -> None:
    from rich.box import HORIZONTALS
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=HORIZONTALS, show_lines=True)
    for spec in fields(Line):
        table.add_column(spec.name, overflow="fold", justify="left")
    for line in found:
        table.add_row(*(Text(cell) for cell in astuple(line)))
    wide = width or (None if sys.stdout.isatty() else 220)
    Console(width=wide).print(table)


def main() -> None:
    """Print the table; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="run what is not small, and keep the outcome")
    parser.add_argument("--again", action="store_true", help="with --large: also what has an outcome")
    parser.add_argument("--only", default="", help="systems with this in their name")
    parser.add_argument("--width", type=int)
    chosen = parser.parse_args()
    if chosen.large:
        wanted = [name for name in to_run() if not is_small(name)]
        records.run_all(sorted(wanted, key=count), again=chosen.again)
    found, faults = [], []
    for line, wrong in lines(chosen.only):
        found.append(line)
        faults += wrong
        print(f"{line.system}: {line.cards}", file=sys.stderr)
    _print(found, chosen.width)
    print(f"{len(systems())} systems in {len(found)} lines; {len(faults)} faults.")
    for fault in faults:
        print(f"fault: {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
