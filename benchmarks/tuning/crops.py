"""Objects cut out of their pictures by their boxes: a folder for each label, for programs that classify.

    python benchmarks/tuning/crops.py DATASET OUT [--least 60] [--most 400] [--share 0.7]

A dataset without a test split is dealt by picture, so that no picture gives objects to both parts. Labels
with fewer objects than `--least` in the train part, or without one in the test part, are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from signet.datasets import open_dataset
from signet.naming import file_part

MARGIN = 0.1
"""Of a box's sides, seen around it on each side."""
LEAST_PIXELS = 16
"""Of a box's short side: below it there is next to nothing to see."""


def parts_of(dataset: Any, share: float) -> list[str]:
    """For each picture "train" or "test"."""
    if "test" in dataset.splits or "val" in dataset.splits:
        name = "test" if "test" in dataset.splits else "val"
        return ["test" if entry.split == name else "train" for entry in dataset.entries]
    order = np.random.default_rng(0).permutation(len(dataset))
    learned = set(order[: round(share * len(dataset))].tolist())
    return ["train" if place in learned else "test" for place in range(len(dataset))]


def cut(dataset: Any, parts: list[str], most: int) -> dict[tuple[str, str], list[PillowImage.Image]]:
    """(part, label) to its objects, in the order of the pictures, at most so many."""
    found: dict[tuple[str, str], list[PillowImage.Image]] = defaultdict(list)
    for part, sample in zip(parts, dataset, strict=True):
        boxes = getattr(sample.truth, "boxes", sample.truth)
        if boxes is None or not len(boxes):
            continue
        picture = sample.image.to_pillow()
        for (left, top, right, bottom), label in zip(boxes.xyxy.tolist(), boxes.labels, strict=True):
            wide, high = right - left, bottom - top
            if min(wide, high) < LEAST_PIXELS or len(found[part, label]) == most:
                continue
            corners = (
                left - MARGIN * wide,
                top - MARGIN * high,
                right + MARGIN * wide,
                bottom + MARGIN * high,
            )
            limits = (0, 0, *picture.size)
            box = [round(max(corners[place], 0)) for place in (0, 1)]
            box += [round(min(corners[place], limits[place])) for place in (2, 3)]
            found[part, label].append(picture.crop(tuple(box)))
    return found


def main() -> int:
    """Write the folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--least", type=int, default=60)
    parser.add_argument("--most", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.7, help="of the pictures that are learned from")
    chosen = parser.parse_args()
    dataset = open_dataset(chosen.dataset)
    found = cut(dataset, parts_of(dataset, chosen.share), chosen.most)
    counts = Counter({key: len(pictures) for key, pictures in found.items()})
    labels = sorted({label for _, label in counts})
    kept = [name for name in labels if counts["train", name] >= chosen.least and counts["test", name]]
    for part, label in counts:
        if label not in kept:
            continue
        folder = chosen.out / part / file_part(label, 60)
        folder.mkdir(parents=True)
        for place, picture in enumerate(found[part, label]):
            picture.save(folder / f"{place:05d}.png")
    for label in kept:
        print(f"{label}: {counts['train', label]} train, {counts['test', label]} test")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
