"""Reading the weight files of Keras' NASNet, which Keras itself refuses to build on torch.

The key map follows the names that Keras gives its layers (keras.applications.nasnet); it is computed from
the cell tables, so mobile and large share it. Keras pads the pools of its reduction cells with zeros, so the
network for these weights is built with `borders="keras"`.

Arrays of Keras lie as (H, W, in, out), those of torch as (out, in, H, W).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from signet.architectures.nasnet import STEM_CELLS, NASNet, Settings, plan
from signet.architectures.nasnet_cells import CellTable
from signet.architectures.renaming import COUNTER
from signet.errors import BadInput, MissingExtra

NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}

SIDES = {
    ("normal", 0): ("left1", "right1"),
    ("normal", 1): ("left2", "right2"),
    ("normal", 4): ("left5", ""),
    ("reduction", 0): ("left1", "right1"),
    ("reduction", 1): ("", "right2"),
    ("reduction", 2): ("", "right3"),
    ("reduction", 4): ("left4", ""),
}
"""What Keras calls the left and the right separable convolutions of each block that has one."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of a Keras file."""

    layer: str
    name: str


def keras_names(settings: Settings) -> dict[str, Variable]:
    """For each tensor of `NASNet` (but the counters of its BatchNorms), the Keras variable that it is."""
    names = {"stem.conv.weight": Variable("stem_conv1", "kernel"), **_norm("stem.norm", "stem_bn1")}
    for number, (table, _) in enumerate(plan(settings.cells, 24)):
        names.update(_cell(f"cells.{number}", table, _block_id(number, settings.cells)))
    names["head.weight"] = Variable("predictions", "kernel")
    names["head.bias"] = Variable("predictions", "bias")
    return names


def _block_id(number: int, cells: int) -> str:
    """What Keras appends to the names of a cell's layers.

    Its first reduction counts as a cell in the numbers that follow; its second does not appear in them,
    and is named by the normal cells before it.
    """
    if number < STEM_CELLS:
        return f"stem_{number + 1}"
    body = number - STEM_CELLS
    if body == cells:
        return f"reduce_{cells}"
    if body == 2 * cells + 1:
        return f"reduce_{2 * cells}"
    return str(body if body <= 2 * cells else body - 1)


def _cell(ours: str, table: CellTable, block_id: str) -> dict[str, Variable]:
    kind = table.kind
    names = {
        f"{ours}.squeeze.conv.weight": Variable(f"{kind}_conv_1_{block_id}", "kernel"),
        **_norm(f"{ours}.squeeze.norm", f"{kind}_bn_1_{block_id}"),
        # Of these three only those exist that the cell's second input asks for.
        f"{ours}.adjust.conv.weight": Variable(f"adjust_conv_projection_{block_id}", "kernel"),
        f"{ours}.adjust.even.weight": Variable(f"adjust_conv_1_{block_id}", "kernel"),
        f"{ours}.adjust.odd.weight": Variable(f"adjust_conv_2_{block_id}", "kernel"),
        **_norm(f"{ours}.adjust.norm", f"adjust_bn_{block_id}"),
    }
    for (of, block), sides in SIDES.items():
        for side, called in zip(("left", "right"), sides, strict=True):
            if of != kind or not called:
                continue
            for turn in (1, 2):
                layer = f"separable_conv_{turn}_{kind}_{called}_{block_id}"
                path = f"{ours}.{side}.{block}"
                names[f"{path}.depthwise{turn}.weight"] = Variable(layer, "depthwise_kernel")
                names[f"{path}.pointwise{turn}.weight"] = Variable(layer, "pointwise_kernel")
                norm = f"separable_conv_{turn}_bn_{kind}_{called}_{block_id}"
                names.update(_norm(f"{path}.norm{turn}", norm))
    return names


def _norm(ours: str, layer: str) -> dict[str, Variable]:
    return {f"{ours}.{leaf}": Variable(layer, name) for leaf, name in NORM.items()}


def to_torch(array: np.ndarray[Any, Any], name: str) -> Tensor:
    """An array of Keras as torch has it, float32; `name` is the variable's, since that says how it lies."""
    if name == "depthwise_kernel":
        array = array.transpose(2, 3, 0, 1)
    elif array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def read_keras(path: Path, module: NASNet, settings: Settings) -> dict[str, Tensor]:
    """The tensors of a Keras weight file, ready for `module.load_state_dict(strict=True)`.

    Args:
        path: an `.h5` (weights, or a whole model) or a `.weights.h5` file.
        module: what they are for.
        settings: what it was built with.

    Raises:
        MissingExtra: h5py is not installed.
        BadInput: the file is not one of Keras, or an array is missing, unexpected or of another shape.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("Reading a Keras weight file", "keras", "h5py") from error
    try:
        with h5py.File(path, "r") as file:
            datasets = dict(_variables(file, path.name))
            return _state(datasets, module, settings, path.name)
    except OSError as error:
        raise BadInput(f"{path.name}: expected an HDF5 file of Keras; {error}") from error


def _state(datasets: dict[Variable, Any], module: NASNet, settings: Settings, file: str) -> dict[str, Tensor]:
    names = keras_names(settings)
    state: dict[str, Tensor] = {}
    faults: list[str] = []
    for key, expected in module.state_dict().items():
        if key.endswith(COUNTER):
            state[key] = torch.zeros((), dtype=torch.long)
            continue
        variable = names[key]
        dataset = datasets.pop(variable, None)
        if dataset is None:
            faults.append(f"missing: {variable.layer}/{variable.name}")
        elif dataset.size != expected.numel():
            faults.append(f"other shape: {variable.layer}/{variable.name} {dataset.shape}")
        else:
            state[key] = to_torch(dataset[()], variable.name)
            if state[key].shape != expected.shape:
                faults.append(f"other shape: {variable.layer}/{variable.name} {dataset.shape}")
    faults += [f"unexpected: {variable.layer}/{variable.name}" for variable in datasets]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise BadInput(f"{file}: expected exactly the arrays of this NASNet; {'; '.join(faults[:5])}{more}")
    return state


def _variables(file: Any, name: str) -> Iterator[tuple[Variable, Any]]:
    """Every array of a Keras file, not yet read."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs:
        for layer in _texts(root.attrs["layer_names"]):
            group = _child(root, layer, name)
            for path in _texts(group.attrs.get("weight_names", ())):
                yield _variable(layer, path), _dataset(group, path, name)
    elif "layers" in file:
        for group in (_child(file["layers"], key, name) for key in file["layers"]):
            if "vars" not in group or not len(group["vars"]):
                continue
            variables = _child(group, "vars", name)
            layer = _texts([variables.attrs.get("name", "")])[0]
            found = [_dataset(variables, key, name) for key in sorted(variables)]
            order = ORDERS.get(tuple(dataset.ndim for dataset in found))
            for number, dataset in enumerate(found):
                yield Variable(layer, order[number] if order else f"variable {number}"), dataset
    else:
        raise BadInput(f"{name}: expected the layers of a Keras model, found {sorted(file)[:5]}.")


def _variable(layer: str, path: str) -> Variable:
    return Variable(layer, path.rpartition("/")[2].partition(":")[0])


ORDERS = {
    (4,): ("kernel",),
    (2, 1): ("kernel", "bias"),
    (4, 4): ("depthwise_kernel", "pointwise_kernel"),
    (1, 1, 1, 1): tuple(NORM.values()),
}
"""A `.weights.h5` numbers the variables of a layer; how many axes each has says what the layer is."""


def _child(group: Any, name: str, file: str) -> Any:
    """A member that lies in this file: a link out of it is refused before anything follows it."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise BadInput(f"{file}: {name!r} is missing, or is a link; expected an array or a group.")
        group = group[part]
    return group


def _dataset(group: Any, path: str, file: str) -> Any:
    import h5py

    dataset = _child(group, path, file)
    plain = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind == "f"
    if not plain or dataset.external or dataset.is_virtual:
        raise BadInput(f"{file}: {path!r} is not a plain array of numbers.")
    return dataset


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
