"""Networks of the catalogue that find objects: that they answer, learn by their own losses, and are frozen.

`catalogue_checks.py` asks this file for every network with named outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from catalogue_tensors import CLASSES, Failed, awake, gradients, stepped

BODY = "backbone"
HEAD = "head"
SIDES = (24.0, 40.0, 80.0, 120.0, 240.0, 480.0)
"""Pixels of square objects, so that every map has some: of v7 by the shapes of its anchors, of v8 and v9 by
the sides that random distributions have in the mean, 15 cells of 8, 16 and 32 pixels."""


def works(
    source: Any, size: tuple[int, int], batch: int, *, bfloat16: bool = False
) -> Iterator[tuple[str, str]]:
    """(phase, what was seen) of "forward", "backward", "tune", each as soon as it is through.

    forward: the outputs that the network names, finite, one for each image.
    backward: its own losses of boxes (and masks, where it gives them) reach every parameter that can learn
        with a finite gradient.
    tune: for three labels instead of its own, with its backbone frozen, one step of the optimizer of
        `signet.training` moves every tensor of neck and head, and not one bit of the backbone.

    Args:
        source: the `ModuleSource`, without weights.
        size: (height, width) of the images.
        batch: how many.
        bfloat16: the backward pass in that.

    Raises:
        Failed: one of it is not so.
    """
    import torch

    height, width = size
    shape = f"batch {batch} at {height} px" if height == width else f"batch {batch} at {height}x{width} px"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        module = awake(source.build())
        images = torch.rand(batch, 3, height, width)
        yield "forward", f"{_forward(module, images, source.outputs)}, {shape}"
        targets = targets_of(images, source.spec.classes, masks=len(source.outputs) > 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = _loss(module.train(), images, targets)
        yield "backward", f"{gradients(module, loss)}, {shape}{', in bfloat16' if bfloat16 else ''}"
        yield "tune", _tune(source, module, images)


def targets_of(images_N3HW: Any, classes: int, *, masks: bool) -> list[dict[str, Any]]:
    """One object of each of `SIDES` about the middle of every image; small images show parts of them."""
    import torch

    height, width = images_N3HW.shape[-2:]
    halves_T = torch.tensor(SIDES) / 2
    x, y = width / 2, height / 2
    boxes_T4 = torch.stack([x - halves_T, y - halves_T, x + halves_T, y + halves_T], dim=1)
    rows = []
    for place in range(len(images_N3HW)):
        row: dict[str, Any] = {"boxes": boxes_T4, "labels": (torch.arange(len(SIDES)) + place) % classes}
        if masks:
            row["masks"] = torch.zeros(len(SIDES), height, width, dtype=torch.uint8)
            corners = boxes_T4.int().clamp(min=0).tolist()
            for mask_HW, (left, top, right, bottom) in zip(row["masks"], corners, strict=True):
                mask_HW[top:bottom, left:right] = 1
        rows.append(row)
    return rows


def deployed(module: Any) -> int:
    """Parameters of the network of inference: one kernel and one bias a layer.

    BatchNorms are folded into their convolutions, pairs of branches merged, implicit numbers multiplied in.
    """
    from signet.architectures.yolo_blocks import ConvNorm, RepConv
    from signet.architectures.yolo_heads import Implicit

    count = sum(value.numel() for value in module.parameters())
    for part in module.modules():
        match part:
            case ConvNorm():
                count -= part.norm.weight.numel()
            case RepConv():
                count -= part.point.conv.weight.numel() + part.point.norm.bias.numel()
            case Implicit():
                count -= part.implicit.numel()
    return int(count)


def _forward(module: Any, images: Any, outputs: tuple[str, ...]) -> str:
    import torch

    with torch.no_grad():
        answers = module.eval()(images)
    if len(answers) != len(outputs):
        raise Failed(f"forward gives {len(answers)} arrays, and names {', '.join(outputs)}.")
    for name, array in zip(outputs, answers, strict=True):
        if len(array) != len(images) or not array.isfinite().all():
            raise Failed(f"{name} is {tuple(array.shape)}, finite: {bool(array.isfinite().all())}.")
    shapes = (
        f"{name} {'x'.join(map(str, array.shape[1:]))}" for name, array in zip(outputs, answers, strict=True)
    )
    return ", ".join(shapes)


def _loss(module: Any, images: Any, targets: list[dict[str, Any]]) -> Any:
    import torch

    return torch.stack(list(module.losses(images, targets).values())).sum()


def _tune(source: Any, module: Any, images: Any) -> str:
    from signet.finetuning.detector_networks import keep
    from signet.training.freezing import freeze, set_learning_mode
    from signet.training.optimisation import Optimisation
    from signet.training.optimizers import optimizer_of
    from signet.training.schedule import set_rates
    from signet.training.settings import TrainSettings
    from signet.training.stages import frozen_parameters
    from signet.zoos import from_architectures

    spec = dataclasses.replace(source.spec, classes=CLASSES)
    tuned = from_architectures.build(spec, None)
    new = keep(module, tuned, class_layers=False)
    if not new or any(name.startswith(f"{BODY}.") for name in new):
        raise Failed(f"with other labels new tensors were to be in the head alone, got {new[:5]}.")
    frozen = frozen_parameters(tuned, HEAD, (BODY,))
    freeze(tuned, frozen)
    set_learning_mode(tuned, frozen, "batch", HEAD)
    steady = Optimisation(schedule="constant", warmup=0.0)
    settings = TrainSettings(classifier=HEAD, frozen=(BODY,), batchnorm="batch", optimisation=steady)
    optimizer = optimizer_of(tuned, settings)
    set_rates(optimizer, 0, 1, settings.optimisation)
    targets = targets_of(images, CLASSES, masks=len(source.outputs) > 1)
    return stepped(tuned, optimizer, frozen, lambda: _loss(tuned, images, targets))
