"""ExecuTorch: `.pte` files, which phones run, by its runtime for Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from signet.engines.called import CalledEngine, Runtime, require_plain
from signet.engines.contract import EngineSettings, one_line
from signet.errors import EngineError, MissingExtra
from signet.naming import shown

NAME = "executorch"


def open_file(
    path: Path, outputs: tuple[str, ...], batch: int | None, settings: EngineSettings
) -> CalledEngine:
    """Open a `.pte` file.

    Raises:
        MissingExtra: executorch is not installed.
        EngineError: the runtime refuses the file, or other than fp32 on the processor is asked for.
    """
    require_plain(NAME, settings)
    try:
        import torch
        from executorch.runtime import Runtime as Executor
        from executorch.version import __version__
    except ImportError as error:
        raise MissingExtra("running .pte files", NAME, NAME) from error
    try:
        # The program lives as long as the method that it holds.
        program = Executor.get().load_program(str(path))
        method = program.load_method("forward")
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"engine {NAME} cannot open {shown(path.name)}: {one_line(error)}") from error
    if method is None:
        raise EngineError(f"engine {NAME}: {shown(path.name)} has no method 'forward'.")

    def run(arrays: Any) -> list[Any]:
        # Its answers lie in memory that the next run writes to; the engine copies them.
        return [part.numpy() for part in method.execute([torch.from_numpy(arrays)])]

    return CalledEngine(Runtime(NAME, __version__, outputs, batch), run)
