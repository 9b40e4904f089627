"""TorchScript and `torch.export` files, run by torch without the code that they were made of.

Both are programs. TorchScript's own reader makes no Python objects, but what it runs is the code of whoever
wrote the file. torch reads parts of a `.pt2` with pickle where it says so; such files are refused here.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

from signet.engines.called import CalledEngine, Run, Runtime, require_plain
from signet.engines.contract import EngineSettings, one_line
from signet.errors import BadGraph, EngineError, MissingExtra
from signet.naming import shown

TORCHSCRIPT, PROGRAM = "torchscript", "torch-export"
_LARGEST_CONFIG = 64 << 20


def open_torchscript(
    path: Path, outputs: tuple[str, ...], batch: int | None, settings: EngineSettings
) -> CalledEngine:
    """Open a TorchScript file that one trusts.

    Raises:
        MissingExtra: torch is not installed.
        EngineError: torch refuses the file, or other than fp32 on the processor is asked for.
    """
    torch = _torch(TORCHSCRIPT)
    require_plain(TORCHSCRIPT, settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that TorchScript is deprecated
            module = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"engine {TORCHSCRIPT} cannot open {shown(path.name)}: {one_line(error)}"
        ) from error
    return CalledEngine(Runtime(TORCHSCRIPT, torch.__version__, outputs, batch), _run(torch, module))


def open_program(
    path: Path, outputs: tuple[str, ...], batch: int | None, settings: EngineSettings
) -> CalledEngine:
    """Open a file of `torch.export`.

    Raises:
        MissingExtra: torch is not installed.
        BadGraph: reading it would unpickle, or load compiled code.
        EngineError: torch refuses the file, or other than fp32 on the processor is asked for.
    """
    torch = _torch(PROGRAM)
    require_plain(PROGRAM, settings)
    check_program(path, torch)
    try:
        module = torch.export.load(str(path)).module()
    except Exception as error:  # what it reads with shares no public root
        raise EngineError(f"engine {PROGRAM} cannot open {shown(path.name)}: {one_line(error)}") from error
    return CalledEngine(Runtime(PROGRAM, torch.__version__, outputs, batch), _run(torch, module))


def check_program(path: Path, torch: Any) -> None:
    """Refuse a file of `torch.export` that holds anything but plain tensors and a graph.

    torch reads tensors that the file says are pickled, and objects of classes, with pickle, and the example
    inputs so where they are more than tensors.

    Raises:
        BadGraph: it holds such things, or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            reason = next(filter(None, (_against(torch, archive, entry) for entry in archive.infolist())), "")
    except Exception as error:  # noqa: BLE001  (zipfile, json and torch share no root; it is said below)
        reason = f"it cannot be read so: {one_line(error)}"
    if reason:
        raise BadGraph(
            f"{shown(path.name)}: expected a file of torch.export with a graph and plain tensors; {reason}. "
            "It is not opened."
        )


def _against(torch: Any, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """What speaks against opening the archive, of one of its entries; "" for nothing."""
    place = entry.filename.partition("/")[2]
    if place.startswith(("data/aotinductor", "data/executorch")) or place.endswith((".so", ".dll")):
        return "it holds compiled code"
    if place.startswith("data/sample_inputs/"):
        torch.load(io.BytesIO(archive.read(entry)), weights_only=True)
    if not place.endswith(("weights_config.json", "constants_config.json")):
        return ""
    if entry.file_size > _LARGEST_CONFIG:
        return "its list of tensors is too large to be one"
    rows = json.loads(archive.read(entry))["config"].items()
    pickled = next((name for name, row in rows if row.get("use_pickle") is not False), None)
    return "" if pickled is None else f"{shown(pickled)!r} is pickled, and reading it could run anything"


def _torch(name: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(f"engine {name}", "train", "torch") from error
    return torch


def _run(torch: Any, module: Any) -> Run:
    def run(arrays: Any) -> list[Any]:
        with torch.inference_mode():
            answered = module(torch.from_numpy(arrays))
        parts = answered if isinstance(answered, tuple | list) else (answered,)
        return [part.float().numpy() for part in parts]

    return run
