"""From a file to the engine that runs it, by its ending; the card beside it says what goes in."""

from __future__ import annotations

from pathlib import Path

from signet.cards import Card, InputSpec
from signet.engines.contract import Engine, EngineSettings
from signet.errors import BadRequest
from signet.graphs.opening import open_graph
from signet.naming import shown

ENDINGS = (".onnx", ".xml")
"""Of the files that `open_file` opens."""


def open_file(path: Path, card: Card, settings: EngineSettings) -> Engine:
    """Open a file of a network in the runtime that it was written for.

    Args:
        path: the file.
        card: its own, as `signet export` writes it.
        settings: precision, threads, batch.

    Raises:
        BadRequest: no engine here runs files of this ending.
        MissingExtra: the runtime is not installed.
        BadGraph: the file may not be opened.
        EngineError: the runtime refuses it.
    """
    match path.suffix.lower():
        case ".onnx":
            from signet.engines import on_onnx

            return on_onnx.open_graph(open_graph(path), settings)
        case ".xml":
            from signet.engines import on_openvino

            spec = card.inputs[0] if card.inputs else InputSpec("images")
            return on_openvino.open_graph(open_graph(path), spec, card.program, settings)
        case other:
            raise BadRequest(
                f"{shown(path.name)}: no engine here runs files that end in {shown(other)!r}; expected "
                f"{', '.join(ENDINGS)}."
            )
