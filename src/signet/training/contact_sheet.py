"""Some training pictures as they are learned from, side by side, for a person to look at."""

from __future__ import annotations

import dataclasses

import numpy as np

from signet.arrays import Array, Bytes, Integers
from signet.training.of_classes import ClassTask
from signet.training.settings import TrainingData, TrainSettings

IMAGES, EPOCHS = 5, 6
"""Rows; and columns beside the first, which is what an evaluation shows."""

_GAP = 4
_LONGEST = 128


def contact_sheet(data: TrainingData, settings: TrainSettings) -> Bytes | None:
    """Training images, one a row: as the sealed model will see them, then as the first epochs saw them.

    Mixed pictures are mixed with the one of the next row, as in a batch of these images alone. A cell is
    empty where an epoch left its image out, as balanced sampling does with some of a large class.

    Args:
        data: what is learned from.
        settings: of the run.

    Returns:
        uint8 (H, W, 3) on white; None where every epoch shows the same, or a program makes no pictures.

    Raises:
        BadInput: an image cannot be read.
    """
    if settings.epochs < 1:
        return None
    rows = np.unique(np.linspace(0, len(data.train) - 1, IMAGES).round().astype(np.int64))
    # A teacher that is asked would be asked for nothing; of the sizes the last is shown.
    task = ClassTask(dataclasses.replace(data, teaching=None), dataclasses.replace(settings, sizes=()))
    if not task.strength.changes:
        return None
    plain = dataclasses.replace(settings, augmentation="none", variation=type(settings.variation)(), sizes=())
    # These very images, whatever an epoch would draw.
    first = ClassTask(dataclasses.replace(data, teaching=None), plain).plain.views(rows, 0)
    columns = [first, *(_seen(task, rows, epoch) for epoch in range(1, min(EPOCHS, settings.epochs) + 1))]
    if any(column.dtype != np.uint8 or column.shape != first.shape for column in columns):
        return None
    step = -(-max(first.shape[1:3]) // _LONGEST)
    return _laid_out([column[:, ::step, ::step] for column in columns])


def _seen(task: ClassTask, rows: Integers, epoch: int) -> Array:
    """(N, H, W, 3): some images as an epoch first shows them; white where it does not."""
    of_image = task.drawn(epoch) == rows[:, None]
    there = of_image.any(axis=1)
    # An epoch takes examples by their place in what it has drawn: that is where the image is, if anywhere.
    views = task.views(of_image.argmax(axis=1)[there] if there.any() else np.zeros(1, np.int64), epoch)[0]
    column = np.full((len(rows), *views.shape[1:]), 255, views.dtype)
    column[there] = views[: there.sum()]
    return column


def _laid_out(columns: list[Bytes]) -> Bytes:
    """Columns of uint8 (N, H, W, 3) as one picture; the first stands a little apart."""
    count, height, width, _ = columns[0].shape
    sheet = np.full((count * (height + _GAP) - _GAP, len(columns) * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for column, views in enumerate(columns):
        left = column * (width + _GAP) + (2 * _GAP if column else 0)
        for row, view in enumerate(views):
            top = row * (height + _GAP)
            sheet[top : top + height, left : left + width] = view
    return sheet
