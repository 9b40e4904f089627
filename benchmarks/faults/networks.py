"""Networks with a mistake in them: the real MobileNetV2, built as a careless program builds it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faults.pipelines import SIDE, Array, Network
from signet.networks import ModuleSource

OFF = 0.01
"""How far, relative to its own size, each weight of a last iterate is from the average that was meant."""


def _timm(folder: Path, **arguments: Any) -> Any:
    import timm
    from safetensors.torch import load_file

    settings = {"pad_type": "same", "bn_eps": 1e-3, **arguments}
    module = timm.create_model("mobilenetv2_100", **settings)
    module.load_state_dict(load_file(folder / "model.safetensors"))
    return module.eval()


def _symmetric(folder: Path, images: Sequence[Array]) -> Any:
    del images
    return _timm(folder, pad_type="")


def _train_mode(folder: Path, images: Sequence[Array]) -> Any:
    """What train mode computes of one picture, as modules that a graph can hold: its own statistics."""
    import torch

    del images
    module = _timm(folder)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(parent, name, _of_one_picture(child))
    return module.eval()


def _of_one_picture(norm: Any) -> Any:
    """Of a batch of one, BatchNorm's batch statistics are those of the picture: an instance normalisation."""
    import torch

    single = torch.nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=True)
    single.load_state_dict({"weight": norm.weight, "bias": norm.bias})
    act = getattr(norm, "act", None)
    return single if act is None else torch.nn.Sequential(single, norm.drop, act)


def _drifted(folder: Path, images: Sequence[Array]) -> Any:
    import torch

    module = _timm(folder)
    with torch.no_grad():
        module.train()
        module(torch.from_numpy(np.stack(images)))
    return module.eval()


def _random_head(folder: Path, images: Sequence[Array]) -> Any:
    import torch

    del images
    module = _timm(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module.classifier.reset_parameters()
    return module


def _other_weights(folder: Path, images: Sequence[Array]) -> Any:
    import timm
    import torch

    del folder, images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("mobilenetv2_100", pad_type="same", bn_eps=1e-3).eval()


def _relu(folder: Path, images: Sequence[Array]) -> Any:
    import torch

    del images
    module = _timm(folder)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.ReLU6):
                setattr(parent, name, torch.nn.ReLU())
    return module


def _last_iterate(folder: Path, images: Sequence[Array]) -> Any:
    import torch

    del images
    module, generator = _timm(folder), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(1 + OFF * torch.randn(weight.shape, generator=generator))
    return module


MODELS: Mapping[str, Callable[[Path, Sequence[Array]], Any]] = {
    "train mode at inference": _train_mode,
    "frozen BatchNorm drifts": _drifted,
    "head left random": _random_head,
    "other weights": _other_weights,
    "symmetric for SAME padding": _symmetric,
    "ReLU for ReLU6": _relu,
    "EMA not used": _last_iterate,
}


def source_of(name: str, folder: Path, images: Sequence[Array]) -> ModuleSource:
    """A module with a mistake, by the name of the fault; "" for the one without."""
    build = MODELS.get(name, lambda place, _: _timm(place))
    return ModuleSource(
        lambda: build(folder, images),
        hashlib.sha256(f"fault {name}, weights off by {OFF}".encode()).hexdigest(),
        (3, SIDE, SIDE),
        classifier="classifier",
    )


def of_torch(module: Any) -> Network:
    """A module as a function of arrays."""
    import torch

    def run(images: Array) -> Array:
        with torch.no_grad():
            answer: Array = module(torch.from_numpy(images)).numpy()
        return answer

    return run


def of_onnx(path: Path) -> Network:
    """A graph on ONNX Runtime, as its own documentation runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        1  # on a machine that is shared, threads that spin cost more than they bring
    )
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


def of_openvino(path: Path, precision: str = "f32") -> Network:
    """A graph on OpenVINO in a precision ("f32", "bf16"), as its own documentation runs it."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.Core().compile_model(str(path), "CPU", hints)
    return lambda images: np.array(compiled(images)[0])
