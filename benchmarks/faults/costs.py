"""What a mistake costs where nobody notices it: accuracy of the real MobileNetV2, AP50 of YOLOX-nano.

Both consumers know no Signet (`pipelines`, `detectors`). Pictures are those of the shared folder: every
second of 250 of ImageNet (one a class), and the 80 of coco_tiny's validation. Where a mistake needs pictures
that are turned, grey or transparent, it and the sound program see such copies of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults import detectors, networks
from faults.by_signet import BySignet
from faults.injected import FAULTS
from faults.pipelines import Pipeline

EVERY = 2
_PLAIN = "plain"


class Costs:
    """Figures of the sound program and of each with a mistake, kept in FOLDER/costs.json.

    Args:
        suite: seals, graphs, folders.
    """

    def __init__(self, suite: BySignet) -> None:
        self.suite, self.file = suite, suite.work / "costs.json"
        self.found: dict[str, dict[str, Any]] = (
            json.loads(self.file.read_text()) if self.file.is_file() else {}
        )

    def run(self) -> Mapping[str, Mapping[str, Any]]:
        """By fault `{sound, faulty, count, figure}`, both from 0 to 1; resumable."""
        bench = self.suite.bench
        labels = bench.seal.card.labels or ()
        for fault in FAULTS:
            network = fault.name if fault.name in networks.MODELS else ""

            def faulty(name: str = network, inject: Any = fault.inject) -> Pipeline:
                pipeline = Pipeline(network=bench.network(name, "onnx"), labels=labels)
                return inject(pipeline) if inject else pipeline

            self._classified(fault.name, faulty, _COPIES.get(fault.name, _PLAIN))
        for name in (
            "exported in train mode",
            "calibrated with wrong preprocessing",
            "sensitive layer collapsed",
        ):
            self._classified(
                name, lambda at=name: Pipeline(network=networks.of_onnx(self.suite.made(at)), labels=labels)
            )
        graph = bench.seal.graphs["image"]
        self._classified(
            "engine upgraded",
            lambda: Pipeline(network=networks.of_openvino(graph, precision="bf16"), labels=labels),
        )
        for one in detectors.FAULTS:
            self._detected(one)
        return self.found

    def _classified(self, name: str, make: Callable[[], Pipeline], copies: str = _PLAIN) -> None:
        if name in self.found:
            return
        sound = f"sound, {copies}"
        if sound not in self.found:
            bench = self.suite.bench
            plain = Pipeline(network=bench.network("", "onnx"), labels=bench.seal.card.labels or ())
            self.found[sound] = {"faulty": self._right(plain, copies)}
        self._keep(
            name, self.found[sound]["faulty"], self._right(make(), copies), len(self._photos()), "top1"
        )

    def _keep(self, name: str, sound: float, faulty: float, count: int, figure: str) -> None:
        self.found[name] = {"sound": sound, "faulty": faulty, "count": count, "figure": figure}
        self.file.write_text(json.dumps(self.found, indent=1))
        print(f"{name}: {figure} {sound:.3f} -> {faulty:.3f}", flush=True)

    def _photos(self) -> Sequence[tuple[Path, int]]:
        folder = self.suite.shared / "data" / "imagenet_sample_250"
        with (folder / "index.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))[::EVERY]
        return [(folder / row["file"], int(row["class_index"])) for row in rows]

    def _right(self, pipeline: Pipeline, copies: str) -> float:
        """The share whose best label is the right one, by name: a list of labels can be wrong, too."""
        names, right = self.suite.bench.seal.card.labels or (), 0
        for path, truth in self._photos():
            line, _ = pipeline(self._copy(path, copies))
            right += line["top"][0]["label"] == names[truth]
        return right / len(self._photos())

    def _copy(self, path: Path, kind: str) -> Path:
        if kind == _PLAIN:
            return path
        out = self.suite.work / "copies" / kind / f"{path.stem}.png"
        if kind == "turned":
            out = out.with_suffix(".jpg")
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            _CHANGES[kind](Image.open(path).convert("RGB"), out)
        return out

    def _detected(self, fault: detectors.OfDetectors) -> None:
        if fault.name in self.found:
            return
        boxer = detectors.Boxer(self.suite.detecting(), self.suite.detector.card.labels or ())
        if "sound, boxes" not in self.found:
            self.found["sound, boxes"] = {"faulty": self._precision(boxer)}
        sound = self.found["sound, boxes"]["faulty"]
        self._keep(fault.name, sound, self._precision(fault.inject(boxer)), 80, "ap50")

    def _precision(self, boxer: detectors.Boxer) -> float:
        """COCO's AP50 as its own evaluation counts it."""
        from faster_coco_eval import COCO, COCOeval_faster

        folder = self.suite.shared / "data" / "coco_tiny"
        truth = COCO(str(folder / "annotations" / "instances_val2017.json"))
        kinds = {row["name"]: row["id"] for row in truth.dataset["categories"]}
        rows = []
        for image in truth.dataset["images"]:
            line, _ = boxer(folder / "val2017" / image["file_name"])
            for box in line["boxes"]:
                if box["label"] in kinds:
                    left, top, right, bottom = box["xyxy"]
                    sides = [left, top, right - left, bottom - top]
                    kind = kinds[box["label"]]
                    rows.append(
                        {"image_id": image["id"], "category_id": kind, "bbox": sides, "score": box["score"]}
                    )
        found = COCOeval_faster(truth, truth.loadRes(rows), "bbox", print_function=lambda *_: None)
        found.run()
        return float(found.stats[1])


def _turned(picture: Image.Image, out: Path) -> None:
    """Lying on its side in the file, upright by its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(out, quality=95, exif=exif)


def _grey(picture: Image.Image, out: Path) -> None:
    picture.convert("L").save(out)


def _clear(picture: Image.Image, out: Path) -> None:
    """More and more transparent from left to right."""
    alpha = np.tile(np.linspace(255, 0, picture.width).astype(np.uint8), (picture.height, 1))
    picture.putalpha(Image.fromarray(alpha))
    picture.save(out)


_CHANGES = {"turned": _turned, "grey": _grey, "transparent": _clear}
_COPIES = {"EXIF ignored": "turned", "grey in one channel": "grey", "alpha on black": "transparent"}
