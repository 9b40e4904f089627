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

MOST_CLASSES = 1 << 16
"""Of a card that does not name its labels."""
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
        rows = _rows(said.line, "segments" if kind is SegmentMap else "boxes")
        indices = [_index_of(row, card) for row in rows]
        told = _told(rows, indices, kind, card, _size_of(tensors))
        same = compare_told(findings, tensors, told, card, bounds)
        return _names_agree(findings, rows, indices, card) and same
    except SignetError as problem:
        missing(findings, str(problem))
        return False


def answer_of(line: Mapping[str, Any], card: Card, size: Size) -> Classes | Boxes | Instances | SegmentMap:
    """What another program says of an image, as an answer of the model's kind.

    Args:
        line: the JSON object.
        card: the sealed model's.
        size: of the upright image.

    Raises:
        BadInput: the line is not one of this kind of model, or says that there is no answer.
    """
    if "error" in line:
        raise BadInput(f"the program says: {shown(str(line['error']))}")
    kind = kind_of(card)
    rows = _rows(line, "top" if kind is Classes else "segments" if kind is SegmentMap else "boxes")
    indices = [_index_of(row, card) for row in rows]
    if kind is not Classes:
        return _told(rows, indices, kind, card, size)
    if not rows:
        raise BadInput("top: expected the labels and their scores, best first, got none")
    scores = np.array([_number(row, "score") for row in rows], np.float32)
    # Of some labels only: their scores need not sum to 1.
    labels = tuple((card.labels or ())[index] if card.labels else f"class {index}" for index in indices)
    return Classes(np.array(indices, np.int64), scores, labels, exclusive=False)


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
    findings.add("decision", 0.0 if same else 1.0, 0.0, note)
    return _names_agree(findings, rows, indices, card) and same


def _names_agree(
    findings: Findings, rows: Sequence[Mapping[str, Any]], indices: Sequence[int], card: Card
) -> bool:
    """Whether every label that is told is the card's: a list that is shifted by one has right indices."""
    for index, row in zip(indices, rows, strict=True):
        label = row.get("label")
        if label is not None and card.labels and label != card.labels[index]:
            told = f"class {index} is {_named(card, index)}, the program calls it {shown(str(label))!r}"
            return findings.add("decision", 1.0, 0.0, told)
    return True


def _compare_vector(
    findings: Findings, tensors: Mapping[str, Array], line: Mapping[str, Any], allowed: Allowance
) -> bool:
    vector = line.get("vector")
    try:
        given = np.array(vector, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput("vector: expected a list of numbers") from error
    if given.size != tensors["answer"].size:
        raise BadInput(f"vector: expected {tensors['answer'].size} numbers, got {given.size}")
    return compare_given(findings, "answer", tensors, given.reshape(tensors["answer"].shape), allowed)


def _told(
    rows: Sequence[Mapping[str, Any]], indices: Sequence[int], kind: type, card: Card, size: Size
) -> Boxes | Instances | SegmentMap:
    """The boxes, objects or map of a line, in pixels of an image of this size."""
    if kind is SegmentMap:
        return _map(rows, indices, card, size)
    try:
        xyxy = np.array([row["xyxy"] for row in rows], np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput("boxes: expected xyxy, four numbers, of each") from error
    scores = np.array([_number(row, "score") for row in rows], np.float64)
    labels = tuple(_named(card, index) for index in indices)
    boxes = Boxes(xyxy, scores, np.array(indices, np.int64), labels, size)
    return boxes if kind is Boxes else Instances(boxes, tuple(_mask(row, size) for row in rows))


def _map(rows: Sequence[Mapping[str, Any]], indices: Sequence[int], card: Card, size: Size) -> SegmentMap:
    values = np.full(size, UNLABELLED, np.int32)
    for index, row in zip(indices, rows, strict=True):
        values[_mask(row, size).to_array().astype(bool)] = index
    known = card.labels or ()
    more = tuple(f"class {place}" for place in range(len(known), int(values.max(initial=0)) + 1))
    return SegmentMap(values, (*known, *more))


def _mask(row: Mapping[str, Any], size: Size) -> Mask:
    stated = row.get("mask")
    if not isinstance(stated, dict):
        raise BadInput("mask: expected COCO's run lengths, an object with size and counts")
    mask = Mask.from_coco(stated)
    if tuple(mask.size) != tuple(size):
        raise BadInput(f"mask: expected {size[0]} x {size[1]} pixels, got {mask.size[0]} x {mask.size[1]}")
    return mask


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
    labels = card.labels or ()
    if isinstance(index, int) and not isinstance(index, bool):
        if not 0 <= index < (len(labels) or MOST_CLASSES):
            raise BadInput(
                f"index: expected a class from 0 to {(len(labels) or MOST_CLASSES) - 1}, got {index}"
            )
        return index
    if isinstance(label, str) and labels.count(label) == 1:
        return labels.index(label)
    raise BadInput(
        f"expected an index, or the label of one class, got index {index!r} and label {shown(str(label))!r}"
    )


def _number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    try:
        number = float("nan") if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not np.isfinite(number):
        raise BadInput(f"{key}: expected a number, got {shown(repr(value))[:80]}")
    return number


def _named(card: Card, index: int) -> str:
    labels = card.labels or ()
    return repr(shown(labels[index])) if 0 <= index < len(labels) else f"class {index}"
