"""One program, one detector, one list of images, in a process of its own: lines of JSON, and its rate.

    python benchmarks/detection/systems.py ultralytics-stream ASKED.json LIST OUT.jsonl

The job is the same for all: from an image file to a line with its boxes in a file, as `signet predict --out`
writes it. Each program is used as its own documentation says. Building the network and one pass over 16
images are not in the rate, and are told as the start. Imports are inside the functions: the programs live in
two environments.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

BATCH = 16
WARM = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What all programs are asked for alike.

    Attributes:
        model: what `signet.load` takes.
        files: the network in the formats of ultralytics, by name.
        size: (height, width) that images are fitted into, the rest grey.
        labels: names, in order.
        least: score that a box must reach.
        iou: boxes of one label that overlap by more are one.
        most: boxes of an image, at most.
        class_wise: only boxes of one label suppress each other.
    """

    model: str
    files: dict[str, str]
    size: tuple[int, int]
    labels: tuple[str, ...]
    least: float
    iou: float
    most: int
    class_wise: bool

    @classmethod
    def read(cls, place: Path) -> Asked:
        """From the file that `write` made."""
        plain = json.loads(place.read_text())
        return cls(**{**plain, "size": tuple(plain["size"]), "labels": tuple(plain["labels"])})

    def write(self, place: Path) -> None:
        """As JSON."""
        place.write_text(json.dumps(dataclasses.asdict(self)))


Found = tuple[str, Sequence[Sequence[float]], Sequence[float], Sequence[float]]
"""Path, corners, scores and labels of one image."""
Job = Callable[[list[str], Path], None]
"""From paths to a file of lines."""


def with_signet(asked: Asked, precision: Literal["fp32", "bf16"]) -> Job:
    """Signet: what `signet predict --precision P --out FILE` does once the model is loaded."""
    from signet import line_files, load, predicting, resolve
    from signet.streaming import settings_for

    found = resolve(asked.model, offline=True)
    # The package gives each box its best label alone; a card may say that each label counts.
    extra = {**found.card.output.extra, "nms": {**found.card.output.extra["nms"], "multi_label": False}}
    output = dataclasses.replace(found.card.output, extra=extra)
    one = dataclasses.replace(found, card=dataclasses.replace(found.card, output=output))
    # As the command opens it: the first engine that is installed.
    model: Any = load(one, precision=precision, settings=settings_for(many=True))
    settings = predicting.PredictSettings(min_score=asked.least)

    def job(paths: list[str], out: Path) -> None:
        record = line_files.run_record(model, {})
        with line_files.LinesFile(out, record, resume=False, overwrite=True) as lines:
            predicting.predict(model, paths, settings, lambda row, _: lines.write(row))
            lines.finish()

    return job


def with_ultralytics(asked: Asked, file: str, *, rect: bool, batch: int) -> Job:
    """Ultralytics: `YOLO(file)(...)`, one picture a call (`batch` 0), or a stream over a list file.

    Args:
        asked: thresholds and size, stated so that they are the same as ours.
        file: which of `asked.files`.
        rect: the package's own default, which leaves out grey rows and columns that no stride needs.
        batch: images at a time; 0 for one call for each image.
    """
    from ultralytics import YOLO

    model = YOLO(asked.files[file], task="detect")
    stated: dict[str, Any] = {
        "imgsz": asked.size,
        "rect": rect,
        "conf": asked.least,
        "iou": asked.iou,
        "max_det": asked.most,
        "agnostic_nms": not asked.class_wise,
        "device": "cpu",
        "verbose": False,
    }

    def results(paths: list[str], out: Path) -> Iterator[Any]:
        if not batch:
            for path in paths:
                yield model(path, **stated)[0]
            return
        # Its documentation: `batch` works with a folder, a video, or a text file with paths.
        listed = out.with_suffix(".txt")
        listed.write_text("\n".join(paths))
        yield from model(str(listed), stream=True, batch=batch, **stated)

    def found(paths: list[str], out: Path) -> Iterator[Found]:
        for result in results(paths, out):
            boxes = result.boxes
            yield result.path, boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist()

    return lambda paths, out: _written(found(paths, out), asked, out)


def with_torchvision(asked: Asked, name: str) -> Job:
    """Torchvision: a detector of its own with random weights, its transforms, a batch at a time.

    Another network than ours, so that only the speed can be laid side by side. Without trained weights no box
    reaches the least score, which saves it the suppression and the lines.

    Args:
        asked: least score, overlap and number of boxes, which its builder takes.
        name: "ssdlite320_mobilenet_v3_large" or "fasterrcnn_mobilenet_v3_large_320_fpn".
    """
    import torch
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.models import get_model, get_model_weights

    torch.manual_seed(0)
    prefix = "box_" if name.startswith("fasterrcnn") else ""
    stated = {
        f"{prefix}score_thresh": asked.least,
        f"{prefix}nms_thresh": asked.iou,
        f"{prefix}detections_per_img": asked.most,
    }
    model = get_model(name, weights=None, weights_backbone=None, **stated).eval()
    transform = get_model_weights(name).DEFAULT.transforms()

    def found(paths: list[str]) -> Iterator[Found]:
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            pictures = [transform(decode_image(path, ImageReadMode.RGB)) for path in some]
            for path, answer in zip(some, model(pictures), strict=True):
                # Their labels are COCO's, and random: all are written as the first of ours.
                yield path, answer["boxes"].tolist(), answer["scores"].tolist(), [0.0] * len(answer["labels"])

    def job(paths: list[str], out: Path) -> None:
        with torch.inference_mode():
            _written(found(paths), asked, out)

    return job


def with_loop(asked: Asked) -> Job:
    """Torch and torchvision alone: our network as a module, all around it by functions of torchvision."""
    import torch
    from torch import Tensor
    from torch.nn import functional
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.ops import batched_nms, box_convert, clip_boxes_to_image
    from torchvision.transforms.v2.functional import resize

    from signet import resolve
    from signet.networks import ModuleSource

    networks = resolve(asked.model, offline=True).networks
    module = next(network for network in networks if isinstance(network, ModuleSource)).build()
    high, wide = asked.size

    def prepared(path: str) -> tuple[Tensor, tuple[int, int], tuple[float, int, int]]:
        picture = decode_image(path, ImageReadMode.RGB)
        height, width = picture.shape[1:]
        ratio = min(high / height, wide / width)
        to = [round(height * ratio), round(width * ratio)]
        picture = resize(picture, to, antialias=False)
        top, left = (high - to[0]) // 2, (wide - to[1]) // 2
        around = (left, wide - to[1] - left, top, high - to[0] - top)
        return functional.pad(picture, around, value=114) / 255, (height, width), (ratio, left, top)

    def chosen(answers_FA: Tensor, size: tuple[int, int], way: tuple[float, int, int]) -> Any:
        scores_A, labels_A = answers_FA[4:].max(dim=0)
        able_A = scores_A >= asked.least
        boxes_K4 = box_convert(answers_FA[:4, able_A].T, "cxcywh", "xyxy")
        scores_K, labels_K = scores_A[able_A], labels_A[able_A]
        groups_K = labels_K if asked.class_wise else torch.zeros_like(labels_K)
        kept = batched_nms(boxes_K4, scores_K, groups_K, asked.iou)[: asked.most]
        ratio, left, top = way
        home_K4 = (boxes_K4[kept] - torch.tensor([left, top, left, top])) / ratio
        return clip_boxes_to_image(home_K4, size), scores_K[kept], labels_K[kept]

    def found(paths: list[str]) -> Iterator[Found]:
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            pictures, sizes, ways = zip(*map(prepared, some), strict=True)
            (answers,) = module(torch.stack(pictures))
            for path, answer, size, way in zip(some, answers, sizes, ways, strict=True):
                boxes, scores, labels = chosen(answer, size, way)
                yield path, boxes.tolist(), scores.tolist(), labels.tolist()

    def job(paths: list[str], out: Path) -> None:
        with torch.inference_mode():
            _written(found(paths), asked, out)

    return job


SYSTEMS: dict[str, Callable[[Asked], Job]] = {
    "signet-fp32": lambda asked: with_signet(asked, "fp32"),
    "signet-bf16": lambda asked: with_signet(asked, "bf16"),
    "ultralytics-loop": lambda asked: with_ultralytics(asked, "torch", rect=False, batch=0),
    "ultralytics-stream": lambda asked: with_ultralytics(asked, "torch", rect=False, batch=1),
    "ultralytics-batch": lambda asked: with_ultralytics(asked, "torch", rect=False, batch=BATCH),
    "ultralytics-rect": lambda asked: with_ultralytics(asked, "torch", rect=True, batch=1),
    "ultralytics-onnx": lambda asked: with_ultralytics(asked, "onnx", rect=False, batch=1),
    "ultralytics-openvino": lambda asked: with_ultralytics(asked, "openvino", rect=False, batch=1),
    "ultralytics-openvino-batch": lambda asked: with_ultralytics(
        asked, f"openvino-{BATCH}", rect=False, batch=BATCH
    ),
    "torchvision-loop": with_loop,
    "torchvision-ssdlite": lambda asked: with_torchvision(asked, "ssdlite320_mobilenet_v3_large"),
    "torchvision-fasterrcnn": lambda asked: with_torchvision(asked, "fasterrcnn_mobilenet_v3_large_320_fpn"),
}
"""Every program and way, by the name that the report gives it."""


def _written(found: Iterable[Found], asked: Asked, out: Path) -> None:
    """One line an image, in the form and with the decimals of `signet predict`."""
    with out.open("w") as stream:
        for path, corners, scores, labels in found:
            boxes = [
                {
                    "xyxy": [round(side, 3) for side in box],
                    "score": round(score, 6),
                    "index": int(label),
                    "label": asked.labels[int(label)],
                }
                for box, score, label in zip(corners, scores, labels, strict=True)
            ]
            stream.write(json.dumps({"source": path, "kind": "boxes", "boxes": boxes}) + "\n")


def main() -> None:
    """Measure one system."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("asked", type=Path)
    parser.add_argument("list", type=Path, help="file with one image path a line")
    parser.add_argument("out", type=Path, help="file of lines to write")
    chosen = parser.parse_args()
    paths = chosen.list.read_text().splitlines()
    begin = time.perf_counter()
    job = SYSTEMS[chosen.system](Asked.read(chosen.asked))
    job(paths[:WARM], chosen.out)
    ready = time.perf_counter()
    job(paths, chosen.out)
    seconds = time.perf_counter() - ready
    result = {
        "images_per_second": len(paths) / seconds,
        "start_seconds": ready - begin,
        # Kilobytes on Linux.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "count": len(paths),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
