"""Where a network that differs from what was sealed begins to differ: the layer, and against which reference.

The evidence of a seal ends at the network's outputs. What the layers before them should give is computed
again, by a graph that still gives what was sealed: the sealed one on the engine that the evidence is made
with, or the one that is traced of the sealed weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from signet import tracing
from signet.engines.contract import EngineSettings
from signet.errors import SignetError
from signet.evidence import decoded
from signet.layerwise import Bisection, Side
from signet.models import Model
from signet.networks import GraphFile, ModuleSource, Pretrained
from signet.predictions import Prediction
from signet.records import LayerCheck
from signet.replaying import Allowance, Findings
from signet.replaying_images import replay_image
from signet.running import engines_for
from signet.seals import Expected, Seal

_READS = {"onnx": ("onnx",), "openvino": ("onnx", "tflite", "xml")}
"""The graph formats of the engines that run graphs."""


@dataclass(frozen=True, slots=True)
class Search:
    """A network that differs, and what is known of the one that was sealed.

    Attributes:
        opened: the seal.
        expected: its evidence.
        sealed: the model in it, with all its forms.
        model: what was replayed and differs.
    """

    opened: Seal
    expected: Expected
    sealed: Pretrained
    model: Model[Prediction]

    def first_layer(self) -> tuple[LayerCheck | None, str]:
        """The first layer that differs, or why it cannot be told; never an error."""
        try:
            return self._found()
        except (SignetError, MemoryError) as error:
            return None, str(error).rstrip(".")

    def _found(self) -> tuple[LayerCheck | None, str]:
        other = self._other()
        if other is None:
            return None, f"engine {self.model.engine.name} runs no graph"
        number = self._differing(other, range(len(self.opened.golden)))
        if number is None:
            return (
                None,
                f"as a graph it gives what was sealed, and only engine {self.model.engine.name} does not",
            )
        image = decoded(self.opened.golden[number], self.opened.card.program)
        reasons: list[str] = []
        for reference in self._references():
            if self._differing(reference, (number,)) is not None:
                reasons.append(f"{reference.graph.path.name} on {reference.engine} does not give it either")
                continue
            relative = self._allowed(other).layers
            found = Bisection(reference, other, image, number, relative).first()
            if found is not None:
                return found, ""
            reasons.append("its graph and the sealed one have no layer in common")
        return None, "; ".join(reasons)

    def _other(self) -> Side | None:
        """The graph that differs."""
        settings, name = self.model.running.settings, self.model.engine.name
        if name == "torch":
            graph = self._traced(self.model.pretrained)
            return (
                None if graph is None else self._side(self.model.pretrained, graph, "onnx", EngineSettings())
            )
        for network in self.model.pretrained.networks:
            if isinstance(network, GraphFile) and network.format in _READS.get(name, ()):
                return self._side(self.model.pretrained, network, name, settings)
        return None

    def _references(self) -> Iterator[Side]:
        """Graphs that may give what was sealed, the one that the evidence was made with first."""
        graph = next(network for network in self.sealed.networks if isinstance(network, GraphFile))
        plain = EngineSettings(threads=self.model.running.settings.threads)
        engine = "onnx" if graph.format == "onnx" else "openvino"
        yield self._side(self.sealed, graph, engine, plain)
        traced = self._traced(self.sealed)
        if traced is not None:
            yield self._side(self.sealed, traced, "onnx", plain)

    def _traced(self, pretrained: Pretrained) -> GraphFile | None:
        """The graph of its torch form, where there is one and torch to build it."""
        cache = self.model.running.settings.cache
        source = next((network for network in pretrained.networks if isinstance(network, ModuleSource)), None)
        if source is None or cache is None or "torch" not in engines_for(pretrained):
            return None
        return tracing.traced(source, cache / "graphs")

    def _side(self, pretrained: Pretrained, graph: GraphFile, engine: str, settings: EngineSettings) -> Side:
        return Side(dataclasses.replace(pretrained, networks=(graph,)), engine, settings)

    def _allowed(self, side: Side) -> Allowance:
        settings = side.settings
        return Allowance.of(self.expected, self.opened.card.program, settings.precision, settings.device)

    def _differing(self, side: Side, numbers: Iterable[int]) -> int | None:
        """The first of these golden images on which a graph does not give what was sealed."""
        with side.running(side.graph) as model:
            for number in numbers:
                findings = Findings()
                sealed, image = self.expected.of(number), self.opened.golden[number]
                replay_image(findings, sealed, model, image, self._allowed(side))
                if not findings.checks["network"].ok:
                    return number
        return None
