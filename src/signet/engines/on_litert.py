"""LiteRT: `.tflite` files by the runtime that Android has; OpenVINO reads them, too."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from signet.engines.called import CalledEngine, Runtime, require_plain
from signet.engines.contract import EngineSettings, one_line
from signet.errors import EngineError, MissingExtra
from signet.graphs.opening import open_graph
from signet.naming import shown

NAME = "litert"


def open_file(
    path: Path, outputs: tuple[str, ...], batch: int | None, settings: EngineSettings
) -> CalledEngine:
    """Open a `.tflite` file.

    Raises:
        MissingExtra: LiteRT is not installed.
        BadGraph: the file may not be opened.
        EngineError: the runtime refuses it, or other than fp32 on the processor is asked for.
    """
    require_plain(NAME, settings)
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtra("running .tflite files with LiteRT", NAME, "ai-edge-litert") from error
    open_graph(path)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=settings.thread_count)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"engine {NAME} cannot open {shown(path.name)}: {one_line(error)}") from error
    entry = interpreter.get_input_details()[0]["index"]
    places = [row["index"] for row in interpreter.get_output_details()]

    def run(arrays: Any) -> list[Any]:
        interpreter.set_tensor(entry, arrays)
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in places]

    return CalledEngine(Runtime(NAME, version("ai-edge-litert"), outputs, batch), run)
