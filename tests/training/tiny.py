"""A network and data so small that a run takes a second; as a program, a run that is killed again and again.

    python tiny.py IMAGES FOLDER KILLS

trains once without interruption, then again with as many `SIGKILL`s at moments spread over the run, resuming
after each, and prints a JSON object: how many kills hit a run, and whether the results are the same bits.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import nn

from signet.programs import Program
from signet.steps import Crop, Layout, Normalise, Range, Read, Resize
from signet.training import TIMED, Trained, TrainingData, TrainSettings, train

PROGRAM = Program(
    (
        Read(),
        Resize(short=18),
        Crop(size=(16, 16)),
        Range(scale=1 / 255),
        Normalise(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        Layout(),
    )
)
CLASSES = 3


def network(seed: int = 0) -> nn.Module:
    """Two convolutions with BatchNorm, dropout, a head `head` of three classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential()
        module.add_module("stem", _block(3, 6))
        module.add_module("body", _block(6, 8))
        module.add_module("pool", nn.AdaptiveAvgPool2d(1))
        module.add_module("flat", nn.Flatten())
        module.add_module("drop", nn.Dropout(0.2))
        module.add_module("head", nn.Linear(8, CLASSES))
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def write_images(folder: Path, count: int) -> None:
    """PNG files whose class is their colour, under much noise."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        pixels = generator.integers(0, 150, (20, 24, 3))
        pixels[..., place % CLASSES] += 60
        PillowImage.fromarray(pixels.astype(np.uint8)).save(folder / f"{place:03d}.png")


def data_in(folder: Path, **changes: Any) -> TrainingData:
    """A quarter of the images for validation."""
    paths = sorted(folder.glob("*.png"))
    targets = np.arange(len(paths)) % CLASSES
    count = len(paths) * 3 // 4
    fields: dict[str, Any] = {
        "train": paths[:count],
        "train_targets": targets[:count],
        "validation": paths[count:],
        "validation_targets": targets[count:],
        "classes": CLASSES,
        "program": PROGRAM,
    }
    return TrainingData(**{**fields, **changes})


def settings(**changes: Any) -> TrainSettings:
    """Four short epochs, and a checkpoint after every step."""
    fields: dict[str, Any] = {
        "classifier": "head",
        "epochs": 4,
        "batch": 5,
        "head_rate": 3e-2,
        "backbone_rate": 1e-2,
        "batchnorm": "batch",
        "augmentation": "medium",
        "checkpoint_seconds": 0.0,
        "threads": 1,
        "patience": 0,
    }
    return TrainSettings(**{**fields, **changes})


def same(one: Trained, other: Trained) -> bool:
    """Whether two results are the same, to the bit, but for the seconds."""
    rows = [
        [{key: value for key, value in row.items() if key not in TIMED} for row in result.history]
        for result in (one, other)
    ]
    states = one.best.keys() == other.best.keys() and all(
        torch.equal(tensor, other.best[name]) for name, tensor in one.best.items()
    )
    logits = np.array_equal(one.validation_logits, other.validation_logits)
    return states and logits and rows[0] == rows[1] and one.best_epoch == other.best_epoch


def main(images: Path, folder: Path, kills: int) -> None:
    """See the top of this file."""
    torch.set_num_threads(1)  # before a fork no thread of torch may be alive
    data, how = data_in(images), settings()
    start = time.monotonic()
    straight = train(network(), data, how, folder=folder / "straight", resume=False)
    duration = time.monotonic() - start
    hits = 0
    for kill in range(kills):
        child = os.fork()
        if child == 0:
            train(network(), data, how, folder=folder / "killed", resume=True)
            os._exit(0)
        # Moments that differ in what has been done of a step; each run gets about a third further.
        time.sleep(duration * (0.1 + 0.25 * ((kill * 0.618) % 1)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hits += os.WIFSIGNALED(status)
    module = network()
    resumed = train(module, data, how, folder=folder / "killed", resume=True)
    left = sorted(path.name for path in (folder / "killed").iterdir())
    held = all(torch.equal(tensor, straight.best[name]) for name, tensor in module.state_dict().items())
    answer = {"hits": hits, "same": same(straight, resumed), "held": held, "left": left}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
