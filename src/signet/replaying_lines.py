"""Sealed evidence against what another program answers: its stages where it tells them, scores, labels.

The program has its own decoder, resizer and engine; only what it says can be compared, and the first of its
stages that differs is the finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from signet.agreement import COARSE, FINE
from signet.answers import kind_of
from signet.arrays import Array, Floats
from signet.asking import Said
from signet.boxes import Boxes
from signet.cards import Card
from signet.errors import BadInput, SignetError
from signet.geometry import Size
from signet.instances import Instances
from signet.masks import Mask
from signet.naming import shown
from signet.predictions import Classes, Embedding
from signet.replaying import Allowance, Findings, answer_tolerance, compare_given, stage_of, tie_of
from signet.replaying_objects import compare_told
from signet.seals import Expected
from signet.segments import UNLABELLED, SegmentMap

LATE = ("network", "head")
"""Stages whose tensors can be several."""
ROUNDED = 1e-6
"""Scores are written with six digits."""


def compare_said(
    findings: Findings, sealed: Expected, image: int, said: Said, card: Card, allowed: Allowance
) -> bool:
    """Compare one answer with the evidence.

    Args:
        findings: taken in.
        sealed: the evidence.
        image: which golden one.
        said: what the program said of it.
        card: the sealed model's.
        allowed: what may differ.

    Returns:
        Whether it decided as sealed.
    """
    tensors = sealed.of(image)
    try:
        _compare_stages(findings, sealed, tensors, said.stages, allowed)
        if "error" in said.line:
            raise BadInput(f"the program says: {shown(str(said.line['error']))}")
        kind = kind_of(card)
        if kind is Classes:
            return _compare_classes(findings, tensors, _rows(said.line, "top"), card, allowed)
        if kind is Embedding:
            return _compare_vector(findings, tensors, said.line, allowed)
        bounds = COARSE if allowed.loose else FINE
        told = _told(said.line, kind, card, _size_of(tensors))
        return compare_told(findings, tensors, told, card, bounds)
    except SignetError as problem:
        missing(findings, str(problem))
        return False


def missing(findings: Findings, why: str) -> None:
    """There is no answer about an image."""
    findings.add("answer", None, 0.0, why)
    findings.add("decision", None, 0.0, why)


def _compare_stages(
    findings: Findings,
    sealed: Expected,
    tensors: Mapping[str, Array],
    told: Mapping[str, Array],
    allowed: Allowance,
) -> None:
    before = sealed.stages[: sealed.stages.index("answer")]
    # The network's outputs have names of their own, and are of its stage.
    known = [
        name
        for stage in before
        for name in tensors
        if "@" not in name and (name == stage or (stage in LATE and stage_of(name) == stage))
    ]
    for name in told:
        if name not in known:
            raise BadInput(f"stages: expected some of {', '.join(known)}, got {shown(name)!r}")
    for name in known:
        if name in told:
            compare_given(findings, name, tensors, told[name], allowed)


def _compare_classes(
    findings: Findings,
    tensors: Mapping[str, Array],
    rows: Sequence[Mapping[str, Any]],
    card: Card,
    allowed: Allowance,
) -> bool:
    answer = tensors["answer"].reshape(-1)
    if not rows:
        raise BadInput("top: expected the labels and their scores, best first, got none")
    indices = [_index_of(row, card) for row in rows]
    for index in indices:
        if not 0 <= index < len(answer):
            raise BadInput(f"top: expected classes from 0 to {len(answer) - 1}, got {index}")
    scores = np.array([_number(row, "score") for row in rows])
    apart = np.abs(scores - answer[indices])
    worst = int(apart.argmax())
    note = f"{_named(card, indices[worst])} {scores[worst]:.4f}, sealed {answer[indices[worst]]:.4f}"
    tolerance = answer_tolerance(answer, allowed) + ROUNDED
    findings.add("answer", float(apart[worst]), tolerance, note if apart[worst] > tolerance else "")
    return _compare_label(findings, tensors, rows, indices, scores, card)


def _compare_label(
    findings: Findings,
    tensors: Mapping[str, Array],
    rows: Sequence[Mapping[str, Any]],
    indices: Sequence[int],
    scores: Floats,
    card: Card,
) -> bool:
    answer, decision = tensors["answer"].reshape(-1), int(tensors["decision"][0])
    best = int(scores.argmax())
    now = indices[best]
    same = now == decision or bool(answer[decision] - answer[now] <= tie_of(answer))
    note = "" if same else f"sealed as {_named(card, decision)}, the program says {_named(card, now)}"
    # A list of labels that is shifted by one gives the right index another name.
    for index, row in zip(indices, rows, strict=True):
        label = row.get("label")
        if same and label is not None and card.labels and label != card.labels[index]:
            same, note = (
                False,
                f"class {index} is {_named(card, index)}, the program calls it {shown(str(label))!r}",
            )
    findings.add("decision", 0.0 if same else 1.0, 0.0, note)
    return same


def _compare_vector(
    findings: Findings, tensors: Mapping[str, Array], line: Mapping[str, Any], allowed: Allowance
) -> bool:
    vector = line.get("vector")
    try:
        given = np.array(vector, np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput("vector: expected a list of numbers") from error
    return compare_given(findings, "answer", tensors, given.reshape(tensors["answer"].shape), allowed)


def _told(line: Mapping[str, Any], kind: type, card: Card, size: Size) -> Boxes | Instances | SegmentMap:
    """The boxes, objects or map of a line, in pixels of an image of this size."""
    if kind is SegmentMap:
        return _map(_rows(line, "segments"), card, size)
    rows = _rows(line, "boxes")
    try:
        xyxy = np.array([row["xyxy"] for row in rows], np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("boxes: expected xyxy, four numbers, of each") from error
    indices = np.array([_index_of(row, card) for row in rows], np.int64)
    scores = np.array([_number(row, "score") for row in rows], np.float64)
    labels = tuple(
        str(row.get("label", _named(card, index))) for row, index in zip(rows, indices, strict=True)
    )
    boxes = Boxes(xyxy, scores, indices, labels, size)
    if kind is Boxes:
        return boxes
    return Instances(boxes, tuple(Mask.from_coco(row.get("mask") or {}) for row in rows))


def _map(rows: Sequence[Mapping[str, Any]], card: Card, size: Size) -> SegmentMap:
    indices = np.full(size, UNLABELLED, np.int32)
    for row in rows:
        inside = Mask.from_coco(row.get("mask") or {}).to_array()
        if inside.shape != tuple(size):
            raise BadInput(f"segments: expected masks of {size[0]} x {size[1]} pixels, got {inside.shape}")
        indices[inside.astype(bool)] = _index_of(row, card)
    known = card.labels or ()
    more = tuple(f"class {place}" for place in range(len(known), int(indices.max(initial=0)) + 1))
    return SegmentMap(indices, (*known, *more))


def _size_of(tensors: Mapping[str, Array]) -> Size:
    height, width = tensors["answer.size"].tolist()
    return height, width


def _rows(line: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    rows = line.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(
            f"expected {key!r}, a list of objects as signet predict writes them, got {sorted(line)}"
        )
    return rows


def _index_of(row: Mapping[str, Any], card: Card) -> int:
    """The class of a row, by its index, or by a label that is the name of one class only."""
    index, label = row.get("index"), row.get("label")
    if isinstance(index, int) and not isinstance(index, bool):
        return index
    labels = card.labels or ()
    if isinstance(label, str) and labels.count(label) == 1:
        return labels.index(label)
    raise BadInput(
        f"expected an index, or the label of one class, got index {index!r} and label {shown(str(label))!r}"
    )


def _number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise BadInput(f"{key}: expected a number, got {shown(repr(value))}")
    return float(value)


def _named(card: Card, index: int) -> str:
    labels = card.labels or ()
    return repr(shown(labels[index])) if 0 <= index < len(labels) else f"class {index}"
