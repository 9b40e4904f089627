"""A network cut into named stages, from its input to its head."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from torch import nn

from signet.errors import BadRequest, UnknownName

_WRAPPER_SHARE = 0.8
"""Of the parameters: a child that holds more of its parent's is looked into."""

_CONTAINERS = ("blocks", "stages", "features", "layers")
"""Names under which libraries keep the stages: looked into whatever their share."""


Classifier = str | tuple[str, ...]
"""Dotted name of the module that is the head, or names of the modules that it consists of; "" for none."""


def head_parts(classifier: Classifier) -> tuple[str, ...]:
    """The dotted names of all that belongs to the head."""
    return classifier if isinstance(classifier, tuple) else (classifier,) if classifier else ()


def is_in_head(name: str, classifier: Classifier) -> bool:
    """Whether a parameter or module, by its dotted name, is a part of the head or inside one."""
    return any(name == part or name.startswith(f"{part}.") for part in head_parts(classifier))


class Stage(NamedTuple):
    """A part of a network that learns, or is frozen, as one.

    Attributes:
        name: dotted name of the module that it is, or of the first of those that it consists of.
        parameters: names of its parameters, as `module.named_parameters()` gives them.
    """

    name: str
    parameters: tuple[str, ...]


def stages_of(module: nn.Module, classifier: Classifier = "") -> tuple[Stage, ...]:
    """The stages of any network, in the order in which its children were made: from input to head.

    The children of the module are its stages; a child that holds most of the parameters (`features`,
    `blocks`, `stages`, a wrapped backbone) is replaced by its own children. A norm alone belongs to the
    stage before it, and parameters that lie beside the children (position embeddings, class tokens) to the
    first. Every parameter is in exactly one stage.

    Args:
        module: the network.
        classifier: dotted name of its head, or of the parts of it; each is a stage of its own, after all
            others; "" when the module ends in features.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3), nn.Linear(8, 2))
        >>> [stage.name for stage in stages_of(net, "3")]
        ['0', '2', '3']
    """
    return tuple(Stage(piece.name, tuple(piece.parameters)) for piece in _pieces(module, classifier))


def frozen_start(
    module: nn.Module, classifier: Classifier, frozen: AbstractSet[str]
) -> tuple[tuple[str, ...], str] | None:
    """(modules of the frozen stages before all that learns, the module that comes after them), by name.

    None when the first stage learns, or nothing does.
    """
    start: list[str] = []
    for piece in _pieces(module, classifier):
        if not all(name in frozen for name in piece.parameters):
            return (tuple(start), piece.name) if start else None
        start.extend(piece.modules)
    return None


def all_but_last(stages: Sequence[Stage], count: int) -> tuple[str, ...]:
    """What to give as `TrainSettings.frozen` so that only the last `count` stages learn, the head included.

    Raises:
        BadRequest: fewer than one stage would learn, or more than there are.
    """
    if not 1 <= count <= len(stages):
        raise BadRequest(f"stages: expected 1 to {len(stages)} that learn, got {count}.")
    return tuple(stage.name for stage in stages[: len(stages) - count])


def frozen_parameters(module: nn.Module, classifier: Classifier, names: Sequence[str]) -> frozenset[str]:
    """Names of the parameters in stages that are named, or whose name begins with one of `names` and a dot.

    A name may also be that of a module inside a stage, or of a single parameter.

    Raises:
        UnknownName: a name that is no stage, no prefix of one, and no module with parameters.
    """
    stages = stages_of(module, classifier)
    found: set[str] = set()
    for name in names:
        chosen = {
            parameter
            for stage in stages
            for parameter in stage.parameters
            if stage.name == name
            or f"{stage.name}.".startswith(f"{name}.")
            or parameter == name
            or parameter.startswith(f"{name}.")
        }
        if not chosen:
            known = [stage.name for stage in stages]
            raise UnknownName("stage", name, known, f"Its stages: {', '.join(known)}.")
        found |= chosen
    return frozenset(found)


class _Piece(NamedTuple):
    """A stage while it is put together."""

    name: str
    parameters: list[str]
    modules: list[str]


def _pieces(module: nn.Module, classifier: Classifier) -> list[_Piece]:
    every = [name for name, _ in module.named_parameters()]
    body = [name for name in every if not is_in_head(name, classifier)]
    pieces: list[_Piece] = []
    placed: set[str] = set()
    for name in _cut(module, "", set(body), classifier):
        inside = [parameter for parameter in body if parameter.startswith(f"{name}.")]
        placed.update(inside)
        if pieces and all(_is_norm(module, parameter) for parameter in inside):
            pieces[-1].parameters.extend(inside)
            pieces[-1].modules.append(name)
        else:
            pieces.append(_Piece(name, inside, [name]))
    beside = [name for name in body if name not in placed]
    if beside and pieces:
        pieces[0].parameters[:0] = beside
    elif beside:
        pieces.append(_Piece(beside[0].rpartition(".")[0] or beside[0], beside, []))
    for part in head_parts(classifier):
        head = [name for name in every if name.startswith(f"{part}.")]
        if head:
            pieces.append(_Piece(part, head, [part]))
    return pieces


def _cut(module: nn.Module, prefix: str, wanted: set[str], classifier: Classifier) -> list[str]:
    """Dotted names of the stages below a module; children without any of the wanted parameters are none."""
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    children = []
    for name, child in module.named_children():
        count = sum(
            size for own, size in sizes.items() if own.startswith(f"{name}.") and f"{prefix}{own}" in wanted
        )
        if count:
            children.append((name, child, count))
    total = sum(count for _, _, count in children)
    names: list[str] = []
    for name, child, count in children:
        own = f"{prefix}{name}."
        inner = _cut(child, own, wanted, classifier)
        opened = len(inner) > 1 and (name in _CONTAINERS or count > _WRAPPER_SHARE * total)
        # A module that holds the head beside other layers is never one stage with it.
        opened = opened or (bool(inner) and any(part.startswith(own) for part in head_parts(classifier)))
        names.extend(inner if opened else [f"{prefix}{name}"])
    return names


def _is_norm(module: nn.Module, parameter: str) -> bool:
    """Whether a parameter belongs to a norm, which learns with what it normalises."""
    layer = module.get_submodule(parameter.rpartition(".")[0])
    return "norm" in type(layer).__name__.lower()
