"""What both surgeons agree on: the names of the outputs, and the checks on a new head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from signet.arrays import Array, Floats, frozen
from signet.errors import BadGraph, BadInput
from signet.graphs.opening import files_of
from signet.naming import shown
from signet.networks import GraphFile, GraphFormat

FEATURES = "features"
"""Output with the input of the last classifier layer: float32 (N, D)."""
LOGITS = "logits"
"""Output of a head that was joined: float32 (N, C), before any softmax."""

GUESSED_SIZE = 224
"""Height and width on which a graph that states none is tried."""

Runner = Callable[[Array], Sequence[Array]]
"""Runs a graph on a batch of one input and gives all its outputs, in order."""


def check_graph(graph: GraphFile, formats: Sequence[GraphFormat], out: Path, suffix: str) -> None:
    """Refuse a graph or an output that this surgeon does not handle, and a graph that may not be opened.

    Raises:
        BadGraph: another format or ending, or refused by `safety`.
    """
    if graph.format not in formats:
        raise BadGraph(
            f"{shown(graph.path)}: expected one of the formats {', '.join(formats)}, got {graph.format!r}. "
            "Use the other surgeon: with_onnx for .onnx, with_openvino for .tflite and .xml."
        )
    if out.suffix.lower() != suffix:
        raise BadGraph(f"{shown(out)}: expected a name that ends in {suffix}, got the ending {out.suffix!r}.")
    files_of(graph)


def check_head(weights: Array, bias: Array, width: int | None) -> tuple[Floats, Floats]:
    """A linear head as contiguous arrays.

    Args:
        weights: float32 (C, D), one row a class.
        bias: float32 (C,).
        width: D of the backbone, or None where the graph does not state it.

    Raises:
        BadInput: other shapes, or values that are not finite.
        BadGraph: the head is made for features of another width.
    """
    rows = np.ascontiguousarray(frozen(weights, "weights of the head", np.float32, (None, None)))
    column = np.ascontiguousarray(frozen(bias, "bias of the head", np.float32, (len(rows),)))
    if not rows.size:
        raise BadInput(
            f"weights of the head: expected at least one class and feature, got shape {rows.shape}."
        )
    if not (np.isfinite(rows).all() and np.isfinite(column).all()):
        raise BadInput(
            "weights of the head: expected finite numbers, got NaN or infinity. Fit the head again."
        )
    if width is not None and width != rows.shape[1]:
        raise BadGraph(
            f"the backbone gives {width} features an image, the head expects {rows.shape[1]}: "
            "expected the backbone that the head was fitted on."
        )
    return rows, column


def takes_any_batch(fixed: Runner, free: Runner, shape: Sequence[int], dtype: DTypeLike) -> bool:
    """Whether a graph whose batch axis was set free gives each image of a batch its own answer.

    Some graphs hold the batch of 1 in constants (a class token expanded once, a reshape), so that a batch of
    three fails or mixes its images. Nothing but running it tells.

    Args:
        fixed: the graph as it was, run one image at a time.
        free: the same graph with a free batch axis.
        shape: of one image's input, the batch of 1 included.
        dtype: of the input.

    Returns:
        True when every output of every image differs by less than a twentieth of what images differ by. That
        is loose for rounding (a quantised graph may round a value the other way in a larger batch) and far
        below what a mixed-up batch shows.
    """
    generator = np.random.default_rng(0)
    ramp = np.linspace(0.0, 1.0, int(np.prod(shape))).reshape(shape)
    images = [generator.random(shape), ramp, np.zeros(shape)]
    scale = 255 if np.issubdtype(np.dtype(dtype), np.integer) else 1
    batch = np.concatenate([(image * scale).astype(dtype) for image in images])
    try:
        whole = [np.asarray(output, np.float64) for output in free(batch)]
        singles = [fixed(batch[row : row + 1]) for row in range(len(batch))]
    except Exception:  # noqa: BLE001  (either library; any failure means: leave the batch as it was)
        return False
    for place, together in enumerate(whole):
        apart = np.concatenate([np.asarray(single[place], np.float64) for single in singles])
        if apart.shape != together.shape:
            return False
        flat, mixed = apart.reshape(len(apart), -1), together.reshape(len(apart), -1)
        distance = min(np.linalg.norm(flat[a] - flat[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        error = np.linalg.norm(flat - mixed, axis=1).max()
        if not error <= max(0.05 * distance, 1e-5 * np.linalg.norm(flat)):
            return False
    return True


def no_head(graph: GraphFile, why: str) -> BadGraph:
    """The error of a graph in which no classifier layer is found."""
    return BadGraph(
        f"{shown(graph.path)} cannot be cut before its head: {why}. Expected a classifier: an output (N, C) "
        "that comes from a last MatMul, Gemm or 1x1 Conv with constant weights. Detectors and segmenters "
        "have none; where the graph has an output or tensor with the features, name it (features=...)."
    )
