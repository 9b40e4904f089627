"""Weight files of Keras, read strictly: `.h5` as Keras 1 and 2 wrote them, `.weights.h5` of Keras 3.

Keras's own loading goes by order alone for the first form, and does not mind tensors that nobody asks for in
the second. Here every tensor of the file has its place in the network and every one of the network is filled,
or nothing is. Both forms are HDF5: numbers only. Links out of the file are refused; a configuration that lies
beside the weights is never read, so nothing in it can run.

Source: keras `legacy/saving/legacy_h5_format.py`, `saving/saving_lib.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signet.errors import BadInput
from signet.naming import shown
from signet.zoos.keras_graph import automatic, names

_MOST_ENTRIES = 100_000
_DEPTH = 16
_LISTED = 6
_NOT_OURS = ("optimizer", "optimizer_weights")
"""Groups that hold no tensor of the network."""
_OLD_LAYERS = "_layer_checkpoint_dependencies/"
"""What Keras 3.0 called `layers/`."""
_WAY_OUT = "Where it was trained, call model.save_weights('NAME.weights.h5') and give that file."


class _Tensor(NamedTuple):
    """A place in the network: what it is called in messages, and the Keras variable to fill."""

    name: str
    variable: Any


def load(model: Any, weights: Path, what: str) -> None:
    """Fill a Keras model from a weight file: exactly its tensors, each of its shape.

    Args:
        model: functional and built; changed in place.
        weights: `.h5` (weights, or a whole model saved in that format) or `.weights.h5`.
        what: it is, for messages: `keras/architecture`.

    Raises:
        BadInput: the file cannot be read or has links out of it; a tensor is missing, unexpected, or of
            another shape.
    """
    import h5py

    file = shown(weights.name)
    if weights.suffix == ".keras":
        raise BadInput(
            f"{file}: expected a weight file, got a whole model of Keras, whose layers may carry code of "
            f"their own (Lambda) and are not built here. {_WAY_OUT}"
        )
    try:
        with h5py.File(weights, "r") as opened:
            tensors = _found(opened)
            if "layer_names" in opened.attrs or "layer_names0" in opened.attrs:
                values = _by_order(model, opened, tensors, f"{file}: expected exactly the tensors of {what}")
            elif "model_weights" in opened:
                inner = {name.removeprefix("model_weights/"): each for name, each in tensors.items()}
                values = _by_order(
                    model, opened["model_weights"], inner, f"{file}: expected exactly the tensors of {what}"
                )
            else:
                values = _by_path(model, tensors, f"{file}: expected exactly the tensors of {what}")
            for variable, dataset in values:
                variable.assign(np.asarray(dataset, dtype=np.float32))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{file}: expected weights as Keras saves them (HDF5); it cannot be read: {shown(error)} It may "
            f"have been cut short. {_WAY_OUT}"
        ) from error
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _found(group: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Every tensor of the file by path; nothing outside the file, and no loops.

    Raises:
        TypeError: a link.
        ValueError: a tensor that lies in another file, one that is no number, or too many.
    """
    import h5py

    found: dict[str, Any] = {}
    if depth > _DEPTH:
        raise ValueError(f"groups are nested more than {_DEPTH} deep.")
    for key in group:
        path = f"{prefix}{key}"
        if depth == 0 and key in _NOT_OURS:
            continue
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise TypeError(f"{path!r} is a link.")
        entry = group[key]
        if isinstance(entry, h5py.Group):
            found |= _found(entry, f"{path}/", depth + 1)
        elif entry.is_virtual or entry.external or entry.dtype.kind not in "fiu":
            raise ValueError(f"{path!r} lies in another file, or holds no numbers.")
        else:
            found[path] = entry
        if len(found) > _MOST_ENTRIES:
            raise ValueError(f"there are more than {_MOST_ENTRIES} tensors.")
    return found


def _by_order(model: Any, group: Any, tensors: Mapping[str, Any], expected: str) -> list[tuple[Any, Any]]:
    """(variable, tensor) of a file that lists its layers in their order, as the network has them.

    Layers that nobody named are numbered through a whole process, so their names say nothing; a name that was
    given must not stand at another layer's place.
    """
    layers = [layer for layer in model.layers if layer.weights]
    called = names(layers)
    stated = _listed(group, "layer_names")
    there = [(name, [f"{name}/{each}" for each in _listed(group[name], "weight_names")]) for name in stated]
    there = [(name, paths) for name, paths in there if paths]
    used = {path for _, paths in there for path in paths}
    _refuse(expected, unexpected=sorted(set(tensors) - used), missing=sorted(used - set(tensors)))
    if len(there) != len(layers):
        ours, theirs = set(called), {name for name, _ in there}
        given = {name for name, layer in zip(called, layers, strict=True) if automatic(layer) is None}
        lacking = sorted(given - theirs) or sorted(ours - theirs)
        beyond = sorted(name for name in theirs - ours if not _looks_automatic(name)) or sorted(theirs - ours)
        _refuse(
            f"{expected} ({len(layers)} layers with weights, the file has {len(there)})",
            missing=lacking,
            unexpected=beyond,
            always=True,
        )
    places = {name: number for number, name in enumerate(called) if automatic(layers[number]) is None}
    pairs: list[tuple[_Tensor, Any]] = []
    for number, (layer, (name, paths)) in enumerate(zip(layers, there, strict=True)):
        if places.get(name, number) != number:
            raise BadInput(f"{expected}; the file has {name!r} where {called[number]!r} belongs.")
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        if len(variables) != len(paths):
            raise BadInput(
                f"{expected}; layer {called[number]!r} has {len(variables)} of them, {name!r} in the file "
                f"{len(paths)}."
            )
        for variable, path in zip(variables, paths, strict=True):
            pairs.append((_Tensor(f"{called[number]}/{variable.name}", variable), tensors[path]))
    return _of_equal_shape(expected, pairs)


def _by_path(model: Any, tensors: Mapping[str, Any], expected: str) -> list[tuple[Any, Any]]:
    """(variable, tensor) of a file of Keras 3, where each tensor lies at the path of its layer."""
    tensors = {
        f"layers/{path.removeprefix(_OLD_LAYERS)}" if path.startswith(_OLD_LAYERS) else path: tensor
        for path, tensor in tensors.items()
    }
    places = _places(model)
    _refuse(
        expected, missing=sorted(set(places) - set(tensors)), unexpected=sorted(set(tensors) - set(places))
    )
    return _of_equal_shape(expected, [(_Tensor(path, places[path]), tensors[path]) for path in places])


def _places(model: Any) -> dict[str, Any]:
    """Path to variable, as Keras 3 would save them."""
    from keras.src.saving import saving_lib

    found: dict[str, dict[str, Any]] = {}

    class Noted(saving_lib.H5IOStore):  # type: ignore[misc]
        """Takes down what would be saved, and saves nothing."""

        def __init__(self) -> None:
            pass

        def __bool__(self) -> bool:
            return True

        def __del__(self) -> None:
            pass

        def make(self, path: str, metadata: object = None) -> dict[str, Any]:
            del metadata
            return found.setdefault(f"{path}/vars" if path else "vars", {})

    saving_lib._save_state(model, Noted(), None, "", set())
    return {f"{path}/{key}": variable for path, inner in found.items() for key, variable in inner.items()}


def _of_equal_shape(expected: str, pairs: Sequence[tuple[_Tensor, Any]]) -> list[tuple[Any, Any]]:
    wrong = [
        f"{place.name} {tuple(place.variable.shape)}, got {tuple(dataset.shape)}"
        for place, dataset in pairs
        if tuple(place.variable.shape) != tuple(dataset.shape)
    ]
    if wrong:
        raise BadInput(f"{expected}; of another shape: {_some(wrong, '; ')}.")
    return [(place.variable, dataset) for place, dataset in pairs]


def _refuse(
    expected: str, *, missing: Sequence[str], unexpected: Sequence[str], always: bool = False
) -> None:
    parts = []
    if missing:
        parts.append(f"missing: {_some(missing)}")
    if unexpected:
        parts.append(f"unexpected: {_some(unexpected)}")
    if parts or always:
        raise BadInput(f"{expected}; {'; '.join(parts) or 'they differ'}.")


def _some(texts: Sequence[str], between: str = ", ") -> str:
    more = len(texts) - _LISTED
    listed = between.join(shown(text) for text in texts[:_LISTED])
    return f"{listed}{between}and {more} more" if more > 0 else listed


def _looks_automatic(name: str) -> bool:
    head, _, number = name.rpartition("_")
    return bool(head) and number.isdigit()


def _listed(group: Any, key: str) -> list[str]:
    """A list of names; long ones are kept in pieces, `key0`, `key1`, ..."""
    pieces = [group.attrs[key]] if key in group.attrs else []
    while key not in group.attrs and f"{key}{len(pieces)}" in group.attrs:
        pieces.append(group.attrs[f"{key}{len(pieces)}"])
    return [
        name.decode("utf-8") if isinstance(name, bytes) else str(name) for piece in pieces for name in piece
    ]
