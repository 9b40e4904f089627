"""YOLO's published sizes, each against the network that is built, at the published rounding.

What a published figure counts differs from table to table, so each row says how it is reached:

- parameters of v8's detectors and masks and of v7-tiny: the same with BatchNorms or with them folded;
- parameters of the others: of the network of inference, BatchNorms folded into their convolutions and pairs
  of branches merged, without auxiliary branches;
- GFLOPs: two for each multiply-add of a convolution and two for each number that the neck's enlarging of
  maps writes, at 640 x 640 pixels, of that same network; v7 also counts two for each number that a BatchNorm
  passes;
- v8's masks: the tool that was used counts a transposed convolution of stride 2 four times (as if each pixel
  that comes out saw all four taps), which this table repeats to meet the figure and states beside it;
- v8's classifiers: the figure is that of 32 x 32 pixels times 400, so that the last layer, which does not
  grow with the picture, is counted 400 times.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import catalogue_dense  # noqa: E402
from signet.architectures import yolo_pyramid, yolov7, yolov8, yolov9  # noqa: E402
from signet.architectures.yolo_blocks import doubled  # noqa: E402
from signet.architectures.yolo_table import NETWORKS  # noqa: E402

SIDE = 640
# Parameters in millions, GFLOPs. Source: Ultralytics' tables of COCO and ImageNet models, version 8.0.
V8 = {
    ("n", "detect"): (3.2, 8.7),
    ("s", "detect"): (11.2, 28.6),
    ("m", "detect"): (25.9, 78.9),
    ("l", "detect"): (43.7, 165.2),
    ("x", "detect"): (68.2, 257.8),
    ("n", "instances"): (3.4, 12.6),
    ("s", "instances"): (11.8, 42.6),
    ("m", "instances"): (27.3, 110.2),
    ("l", "instances"): (46.0, 220.5),
    ("x", "instances"): (71.8, 344.1),
    ("n", "classify"): (2.7, 4.3),
    ("s", "classify"): (6.4, 13.5),
    ("m", "classify"): (17.0, 42.7),
    ("l", "classify"): (37.5, 99.7),
    ("x", "classify"): (57.4, 154.8),
}
# Source: arXiv:2402.13616, table 1; t: its authors' page of models.
V9 = {"t": (2.0, 7.7), "s": (7.1, 26.4), "m": (20.0, 76.3), "c": (25.3, 102.1), "e": (57.3, 189.0)}
# GFLOPs as they are, where the published figure counts otherwise; the classifiers' at 224 pixels.
MASKS = {"n": 12.0, "s": 40.1, "m": 104.5, "l": 210.4, "x": 328.4}
CLASSES = {"n": 0.41, "s": 1.53, "m": 5.10, "l": 12.09, "x": 18.84}


def gflops(module: Any, side: int = SIDE) -> float:
    written = [0]

    def counted(map_NCHW: Any) -> Any:
        enlarged_NCHW = doubled(map_NCHW)
        written.append(2 * enlarged_NCHW.numel())
        return enlarged_NCHW

    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(yolo_pyramid, "doubled", counted)
        patch.setattr(yolov7, "doubled", counted)
        with FlopCounterMode(display=False) as counter:
            module.eval()(torch.zeros(1, 3, side, side))
    return (counter.get_total_flops() + sum(written)) / 1e9


def normalised(module: Any, side: int = SIDE) -> float:
    """Numbers that pass a BatchNorm, in 10^9."""
    passed = [0]
    hooks = [
        part.register_forward_hook(lambda _, __, out: passed.append(out.numel()))
        for part in module.modules()
        if isinstance(part, nn.BatchNorm2d)
    ]
    with torch.device("meta"), torch.no_grad():
        module.eval()(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return sum(passed) / 1e9


def millions(module: Any) -> float:
    """Parameters as they are built, in 10^6."""
    return sum(value.numel() for value in module.parameters()) / 1e6


def deployed(module: Any) -> float:
    """Parameters of the network of inference, in 10^6."""
    return catalogue_dense.deployed(module) / 1e6


def built(make: Any) -> Any:
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize(("variant", "kind"), V8)
def test_v8(variant: str, kind: Any) -> None:
    parameters, published = V8[variant, kind]
    module = built(lambda: yolov8.build(variant, kind, 1000 if kind == "classify" else 80))
    assert round(deployed(module), 1) == parameters
    if kind == "classify":
        assert round(gflops(module, 32) * (SIDE / 32) ** 2, 1) == published
        assert round(gflops(module, 224), 2) == CLASSES[variant]
        return
    assert round(millions(module), 1) == parameters
    found = gflops(module)
    if kind == "instances":
        assert round(found, 1) == MASKS[variant]
        layer = module.head.prototypes.enlarge
        taps = 2 * (SIDE // 8) ** 2 * 4 * layer.in_channels * layer.out_channels / 1e9
        found += 3 * taps
    assert round(found, 1) == published


@pytest.mark.parametrize("variant", V9)
def test_v9(variant: str) -> None:
    module = built(lambda: yolov9.build(variant, 80))
    assert (round(deployed(module), 1), round(gflops(module), 1)) == V9[variant]


def test_multiply_adds_are_counted_alike() -> None:
    """Half of the published FLOPs, or of those that the tests of this file count where these are others."""
    for (variant, kind), (_, published) in V8.items():
        ending, alike = {"detect": ("", {}), "instances": ("-seg", MASKS), "classify": ("-cls", CLASSES)}[
            kind
        ]
        flops = alike.get(variant, published)
        assert NETWORKS[f"yolov8{variant}{ending}"].gmacs == pytest.approx(flops / 2)
    for variant, (_, published) in V9.items():
        assert NETWORKS[f"yolov9{variant}"].gmacs == pytest.approx(published / 2)


def test_v7() -> None:
    module = built(lambda: yolov7.build("", 80))
    assert (round(deployed(module), 1), round(millions(module), 1)) == (36.9, 37.6)
    # Source: arXiv:2207.02696, table 2.
    assert round(gflops(module), 1) == 104.5 == 2 * NETWORKS["yolov7"].gmacs
    # The pairs of branches are one convolution in evaluation mode, whose BatchNorm passes as many numbers.
    branches = sum(width * (SIDE // stride) ** 2 for width, stride in ((256, 8), (512, 16), (1024, 32))) / 1e9
    assert round(gflops(module) + 2 * (normalised(module) + branches), 1) == 104.7


def test_v7_tiny() -> None:
    module = built(lambda: yolov7.build("tiny", 80))
    assert round(deployed(module), 1) == round(millions(module), 1) == 6.2
    # Source: arXiv:2207.02696, table 2, at 416 pixels.
    assert round(gflops(module, 416), 1) == 5.8
    assert round(gflops(module, 416) + 2 * normalised(module, 416), 1) == 5.8
    assert round(gflops(module), 1) == 13.7 == 2 * NETWORKS["yolov7-tiny"].gmacs
