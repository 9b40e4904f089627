"""The starter's card: what it is, what it learned from, and what was measured."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from signet.architectures.starter import INPUT_SIZE, WIDTH, StarterNet
from signet.cards import Card

from .evaluation import Results, Score, Task
from .program import PROGRAM

SOURCE = "measured, recipes/starter.py evaluate"
METRICS = {
    "starter": "probe_top1",
    "random": "probe_top1_random_weights",
    "teacher": "probe_top1_teacher_at_128",
    "grey histogram": "probe_top1_grey_histogram",
}
"""The kinds of features that are compared, and the metric under which each is claimed."""

TRAINING_DATA = (
    "Photographs of four public sets, see lineage: ImageNet pictures of a one-image-a-class sample (no "
    "licence is stated there; ImageNet gives access for non-commercial research and education), a small "
    "part of COCO 2017 (COCO terms of use; the pictures are Flickr's, under their owners' terms), BCCD (MIT) "
    "and nuclei of the 2018 Data Science Bowl (CC0). No set is itself marked non-commercial; nobody has "
    "cleared the rights of each ImageNet or COCO picture. The teacher was trained on ImageNet-1k by its "
    "authors."
)
GOOD_FOR = (
    "Features for a probe on a few hundred to a few thousand small pictures, on a machine with no hub; it "
    "names no classes by itself, and a larger pretrained network does better on photographs."
)
METHOD = (
    "distillation: softened answers, pooled features and the 4x4 map before them, on fresh crops (5 to 100 % "
    "of a picture, flips, turns, colour, grey, blur, low resolution, mixup, CutMix)"
)


def write_card(
    path: Path,
    *,
    record: Mapping[str, Any],
    pool: Mapping[str, Any],
    teacher: Path,
    hardware: str,
    results: Results,
) -> None:
    """Writes the card beside `model.safetensors`.

    Args:
        path: of the card.
        record: the last checkpoint's JSON: settings, samples, seconds.
        pool: what `pool_record` gave.
        teacher: folder of the teacher.
        hardware: on what it was trained, in general words.
        results: what `evaluate` gave.
    """
    settings = record["settings"]
    lesson = _teacher(teacher, settings["precision"])
    card = {
        "format": {"major": 1, "minor": 0},
        "name": "starter",
        "task": "embed",
        "family": "ResNet",
        "architecture": "starter_resnet",
        "labels": None,
        "program": PROGRAM.to_list(),
        "inputs": [
            {
                "name": "images",
                "kind": "image",
                "dtype": "float32",
                "shape": [None, 3, INPUT_SIZE, INPUT_SIZE],
            }
        ],
        "output": {"head": "embedding", "tensor": "features", "width": WIDTH},
        "parameters": sum(value.numel() for value in StarterNet().parameters()),
        "gmacs": round(multiply_adds() / 1e9, 4),
        "depth": 10,
        "year": 2026,
        "weights_digest": _digest(path.parent / "model.safetensors"),
        "digest_trust": "pinned",
        "licence": {
            "weights": "Apache-2.0",
            "stated": True,
            "code": "Apache-2.0",
            "training_data": TRAINING_DATA,
        },
        "origin": f"this repository, recipes/starter.py; taught by {lesson['name']}, {lesson['licence']}",
        "good_for": GOOD_FOR,
        "lineage": {
            "teacher": lesson,
            "method": METHOD,
            "sets": pool["sets"],
            "samples_seen": record["samples"],
            "steps": record["step"],
            "seconds": round(record["seconds"]),
            "hardware": hardware,
            "date": datetime.date.today().isoformat(),
            "settings": {key: settings[key] for key in settings if key not in ("images", "teacher", "out")},
        },
        "claims": [claim for task, kinds in results for claim in _claims(task, kinds)],
    }
    Card.from_dict(card)
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def _teacher(folder: Path, precision: str) -> dict[str, str]:
    """What is known of the teacher, from its own config and weight file."""
    config = json.loads((folder / "config.json").read_text())
    origin = config["origin"]
    return {
        "name": f"{config['architecture']}.{config['pretrained_cfg']['tag']}",
        "sha256": _digest(folder / "model.safetensors"),
        "licence": "Apache-2.0" if origin["license"] == "apache-2.0" else origin["license"],
        "origin": f"{origin['repository']} @ {origin['commit']}",
        "trained_on": origin["dataset"],
        "input": f"the same {INPUT_SIZE}-pixel crops, {precision}",
    }


def multiply_adds() -> int:
    """Multiply-adds of the convolutions for one image, counted on the shapes that really occur."""
    network, total = StarterNet().eval(), 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE))
    return total


def _claims(task: Task, kinds: Mapping[str, Sequence[Score]]) -> list[dict[str, object]]:
    """One claim for each kind of features; several seeds are pooled into one share of right answers."""
    counts = f"{len(task.train_labels)} training and {len(task.test_labels)} test pictures"
    words = f"{task.name}, {task.words}: logistic regression, {counts}"
    rows: list[dict[str, object]] = []
    for kind, scores in kinds.items():
        mean = sum(score.right for score in scores) / len(scores)
        low, high = Score(mean, scores[0].count).interval
        seeds = f"; mean of {len(scores)} seeds" if len(scores) > 1 else ""
        rows.append(
            {
                "metric": METRICS[kind],
                "value": round(mean / scores[0].count, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "dataset": words + seeds,
                "source": SOURCE,
            }
        )
    return rows


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
