"""Datasets with a mistake in them, made of real pictures; no Signet here: every system reads the same.

Each is a folder SPLIT/CLASS/FILE with the splits train, val and test.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

LEARNED, JUDGED = 100, 15
"""Pictures of each class to learn from, and in each of the other two splits."""
COPIED = 40
WRONG = 0.15
"""Share of the labels that are dealt at random."""
SMALL = 5
"""Pictures to learn from of each class but two, in the dataset that is not balanced."""


def plain(shared: Path, out: Path) -> Path:
    """Small photographs of ten classes, with nothing wrong."""
    source = shared / "data" / "cifar10_small"
    for folder in sorted((source / "train").iterdir()):
        _copied(sorted(folder.iterdir())[:LEARNED], out / "train" / folder.name)
        files = sorted((source / "test" / folder.name).iterdir())
        _copied(files[:JUDGED], out / "val" / folder.name)
        _copied(files[JUDGED : 2 * JUDGED], out / "test" / folder.name)
    return out


def _copied(files: Sequence[Path], to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, to / file.name)


def duplicates(shared: Path, out: Path) -> Path:
    """Test pictures lie among those that are learned from, too."""
    for number, file in enumerate(_some(plain(shared, out) / "test", COPIED)):
        shutil.copyfile(file, out / "train" / file.parent.name / f"web_{number}{file.suffix}")
    return out


def near_duplicates(shared: Path, out: Path) -> Path:
    """The same, larger and compressed anew."""
    for number, file in enumerate(_some(plain(shared, out) / "test", COPIED)):
        grown = Image.open(file).convert("RGB").resize((48, 48), Image.Resampling.BICUBIC)
        grown.save(out / "train" / file.parent.name / f"web_{number}.jpg", quality=80)
    return out


def frames(shared: Path, out: Path) -> Path:
    """Frames of films, dusk and day, dealt to the splits at random."""
    source = shared / "data" / "camvid_small"
    files = sorted(path for split in ("train", "test") for path in (source / split).iterdir())
    random.Random(0).shuffle(files)
    for number, file in enumerate(files):
        split = ("train", "train", "train", "val", "test")[number % 5]
        _copied([file], out / split / ("dusk" if file.name.startswith("0001TP") else "day"))
    return out


def noise(shared: Path, out: Path) -> Path:
    """A share of the labels to learn from is dealt at random."""
    names = sorted(folder.name for folder in (plain(shared, out) / "train").iterdir())
    dealt = random.Random(0)
    for file in _some(out / "train", round(WRONG * LEARNED * len(names))):
        file.rename(out / "train" / dealt.choice(names) / f"of_{file.parent.name}_{file.name}")
    return out


def imbalance(shared: Path, out: Path) -> Path:
    """Nearly all pictures are of two classes, in every split."""
    for split, most in (("train", SMALL), ("val", 1), ("test", 1)):
        for folder in sorted((plain(shared, out) if split == "train" else out).joinpath(split).iterdir())[2:]:
            for file in sorted(folder.iterdir())[most:]:
                file.unlink()
    return out


def stopped_on_test(shared: Path, out: Path) -> Path:
    """The test pictures decide when training ends, and are then measured on."""
    plain(shared, out)
    shutil.rmtree(out / "val")
    shutil.copytree(out / "test", out / "val")
    return out


def _some(folder: Path, count: int) -> Sequence[Path]:
    return random.Random(1).sample(sorted(folder.rglob("*.*")), count)


DATASETS: Mapping[str, tuple[Callable[[Path, Path], Path], str]] = {
    "duplicates across splits": (duplicates, "40 test pictures are learned from, too"),
    "near-duplicates across splits": (near_duplicates, "the same, larger and compressed anew"),
    "video frames across splits": (frames, "frames of one film are learned from and measured on"),
    "noise in labels": (noise, "15 % of the labels are dealt at random"),
    "accuracy on imbalanced data": (imbalance, "two of ten classes have 20 times as many pictures"),
    "test set used for stopping": (stopped_on_test, "the validation pictures are the test pictures"),
}
"""By fault: what makes it, and what it is in words."""


def planted(fault: str, shared: Path, work: Path) -> Path:
    """The dataset with a mistake, made once."""
    out = work / "planted" / fault.replace(" ", "_")
    if not out.exists():
        begun = out.with_name(out.name + ".begun")
        shutil.rmtree(begun, ignore_errors=True)
        DATASETS[fault][0](shared, begun)
        begun.rename(out)
    return out
