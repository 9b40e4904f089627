"""The first layer in which two graphs of one network differ, found by bisection on one image.

Values are the same layer's where both graphs call them by one name. Between image and answer there are
values that every path goes through; one that agrees and a later one that differs have the fault between them,
so that the line is halved until they are neighbours. What lies between the two is then compared in order.

Where the names are others, a layer is known by its values, whatever their order: sorted values differ by no
more than the values themselves. The first layer is named that is not found again, nor anything made of it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signet.arrays import Array
from signet.engines.contract import EngineSettings
from signet.evidence import STEADY_ABSOLUTE
from signet.graphs.values import Flow, Value, flow_of, with_values
from signet.images import Image
from signet.models import Model
from signet.networks import GraphFile, Pretrained
from signet.predictions import Prediction
from signet.records import LayerCheck
from signet.replaying import difference
from signet.running import Running, open_engine

MOST_SORTED = 65_536
"""Of more values than twice as many, every so many are compared."""


@dataclass(frozen=True, slots=True)
class Side:
    """A graph, and how it is run.

    Attributes:
        pretrained: the card, and the graph as its only network.
        engine: name of the engine.
        settings: of it; one image at a time, and nothing is kept.
    """

    pretrained: Pretrained
    engine: str
    settings: EngineSettings

    @property
    def graph(self) -> GraphFile:
        """The graph."""
        return next(network for network in self.pretrained.networks if isinstance(network, GraphFile))

    def running(self, graph: GraphFile) -> Model[Prediction]:
        """A form of the graph on this side's engine; the caller closes it."""
        one = dataclasses.replace(self.settings, batch=1, workers=1, cache=None)
        # It was made here, of a graph that was opened before: no child process has to try it again.
        whole = dataclasses.replace(self.pretrained, networks=(graph,), where="cache")
        return Model(whole, Running(open_engine(whole, self.engine, one), one, "to look inside"))

    def values(self, keys: Sequence[str], image: Image) -> list[Array]:
        """What some values of the graph are for an image, with the axis of images."""
        with tempfile.TemporaryDirectory(prefix="signet-values-") as folder:
            graph, places = with_values(self.graph, keys, Path(folder))
            with self.running(graph) as model:
                outputs = model.run(model.prepare([image]))
        return [list(outputs.values())[place] for place in places]


@dataclass(frozen=True, slots=True)
class Bisection:
    """Two graphs side by side.

    Attributes:
        reference: it answers as sealed.
        other: it does not.
        image: on which they differ, and its number among the golden images.
        number: of the image.
        relative: what may differ, relative to the greatest value of a layer.
    """

    reference: Side
    other: Side
    image: Image
    number: int
    relative: float

    def first(self) -> LayerCheck | None:
        """The first layer that differs; None where the two have no layer in common.

        Raises:
            BadGraph: a graph cannot be read, or written with more outputs.
            EngineError: an engine refuses it then.
            MissingExtra: an ONNX file, and `onnx` is not installed.
        """
        flow, there = flow_of(self.reference.graph), flow_of(self.other.graph)
        pairs = _pairs(flow, there)
        through = [value for value in flow.through() if value.key not in flow.answers]
        line = [value for value in through if value.key in pairs]
        if 2 * len(line) < len(through):
            return self._by_values(flow, there)
        return self._by_names(flow, line, pairs)

    def _by_names(self, flow: Flow, line: Sequence[Value], pairs: dict[str, Value]) -> LayerCheck | None:
        agrees, differs = -1, len(line)
        checks: dict[int, _Compared] = {}
        while differs - agrees > 1:
            middle = (agrees + differs) // 2
            checks[middle] = self._compared([line[middle]], pairs)[0]
            agrees, differs = (middle, differs) if checks[middle].ok else (agrees, middle)
        before = line[agrees] if agrees >= 0 else None
        after = line[differs] if differs < len(line) else None
        inner = [value for value in flow.between(before, after) if value.key in pairs]
        inner = [value for value in inner if value.key not in flow.answers]
        # Looked at all at once, since paths that part and meet again cannot be halved.
        for place, compared in enumerate(self._compared(inner, pairs)):
            if not compared.ok:
                value = inner[place]
                return self._check(value, compared, _before(value, inner[:place], before), pairs)
        last = _before(after, inner, before)
        if after is not None:
            return self._check(after, checks[differs], last, pairs)
        return self._of_answer(flow, last, pairs)

    def _by_values(self, flow: Flow, there: Flow) -> LayerCheck | None:
        """The first value that the other graph has nowhere, as nothing has that is made of it."""
        known: dict[int, list[Array]] = {}
        for array in self.other.values([value.key for value in there.values], self.image):
            known.setdefault(array.size, []).append(_sorted(array))
        arrays = self.reference.values([value.key for value in flow.values], self.image)
        found = {
            value.key
            for value, array in zip(flow.values, arrays, strict=True)
            if any(_compare(_sorted(array), other, self.relative).ok for other in known.get(array.size, ()))
        }
        if not found:
            return None
        needed = set(found)
        for value in reversed(flow.values):
            if value.key in needed:
                needed.update(value.inputs)
        lost = next((value for value in flow.values if value.key not in needed), None)
        if lost is None:
            return None
        earlier = [value for value in flow.values[: flow.values.index(lost)] if value.key in found]
        array = arrays[flow.values.index(lost)]
        others = [_compare(_sorted(array), other, self.relative) for other in known.get(array.size, ())]
        apart = [compared.error for compared in others if compared.error is not None]
        before = _before(lost, earlier, None)
        return LayerCheck(
            name=lost.label,
            operation=lost.operation,
            max_error=min(apart, default=None),
            tolerance=self.relative * _greatest(array) + STEADY_ABSOLUTE,
            after=None if before is None else before.label,
            image=self.number,
            note="found by its values, since the names are others",
        )

    def _of_answer(self, flow: Flow, last: Value | None, pairs: dict[str, Value]) -> LayerCheck | None:
        """Nothing before the answer differs: it is the last layer's."""
        answers = [value for value in flow.values if value.key in flow.answers and value.key in pairs]
        for value, compared in zip(answers, self._compared(answers, pairs), strict=True):
            if not compared.ok:
                return self._check(value, compared, last, pairs)
        return None

    def _check(
        self, value: Value, compared: _Compared, before: Value | None, pairs: dict[str, Value]
    ) -> LayerCheck:
        there = pairs[value.key].operation
        # Two formats call one operator by two names: only within one does the name say something.
        alike = self.reference.graph.format == self.other.graph.format
        other = f"{there} in place of {value.operation}" if alike and there != value.operation else ""
        return LayerCheck(
            name=value.label,
            operation=value.operation,
            max_error=compared.error,
            tolerance=compared.tolerance,
            after=None if before is None else before.label,
            image=self.number,
            note="; ".join(part for part in (compared.note, other) if part),
        )

    def _compared(self, values: Sequence[Value], pairs: dict[str, Value]) -> list[_Compared]:
        if not values:
            return []
        expected = self.reference.values([value.key for value in values], self.image)
        found = self.other.values([pairs[value.key].key for value in values], self.image)
        return [_compare(one, two, self.relative) for one, two in zip(expected, found, strict=True)]


@dataclass(frozen=True, slots=True)
class _Compared:
    error: float | None
    tolerance: float
    note: str

    @property
    def ok(self) -> bool:
        return self.error is not None and self.error <= self.tolerance


def _compare(expected: Array, found: Array, relative: float) -> _Compared:
    error, note = difference(expected, found)
    return _Compared(error, relative * _greatest(expected) + STEADY_ABSOLUTE, note)


def _greatest(array: Array) -> float:
    return float(np.abs(array.astype(np.float64)).max()) if array.size else 0.0


def _sorted(array: Array) -> Array:
    """float32: the values in order, of many every so many."""
    ordered = np.sort(array.astype(np.float32), axis=None)
    return ordered[:: max(1, ordered.size // MOST_SORTED)]


def _pairs(flow: Flow, other: Flow) -> dict[str, Value]:
    """From the key of a value of one graph to the value of the other that has one of its names."""
    names = other.named()
    found = {}
    for value in flow.values:
        known = [names[name] for name in sorted(value.names) if name in names]
        if known:
            found[value.key] = known[0]
    return found


def _before(value: Value | None, agreeing: Sequence[Value], first: Value | None) -> Value | None:
    """The last value that agrees on the way to another: one that it is made of, where one is known."""
    earlier = [*([] if first is None else [first]), *agreeing]
    direct = [inner for inner in earlier if value is not None and inner.key in value.inputs]
    known = direct or earlier
    return known[-1] if known else None
