"""From a file to the engine that runs it, by its ending; the card beside it says what goes in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from signet.cards import Card, InputSpec
from signet.engines.contract import Engine, EngineSettings
from signet.errors import BadCard, BadRequest
from signet.graphs.opening import open_graph
from signet.naming import shown

ENDINGS = (".onnx", ".xml", ".torchscript", ".pt2", ".pte", ".tflite")
"""Of the files that `open_file` opens."""


def batch_of(card: Card) -> int | None:
    """The one number of images that a network takes, or None for any."""
    shape = card.inputs[0].shape if card.inputs else ()
    return shape[0] if shape else None


def outputs_of(card: Card) -> tuple[str, ...]:
    """Names of what a file gives, in order, where the file itself does not name them.

    Raises:
        BadCard: the card does not say so, as those that `signet export` writes do.
    """
    origin = card.lineage.get("exported_from")
    names = origin.get("outputs") if isinstance(origin, Mapping) else None
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise BadCard(
            f"card {shown(card.name)}: expected lineage.exported_from.outputs to name what the file gives, "
            "as `signet export` writes it."
        )
    return tuple(names)


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
        case ".torchscript":
            from signet.engines import on_torch_files

            return on_torch_files.open_torchscript(path, outputs_of(card), batch_of(card), settings)
        case ".pt2":
            from signet.engines import on_torch_files

            return on_torch_files.open_program(path, outputs_of(card), batch_of(card), settings)
        case ".pte":
            from signet.engines import on_executorch

            return on_executorch.open_file(path, outputs_of(card), batch_of(card), settings)
        case ".tflite":
            from signet.engines import on_litert

            return on_litert.open_file(path, outputs_of(card), batch_of(card), settings)
        case other:
            raise BadRequest(
                f"{shown(path.name)}: no engine here runs files that end in {shown(other)!r}; expected "
                f"{', '.join(ENDINGS)}."
            )
