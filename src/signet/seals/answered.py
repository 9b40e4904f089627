"""Answers of detectors and segmenters as tensors of the evidence, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from signet.arrays import Array
from signet.boxes import Boxes
from signet.errors import SealError, SignetError
from signet.geometry import Size
from signet.instances import Instances
from signet.masks import Mask
from signet.predictions import Prediction
from signet.segments import UNLABELLED, SegmentMap

Seen = Boxes | Instances | SegmentMap
_MOST_LABELS = 1 << 16
"""Of a map whose labels have no names."""


def to_tensors(answer: Prediction) -> dict[str, Array]:
    """Name to tensor.

    Of boxes "answer" (float32 (K, 4), corners), "answer.scores" (float32 (K,)) and "answer.indices" (int64
    (K,)); of instances also "answer.runs" (int64, the run lengths of all masks, one mask after the other)
    and "answer.masks" (int64 (K,), how many runs each has). Of a map "answer" (int64, index of each run of
    equal pixels, row after row) and "answer.runs" (int64, its length). Always "answer.size" (int64 (2,)).
    """
    match answer:
        case Boxes():
            return {
                "answer": answer.xyxy.astype(np.float32),
                "answer.scores": answer.scores.astype(np.float32),
                "answer.indices": answer.indices,
                "answer.size": np.array(answer.size, np.int64),
            }
        case Instances():
            runs = [mask.counts for mask in answer.masks]
            return {
                **to_tensors(answer.boxes),
                "answer.runs": np.concatenate(runs) if runs else np.zeros(0, np.int64),
                "answer.masks": np.array([len(counts) for counts in runs], np.int64),
            }
        case SegmentMap():
            flat = answer.indices.reshape(-1)
            starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
            return {
                "answer": flat[starts].astype(np.int64),
                "answer.runs": np.diff(starts, append=flat.size).astype(np.int64),
                "answer.size": np.array(answer.size, np.int64),
            }
        case _:
            raise TypeError(f"expected boxes, instances or a map, got {type(answer).__name__}")


def from_tensors(
    tensors: Mapping[str, Array], kind: type[Prediction], names: Sequence[str], size: Size
) -> Seen:
    """The answer in the evidence of one image.

    Args:
        tensors: of one image, as `to_tensors` names them.
        kind: which answer it is.
        names: the card's labels.
        size: (height, width) of the upright image; nothing is laid out before the evidence agrees with it.

    Raises:
        SealError: they are no such answer.
    """
    try:
        return _read(tensors, kind, names, size)
    except SealError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, SignetError) as error:
        raise SealError(
            "the evidence holds no answer as docs/seal-format.md states it "
            f"({type(error).__name__}: {error})."
        ) from error


def _read(tensors: Mapping[str, Array], kind: type[Prediction], names: Sequence[str], size: Size) -> Seen:
    if not np.array_equal(tensors["answer.size"], size):
        raise SealError(f"the evidence is about an image of another size than {size[0]} x {size[1]}.")
    if kind is SegmentMap:
        return _map(tensors, names, size)
    boxes = _boxes(tensors, names, size)
    return boxes if kind is Boxes else Instances(boxes, _masks(tensors, size))


def _boxes(tensors: Mapping[str, Array], names: Sequence[str], size: Size) -> Boxes:
    indices = tensors["answer.indices"]
    if indices.dtype != np.int64 or indices.ndim != 1:
        raise SealError(f"expected indices of boxes, got {indices.dtype} of {indices.shape}.")
    labels = tuple(
        names[place] if 0 <= place < len(names) else f"class {place}" for place in indices.tolist()
    )
    scores = tensors["answer.scores"].astype(np.float64)
    return Boxes(tensors["answer"].astype(np.float64), scores, indices, labels, size)


def _masks(tensors: Mapping[str, Array], size: Size) -> tuple[Mask, ...]:
    runs, lengths = tensors["answer.runs"], tensors["answer.masks"]
    if (lengths < 0).any() or int(lengths.sum()) != len(runs):
        raise SealError("the run lengths of masks are not as many as they are said to be.")
    ends = np.cumsum(lengths)
    return tuple(
        Mask(runs[start:end], size)
        for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    )


def _map(tensors: Mapping[str, Array], names: Sequence[str], size: Size) -> SegmentMap:
    values, runs = tensors["answer"], tensors["answer.runs"]
    if values.dtype != np.int64 or runs.dtype != np.int64 or values.shape != runs.shape:
        raise SealError("expected an index for each run of a map.")
    if (runs < 0).any() or (runs > size[0] * size[1]).any() or int(runs.sum()) != size[0] * size[1]:
        raise SealError("the runs of a map do not fill its image.")
    most = int(values.max(initial=0))
    if values.min(initial=0) < UNLABELLED or most >= max(len(names), _MOST_LABELS):
        raise SealError("expected indices of labels in a map.")
    indices = np.repeat(values, runs).reshape(size)
    known = (*names, *(f"class {place}" for place in range(len(names), most + 1)))
    return SegmentMap(indices.astype(np.int32), known)
