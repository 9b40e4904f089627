"""Decoded images, kept in memory as far as it is allowed, because decoding is what small machines wait for.

Shape suffixes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from signet.arrays import Array, Integers
from signet.decoding import read
from signet.errors import BadGraph
from signet.images import Image
from signet.preprocessing import numeric, prepare
from signet.programs import Program
from signet.steps import GEOMETRIC, Read, Step
from signet.training.augmentation import augmented, generator_of
from signet.training.mixing import erased
from signet.training.randaugment import randaugmented
from signet.training.room import Room
from signet.training.settings import TrainSettings
from signet.training.variation import UNCHANGED, strength_of

KEPT_SIDE = 1.3
"""Short side of a kept picture over the longer side of the input: a crop of 0.6 of the area is still not
enlarged."""

# Roles of random numbers; others are in loop.py, mosaics.py and of_classes.py. What is laid over a view has
# numbers of its own, so that the view is the same with and without it.
AUGMENTATION, _OVERLAY = 2, 6


class Pictures:
    """Images by index, each decoded once while there is room for it, and made smaller before it is kept."""

    def __init__(
        self, paths: Sequence[str | Path], first: Read, change: Callable[[Image], Array], room: Room
    ) -> None:
        self._paths = paths
        self._first = first
        self._change = change
        self._room = room
        self._kept = room.shelf()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Array:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image = read(self._paths[index], orient=self._first.orient, channels=self._first.channels)
        array = self._change(image)
        self._room.keep(self._kept, index, array)
        return array

    def forget(self) -> None:
        """Let go of what is kept: nobody will ask for it soon."""
        self._room.clear(self._kept)


class Batches:
    """The batches of one set of images, as the network takes them.

    Attributes:
        size: (height, width) of the views; (0, 0) where it depends on the image.
        pictures: the images, decoded.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        program: Program,
        settings: TrainSettings,
        *,
        learning: bool,
        room: Room | None = None,
    ) -> None:
        """See above.

        Args:
            paths: of the images.
            program: makes of an image what the network takes.
            settings: of the run.
            learning: whether views change from epoch to epoch.
            room: for the decoded images; all of `settings.memory_bytes` when None.
        """
        first = program.steps[0]
        size = program.input_size()
        strength = strength_of(settings.augmentation, settings.variation, flip=settings.flip)
        self._strength = strength if learning else UNCHANGED
        self._moved = learning and settings.augmentation != "none"
        if not isinstance(first, Read) or (self._strength.changes and size is None):
            raise BadGraph(
                "training: expected a program that gives every image one size, got one whose size depends on "
                "the image. Train with augmentation 'none' and a batch of 1."
            )
        self.size = size or (0, 0)
        self._seed = settings.seed
        self._later: tuple[Step, ...]
        room = room or Room(settings.memory_bytes)
        if self._moved:
            self._later = tuple(step for step in program.steps if not isinstance(step, GEOMETRIC))
            side = round(KEPT_SIDE * max(self.size))
            self.pictures = Pictures(paths, first, lambda image: _reduced(image, side), room)
        else:
            self._later = program.split()[1]
            self.pictures = Pictures(paths, first, lambda image: _prepared(image, program), room)

    def batch(self, indices: Integers, epoch: int) -> Tensor:
        """Float32 (N, C, H, W) of some images, as they look in one epoch.

        Raises:
            BadInput: an image cannot be read.
            BadGraph: the program ends with another layout.
        """
        return self.finished(self.views(indices, epoch))

    def views(self, indices: Integers, epoch: int, keys: Integers | None = None) -> Array:
        """Some images as they look in one epoch, uint8 (N, H, W, 3) (or what the program's first steps make).

        Args:
            indices: of the images.
            epoch: from 1.
            keys: whole numbers (N,) that decide what is drawn beside the epoch; the indices when None. Where
                an image comes several times an epoch, they let it look different each time.
        """
        drawn = indices if keys is None else keys
        pairs = zip(indices.tolist(), drawn.tolist(), strict=True)
        return np.stack([self._view(index, epoch, key) for index, key in pairs])

    def finished(self, views: Array) -> Tensor:
        """Float32 (N, C, H, W) of views: the steps of the program that are left.

        Raises:
            BadGraph: the program ends with another layout.
        """
        return as_network_input(numeric(views, self._later))

    def _view(self, index: int, epoch: int, key: int) -> Array:
        view, strength = self.pictures[index], self._strength
        if self._moved:
            view = augmented(view, self.size, strength, generator_of(self._seed, AUGMENTATION, epoch, key))
        if strength.randaugment or strength.erasing:
            if view.dtype != np.uint8 or view.ndim != 3:
                raise BadGraph(
                    "training: expected a program that resizes pictures before it computes with them, for "
                    f"randaugment and erasing without another augmentation; got {view.dtype} {view.shape}. "
                    "Choose the augmentation 'light', or leave both out."
                )
            generator = generator_of(self._seed, _OVERLAY, epoch, key)
            if strength.randaugment:
                view = randaugmented(view, strength.randaugment, generator)
            view = erased(view, strength.erasing, generator)
        return view


def as_network_input(images_NCHW: Array) -> Tensor:
    """What a program made of a batch, as a tensor of float32.

    Raises:
        BadGraph: the program ends with another layout.
    """
    array = np.asarray(images_NCHW, np.float32)
    if array.ndim != 4 or array.shape[1] != 3:
        raise BadGraph(
            f"training: expected a program that ends with (N, 3, H, W), got {array.shape}. "
            "Give it a layout step to NCHW."
        )
    return torch.from_numpy(array)


def _prepared(image: Image, program: Program) -> Array:
    """The image as it goes into the last numeric steps of the evaluation program: exactly that."""
    return np.asarray(prepare([image], program, fuse=True).arrays[0])


def _reduced(image: Image, side: int) -> Array:
    """The picture with a short side of at most `side`; a smaller one stays as it is."""
    short = min(image.size)
    if short <= side:
        return image.pixels
    height, width = (max(side, round(length * side / short)) for length in image.size)
    return np.asarray(image.to_pillow().resize((width, height), PillowImage.Resampling.BILINEAR))
