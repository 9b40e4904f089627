"""The sheet of training pictures: as they are, then as the epochs saw them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from signet.training import Objective, Teaching, Variation, contact_sheet
from signet.training.contact_sheet import IMAGES
from signet.training.of_classes import ClassTask


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    left = column * 20 + (8 if column else 0)
    return sheet[row * 20 : row * 20 + 16, left : left + 16]


@pytest.mark.parametrize("kind", ["light", "strong"])
def test_it_shows_what_was_learned_from(tiny: ModuleType, images: Path, kind: str) -> None:
    data, how = tiny.data_in(images), tiny.settings(augmentation=kind)
    sheet = contact_sheet(data, how)
    assert sheet.shape == (IMAGES * 20 - 4, 5 * 20 + 4, 3)  # four epochs, and the picture as it is
    task = ClassTask(data, how)
    rows = np.array([0, 7, 14, 22, 29])
    for epoch in (1, 4):
        views, _ = task.views(rows, epoch)
        for row in range(IMAGES):
            assert np.array_equal(cell(sheet, row, epoch), views[row])
    plain, _ = ClassTask(data, tiny.settings(augmentation="none")).views(rows, 1)
    assert np.array_equal(cell(sheet, 2, 0), plain[2])
    assert (sheet[16:20] == 255).all()


@pytest.mark.parametrize("kind", ["light", "strong"])
def test_a_row_is_one_image_where_the_epochs_draw_their_own(
    tiny: ModuleType, images: Path, kind: str
) -> None:
    """Two thirds of the images are of one class: an epoch leaves some of them out, and draws others twice."""
    targets = np.array([0] * 20 + [1] * 5 + [2] * 5)
    data = tiny.data_in(images, train_targets=targets)
    how = tiny.settings(augmentation=kind, objective=Objective(sampling="balanced"))
    sheet = contact_sheet(data, how)
    task = ClassTask(data, how)
    rows = np.array([0, 7, 14, 22, 29])
    plain = ClassTask(data, tiny.settings(augmentation="none")).plain.views(rows, 0)
    assert all(np.array_equal(cell(sheet, row, 0), plain[row]) for row in range(IMAGES))
    left_out = 0
    for epoch in range(1, 5):
        drawn = task.drawn(epoch)
        there = np.isin(rows, drawn)
        # What training takes of this epoch: places in the draw.
        views, _ = task.views(np.array([drawn.tolist().index(row) for row in rows[there]]), epoch)
        for row, view in zip(np.flatnonzero(there), views, strict=True):
            assert np.array_equal(cell(sheet, row, epoch), view)
        for row in np.flatnonzero(~there):
            assert (cell(sheet, row, epoch) == 255).all()
        left_out += int((~there).sum())
    assert left_out


def test_where_every_epoch_shows_the_same_there_is_none(tiny: ModuleType, images: Path) -> None:
    assert contact_sheet(tiny.data_in(images), tiny.settings(augmentation="none")) is None
    mixed = tiny.settings(augmentation="none", variation=Variation(mixup=1.0))
    assert contact_sheet(tiny.data_in(images), mixed) is not None


def test_a_teacher_is_not_asked_and_of_sizes_the_last_is_shown(tiny: ModuleType, images: Path) -> None:
    def teach(_: np.ndarray) -> np.ndarray:
        raise AssertionError

    data = tiny.data_in(images, teaching=Teaching(digest="x", teach=teach))
    sheet = contact_sheet(data, tiny.settings(sizes=((8, 8), (16, 16))))
    assert sheet.shape == (IMAGES * 20 - 4, 5 * 20 + 4, 3)
