"""To OpenVINO's own form: `.xml` with `.bin` beside it, in float32, with the card among its runtime info."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.errors import BadGraph
from signet.exporting import to_onnx
from signet.exporting.contracts import Shape, card_of, metadata
from signet.exporting.materials import Materials
from signet.graphs.onnx_batch import with_free_batch
from signet.graphs.onnx_files import read_model, write_model


def write(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Write `to` and the file with its weights beside it; returns the card.

    Raises:
        BadRequest: the preprocessing cannot be part of it.
        BadGraph: OpenVINO cannot read the sealed graph.
        MissingExtra: the `onnx` package is not installed, and the sealed graph is ONNX.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="signet-") as temporary:
        place, shape = _prepared(materials, preprocessing, Path(temporary))
        try:
            model = openvino.Core().read_model(str(place))
        except RuntimeError as error:
            raise BadGraph(f"OpenVINO cannot read the sealed graph: {error}") from error
        card = card_of(materials.seal, "openvino", shape)
        for key, value in metadata(card, materials.seal).items():
            model.set_rt_info(value, key.split("."))
        # Without the second argument it rounds the weights to fp16.
        openvino.save_model(model, str(to), compress_to_fp16=False)
        del model  # it maps the file that is about to go
    return card


def _prepared(materials: Materials, preprocessing: str, folder: Path) -> tuple[Path, Shape]:
    """The graph to convert, and how it is used."""
    card = materials.card
    if materials.graph.format != "onnx":
        if preprocessing == "in":
            materials.require_onnx("an OpenVINO file with its preprocessing inside")
        return materials.graph.path, Shape(inputs=card.inputs, output=card.output, program=card.program)
    model: Any = with_free_batch(read_model(materials.graph))
    shape = to_onnx.described(model, card)
    if preprocessing == "in":
        shape = to_onnx.add_prelude(model, shape)
    return write_model(model, folder / "graph.onnx").path, shape
