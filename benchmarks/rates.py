"""At which learning rate a pretrained network is destroyed: the same short full training at many rates.

    python benchmarks/rates.py --data DIR --model MODEL --work FOLDER [--epochs N] [--images N] [--threads N]
        [--optimizers NAMES] [--batchnorm NAMES] [--rates NUMBERS]

The head begins as a linear probe on the frozen features, so that what the backbone knows is seen from the
first step on. A rate destroys a network when the accuracy after training is below that of the probe by more
than half of what the probe has beyond chance.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from signet import resolve
from signet.datasets import open_dataset
from signet.finetuning.joining import module_of
from signet.training import Optimisation, TrainingData, TrainSettings, head_of, program_at, set_head, train
from signet.training.families import makeup_of

RATES = {"adamw": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), "sgd": (1e-3, 1e-2, 3e-2, 1e-1)}


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--optimizers", nargs="+", choices=sorted(RATES), default=list(RATES))
    parser.add_argument("--batchnorm", nargs="+", choices=["frozen", "batch"], default=["frozen", "batch"])
    parser.add_argument("--rates", nargs="+", type=float, help="the table's own when left out")
    asked = parser.parse_args()
    data, classes = _data(asked.data, asked.model, asked.images, asked.side)
    lines = [
        f"{asked.model}, full, batches of 32, {asked.epochs} epochs of {len(data.train)} images at "
        f"{asked.side} pixels, {len(data.validation)} to validate, light augmentation, cosine, warm-up 0.1",
        "",
        "| optimizer | BatchNorm | rate | before | after | destroyed |",
        "|---|---|---|---|---|---|",
    ]
    module, _ = _with_probe(asked.model, data, classes)
    policies = asked.batchnorm if makeup_of(module).batchnorm else ["none"]
    for optimizer in asked.optimizers:
        for batchnorm in policies:
            for rate in asked.rates or RATES[optimizer]:
                row = _row(asked, data, classes, (optimizer, batchnorm, rate))
                lines.append(row)
                sys.stderr.write(f"{row}\n")
    sys.stdout.write("\n".join(lines) + "\n")


def _data(folder: Path, model: str, images: int, side: int) -> tuple[TrainingData, int]:
    """Evenly from the training split; validation is as many of the test split."""
    dataset = open_dataset(folder)
    program = program_at(resolve(model).card.program, (side, side))
    parts = []
    for split in ("train", "test"):
        part = dataset.select(split)
        step = max(1, len(part) // images)
        parts.append(([*part.paths][::step][:images], np.asarray(part.targets)[::step][:images]))
    (paths, targets), (others, truths) = parts
    classes = len(dataset.labels)
    return TrainingData(paths, targets, others, truths, classes, program), classes


def _row(asked: argparse.Namespace, data: TrainingData, classes: int, way: tuple[str, str, float]) -> str:
    optimizer, batchnorm, rate = way
    module, head = _with_probe(asked.model, data, classes)
    settings = TrainSettings(
        classifier=head,
        epochs=asked.epochs,
        backbone_rate=rate,
        head_rate=rate,
        optimisation=Optimisation(optimizer=optimizer, weight_decay=0.0),  # type: ignore[arg-type]
        batchnorm="frozen" if batchnorm == "none" else batchnorm,  # type: ignore[arg-type]
        patience=0,
        threads=asked.threads,
    )
    folder = asked.work / f"{optimizer}-{batchnorm}-{rate:g}"
    shutil.rmtree(folder, ignore_errors=True)
    before, after, chance = 0.0, 0.0, 1 / classes
    try:
        history = train(module, data, settings, folder=folder, resume=False).history
        before, after = history[0]["validation_accuracy"], history[-1]["validation_accuracy"]
        words = "yes" if after < before - (before - chance) / 2 else "no"
    except Exception as error:  # noqa: BLE001 - a loss that is no number is a finding
        words = f"yes: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"| {optimizer} | {batchnorm} | {rate:g} | {before:.3f} | {after:.3f} | {words} |"


def _with_probe(model: str, data: TrainingData, classes: int) -> tuple[Any, str]:
    """The network with a ridge regression on its features as its head."""
    import torch

    from signet.decoding import read
    from signet.preprocessing import prepare

    source = module_of(resolve(model))
    if source is None or source.classifier is None:
        raise SystemExit(f"{model}: expected a classifier that torch can build.")
    module = source.build().eval()
    width = head_of(module, source.classifier).weights.shape[1]
    set_head(module, source.classifier, np.eye(width, dtype=np.float32), np.zeros(width, np.float32))
    rows = []
    with torch.no_grad():
        for first in range(0, len(data.train), 50):
            arrays = prepare([read(path) for path in data.train[first : first + 50]], data.program).arrays
            rows.append(module(torch.from_numpy(np.asarray(arrays))).numpy())
    # A head whose logits go through a ReLU gets a bias from `set_head`, which is no part of the features.
    features = np.concatenate(rows).astype(np.float64) - head_of(module, source.classifier).bias
    mean = features.mean(axis=0)
    centred = features - mean
    truth = np.eye(classes)[data.train_targets] - 1 / classes
    strength = 0.1 * np.trace(centred.T @ centred) / width
    weights = np.linalg.solve(centred.T @ centred + strength * np.eye(width), centred.T @ truth).T * 10
    set_head(module, source.classifier, weights.astype(np.float32), (-weights @ mean).astype(np.float32))
    return module, source.classifier


if __name__ == "__main__":
    main()
