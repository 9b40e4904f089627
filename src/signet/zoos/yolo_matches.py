"""Which YOLO network has exactly the tensors of a checkpoint, or nearly.

Its tensors bear the numbers of layers (`model.22.cv3.0.2.bias`), in the naming of the packages that publish
YOLO. They are compared with Signet's own networks, each built without memory for as many classes as the
file's head has: a match is every name and every shape, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from signet.architectures import yolo_table
from signet.architectures.yolo_table import Network
from signet.catalogue import signatures
from signet.catalogue.signatures import Shapes
from signet.errors import MissingExtra
from signet.networks import ModuleSpec
from signet.zoos.state_differences import Difference, differing

_CLASSES = {"detect": "head.classes.0.2", "instances": "head.detect.classes.0.2", "classify": "head.linear"}
"""Our layer whose outputs are the classes, by task; that of v7 gives three boxes at once."""
_CLASSES_V7 = "head.convs.0"
_FORMS = ("published", "authors", "ultralytics")
_NUMBERED = re.compile(r"(?:model\.)?([0-9]{1,4})\.")
_LEAST_ALIKE = 0.3


@dataclass(frozen=True, slots=True)
class YoloMatch:
    """A network that has exactly the tensors of a file.

    Attributes:
        network: the row of the table.
        arguments: what else it is built with.
        classes: of the file's head.
        tensors: how many answers depend on.
        parameters: learned numbers.
    """

    network: Network
    arguments: Mapping[str, str]
    classes: int
    tensors: int
    parameters: int

    @property
    def spec(self) -> ModuleSpec:
        """What to build."""
        classifier = _CLASSES["classify"] if self.network.kind == "classify" else None
        return ModuleSpec("signet", self.network.name, dict(self.arguments), self.classes, classifier)

    @property
    def words(self) -> str:
        """The network in words: name, form, task, classes."""
        form = "".join(f", {key} {value!r}" for key, value in self.arguments.items())
        plural = "class" if self.classes == 1 else "classes"
        return f"signet/{self.network.name}{form}: {self.network.kind}, {self.classes} {plural}"


def is_numbered(shapes: Shapes) -> bool:
    """Whether all tensors bear the number of a layer, as those of a YOLO checkpoint do."""
    return bool(shapes) and all(_NUMBERED.match(name) for name in shapes)


def exact(shapes: Shapes) -> YoloMatch | None:
    """The network that has exactly these tensors, or None.

    Raises:
        MissingExtra: the names are such as YOLO's, and torch, which builds the networks, is not installed.
    """
    if not is_numbered(shapes):
        return None
    _require_torch()
    got = _numbered(shapes)
    for network, form in _candidates(got):
        outline = _fitted(network.name, form, got)
        if outline.shapes == got:
            arguments = {"head": form} if form else {}
            return YoloMatch(network, arguments, outline.classes, len(got), outline.parameters)
    return None


def nearest(shapes: Shapes, most: int = 3) -> tuple[Difference, ...]:
    """How tensors differ from the networks that they are most like; empty where they are like none."""
    if not is_numbered(shapes):
        return ()
    _require_torch()
    got = _numbered(shapes)
    found = [
        max(_likeness(network, form, got) for form in _forms(network))
        for network in yolo_table.NETWORKS.values()
    ]
    chosen = [row for row in sorted(found, reverse=True) if row[0] >= _LEAST_ALIKE][:most]
    return tuple(
        differing(f"signet/{name}", _fitted(name, form, got).shapes, got) for _, name, form in chosen
    )


@dataclass(frozen=True, slots=True)
class _Outline:
    """A network without memory: its shapes by the names of the file's package, and its learned numbers."""

    names: Mapping[str, str]
    shapes: Shapes
    classes: int
    parameters: int


def _fitted(name: str, form: str, shapes: Shapes) -> _Outline:
    """A network with as many classes as the head of a file has, or COCO's where it has no such head."""
    outline = _outline(name, form, yolo_table.COCO)
    classes = _classes_of(shapes, outline, yolo_table.NETWORKS[name])
    return outline if classes is None else _outline(name, form, classes)


def _likeness(network: Network, form: str, shapes: Shapes) -> tuple[float, str, str]:
    """Which part of all tensors, by name and shape, a network shares with a file."""
    wanted = _fitted(network.name, form, shapes).shapes
    both = len(wanted.items() & shapes.items())
    return both / (len(wanted) + len(shapes) - both), network.name, form


@cache
def _outline(name: str, form: str, classes: int) -> _Outline:
    import torch

    from signet.architectures import building, yolo_names

    keys = yolo_names.key_map(yolo_table.NETWORKS[name].keys)
    with torch.device("meta"):
        module = building.build(name, classes, {"head": form} if form else {})
    names = yolo_names.original_names(module, keys)
    shapes = {}
    for key, value in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        shapes[f"{names[path]}.{leaf}"] = tuple(value.shape)
    count = sum(value.numel() for value in module.parameters())
    return _Outline(names, signatures.counted(shapes), classes, count)


def _numbered(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shapes under `model.NUMBER.`, without counters and what follows from other tensors."""
    derived = {path for row in yolo_table.NETWORKS.values() for path in _derived(row.keys)}
    named = {f"model.{name.removeprefix('model.')}": shape for name, shape in shapes.items()}
    return {name: shape for name, shape in signatures.counted(named).items() if name not in derived}


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Comparing weights with the networks of YOLO", "train", "torch") from error


@cache
def _derived(keys: str) -> frozenset[str]:
    from signet.architectures import yolo_names

    return yolo_names.ignored_names(yolo_names.key_map(keys))


def _candidates(shapes: Shapes) -> Iterator[tuple[Network, str]]:
    """The networks whose head is the layer with the file's highest number, in each form of the head."""
    last = max(int(found[1]) for name in shapes if (found := _NUMBERED.match(name)))
    for network in yolo_table.NETWORKS.values():
        if _head(network.keys) == f"model.{last}":
            yield from ((network, form) for form in _forms(network))


@cache
def _head(keys: str) -> str:
    from signet.architectures import yolo_names

    return yolo_names.key_map(keys).layers["head"]


def _forms(network: Network) -> Sequence[str]:
    return _FORMS if network.family == "yolov9" else ("",)


def _classes_of(shapes: Shapes, outline: _Outline, network: Network) -> int | None:
    """How many classes the head of a file has, where it has that layer."""
    layer = _CLASSES_V7 if network.family == "yolov7" else _CLASSES[network.kind]
    shape = shapes.get(f"{outline.names[layer]}.bias", ())
    if len(shape) != 1:
        return None
    # v7: three boxes, each with five values beside its classes.
    classes = shape[0] // 3 - 5 if network.family == "yolov7" else shape[0]
    return classes if classes >= 1 else None
