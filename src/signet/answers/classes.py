"""From a network's outputs to labels with scores, and to vectors: softmax, sigmoid. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signet.arrays import Array, Floats
from signet.batches import Outputs
from signet.cards import OutputContract
from signet.errors import BadInput, WrongTask
from signet.predictions import Classes, Embedding


def classes(
    outputs: Outputs, contract: OutputContract, labels: Sequence[str] | None, sources: Sequence[str]
) -> list[Classes]:
    """Labels with scores, one answer for each image, over the whole label list in its own order.

    Args:
        outputs: from the engine.
        contract: how to read them.
        labels: names in output order (background left out if `contract.drop_first`); None for numbers.
        sources: where each image came from.

    Raises:
        WrongTask: the contract is not a classifier's.
        BadInput: the output has another length than the contract says, or holds a NaN.
    """
    scores = probabilities(logits(outputs, contract), contract)
    names = tuple(labels) if labels is not None else tuple(f"class {i}" for i in range(scores.shape[1]))
    if len(names) != scores.shape[1]:
        raise BadInput(f"the network's output: expected {len(names)} classes, got {scores.shape[1]}.")
    indices = np.arange(scores.shape[1])
    exclusive = contract.head == "softmax"
    return [
        Classes(indices, row, names, exclusive, source=source)
        for row, source in zip(scores, sources, strict=True)
    ]


def logits(outputs: Outputs, contract: OutputContract) -> Floats:
    """The raw answer as float32 (N, C), background still in it.

    Raises:
        WrongTask: the contract is not a classifier's.
        BadInput: the output is not (N, C) with the C that the contract says.
    """
    if contract.head not in ("softmax", "sigmoid"):
        raise WrongTask(
            f"a model with the head {contract.head!r} gives no labels. "
            "Use it with `signet embed`, or fine-tune it: `signet finetune MODEL DATASET --out X.signet`."
        )
    raw = chosen(outputs, contract.tensor)
    raw = _dequantised(raw.reshape(len(raw), -1), contract)
    if contract.classes is not None and raw.shape[1] != contract.classes:
        raise BadInput(
            f"the network's output: expected {contract.classes} classes, got an array of shape {raw.shape}."
        )
    return raw


def _dequantised(raw: Array, contract: OutputContract) -> Floats:
    """Float32 of an output that may be quantized.

    A quantized softmax has one scale only, 1/256, and the zero point 0 (uint8) or -128 (int8).
    Source: TensorFlow Lite 8-bit quantization specification, operator SOFTMAX.
    """
    if raw.dtype not in (np.uint8, np.int8):
        return raw.astype(np.float32)
    if not contract.already_activated:
        raise BadInput(
            f"the network's output: expected float values, got {raw.dtype} that are not a softmax, "
            "so their scale is not known. Export the network with a float output."
        )
    zero = 0 if raw.dtype == np.uint8 else -128
    return (raw.astype(np.float32) - zero) / np.float32(256)


def probabilities(raw: Floats, contract: OutputContract) -> Floats:
    """Scores, float32 (N, C without a dropped background), from raw answers (N, C).

    Raises:
        BadInput: a value is not a number.
    """
    if not np.isfinite(raw).all():
        raise BadInput("the network's output: expected numbers, got a NaN or an infinity.")
    if contract.already_activated:
        scores = raw
    elif contract.head == "softmax":
        scores = softmax(raw / np.float32(contract.temperature))
    else:
        scores = logistic(raw, contract.temperature)
    return scores[:, 1:] if contract.drop_first else scores


def softmax(raw: Floats) -> Floats:
    """Exponentials over their sum, along the last axis, of values shifted so that none overflows."""
    powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def logistic(raw: Floats, temperature: float = 1.0) -> Floats:
    """The logistic function, float32, written so that no exponential overflows."""
    return (0.5 + 0.5 * np.tanh(raw.astype(np.float64) / temperature / 2)).astype(np.float32)


def embeddings(outputs: Outputs, contract: OutputContract, sources: Sequence[str]) -> list[Embedding]:
    """The penultimate features, or the answer of a model that gives vectors.

    Raises:
        WrongTask: the network has no such output.
        BadInput: the vectors have another length than the contract says.
    """
    vectors = features(outputs, contract)
    return [Embedding(row, source=source) for row, source in zip(vectors, sources, strict=True)]


def features(outputs: Outputs, contract: OutputContract) -> Floats:
    """Float32 (N, D) features.

    Raises:
        WrongTask: the network has no such output.
        BadInput: the vectors of a model that gives vectors have another length than the contract says.
    """
    place = contract.tensor if contract.head == "embedding" else contract.features
    if place is None:
        raise WrongTask("this network has no output for features.")
    vectors = chosen(outputs, place)
    vectors = vectors.reshape(len(vectors), -1).astype(np.float32)
    if contract.head == "embedding" and contract.width not in (None, vectors.shape[1]):
        raise BadInput(
            f"the network's output: expected vectors of {contract.width} values, got {vectors.shape[1]}."
        )
    return vectors


def chosen(outputs: Outputs, place: str | int) -> Array:
    """The output of a name or a position.

    Raises:
        BadInput: there is none.
    """
    names = list(outputs)
    if isinstance(place, int) and place < len(names):
        return outputs[names[place]]
    if isinstance(place, str) and place in outputs:
        return outputs[place]
    raise BadInput(f"the network's outputs: expected one called {place!r}, got {', '.join(names)}.")
