"""The task that data is for, and the device that a run asks for."""

from __future__ import annotations

import torch

from signet.errors import BadRequest
from signet.training.objects import ObjectData
from signet.training.of_classes import ClassTask
from signet.training.of_objects import ObjectTask
from signet.training.of_pixels import PixelTask
from signet.training.scenes import PixelData
from signet.training.settings import TrainingData, TrainSettings
from signet.training.tasks import LearningTask

Data = TrainingData | PixelData | ObjectData


def task_of(data: Data, settings: TrainSettings) -> LearningTask:
    """The task that data of a type is for.

    Raises:
        BadRequest: a setting that the task has no use for.
    """
    if settings.mosaic and not isinstance(data, ObjectData):
        raise BadRequest(
            f"mosaic: expected 0 where no objects are learned, got {settings.mosaic:g}. Leave it out."
        )
    match data:
        case PixelData():
            return PixelTask(data, settings)
        case ObjectData():
            return ObjectTask(data, settings)
        case _:
            return ClassTask(data, settings)


def device_of(name: str) -> torch.device:
    """A device by its name.

    Raises:
        BadRequest: torch has none of that name here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadRequest(f"device: expected one that torch has here, got {name!r}: {error}") from error
    return device
