"""Does every exported file decide as its seal? Each in its own runtime, over a folder of images, in fp32.

    python benchmarks/exports.py MODEL... --images FOLDER --out benchmarks/results/exports-DATE.md

The seal's own answers on ONNX Runtime are the reference. Each image goes through alone. Formats whose library
is not installed are said to be left out; LiteRT's converter is named by SIGNET_LITERT_PYTHON.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from signet import machine, resolve, seal
from signet.engines.by_ending import open_file
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest, SignetError
from signet.exporting import FORMATS, ExportSettings, export
from signet.models import Model, load
from signet.networks import Pretrained
from signet.predictions import Classes
from signet.running import Running
from signet.seals import Seal, open_seal
from signet.zoos import card_files

Row = tuple[str, str, str, str, str, str]


def answers(model: Model[Any], paths: list[Path]) -> np.ndarray:
    """The scores of each image, asked alone."""
    return np.stack([model(path)[0].scores for path in paths])


def of_file(path: Path, paths: list[Path]) -> np.ndarray:
    """What a file answers in its own runtime."""
    card = card_files.read_card(card_files.place_of(path))
    settings = EngineSettings(threads=1)
    running = Running(open_file(path, card, settings), settings, "its own runtime")
    with Model[Classes](Pretrained(card, (), "", "file"), running) as model:
        return answers(model, paths)


def row(sealed: Seal, to: str, place: str, paths: list[Path], expected: np.ndarray) -> Row:
    """One line of the table."""
    wanted = FORMATS[to]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"model{wanted.ending}"
        settings = ExportSettings(preprocessing=place, snippet=None, keep=True)  # type: ignore[arg-type]
        try:
            exported = export(sealed, to, target, settings=settings)
        except BadRequest as error:
            return sealed.card.name, to, place, "left out", str(error).splitlines()[0], ""
        except SignetError as error:
            return sealed.card.name, to, place, "refused", str(error).splitlines()[0], ""
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
        if wanted.unrun:
            return sealed.card.name, to, place, "converted, not run", wanted.unrun, f"{size:.1f}"
        given = of_file(target, paths)
    equal = int((given.argmax(1) == expected.argmax(1)).sum())
    apart = float(np.abs(given - expected).max())
    agreed = f"{exported.verdict.agree} of {exported.verdict.total}"
    found = f"{equal} of {len(paths)}"
    verdict = f"ok, golden {agreed}" if exported.verdict.ok else exported.verdict.message
    return (
        sealed.card.name,
        to,
        place,
        found,
        f"{verdict}; scores differ by at most {apart:.1e}",
        f"{size:.1f}",
    )


def page(rows: list[Row], count: int) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions().items()))
    lines = [
        "# Exports, decision by decision",
        "",
        f"{count} images, each alone, fp32, one thread. Reference: the seal on ONNX Runtime. Equal "
        "decisions are equal first labels.",
        "",
        "| model | format | preprocessing | equal decisions | verdict | MB, all files |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(parts)} |" for parts in rows),
        "",
        f"{platform.python_version()} on {machine.processor()}; {versions}.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Seal each model, export it to everything, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # the converters warn of their own deprecations
    paths = sorted(
        path for path in asked.images.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png")
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(asked.models):
            place = Path(name)
            there = place.suffix == ".signet"
            sealed = open_seal(place) if there else sealed_of(name, paths, Path(folder), number)
            with load(sealed.path, Classes, engine="onnx", precision="fp32") as model:
                expected = answers(model, paths)
            for to in asked.formats:
                for inside in ("out", "in"):
                    if inside == "in" and to in ("coreml", "litert", "executorch"):
                        continue  # the same arithmetic as in torch.export, whose graph they are made of
                    rows.append(row(sealed, to, inside, paths, expected))
                    print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    text = page(rows, len(paths))
    if asked.out:
        asked.out.write_text(text, "utf-8")
    print(text)
    wrong = [found for _, _, _, found, _, _ in rows if " of " in found and len(set(found.split(" of "))) > 1]
    return 1 if wrong else 0


def sealed_of(name: str, paths: list[Path], folder: Path, number: int) -> Seal:
    """A seal of a model by its name."""
    return seal(resolve(name), paths[:4], out=folder / f"{number}.signet")


if __name__ == "__main__":
    sys.exit(main())
