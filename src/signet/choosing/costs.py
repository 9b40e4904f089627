"""What one image costs here: read, prepare, network and head, one after another, on the files themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signet import answers
from signet.errors import BadInput
from signet.models import Model, load
from signet.networks import Pretrained
from signet.running import EngineChoice
from signet.streaming import settings_for

IMAGES = 5
"""Files that are taken."""

ROUNDS = 3
"""Times that each is run; the median of all counts, since others may use the machine."""


def milliseconds_of(
    pretrained: Pretrained,
    paths: Sequence[Path],
    classes: int,
    *,
    engine: EngineChoice = "auto",
    threads: int | None = None,
) -> float:
    """The median milliseconds of one image, opened for one at a time.

    Args:
        pretrained: with features as an output.
        paths: images; the first few that can be read are taken.
        classes: outputs of the head that is timed with it.
        engine: what runs it.
        threads: processor threads; None for all.

    Raises:
        BadInput: none of the images can be read.
        EngineError: the network refuses them.
    """
    settings = settings_for(many=False, threads=threads, engine=engine)
    opened: Model[Any] = load(pretrained, engine=engine, precision="fp32", settings=settings)
    with opened as model:
        readable = []
        for path in paths:
            try:
                width = _run(model, path, None)
            except BadInput:
                continue
            readable.append(path)
            if len(readable) == IMAGES:
                break
        if not readable:
            raise BadInput(f"expected images, and none of {len(paths)} files can be read.")
        head = np.zeros((width, classes), np.float32)
        times = []
        for path in readable * ROUNDS:
            begin = time.perf_counter()
            _run(model, path, head)
            times.append(time.perf_counter() - begin)
    return float(1000 * np.median(times))


def _run(model: Model[Any], path: Path, head: np.ndarray[Any, Any] | None) -> int:
    """All the way from the file to scores; gives the number of features."""
    batch = model.prepare([model.read(path)])
    features = answers.features(model.run(batch), model.card.output)
    if head is not None:
        _ = features @ head
    return int(features.shape[1])
