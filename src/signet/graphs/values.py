"""What a graph computes on its way from image to answer, value by value, and any of it as an output.

A format gives the values of its graph; what lies on every path is counted here, the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from signet.networks import GraphFile


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that is computed from the image.

    Attributes:
        key: what it is called in this graph, once.
        names: those that were given to it; another graph of the same network may know it by one of them.
        label: for a person.
        operation: the operator that makes it.
        inputs: keys of the values that it is made of, those that depend on the image.
    """

    key: str
    names: frozenset[str]
    label: str
    operation: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """The values of a graph, from the image to its answer.

    Attributes:
        values: in an order in which each comes after what it is made of.
        answers: keys of the values that are the graph's outputs.
    """

    values: tuple[Value, ...]
    answers: tuple[str, ...]

    def named(self) -> Mapping[str, Value]:
        """The values by each of their names; a name of two values is nobody's."""
        known: dict[str, Value] = {}
        twice: set[str] = set()
        for value in self.values:
            twice |= value.names & known.keys()
            known |= dict.fromkeys(value.names, value)
        return {name: value for name, value in known.items() if name not in twice}

    def through(self) -> tuple[Value, ...]:
        """The values that every path from the image to an answer goes through, in order.

        The paths are counted: a value lies on all of them when as many lead to it, times as many as lead from
        it, as there are. In a residual network these are the sums at the ends of its blocks.
        """
        to, fro = self._paths_to(), self._paths_from()
        whole = sum(to[key] for key in self.answers)
        return tuple(value for value in self.values if whole and to[value.key] * fro[value.key] == whole)

    def between(self, first: Value | None, last: Value | None) -> tuple[Value, ...]:
        """The values that lie on a path from one to another, without the two; None for image and answer."""
        after = self._reached({first.key} if first else None)
        needed = set(self.answers) if last is None else set(last.inputs)
        for value in reversed(self.values):
            if value.key in needed:
                needed.update(value.inputs)
        known = {value.key for value in (first, last) if value is not None}
        return tuple(value for value in self.values if value.key in after & needed and value.key not in known)

    def _reached(self, start: set[str] | None) -> set[str]:
        if start is None:
            return {value.key for value in self.values}
        found = set(start)
        for value in self.values:
            if found.intersection(value.inputs):
                found.add(value.key)
        return found

    def _paths_to(self) -> dict[str, int]:
        paths: dict[str, int] = {}
        for value in self.values:
            inner = [key for key in value.inputs if key in paths]
            # What is made of the image itself is the beginning of a path.
            paths[value.key] = sum(paths[key] for key in inner) + len(value.inputs) - len(inner)
        return paths

    def _paths_from(self) -> dict[str, int]:
        paths = dict.fromkeys((value.key for value in self.values), 0)
        for key in self.answers:
            paths[key] += 1
        for value in reversed(self.values):
            for key in value.inputs:
                if key in paths:
                    paths[key] += paths[value.key]
        return paths


def flow_of(graph: GraphFile) -> Flow:
    """The values of a graph.

    Raises:
        BadGraph: it cannot be read.
        MissingExtra: an ONNX file, and `onnx` is not installed.
    """
    if graph.format == "onnx":
        from signet.graphs import onnx_values

        return onnx_values.flow_of(graph)
    from signet.graphs import openvino_values

    return openvino_values.flow_of(graph)


def with_values(graph: GraphFile, keys: Sequence[str], folder: Path) -> tuple[GraphFile, tuple[int, ...]]:
    """The same graph with some of its values as further outputs.

    Args:
        graph: any; of TFLite OpenVINO's form is written.
        keys: of its values.
        folder: where the new graph is written; nothing is overwritten.

    Returns:
        The graph, and the position among its outputs of each value: those that were outputs stay where they
        are.

    Raises:
        BadGraph: it cannot be read, written, or has no such value.
        MissingExtra: an ONNX file, and `onnx` is not installed.
    """
    if graph.format == "onnx":
        from signet.graphs import onnx_values

        return onnx_values.with_values(graph, keys, folder / "values.onnx")
    from signet.graphs import openvino_values

    return openvino_values.with_values(graph, keys, folder / "values.xml")
