"""The tensors of a file of torch.save that pickles a whole model, read without running anything of it.

Such a file is a zip with `data.pkl`, which says how the model is made of classes, and a file of plain numbers
for each tensor. The pickle is walked by an unpickler whose `find_class` never imports: what rebuilds a tensor
is ours, `OrderedDict` is a dict, and every other class is a `Husk` that keeps what it is given and does
nothing. So a pickle can build nothing but plain values, husks and views of numbers that are in the file.

What was a module is recognised by what it keeps (`_parameters`, `_buffers`, `_modules`), and its tensors are
named by their path, as `state_dict` names them. What else a module or its checkpoint states in words and
numbers (the names of the classes, the size of the pictures) is kept as it stands.

Source: the pickle protocol (PEP 3154, Python's `pickletools`), the layout of torch's zip files and of the
arguments of `_rebuild_tensor_v2` (PyTorch documentation, "Serialization semantics").
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.errors import BadInput
from signet.naming import shown

MOST_PICKLE_BYTES = 64 * 2**20
"""Of `data.pkl`; that of a network with 1,500 layers has 2 MB."""
MOST_BYTES = 8 * 2**30
"""Of all numbers together: a zip may state more than it holds."""
MOST_DEPTH = 64
MOST_MODULES = 100_000
"""Looked into; modules that hold one module several times, and it another, would be more than any machine can
visit."""
_DTYPES: Mapping[str, str] = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
_SCALARS = (str, int, float, type(None))
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2")


class Husk:
    """What is left of an object of a class that is not imported: what it was given, and nothing that runs."""

    kept: dict[str, Any]

    def __new__(cls, *_given: Any) -> Husk:
        """Not `__init__`: the protocol makes objects without it."""
        made = super().__new__(cls)
        made.kept = {}
        return made

    def __init__(self, *given: Any) -> None:
        """Takes what any class may be given."""

    def __setstate__(self, state: Any) -> None:
        """Keeps what the object had, by name."""
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                self.kept.update({key: value for key, value in part.items() if isinstance(key, str)})

    # It may stand where the file fills a list, a set or a dict.
    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing."""

    def append(self, value: Any) -> None:
        """Nothing."""

    def extend(self, values: Any) -> None:
        """Nothing."""

    def add(self, value: Any) -> None:
        """Nothing."""


class Items(dict[Any, Any]):
    """What is left of an OrderedDict; what was attached to it is let go."""

    def __setstate__(self, state: Any) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of torch.save holds.

    Attributes:
        tensors: for each module at the top, by its key, its tensors by name; "" for a file of one module.
        stated: what those modules, by the same keys, and the checkpoint itself, under "", state beside
            tensors: words, numbers, and lists and dicts of them, one level deep.
    """

    tensors: dict[str, dict[str, Array]]
    stated: dict[str, dict[str, Any]]


def read(path: Path) -> Contents:
    """Every set of tensors of a file, numpy arrays, float16 as they are, and what stands beside them.

    Args:
        path: a file of torch.save since version 1.6 (a zip).

    Raises:
        BadInput: it is no such zip, is cut short or larger than it may be, or holds no module with tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            top = _Reader(archive, path.name).load()
    except BadInput:
        raise
    except Exception as error:  # zipfile, zlib, pickle and numpy each have their own kinds
        raise BadInput(
            f"{shown(path.name)}: expected a zip of torch.save; it cannot be read: "
            f"{type(error).__name__}: {shown(str(error))}."
        ) from error
    found: dict[str, dict[str, Array]] = {}
    stated = {"": plain(top)}
    budget = [MOST_MODULES]
    for key, value in {"": top, **(top if isinstance(top, dict) else {})}.items():
        if isinstance(key, str) and isinstance(value, Husk):
            tensors = dict(_tensors(value, "", 0, budget))
            if tensors:
                found[key], stated[key] = tensors, plain(value.kept)
    total = sum(array.nbytes for tensors in found.values() for array in tensors.values())
    if total > MOST_BYTES:
        raise BadInput(f"{shown(path.name)}: its tensors state {total} bytes, more than {MOST_BYTES}.")
    if not found:
        raise BadInput(f"{shown(path.name)}: expected a pickled model with tensors, found none in it.")
    return Contents(found, stated)


def plain(checkpoint: Any) -> dict[str, Any]:
    """What a checkpoint states in words and numbers, by name, one level deep; all else is left out.

    Deeper, a few bytes of a pickle could state more than any machine can visit.
    """
    found: dict[str, Any] = {}
    for key, value in checkpoint.items() if isinstance(checkpoint, dict) else ():
        match value:
            case _ if not isinstance(key, str):
                continue
            case dict():
                found[key] = {name: part for name, part in value.items() if isinstance(part, _SCALARS)}
            case list() | tuple() if all(isinstance(part, _SCALARS) for part in value):
                found[key] = list(value)
            case _ if isinstance(value, _SCALARS):
                found[key] = value
    return found


class _Reader:
    """One open archive, and what its pickle may ask for."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive = archive
        self.name = name
        self.storages: dict[str, Array] = {}
        self.left = MOST_BYTES
        pickles = [entry for entry in archive.namelist() if entry.rsplit("/", 1)[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise BadInput(f"{shown(name)}: expected one data.pkl in the zip, found {len(pickles)}.")
        self.pickle = pickles[0]
        self.folder = self.pickle.removesuffix("data.pkl")
        order = f"{self.folder}byteorder"
        if order in archive.namelist() and self._bytes(order, 16) != b"little":
            raise BadInput(f"{shown(name)}: expected little-endian numbers.")

    def load(self) -> Any:
        """What the pickle describes, in plain values, husks and arrays."""
        return _Unpickler(self).load()

    def stream(self) -> io.BytesIO:
        """The pickle's bytes."""
        return io.BytesIO(self._bytes(self.pickle, MOST_PICKLE_BYTES))

    def storage(self, identity: Any) -> Array:
        """The flat numbers that a tensor is a view of.

        Raises:
            BadInput: the pickle asks for something else than numbers of the file.
        """
        match identity:
            case ("storage", _Name() as kind, str() as key, str(), int() as count) if kind.name in _DTYPES:
                dtype = np.dtype(_DTYPES[kind.name])
            case ("storage", _Name() as kind, str() as key, str(), int() as count) if (
                kind.name == "BFloat16Storage"
            ):
                dtype = np.dtype("<u2")
            case _:
                raise BadInput(f"{shown(self.name)}: a tensor whose numbers are of no known kind.")
        if key not in self.storages:
            if not key.isdigit():
                raise BadInput(f"{shown(self.name)}: numbers under the name {shown(key)}.")
            data = self._bytes(f"{self.folder}data/{key}", self.left)
            self.left -= len(data)
            numbers = np.frombuffer(data, dtype, count)
            if kind.name == "BFloat16Storage":
                # The upper half of a float32.
                numbers = (numbers.astype("<u4") << np.uint32(16)).view("<f4")
            self.storages[key] = numbers
        return self.storages[key]

    def _bytes(self, entry: str, most: int) -> bytes:
        if self.archive.getinfo(entry).file_size > most:
            raise BadInput(f"{shown(self.name)}: {shown(entry)} is larger than {most} bytes.")
        with self.archive.open(entry) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise BadInput(f"{shown(self.name)}: {shown(entry)} is larger than {most} bytes.")
        return data


class _Name:
    """The kind of a tensor's numbers, by its name. Not callable."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Unpickler(pickle.Unpickler):
    """Walks a pickle; nothing that it names is imported, and nothing that it calls is of another module."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__(reader.stream(), encoding="utf-8")
        self.reader = reader

    def find_class(self, module: str, name: str) -> Any:
        """Ours for a tensor, a parameter and a dict; an empty shell for everything else."""
        match module, name:
            case "torch._utils", found if found in _TENSORS:
                return _view
            case "torch._utils", "_rebuild_parameter":
                return _first
            case "collections", "OrderedDict":
                return Items
            case "builtins" | "__builtin__", "set":
                return set
            case "torch", found if found.endswith("Storage"):
                return _Name(found)
            case _:
                # A class of its own, since the protocol asks a class for `__new__`.
                return type("Husk", (Husk,), {"__module__": __name__})

    def persistent_load(self, identity: Any) -> Any:
        """The numbers of a tensor."""
        return self.reader.storage(identity)


def _view(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """A tensor's numbers, not copied; what it says of its place is held to what there is.

    Raises:
        BadInput: it reaches beyond its numbers.
    """
    whole = [offset, *size, *stride]
    if not isinstance(storage, np.ndarray) or not all(isinstance(n, int) and n >= 0 for n in whole):
        raise BadInput("a tensor whose shape is not made of whole numbers.")
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and reach >= storage.size:
        raise BadInput("a tensor that reaches beyond its numbers.")
    # Overlapping views could state petabytes of a few numbers.
    if math.prod(size) > max(storage.size, 1):
        raise BadInput("a tensor with more numbers than the file holds for it.")
    if not math.prod(size):
        return np.zeros(size, storage.dtype)
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _first(value: Any, *_: Any) -> Any:
    return value


def _tensors(module: Husk, prefix: str, depth: int, budget: list[int]) -> Iterator[tuple[str, Array]]:
    """Names and tensors of what was a module, and of all modules inside it."""
    budget[0] -= 1
    if depth > MOST_DEPTH or budget[0] < 0:
        raise BadInput(
            f"a pickled model: expected at most {MOST_MODULES} modules, at most {MOST_DEPTH} deep."
        )
    transient = module.kept.get("_non_persistent_buffers_set")
    left_out = transient if isinstance(transient, set) else set()
    for kind in ("_parameters", "_buffers"):
        for name, value in _named(module, kind):
            if isinstance(value, np.ndarray) and not (kind == "_buffers" and name in left_out):
                yield f"{prefix}{name}", value
    for name, value in _named(module, "_modules"):
        if isinstance(value, Husk):
            yield from _tensors(value, f"{prefix}{name}.", depth + 1, budget)


def _named(module: Husk, kind: str) -> list[tuple[str, Any]]:
    inside = module.kept.get(kind)
    pairs = inside.items() if isinstance(inside, dict) else ()
    return [(name, value) for name, value in pairs if isinstance(name, str)]
