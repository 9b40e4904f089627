"""Finding the last classifier layer of a graph, from the answer backwards; the same for every graph format.

A format gives a `View` of its graph; the walk knows roles, not operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from signet.graphs.heads import no_head
from signet.networks import GraphFile

Shape = tuple[int | None, ...]
"""Lengths of a value's axes; None where it is not fixed."""

Role = Literal["passed", "bent", "average", "scale", "sum", "layer", "other"]
"""What an operator is to the walk: passed through (a reshape, which keeps the values), bent (passed through,
but the values change: a softmax, a ReLU), a mean over positions, an element-wise operator with one computed
input, one that adds several, a layer with weights, or something that no classifier has behind its head."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that may be the classifier.

    Attributes:
        name: for messages.
        kind: "matrix" (the last axis holds the features) or "map" (axis 1 does, positions follow).
        width: number of its outputs.
        positions: axes for which it answers one by one; 1 each in a plain classifier.
        problem: why it cannot be a classifier, or "".
    """

    name: str
    kind: Literal["matrix", "map"]
    width: int | None
    positions: Shape
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The operator that makes a value.

    Attributes:
        operator: its name, for messages.
        role: what it is to the walk.
        inputs: the values it reads that depend on the graph's input; the one that carries the data first.
        layer: with the role "layer".
    """

    operator: str
    role: Role
    inputs: tuple[str, ...]
    layer: Layer | None = None


class View(Protocol):
    """A graph as the walk sees it."""

    def step(self, value: str) -> Step | None:
        """What makes `value`; None for an input or a constant."""

    def shape(self, value: str) -> Shape | None:
        """What is known of its shape."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a graph is cut.

    Attributes:
        values: inputs of the classifier layer; more than one when the answer is a sum of heads (a distilled
            transformer), whose features then stand side by side.
        kind: as the layer's.
        averaged: a mean over positions stands between the layer and the answer.
    """

    values: tuple[str, ...]
    kind: Literal["matrix", "map"]
    averaged: bool


def find_cut(graph: GraphFile, view: View, answer: str, name: str) -> Cut:
    """The inputs of the classifier layer from which the value `answer` comes; `name` is its name in messages.

    Raises:
        BadGraph: there is none.
    """
    shape = view.shape(answer)
    if shape is not None and (len(shape) < 2 or any(axis != 1 for axis in shape[2:])):
        raise no_head(graph, f"its output {name!r} has the shape {words(shape)}")
    return _Walk(graph, view, answer, name).back_from(answer)


class _Walk:
    """One walk; `answer` is the value where it begins, `name` how the graph calls it."""

    def __init__(self, graph: GraphFile, view: View, answer: str, name: str) -> None:
        self._graph = graph
        self._view = view
        self._answer = answer
        self._name = name

    def back_from(self, value: str, *, within_sum: bool = False) -> Cut:
        """The cut behind `value`; within a sum of heads nothing may bend or average the values."""
        averaged = relu = False
        while True:
            step = self._view.step(value)
            if step is None:
                raise self._error(f"no layer with weights lies between the input and {self._name!r}")
            if step.layer is not None:
                return self._at(step.layer, step.inputs, averaged)
            if within_sum and step.role not in ("passed", "scale"):
                raise self._error(
                    f"{self._name!r} is a sum, and one part of it comes through {step.operator}"
                )
            if step.role == "sum" and not (averaged or relu):
                return self._sum(step.inputs)
            if step.role in ("sum", "other") or not step.inputs:
                raise self._error(f"{self._name!r} comes through {step.operator} before any such layer")
            averaged = averaged or step.role == "average"
            relu = relu or step.operator == "Relu"
            value = step.inputs[0]

    def _sum(self, inputs: tuple[str, ...]) -> Cut:
        """A sum of linear heads is one linear head on their features side by side."""
        cuts = [self.back_from(value, within_sum=True) for value in inputs]
        values = dict.fromkeys(value for cut in cuts for value in cut.values)
        plain = all(cut.kind == "matrix" for cut in cuts)
        if not plain or (
            len(values) > 1 and any(len(self._view.shape(value) or ()) != 2 for value in values)
        ):
            raise self._error(f"{self._name!r} is a sum of layers whose inputs are not (N, D)")
        return Cut(tuple(values), "matrix", averaged=False)

    def _at(self, layer: Layer, inputs: tuple[str, ...], averaged: bool) -> Cut:
        """The layer itself: its own width is the answer's, and only a mean brings positions together."""
        problem = layer.problem
        answer = self._view.shape(self._answer)
        wanted = answer[1] if answer is not None else None
        if not problem and None not in (layer.width, wanted) and layer.width != wanted:
            problem = f"has {layer.width} outputs where the answer has {wanted}"
        if not problem and not averaged and any(axis not in (1, None) for axis in layer.positions):
            problem = f"answers for each of {words(layer.positions)} positions"
        if not problem and len(inputs) != 1:
            problem = "has no constant weights"
        if problem:
            raise self._error(f"its last layer {layer.name!r} {problem}")
        return Cut(inputs, layer.kind, averaged)

    def _error(self, why: str) -> Exception:
        return no_head(self._graph, why)


def words(shape: Shape | None) -> str:
    """A shape for a message."""
    if shape is None:
        return "(unknown)"
    return f"({', '.join('any' if axis is None else str(axis) for axis in shape)})"
