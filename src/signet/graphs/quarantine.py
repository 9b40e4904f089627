"""A stranger's graph is opened in a child process first, so that a native crash becomes an error.

What opened once is remembered in the cache by digest, engine and engine version: the second opening is free.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

from signet.errors import BadGraph, SignetError
from signet.graphs.opening import files_of
from signet.naming import shown
from signet.networks import GraphFile
from signet.storage import cache_folder, write_json

EngineName = Literal["openvino", "onnx"]
_PACKAGES: dict[EngineName, str] = {"openvino": "openvino", "onnx": "onnxruntime"}


def try_open(graph: GraphFile, engine: EngineName, timeout_seconds: float = 120.0) -> None:
    """Open a graph in a child process, once for each graph and engine version.

    The child compiles the graph and, where the input's shape is known, runs one image of zeros. Only success
    is remembered: a failure may be due to the moment (memory, a busy machine).

    Args:
        graph: from `open_graph`; its digest is believed.
        engine: which engine is going to open it.
        timeout_seconds: after this the child is ended.

    Raises:
        BadGraph: refused by `safety`, refused by the engine, crashed, or took too long.
    """
    noted = _note(graph, engine)
    if noted.exists():
        return
    files_of(graph)
    answer = ask_child("trial", graph.path, (engine,), engine, timeout_seconds)
    if not answer.get("ok"):
        raise BadGraph(f"{shown(graph.path)} cannot be opened by {engine}: {shown(answer.get('error', '?'))}")
    _remember(noted, answer)


def vouch_for(graph: GraphFile, engine: EngineName) -> None:
    """Remember a graph that this process made and ran itself: it needs no trial.

    Args:
        graph: from `open_graph`; its digest is believed.
        engine: which engine ran it.
    """
    _remember(_note(graph, engine), {"ok": True, "made_here": True})


def _remember(noted: Path, answer: Mapping[str, object]) -> None:
    try:
        write_json(noted, answer, overwrite=True)
    except SignetError:
        return  # a cache that cannot be written costs a second trial, not the answer


def _note(graph: GraphFile, engine: EngineName) -> Path:
    """Where the success of this graph with this engine is written down."""
    if not re.fullmatch(r"[0-9a-f]{64}", graph.digest):
        raise BadGraph(f"{shown(graph.path)}: expected a sha256 as its digest, got {graph.digest!r}.")
    return cache_folder() / "opened" / f"{graph.digest}-{engine}-{_version(engine)}.json"


def _version(engine: EngineName) -> str:
    """Of the engine's library; ONNX Runtime comes under several names (onnxruntime-gpu) with one module."""
    try:
        return metadata.version(_PACKAGES[engine])
    except metadata.PackageNotFoundError:
        return str(import_module(_PACKAGES[engine]).__version__)


def ask_child(
    module: str, path: Path, arguments: Sequence[str], engine: str, timeout_seconds: float
) -> dict[str, object]:
    """Run a module of this package on a stranger's graph, in a child process, and give its answer.

    Args:
        module: its name; called with the path and `arguments`, it writes a JSON object as its last line.
        path: the graph.
        arguments: what else it is told.
        engine: which library opens the graph, for messages.
        timeout_seconds: after this the child is ended.

    Raises:
        BadGraph: the child crashed, or took too long.
    """
    # -P keeps the current folder off the module path: a stranger's folder may hold a numpy.py.
    command = [sys.executable, "-P", "-m", f"signet.graphs.{module}", str(path.absolute()), *arguments]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BadGraph(
            f"{shown(path)} did not open with {engine} within {timeout_seconds:g} seconds. It is too "
            "large for this machine, or broken; allow more time if you trust it."
        ) from error
    except OSError as error:
        raise BadGraph(
            f"{shown(path)}: no child process could be started to try it ({error.strerror or error})."
        ) from error
    last = child.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        answer = None
    if child.returncode == 0 and isinstance(answer, dict):
        return answer
    raise BadGraph(
        f"{shown(path)} makes {engine} crash ({_end(child.returncode)}): expected a graph that it can "
        "open. The file is broken, or made to do harm. Do not use it."
    )


def _end(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
