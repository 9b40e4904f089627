"""Sealed evidence of detectors and segmenters against a replay: raw outputs, boxes, masks and maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from signet.agreement import COARSE, DOOR_SCORE, FINE, Bounds, assigned, equal_pixels, matched
from signet.answers import head_of, kind_of
from signet.arrays import Array
from signet.cards import Card
from signet.errors import SealError, SignetError
from signet.evidence_objects import LISTED, Seen, answered, decided, least_score, names_bytes
from signet.instances import Instances
from signet.naming import shown
from signet.predictions import Prediction
from signet.replaying import Allowance, Findings, difference, raw_tolerance
from signet.seals.answered import Seen as Answer
from signet.seals.answered import from_tensors
from signet.seals.sampling import Sample, found, places
from signet.segments import SegmentMap

AGAIN = Bounds(iou=0.999, mask_iou=0.999, score=1e-4, pixels=0.9999)
"""Of an answer that is computed again from the sealed outputs: only numpy's own rounding takes part."""
_HEAD_RELATIVE = 1e-4
_LINES = 3


def compare_seen(
    findings: Findings, sealed: Mapping[str, Array], seen: Seen, card: Card, allowed: Allowance
) -> bool:
    """Compare what a network made of one image, and what the card makes of that.

    Args:
        findings: taken in.
        sealed: the evidence of this image.
        seen: the raw outputs of the replay.
        card: the sealed model's.
        allowed: what may differ.

    Returns:
        Whether it decided as sealed.
    """
    _compare_network(findings, sealed, seen, card, allowed)
    _compare_again(findings, sealed, seen, card)
    try:
        replay = answered(seen, card)
        before = from_tensors(sealed, kind_of(card), card.labels or (), seen.geometry.original)
    except SignetError as problem:
        stage = "answer" if isinstance(problem, SealError) else "head"
        findings.add(stage, None, 0.0, str(problem))
        findings.add("decision", None, 0.0, str(problem))
        return False
    bounds = COARSE if allowed.loose else FINE
    least = sealed.get("answer.least")
    if isinstance(before, SegmentMap):
        share = equal_pixels(before, replay.answer) if isinstance(replay.answer, SegmentMap) else 0.0
        words = "pixels that are not as sealed" if share < 1 else ""
        findings.add("answer", 1 - share, 1 - bounds.pixels, words)
    elif least is None or least.shape != (1,):
        findings.add("answer", None, 0.0, "the score that a box has to reach is missing in the evidence")
    else:
        # In a coarse precision every score below the door's moves past some other one.
        floor = DOOR_SCORE if allowed.loose else 0.0
        lowest = max(float(least[0]), least_score(replay, head_of(card)), floor)
        _compare_objects(findings, before, replay.answer, bounds, lowest, suppressed=_overlap(card))
    return _compare_decision(findings, sealed, before, replay.answer, bounds, _overlap(card))


def compare_told(
    findings: Findings,
    sealed: Mapping[str, Array],
    told: Answer,
    card: Card,
    bounds: Bounds,
) -> bool:
    """Compare the boxes, objects or map that another program found in one image.

    Args:
        findings: taken in.
        sealed: the evidence of this image.
        told: what the program found; boxes below `DOOR_SCORE` are not compared, as it may leave them out.
        card: the sealed model's.
        bounds: what may differ.

    Returns:
        Whether it decided as sealed.

    Raises:
        SealError: the evidence holds no such answer.
    """
    size = told.boxes.size if isinstance(told, Instances) else told.size
    before = from_tensors(sealed, kind_of(card), card.labels or (), size)
    if isinstance(before, SegmentMap):
        share = equal_pixels(before, told) if isinstance(told, SegmentMap) else 0.0
        findings.add(
            "answer", 1 - share, 1 - bounds.pixels, "pixels that are not as sealed" if share < 1 else ""
        )
    else:
        _compare_objects(findings, before, told, bounds, DOOR_SCORE, suppressed=_overlap(card))
    return _compare_decision(findings, sealed, before, told, bounds, _overlap(card))


def _compare_network(
    findings: Findings, sealed: Mapping[str, Array], seen: Seen, card: Card, allowed: Allowance
) -> None:
    bounds = COARSE if allowed.loose else FINE
    stated = {role: found(sealed, f"network.{role}") for role in seen.arrays}
    arrays = seen.arrays
    if card.output.head in LISTED:
        arrays = _in_sealed_order(stated, arrays)
    for role, array in arrays.items():
        before = stated[role]
        if before is not None and before.dtype.kind in "iu":
            apart, note = _unequal(before, array)
            findings.add("network", apart, 1 - bounds.pixels, note)
            continue
        error, note = difference(before, array)
        tolerance = 0.0 if before is None else raw_tolerance(before, allowed)
        findings.add("network", error, tolerance, note and f"{role}: {note}")


def _compare_again(findings: Findings, sealed: Mapping[str, Array], seen: Seen, card: Card) -> None:
    """Head and answer from the raw outputs that were sealed: no engine takes part, so nothing may differ.

    Where an output was too large to be kept whole, only the replay's own answer is compared.
    """
    arrays: dict[str, Array] = {}
    for role in seen.arrays:
        before = found(sealed, f"network.{role}")
        if before is None or isinstance(before, Sample):
            return
        arrays[role] = before
    try:
        again = answered(Seen(arrays, seen.geometry), card)
    except SignetError as problem:
        findings.add("head", None, 0.0, str(problem))
        return
    for name, array in again.head.items():
        before = found(sealed, name)
        if array.dtype.kind in "iu":
            error, note = _unequal(before, array)
            findings.add("head", error, 0.0, note and f"{name}: {note}")
        else:
            error, note = difference(before, array)
            greatest = max(1.0, float(np.abs(array).max(initial=0.0)))
            findings.add("head", error, _HEAD_RELATIVE * greatest, note and f"{name}: {note}")
    try:
        stated = from_tensors(sealed, kind_of(card), card.labels or (), seen.geometry.original)
    except SealError as problem:
        findings.add("answer", None, 0.0, str(problem))
        return
    if isinstance(stated, SegmentMap) and isinstance(again.answer, SegmentMap):
        findings.add("answer", 1 - equal_pixels(stated, again.answer), 1 - AGAIN.pixels)
    elif not isinstance(stated, SegmentMap) and not isinstance(again.answer, SegmentMap):
        _compare_objects(findings, stated, again.answer, AGAIN, -np.inf)


def _compare_objects(
    findings: Findings,
    before: Answer,
    now: Prediction,
    bounds: Bounds,
    least: float,
    suppressed: float | None = None,
) -> bool:
    if isinstance(before, SegmentMap) or isinstance(now, SegmentMap):
        return findings.add("answer", None, 0.0, "another kind of answer than was sealed")
    pairs = matched(before, now, bounds, least, suppressed)  # type: ignore[arg-type]
    if pairs.alone:
        return findings.add("answer", None, bounds.score, _words(pairs.alone, pairs.pairs))
    return findings.add("answer", pairs.score, bounds.score)


def _overlap(card: Card) -> float | None:
    """From which overlap on a better box suppresses another; None where none does."""
    how = head_of(card).suppression
    return None if how is None or how.soft is not None else how.iou


def _compare_decision(
    findings: Findings,
    sealed: Mapping[str, Array],
    before: Answer,
    now: Prediction,
    bounds: Bounds,
    suppressed: float | None,
) -> bool:
    indices, names = decided(before)
    stated, label = sealed.get("decision"), sealed.get("label")
    if stated is None or label is None:
        return findings.add("decision", None, 0.0, "missing in the evidence")
    if not np.array_equal(stated, indices):
        return findings.add("decision", None, 0.0, "the sealed decision is not that of the sealed answer")
    if not np.array_equal(label, names_bytes(names)):
        was = shown(label.tobytes().decode("utf-8", "replace").replace("\n", ", ").strip(", "))
        note = f"sealed as {was[:200]}, and now called {shown(', '.join(names))[:200]}"
        return findings.add("decision", 1.0, 0.0, note)
    if isinstance(before, SegmentMap):
        share = equal_pixels(before, now) if isinstance(now, SegmentMap) else 0.0
        same = share >= bounds.pixels
        note = "" if same else f"{share:.2%} of the pixels have the sealed label"
    else:
        pairs = matched(before, now, bounds, DOOR_SCORE, suppressed)  # type: ignore[arg-type]
        same = not pairs.alone
        note = "" if same else _words(pairs.alone, pairs.pairs)
    return findings.add("decision", 0.0 if same else 1.0, 0.0, note)


def _unequal(before: Array | Sample | None, now: Array) -> tuple[float | None, str]:
    """(share of whole numbers that are not as sealed, "") or (None, why they cannot be compared)."""
    if isinstance(before, Sample):
        error = before.difference(now)
        if not error:
            return error, "" if error is not None else "another shape than was sealed"
        flat = np.ascontiguousarray(now).reshape(-1)
        return float((flat[places(flat.size)] != before.values).mean()), ""
    if before is None or before.shape != now.shape:
        return None, f"expected the shape {None if before is None else before.shape}, got {now.shape}"
    return float((before != now).mean()) if now.size else 0.0, ""


def _in_sealed_order(
    stated: Mapping[str, Array | Sample | None], arrays: Mapping[str, Array]
) -> dict[str, Array]:
    """The replay's rows in the order that brings them nearest to the sealed ones."""
    whole = {role: array for role, array in stated.items() if isinstance(array, np.ndarray)}
    rows = {role: array for role, array in arrays.items() if role not in ("masks", "count")}
    lengths = {
        len(array) for array in (*rows.values(), *(whole.get(role, array) for role, array in rows.items()))
    }
    if len(lengths) != 1 or any(
        role not in whole or whole[role].shape != array.shape for role, array in rows.items()
    ):
        return dict(arrays)
    first, second = (
        np.concatenate(
            [
                part[role].reshape(len(part[role]), -1).astype(np.float64)
                / max(float(np.abs(whole[role].astype(np.float64)).max(initial=0.0)), 1e-9)
                for role in rows
            ],
            axis=1,
        )
        for part in (whole, rows)
    )
    cost = np.abs(first[:, None] - second[None]).max(axis=2)
    _, order = assigned(-cost)
    ordered = {role: array if role == "count" else array[order] for role, array in arrays.items()}
    if "scores" not in rows:
        return ordered
    # A box that just reaches the end of the list may be another one.
    scores = np.stack([whole["scores"].reshape(-1), ordered["scores"].reshape(-1)])
    lowest = float(scores[0][scores[0] > 0].min(initial=np.inf))
    edge = (scores < lowest + FINE.score).all(axis=0)
    for role in rows:
        ordered[role][edge] = whole[role][edge]
    return ordered


def _words(alone: tuple[str, ...], pairs: int) -> str:
    more = f", and {len(alone) - _LINES} more" if len(alone) > _LINES else ""
    return f"{pairs} boxes are as sealed; in one answer only: {'; '.join(alone[:_LINES])}{more}"
