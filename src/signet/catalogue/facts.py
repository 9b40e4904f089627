"""What others published about the catalogue's weights: accuracies and multiply-adds, each with its source.

`data/claims.csv`, `data/claim_sources.json` and `data/costs.csv` are written by `tools/gather_claims.py`.
They are read as lines and parsed only where asked, since the catalogue lists thousands of models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from signet.cards import Claim
from signet.geometry import Size

DATASETS = {
    "1k": "ImageNet-1k validation",
    "v2": "ImageNet-V2 matched-frequency",
    "real": "ImageNet-ReaL",
    "a": "ImageNet-A",
    "r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
}
"""Column of `claims.csv` to the data set's name in a claim."""


def claims_of(name: str, size: Size | None = None) -> tuple[Claim, ...]:
    """Every published accuracy of a weight; none for a name that nobody published figures of.

    Args:
        name: `zoo/architecture.tag`, whole.
        size: (height, width) of the card's own input. Figures measured at it come first.
    """
    rows = sorted(_rows(name), key=lambda cells: size is None or cells[1] != str(size[0]))
    return tuple(claim for cells in rows for claim in _claims(cells))


def top1_of(name: str, size: Size | None = None) -> float | None:
    """The accuracy on ImageNet-1k validation that a list is sorted by; no zero-shot figure.

    The one measured at the card's own input size, else the first that is published.
    """
    first = None
    for cells in _rows(name):
        if cells[4] or not cells[5]:
            continue
        if size is not None and cells[1] == str(size[0]):
            return float(cells[5])
        first = float(cells[5]) if first is None else first
    return first


def gmacs_of(architecture: str, size: Size) -> float | None:
    """Multiply-adds of a timm architecture for one square image, in 10^9, as timm counted them."""
    found = _costs().get((architecture, str(size[0])))
    return None if found is None or size[0] != size[1] else float(found)


def names() -> tuple[str, ...]:
    """Every name with a published figure."""
    return tuple(_lines())


def _claims(cells: list[str]) -> list[Claim]:
    source, size, crop, kernel, protocol = cells[:5]
    setting = ", ".join(filter(None, (f"crop {crop}" if crop else "", kernel)))
    found = []
    for place, dataset in enumerate(DATASETS):
        words = _sources()[source].get(dataset)
        for metric, value in zip(("top1", "top5"), cells[5 + 2 * place : 7 + 2 * place], strict=True):
            if value and words:
                found.append(
                    Claim(
                        metric=f"zero_shot_{metric}" if protocol else metric,
                        value=float(value),
                        dataset=DATASETS[dataset],
                        source=f"{words}; {setting}" if setting else words,
                        evaluation_size=int(size) if size else None,
                    )
                )
    return found


def _rows(name: str) -> list[list[str]]:
    """Source, size, crop, interpolation, protocol, then the values in the order of `DATASETS`."""
    return [line.split(",") for line in _lines().get(name, ())]


@cache
def _lines() -> Mapping[str, tuple[str, ...]]:
    """Name to its lines without the name."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _read("claims.csv").splitlines()[1:]:
        name, _, rest = line.partition(",")
        found[name] = (*found.get(name, ()), rest)
    return found


@cache
def _sources() -> Mapping[str, Mapping[str, str]]:
    found: Mapping[str, Mapping[str, str]] = json.loads(_read("claim_sources.json"))
    return found


@cache
def _costs() -> Mapping[tuple[str, str], str]:
    found = {}
    for line in _read("costs.csv").splitlines()[1:]:
        architecture, size, gmacs, _ = line.split(",")
        found[architecture, size] = gmacs
    return found


def _read(file: str) -> str:
    return files("signet.catalogue").joinpath(f"data/{file}").read_text("utf-8")
