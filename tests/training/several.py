"""Runs that several processes share, and the same runs in one; as a program, one of those processes.

    RANK=0 WORLD_SIZE=2 ... python several.py IMAGES FOLDER CASE...

trains each case together with the other processes; with WORLD_SIZE=1 alone. The first one writes
`FOLDER/CASE.safetensors` (the kept weights), each `FOLDER/CASE.RANK.json` (the history, or how it ended).
What lies in `FOLDER/CASE` is resumed. Of a case named `CASE-dies-RANK-STEP` one of several processes ends
without a word in that step.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tiny
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from signet.errors import SignetError
from signet.training import Objective, Optimisation, Trained, TrainSettings, Variation, train

KERAS_HEAD = "classifier"


class Patches(nn.Module):
    """A LayerNorm between patches and a perceptron, as in a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 4, 4)
        self.norm = nn.LayerNorm(12)
        self.hidden = nn.Linear(12, 24)
        self.head = nn.Linear(24, tiny.CLASSES)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Logits (N, C)."""
        patches_NPD = self.norm(self.embed(images_N3HW).flatten(2).movedim(1, 2))
        logits: Tensor = self.head(torch.relu(self.hidden(patches_NPD)).mean(1))
        return logits


def with_batchnorm() -> nn.Module:
    """The tiny network without dropout, whose draws are another process' own."""
    module = tiny.network()
    module.drop.p = 0.0
    return module


def with_groupnorm() -> nn.Module:
    """The same with groups in place of batches."""
    module = with_batchnorm()
    module.stem[1], module.body[1] = nn.GroupNorm(2, 6), nn.GroupNorm(4, 8)
    return module


def with_layernorm() -> nn.Module:
    """See `Patches`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Patches().eval()


def of_keras(architecture: str, alpha: float) -> nn.Module:
    """An architecture of Keras as torch's layers, with weights and statistics that no library draws."""
    from signet.networks import ModuleSpec
    from signet.zoos import from_keras

    spec = ModuleSpec(
        zoo="keras",
        architecture=architecture,
        arguments={"input_shape": (32, 32, 3), "alpha": alpha},
        classes=tiny.CLASSES,
        classifier=from_keras.head_of(architecture),
    )
    module: nn.Module = from_keras.build(spec, None)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.ndim > 1:
                nn.init.kaiming_normal_(tensor, generator=draws)
        for layer in module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_var is not None:
                layer.running_var.uniform_(0.5, 1.5, generator=draws)
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
    return module.eval()


@dataclass(frozen=True)
class Case:
    """A network, and what of its settings differs from those of `settings`."""

    network: Any = with_batchnorm
    changes: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None

    def settings(self, **others: Any) -> TrainSettings:
        """No statistics of batches; steps of 7 or 8 images, which two processes cannot deal evenly."""
        usual: dict[str, Any] = {
            "batchnorm": "frozen",
            "augmentation": "none",
            "epochs": 3,
            "batch": 8,
            "head_rate": 3e-3,
            "backbone_rate": 1e-3,
        }
        changes = {**usual, **self.changes, **others}
        # Adam's first steps are as large as the rate whatever the gradient: noise of sums would be enlarged.
        way = {"optimizer": "sgd", **changes.pop("optimisation", {})}
        return tiny.settings(**changes, optimisation=Optimisation(**way))


CASES = {
    "batchnorm": Case(),
    "groupnorm": Case(with_groupnorm),
    "layernorm": Case(with_layernorm, {"optimisation": {"optimizer": "adamw", "clip": 0.5}}),
    "adapted": Case(changes={"batchnorm": "adapt"}),
    "frozen-stem": Case(changes={"frozen": ("stem",), "ema": 0.9}),
    "thawing": Case(changes={"thaw": (("stem", 3),), "optimisation": {"weight_decay": 0.1}}),
    "in-parts": Case(changes={"batch": 4, "optimisation": {"accumulate": 2, "checkpoint_activations": True}}),
    "mixed": Case(changes={"augmentation": "light", "variation": Variation(mixup=1.0, cutmix=1.0)}),
    "weighted": Case(
        changes={"objective": Objective(class_weights="inverse", sampling="balanced"), "swa_start": 0.3}
    ),
    "one-image": Case(changes={"batch": 1, "epochs": 1}),
    "keras-mobilenet": Case(
        partial(of_keras, "mobilenet", 0.25), {"classifier": KERAS_HEAD, "epochs": 2}, (32, 32)
    ),
    "keras-mobilenetv2": Case(
        partial(of_keras, "mobilenetv2", 0.35), {"classifier": KERAS_HEAD, "epochs": 2}, (32, 32)
    ),
    "watched": Case(changes={"overfitting": "stop", "soup": 2, "patience": 1}),
}


def processes_from_environment() -> int:
    """How many share a run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def run(images: Path, folder: Path, name: str) -> Trained:
    """Train one case with the processes that there are; resumes what lies in `folder/NAME`."""
    case, _, victim = name.partition("-dies-")
    rank, step = (int(word) for word in victim.split("-")) if victim else (-1, -1)
    settings = CASES[case].settings(processes=processes_from_environment())
    module = CASES[case].network()
    data = tiny.data_in(images, size=CASES[case].size)
    if settings.processes > 1 and int(os.environ["RANK"]) == rank:
        passes = []

        def dies(*_: object) -> None:
            passes.append(1)
            if len(passes) == step:
                os._exit(9)

        module.head.weight.register_hook(dies)
    return train(module, data, settings, folder=folder / name, resume=True)


def main(images: Path, folder: Path, names: list[str]) -> None:
    """See the top of this file."""
    from signet.training.ranks import part_company

    for name in names:
        answer: dict[str, Any]
        try:
            trained = run(images, folder, name)
        except SignetError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        else:
            answer = {
                "history": [dict(row) for row in trained.history],
                "best_epoch": trained.best_epoch,
                "stopped_early": trained.stopped_early,
                "notes": list(trained.notes),
                "logits": trained.validation_logits.tolist(),
            }
            if os.environ["RANK"] == "0":
                save_file(dict(trained.best), folder / f"{name}.safetensors")
        (folder / f"{name}.{os.environ['RANK']}.json").write_text(json.dumps(answer))
        if "error" in answer:
            break
    part_company()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
