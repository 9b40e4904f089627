"""PyTorch: the engine of the original module, and the only one that runs on a GPU."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.batches import Batch, Outputs
from signet.engines.contract import EngineSettings, Precision, finished, joined, one_line
from signet.errors import EngineError, MissingExtra
from signet.networks import ModuleSource


def unavailable() -> str | None:
    """Why this engine cannot be used here, or None when it can. Does not import torch."""
    from importlib.util import find_spec

    return None if find_spec("torch") else "torch is not installed"


def open_module(source: ModuleSource, settings: EngineSettings) -> TorchEngine:
    """Build a module and put it on its device.

    Raises:
        MissingExtra: torch is not installed.
        EngineError: the device does not exist, or the precision is not to be had.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("engine torch", "train", "torch") from error
    if settings.precision == "int8":
        raise EngineError("engine torch runs fp32 and bf16; for int8 use --engine openvino or onnx.")
    try:
        device = torch.device(settings.device)
        # A device that is only named fails here, before the weights are read.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise EngineError(
            f"engine torch cannot use device {settings.device!r}: {one_line(error)} {_devices(torch)}"
        ) from error
    module = source.build()
    if source.classifier and source.classifier not in dict(module.named_modules()):
        raise EngineError(
            f"engine torch: the network has no layer {source.classifier!r}, which should be its head."
        )
    try:
        module.to(device)
    except RuntimeError as error:
        raise EngineError(
            f"engine torch cannot put the network on device {settings.device!r}: {one_line(error)}"
        ) from error
    return TorchEngine(module, source.classifier, device, settings.precision, source.answers)


def answer_in_double(source: ModuleSource, batch: Batch) -> dict[str, Array] | None:
    """The answers of a module in float64, on the processor, by name; without the features of a classifier.

    None where it cannot do so.

    Args:
        source: what to build.
        batch: finished, one array.
    """
    import copy

    import torch

    try:
        # A copy: what `build` gives may be the user's own module.
        module = copy.deepcopy(source.build()).double().eval()
        with torch.inference_mode():
            answer = module(torch.from_numpy(np.asarray(batch.arrays, np.float64)))
    except (RuntimeError, TypeError, ValueError):
        return None  # it makes float32 values on the way
    parts = answer if isinstance(answer, tuple) else (answer,)
    exact = {name: part.numpy() for name, part in zip(source.answers, parts, strict=False)}
    return exact if all(np.isfinite(part).all() for part in exact.values()) else None


class TorchEngine:
    """A module in evaluation mode. One run at a time: torch divides one run among all threads itself."""

    name = "torch"
    fuses = False

    def __init__(
        self,
        module: Any,
        classifier: str | None,
        device: Any,
        precision: Precision,
        outputs: tuple[str, ...],
    ) -> None:
        import torch

        self.version: str = torch.__version__
        self.precision = precision
        self.outputs = outputs
        self._module = module.eval()
        self._device = device
        self._lock = threading.Lock()
        self._features: list[Any] = []
        if classifier:
            module.get_submodule(classifier).register_forward_pre_hook(
                lambda _, inputs: self._features.append(inputs[0])
            )

    def run(self, batch: Batch) -> Outputs:
        """See `Engine.run`."""
        arrays = finished(self.name, batch)
        if isinstance(arrays, np.ndarray):
            return Outputs(self._infer(arrays))
        parts = [self._infer(array[None]) for array in arrays]
        return joined(self.name, parts, self.outputs)

    def close(self) -> None:
        """See `Engine.close`."""
        self._module = None

    def _infer(self, arrays: Array) -> dict[str, Array]:
        import torch

        module = self._module
        if module is None:
            raise EngineError("engine torch: this model is closed.")
        try:
            # The answers leave the device under the lock too: a GPU reports its errors only then.
            with (
                self._lock,
                torch.inference_mode(),
                torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"),
            ):
                # torch warns of arrays that it could not write to.
                writable = np.require(arrays, requirements=["C", "W"])
                images = torch.from_numpy(writable).to(self._device)
                self._features.clear()
                answered = module(images)
                answers = list(answered) if isinstance(answered, tuple) else [answered]
                if len(answers) < len(self.outputs):
                    answers.append(_pooled(self._features.pop()))
                values = [answer.float().cpu().numpy() for answer in answers]
            return dict(zip(self.outputs, values, strict=True))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
            raise EngineError(
                f"engine torch: the network refused an input of shape {arrays.shape}, {arrays.dtype}: "
                f"{one_line(error)}"
            ) from error


def _devices(torch: Any) -> str:
    """What there is instead, for the end of a message."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = ", ".join(["cpu", *(f"cuda:{number}" for number in range(count))])
    return f"Here there are: {found}."


def _pooled(features: Any) -> Any:
    """The input of the head as (N, D): the mean over a map's positions when the head is a convolution."""
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features.flatten(1)
