"""What each layer costs in int8, and the few that are worth their floats."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.batches import Batch
from signet.cards import Card
from signet.compression import layers
from signet.compression.outcome import Cost, Made
from signet.engines import on_onnx
from signet.engines.contract import EngineSettings
from signet.errors import BadInput
from signet.evidence import decoded
from signet.graphs import quarantine
from signet.graphs.opening import open_graph
from signet.networks import GraphFile
from signet.preprocessing import finish, prepare
from signet.progress import OnProgress, Progress

SAMPLE = 24
"""Calibration images that each layer is tried on: the energies differ by orders of magnitude."""
_NEGLIGIBLE = 1e-12


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A graph before and after quantization.

    Attributes:
        original: `onnx.ModelProto` in floats, its nodes named as NNCF had them.
        quantized: the same with quantizers.
        folder: for graphs that are made of both.
    """

    original: Any
    quantized: Any
    folder: Path

    @classmethod
    def of(cls, original: GraphFile, quantized: GraphFile, folder: Path) -> Pair:
        """Read both."""
        return cls(
            original=layers.quantizable(original.path), quantized=layers.read(quantized.path), folder=folder
        )

    def with_floats(self, names: Sequence[str], file: str) -> GraphFile:
        """The quantized graph with some layers in floats, as a file."""
        path = layers.write(layers.in_floats(self.quantized, self.original, names), self.folder / file)
        return open_graph(path)


def costs_of(
    pair: Pair, card: Card, images: Sequence[Path], settings: EngineSettings, on_progress: OnProgress
) -> tuple[Cost, ...]:
    """What quantizing each layer alone does to the answers, the worst first.

    All other layers compute in floats meanwhile, so that one bad layer does not hide another.

    Args:
        pair: the graph before and after.
        card: whose program prepares the images.
        images: those of the calibration; the first few that can be read are taken.
        settings: threads.
        on_progress: told of each layer.

    Raises:
        BadInput: no image can be read.

    Source: each quantizer by itself, all others in floats: M. Nagel et al., "A White Paper on Neural Network
        Quantization", arXiv:2106.08295 (2021), on debugging what was quantized after training.
    """
    batches = list(_prepared(card, images))
    if not batches:
        raise BadInput(f"int8: none of the {len(images)} calibration images can be read.")
    found = layers.quantized_layers(pair.quantized)
    names = [layer.name for layer in found]
    reference = _answers(pair.with_floats(names, "floats.onnx"), batches, settings)
    costs = []
    for place, layer in enumerate(found):
        on_progress(Progress("trying each layer alone in int8", place, len(found), "layers"))
        others = [name for name in names if name != layer.name]
        answers = _answers(pair.with_floats(others, "alone.onnx"), batches, settings)
        costs.append(Cost(layer=layer.name, operator=layer.operator, error=_energy(reference, answers)))
    return tuple(sorted(costs, key=lambda cost: (-cost.error, cost.layer)))


def rungs(pair: Pair, costs: Sequence[Cost]) -> Iterator[Made]:
    """Quantized graphs with the 1, 2, 4 ... costliest layers in floats, up to half of all layers.

    They are nested, and each one is nearer to what was there before.
    """
    worth = [cost.layer for cost in costs if cost.error > _NEGLIGIBLE]
    most = max(1, len(costs) // 2)
    count = 1
    while count <= min(most, len(worth)):
        names = tuple(worth[:count])
        graph = pair.with_floats(names, f"floats-{count}.onnx")
        for engine in ("onnx", "openvino"):
            quarantine.vouch_for(graph, engine)
        kept = f"{count} layer{'' if count == 1 else 's'} in fp32"
        yield Made(name=f"int8, {kept}", graph=graph, floats=names)
        count *= 2


def _prepared(card: Card, images: Sequence[Path]) -> Iterator[Batch]:
    count = 0
    for path in images:
        if count == SAMPLE:
            return
        try:
            yield finish(prepare([decoded(path, card.program)], card.program, fuse=False))
        except BadInput:
            continue
        count += 1


def _answers(graph: GraphFile, batches: Sequence[Batch], settings: EngineSettings) -> list[list[Array]]:
    """All outputs for each image."""
    one = dataclasses.replace(settings, precision="fp32", batch=1, workers=1, device="cpu")
    engine = on_onnx.open_graph(graph, one)
    try:
        return [list(engine.run(batch).arrays.values()) for batch in batches]
    finally:
        engine.close()


def _energy(reference: Sequence[Sequence[Array]], answers: Sequence[Sequence[Array]]) -> float:
    """Energy of the change over energy, the mean of all outputs and images; infinite for another shape."""
    ratios = []
    for before, after in zip(reference, answers, strict=True):
        for one, other in zip(before, after, strict=True):
            if one.shape != other.shape:
                return float("inf")
            apart = np.square(one.astype(np.float64) - other.astype(np.float64)).sum()
            ratios.append(float(apart / max(np.square(one.astype(np.float64)).sum(), 1e-30)))
    return float(np.mean(ratios))
