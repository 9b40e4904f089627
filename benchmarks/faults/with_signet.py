"""Does Signet notice? Each fault in a consumer of a real seal, on each engine, and what `verify` names.

    PYTHONPATH=benchmarks python -m faults.with_signet --work FOLDER [--shared FOLDER] [--csv FILE]

The seal is that of the real MobileNetV2, with five golden images: a photograph, one turned by EXIF, a grey
one, a transparent one, an upright one. The consumer knows no Signet (`pipelines`). It is asked twice: once it
tells what its stages gave, once only its labels and scores. Faults of the model are asked a third time as an
exported file, of which the first layer that differs is named. Each finished fault is a line of
FOLDER/faults.jsonl.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults import networks, pipelines
from faults.injected import FAULTS, Fault
from faults.pipelines import Network, Pipeline
from signet import resolve, tracing
from signet.asking import Program, Said
from signet.engines.contract import EngineSettings
from signet.evidence import expected_from
from signet.graphs.opening import open_graph
from signet.seals import GoldenImage, Seal, SealContents, open_seal, write_seal
from signet.seals.manifest import GoldenEntry
from signet.seals.stripping import stripped_jpeg
from signet.verification import verify
from signet.verification_elsewhere import verify_elsewhere

MODEL = "mobilenetv2_100.coral_in1k"
ENGINES: Mapping[str, Callable[[Path], Network]] = {
    "onnx": networks.of_onnx,
    "openvino": networks.of_openvino,
}
FIELDS = ("fault", "group", "does", "expected", "engine", "stages", "answers only", "file", "layer")
DRIFT_IMAGES = 32


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--csv", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(asked.work, asked.shared)
    record = asked.work / "faults.jsonl"
    done = {(row["fault"], row["engine"]) for row in _rows(record)}
    clean = Fault("none", "preprocessing", "nothing is wrong", "ok", lambda pipeline: pipeline)
    for fault in (clean, *FAULTS):
        for engine in ("onnx", "openvino", "torch"):
            if (fault.name, engine) not in done:
                row = bench.row(fault, engine)
                with record.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    if asked.csv is not None:
        with asked.csv.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, FIELDS)
            table.writeheader()
            table.writerows(_rows(record))


class Bench:
    """The seal, and networks with and without faults.

    Args:
        work: where the seal and the graphs are kept.
        shared: the folder with weights and images.
    """

    def __init__(self, work: Path, shared: Path) -> None:
        self.work, self.weights = work, shared / "weights" / MODEL
        self.photos = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
        place = work / "model.signet"
        self.seal = open_seal(place) if place.exists() else self._sealed(place)
        self._modules: dict[str, Any] = {}

    def row(self, fault: Fault, engine: str) -> dict[str, Any]:
        """What `verify` says of a fault on an engine: "ok" where it says nothing."""
        name = fault.name if fault.name in networks.MODELS else ""
        labels = self.seal.card.labels or ()
        pipeline = Pipeline(network=self.network(name, engine), labels=labels)
        if fault.inject is not None:
            pipeline = fault.inject(pipeline)
        file, layer = self._as_file(name, engine) if name and engine != "torch" else ("", "")
        return {
            "fault": fault.name,
            "group": fault.group,
            "does": fault.does,
            "expected": fault.stage,
            "engine": engine,
            "stages": self._asked(pipeline, stages=True),
            "answers only": self._asked(pipeline, stages=False),
            "file": file,
            "layer": layer,
        }

    def _asked(self, pipeline: Pipeline, *, stages: bool) -> str:
        def ask(image: Path) -> Said:
            line, told = pipeline(image)
            return Said(line, told if stages else {})

        return verify_elsewhere(self.seal, Program("the consumer", ask)).first_divergence or "ok"

    def _as_file(self, name: str, engine: str) -> tuple[str, str]:
        verdict = verify(self.seal, file=self._graph(name), engine=engine, precision="fp32")
        return verdict.first_divergence or "ok", "" if verdict.layer is None else verdict.layer.name

    def network(self, name: str, engine: str) -> Network:
        """A network with a fault of `networks.MODELS`, "" for the sound one, on an engine."""
        if engine != "torch":
            return ENGINES[engine](self._graph(name))
        if name not in self._modules:
            self._modules = {name: networks.source_of(name, self.weights, self.drifting()).build()}
        return networks.of_torch(self._modules[name])

    def _graph(self, name: str) -> Path:
        if not name:
            return self.seal.graphs["image"]
        source = networks.source_of(name, self.weights, self.drifting())
        return tracing.traced(source, self.work / "graphs").path

    def drifting(self) -> Sequence[pipelines.Array]:
        """Other pictures than the golden ones, prepared."""
        return [_prepared(path) for path in self.photos[-DRIFT_IMAGES:]]

    def _sealed(self, place: Path) -> Seal:
        """A seal with golden images on which each fault of preprocessing shows."""
        found = resolve(str(self.weights))
        (source,) = found.networks
        settings = EngineSettings(cache=self.work / "cache")
        graph = open_graph(tracing.traced(source, self.work / "graphs").path)  # type: ignore[arg-type]
        golden = tuple(_golden(self.photos, self.work))
        expected = expected_from(found.card, graph, golden, settings)
        return write_seal(SealContents(card=found.card, graph=graph, golden=golden, expected=expected), place)


def _golden(photos: Sequence[Path], work: Path) -> list[GoldenImage]:
    """A photograph, one turned, one grey, one transparent, and one upright."""
    shapes = [(path, Image.open(path)) for path in photos]
    wide = [path for path, picture in shapes if picture.width > picture.height and picture.mode == "RGB"]
    tall = next(path for path, picture in shapes if picture.height > picture.width)
    grey, turned, clear = (work / name for name in ("grey.jpg", "turned.jpg", "clear.png"))
    Image.open(wide[1]).convert("L").save(grey, quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(wide[2]).save(turned, quality=95, exif=exif)
    whole = Image.open(wide[3]).convert("RGBA").resize((400, 300))
    alpha = np.tile(np.linspace(0, 255, 400).astype(np.uint8), (300, 1))
    whole.putalpha(Image.fromarray(alpha))
    whole.save(clear)
    files = (wide[0], turned, grey, clear, tall)
    return [
        GoldenImage(
            GoldenEntry(f"golden/{number}{path.suffix.lower().replace('jpeg', 'jpg')}", "own"), _plain(path)
        )
        for number, path in enumerate(files)
    ]


def _prepared(path: Path) -> pipelines.Array:
    upright = pipelines.orient(path, pipelines.read(path))
    return pipelines.layout(pipelines.normalise(pipelines.crop(pipelines.resize(upright))))


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    return data if path.suffix == ".png" else stripped_jpeg(data)


def _rows(record: Path) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.is_file() else []


if __name__ == "__main__":
    main()
