"""int8 after training: ranges by NNCF from real images, which the seal's own program prepares.

NNCF works in a child process (`nncf_child`): it writes to stdout, changes Python's logging, loads torch where
it is installed and counts its uses over the network unless it is kept from it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from signet.errors import BadInput, BadRequest, MissingExtra
from signet.graphs import quarantine
from signet.graphs.opening import is_quantized, open_graph
from signet.naming import shown
from signet.networks import GraphFile
from signet.seals import Seal

SECONDS_AN_IMAGE = 60.0
"""After so long for each image the child is ended; 160 images of MobileNetV2 took 34 s in all."""


def check_quantizable(seal: Seal) -> GraphFile:
    """The seal's graph, where int8 can be made of it.

    Raises:
        MissingExtra: NNCF or onnx is not installed.
        BadRequest: another format than ONNX, or quantized already.
    """
    for package in ("nncf", "onnx"):
        if find_spec(package) is None:
            raise MissingExtra("int8", "compress", package)
    graph = open_graph(seal.graphs["image"])
    if graph.format != "onnx":
        raise BadRequest(
            f"{shown(seal.path.name)}: expected a seal whose graph is ONNX, got {graph.path.name}: one int8 "
            "graph has to answer on both engines. Seal the model from its weights or from an ONNX export."
        )
    if is_quantized(graph):
        raise BadRequest(
            f"{shown(seal.path.name)}: its graph is quantized already. Compress the seal that it was made of."
        )
    return graph


def quantized(seal: Seal, images: Sequence[Path], out: Path) -> tuple[GraphFile, int]:
    """Quantize a seal's graph: weights to int8 with a scale for each channel, activations with one each.

    Args:
        seal: whose graph passes `check_quantizable`.
        images: for the ranges of the activations; those that cannot be read are left out.
        out: the ONNX file to write: float32 in and out, `QuantizeLinear` and `DequantizeLinear` inside, which
            ONNX Runtime and OpenVINO both compute in int8.

    Returns:
        The graph, and how many images it was calibrated on.

    Raises:
        BadInput: none of the images can be read, or NNCF cannot quantize the network.

    Source: symmetric ranges and fast bias correction: M. Nagel et al., "A White Paper on Neural Network
        Quantization", arXiv:2106.08295 (2021), sections 2.2 and 3.3; as NNCF does both.
    """
    job = {
        "seal": str(seal.path.absolute()),
        "images": [str(path.absolute()) for path in images],
        "out": str(out.absolute()),
    }
    command = [sys.executable, "-P", "-m", "signet.compression.nncf_child"]
    try:
        child = subprocess.run(
            command,
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=300 + SECONDS_AN_IMAGE * len(images),
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise BadInput(f"int8: the process that quantizes did not come to an end: {error}.") from error
    last = child.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        answer = {}
    if child.returncode or not answer.get("ok"):
        errors = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        told = shown(answer.get("error") or errors or f"exit code {child.returncode}")
        raise BadInput(
            f"int8: NNCF could not quantize this network: {told}. Nothing was written; the seal is as it was."
        )
    graph = open_graph(out)
    for engine in ("onnx", "openvino"):
        quarantine.vouch_for(graph, engine)
    return graph, int(answer["images"])
