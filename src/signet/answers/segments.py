"""From a network's map of labels or logits to the label of each pixel of the original. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signet.answers.maps import bilinear, lines, nearest, part
from signet.arrays import Array
from signet.cards import OutputContract
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.heads import Head
from signet.segments import UNLABELLED, SegmentMap

BLOCK_VALUES = 4 * 2**20
"""Logits that are held at a time: a block of rows with all labels, 16 MiB of float32."""


def class_map(
    cells: Array, geometry: Geometry, labels: Sequence[str] | None, contract: OutputContract, source: str
) -> SegmentMap:
    """Each pixel takes the label of the cell that its centre lies in.

    Args:
        cells: (h, w), or (1, h, w) or (h, w, 1): indices of labels.
        geometry: from the original to the prepared image.
        labels: names in the order of the indices; None for numbers.
        contract: `classes`, `background_index`.
        source: where the image came from.

    Raises:
        BadInput: another shape, or values that are no index of a label.
    """
    plane = cells
    if cells.ndim == 3 and 1 in (cells.shape[0], cells.shape[2]):
        plane = cells[0] if cells.shape[0] == 1 else cells[..., 0]
    if plane.ndim != 2:
        raise BadInput(f"the network's output: expected a map (height, width), got {cells.shape}.")
    if not np.isfinite(plane).all() or (plane.dtype.kind == "f" and (plane != np.rint(plane)).any()):
        raise BadInput("the network's output: expected a map of whole numbers, the labels' indices.")
    low, high = int(plane.min()), int(plane.max())
    names = labels or _numbers(contract.classes or high + 1)
    if low < 0 or high >= len(names):
        raise BadInput(
            f"the network's output: expected indices from 0 to {len(names) - 1}, got {low} to {high}."
        )
    indices = nearest(plane.astype(np.int32), geometry, UNLABELLED)
    return SegmentMap(indices, tuple(names), background=contract.background_index, source=source)


def pixel_logits(
    maps: Array,
    geometry: Geometry,
    labels: Sequence[str] | None,
    contract: OutputContract,
    head: Head,
    source: str,
) -> SegmentMap:
    """Each pixel takes the label with the greatest logit, after the logits were interpolated.

    Args:
        maps: float (C, h, w), or (h, w, C) where `head.channels` is "last".
        geometry: from the original to the prepared image.
        labels: names in the order of the channels; None for numbers.
        contract: `classes`, `background_index`, `temperature`, `already_activated`.
        head: `channels`.
        source: where the image came from.

    Raises:
        BadInput: another shape, another number of labels, or a NaN.

    Source: as transformers' `post_process_semantic_segmentation`.
    """
    if maps.ndim != 3 or maps.dtype.kind != "f":
        raise BadInput(
            f"the network's output: expected logits of three axes, got {maps.dtype} of {maps.shape}."
        )
    if head.channels == "last":
        maps = np.moveaxis(maps, 2, 0)
    count = len(maps)
    expected = contract.classes or (len(labels) if labels is not None else count)
    if count != expected:
        raise BadInput(
            f"the network's output: expected {expected} labels, got {count} channels in {maps.shape}. "
            "Correct the card's `classes` or `channels`."
        )
    if not np.isfinite(maps).all():
        raise BadInput("the network's output: expected numbers, got a NaN or an infinity.")
    maps = np.ascontiguousarray(maps, np.float32)
    rows, columns = lines(geometry, (maps.shape[1], maps.shape[2]))
    height, width = geometry.original
    indices = np.empty((height, width), np.int32)
    scores = np.empty((height, width), np.float32)
    step = max(1, BLOCK_VALUES // (count * width))
    for top in range(0, height, step):
        some = slice(top, top + step)
        block = bilinear(maps, part(rows, top, top + step), columns)
        indices[some] = block.argmax(axis=0)
        scores[some] = _best_share(block, contract)
    missing = ~(rows.covered[:, None] & columns.covered)
    indices[missing], scores[missing] = UNLABELLED, 0.0
    names = labels or _numbers(count)
    return SegmentMap(indices, tuple(names), scores, background=contract.background_index, source=source)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(f"class {place}" for place in range(count))


def _best_share(block: Array, contract: OutputContract) -> Array:
    """Float32 (H, W): the share of the greatest of the logits (C, H, W)."""
    greatest = block.max(axis=0)
    if contract.already_activated:
        held: Array = np.clip(greatest, 0, 1)
        return held
    block -= greatest
    if contract.temperature != 1:
        block /= np.float32(contract.temperature)
    np.exp(block, out=block)
    shares: Array = 1 / block.sum(axis=0)
    return shares
