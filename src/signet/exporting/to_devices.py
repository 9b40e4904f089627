"""To the runtimes of phones: ExecuTorch, Core ML and LiteRT, by way of `torch.export`; for one image."""

from __future__ import annotations

import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from signet.cards import Card
from signet.errors import BadGraph, BadRequest, MissingExtra
from signet.exporting import litert_conversion
from signet.exporting.contracts import card_of, metadata
from signet.exporting.materials import Materials
from signet.exporting.modules import Ready, ready
from signet.exporting.to_torch import quiet
from signet.naming import shown

CONVERTER = "SIGNET_LITERT_PYTHON"
"""Environment variable: the Python that has litert-torch, where no setting names it."""
_CONVERSION_SECONDS = 1800


def write_executorch(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Write a `.pte` for ExecuTorch's XNNPACK backend; returns the card.

    Raises:
        BadRequest: the seal holds no weights, or the preprocessing cannot be part of it.
        BadGraph: ExecuTorch cannot express the network.
        MissingExtra: executorch or the zoo's library is not installed.
    """
    _require("executorch", "executorch")
    made = ready(materials, preprocessing, "an ExecuTorch file", any_batch=False)
    with quiet("ExecuTorch"):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered = to_edge_transform_and_lower(_program(made), partitioner=[XnnpackPartitioner()])
        to.write_bytes(lowered.to_executorch().buffer)
    return card_of(materials.seal, "executorch", made.shape)


def write_coreml(materials: Materials, preprocessing: str, to: Path) -> Card:
    """Write an `.mlpackage`, in float32; returns the card.

    Raises:
        BadRequest: the seal holds no weights, or the preprocessing should go inside: no array holds bytes.
        BadGraph: coremltools cannot convert the network.
        MissingExtra: coremltools or the zoo's library is not installed.
    """
    _require("coremltools", "coreml")
    if preprocessing == "in":
        raise BadRequest(
            "--preprocessing in: Core ML's arrays hold no bytes. Use --preprocessing out, the default."
        )
    made = ready(materials, preprocessing, "a Core ML package", any_batch=False)
    card = card_of(materials.seal, "coreml", made.shape)
    with quiet("Core ML"):
        import coremltools

        converted: Any = coremltools.convert(
            _program(made).run_decompositions({}),
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT32,
            outputs=[coremltools.TensorType(name=name) for name in made.shape.outputs],
        )
        converted.user_defined_metadata.update(metadata(card, materials.seal))
        converted.license = card.licence.weights
        converted.save(str(to))
    return card


def write_litert(materials: Materials, preprocessing: str, to: Path, converter: Path | None) -> Card:
    """Write a `.tflite` by litert-torch, which lives in an environment of its own; returns the card.

    Args:
        materials: the seal.
        preprocessing: "in" or "out".
        to: the file.
        converter: the Python of that environment; None for what the variable `CONVERTER` names.

    Raises:
        BadRequest: no such Python, the seal holds no weights, or the preprocessing cannot be part of it.
        BadGraph: litert-torch cannot convert the network.
        MissingExtra: torch or the zoo's library is not installed.
    """
    import torch

    python = _converter(converter)
    made = ready(materials, preprocessing, "a LiteRT file", any_batch=False)
    with tempfile.TemporaryDirectory(prefix="signet-") as temporary:
        graph = Path(temporary) / "graph.pt2"
        with quiet("torch.export"):
            torch.export.save(_program(made), str(graph))
        _converted(python, graph, to)
    return card_of(materials.seal, "litert", made.shape)


def _converted(python: Path, graph: Path, to: Path) -> None:
    """Run the conversion in the other environment."""
    script = Path(litert_conversion.__file__)
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [str(python), "-I", str(script), str(graph), str(to)],
            capture_output=True,
            check=False,
            env=surroundings,
            timeout=_CONVERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadRequest(f"the LiteRT converter {shown(python)} cannot be run: {error}.") from error
    if done.returncode == litert_conversion.MISSING:
        raise BadRequest(f"{shown(python)}: litert-torch is not installed there. {_HOW}")
    if done.returncode or not to.is_file():
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise BadGraph(
            f"LiteRT cannot express this network: {shown(lines[-1])}. Export it to onnx or openvino."
        )


_HOW = (
    "It needs an older torch than Signet, so give it an environment of its own:\n"
    "  python3.11 -m venv litert\n"
    "  litert/bin/python -m pip install litert-torch==0.10.0\n"
    f"and name it: --converter-python litert/bin/python, or the variable {CONVERTER}."
)


def _converter(stated: Path | None) -> Path:
    """The Python that converts to LiteRT."""
    named = stated or (Path(os.environ[CONVERTER]) if os.environ.get(CONVERTER) else None)
    if named is None:
        raise BadRequest(f"LiteRT files are written by litert-torch. {_HOW}")
    if not named.is_file():
        raise BadRequest(f"the LiteRT converter {shown(named)}: expected a Python, there is none. {_HOW}")
    # Not resolved: a link to a Python is how an environment knows itself.
    return named.absolute()


def _program(made: Ready) -> Any:
    """The module as a graph of `torch.export`, for one image."""
    import torch

    with torch.no_grad():
        return torch.export.export(made.module, (made.example,))


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise MissingExtra(f"Exporting to {extra}", extra, package)
