"""Measures what features are worth: a linear probe on three sets that the starter has never seen.

Beside the starter stand the same network with random weights (several seeds; its BatchNorm statistics are
those of the set's own training images, without which it is weaker still), the teacher at the same input
size, and a histogram of grey levels. All get the same pictures, the same program and the same probe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import torch
from PIL import Image as Pillow

from signet.architectures.starter import StarterNet
from signet.demonstration.materials import materials
from signet.images import Image
from signet.preprocessing import prepare

from .program import PROGRAM
from .teacher import Teacher

Features = Callable[[np.ndarray], np.ndarray]
"""From float32 (N, 3, 128, 128) of -1 to 1 to float32 (N, D)."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the probe's L2 penalty; the best is found by cross-validation on the training part."""

RANDOM_SEEDS = (0, 1, 2, 3, 4)
BATCH = 64


@dataclass(frozen=True)
class Task:
    """One set: prepared pictures, float32 (N, 3, 128, 128), and class indices, training and test."""

    name: str
    words: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class Score:
    """Share of the test pictures that a probe names rightly, with the 95 % interval."""

    right: float
    count: int

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Source: Wilson, Probable inference, the law of succession, and statistical inference (1927)."""
        z, n = 1.959964, self.count
        centre = (self.value + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(self.value * (1 - self.value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return centre - half, centre + half


Results = Sequence[tuple[Task, Mapping[str, Sequence[Score]]]]
"""For each set: the scores of each kind of features, one a seed."""

Labelled = Sequence[tuple[np.ndarray, int]]
"""Pictures, uint8 (H, W, 3) RGB, and the index of their class."""


def evaluate(starter: Path, teacher: Path | None, cifar: Path | None, threads: int = 1) -> Results:
    """Scores of every kind of features on every set.

    Args:
        starter: folder with `graph.onnx` and `model.safetensors`.
        teacher: folder of the teacher, or None to leave it out.
        cifar: folder of `cifar10_small`, or None to leave it out.
        threads: of the engines.
    """
    tasks = [digits(), cut_materials()]
    if cifar is not None:
        tasks.insert(0, folder_task(cifar, "10 kinds of 32-pixel photographs"))
    results: list[tuple[Task, dict[str, list[Score]]]] = []
    for task in tasks:
        kinds: dict[str, list[Features]] = {
            "starter": [engine_features(starter / "graph.onnx", threads)],
            "random": [random_features(seed, task.train_images) for seed in RANDOM_SEEDS],
            "grey histogram": [histogram],
        }
        if teacher is not None:
            kinds["teacher"] = [teacher_features(teacher, threads)]
        scores = {kind: [probe(task, features) for features in several] for kind, several in kinds.items()}
        results.append((task, scores))
    return results


def engine_features(graph: Path, threads: int = 1) -> Features:
    """Features of a graph with one output, by OpenVINO in float32."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
    return lambda images_NCHW: np.array(compiled(images_NCHW)[0])


def teacher_features(folder: Path, threads: int = 1) -> Features:
    """The teacher's 1,280 pooled features, in float32."""
    teacher = Teacher(folder, "f32", threads)
    return lambda images_NCHW: teacher(torch.from_numpy(images_NCHW)).features.numpy()


def random_features(seed: int, images_NCHW: np.ndarray) -> Features:
    """The network before training, with the BatchNorm statistics of up to 512 of these images."""
    torch.manual_seed(seed)
    network = StarterNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over all batches
    chosen = np.random.default_rng(seed).permutation(len(images_NCHW))[:512]
    with torch.no_grad():
        for part in np.array_split(images_NCHW[chosen], math.ceil(len(chosen) / BATCH)):
            network(torch.from_numpy(part))
    network.eval()

    def features(batch_NCHW: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(batch_NCHW)).numpy()

    return features


def histogram(images_NCHW: np.ndarray) -> np.ndarray:
    """32 bins of grey levels of each image."""
    grey_NHW = np.tensordot(images_NCHW, np.array([0.299, 0.587, 0.114], np.float32), axes=(1, 0))
    rows = [np.histogram(grey_HW, bins=32, range=(-1, 1))[0] for grey_HW in grey_NHW]
    return np.stack(rows).astype(np.float32) / grey_NHW[0].size


def probe(task: Task, features: Features) -> Score:
    """A logistic regression on standardised features, fitted on the training, judged on the test part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train_ND, test_ND = (_in_batches(features, images) for images in (task.train_images, task.test_images))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3))
    search = GridSearchCV(
        pipeline,
        {"logisticregression__C": STRENGTHS},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    )
    search.fit(train_ND, task.train_labels)
    right = int((search.predict(test_ND) == task.test_labels).sum())
    return Score(right, len(task.test_labels))


def folder_task(folder: Path, words: str) -> Task:
    """A folder with `train/<class>/` and `test/<class>/`."""
    classes = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())

    def part(split: str) -> list[tuple[np.ndarray, int]]:
        return [
            (np.asarray(Pillow.open(path).convert("RGB")), label)
            for label, name in enumerate(classes)
            for path in sorted((folder / split / name).iterdir())
        ]

    return _task(folder.name, words, part("train"), part("test"))


def digits() -> Task:
    """scikit-learn's 1,797 handwritten digits, 8 by 8: 1,297 for training, 500 for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    grey = np.rint(data.images * (255 / 16)).astype(np.uint8)
    pictures = [
        (np.repeat(one[:, :, None], 3, axis=2), int(label))
        for one, label in zip(grey, data.target, strict=True)
    ]
    train, test = train_test_split(pictures, test_size=500, stratify=data.target, random_state=0)
    return _task("digits", "scikit-learn's handwritten digits", train, test)


def cut_materials() -> Task:
    """The demo's photographic materials."""
    crops = materials()
    names = sorted({name for name, _, _ in crops})
    train, test = (
        [(pixels, names.index(name)) for name, one, pixels in crops if one == split]
        for split in ("train", "test")
    )
    return _task(
        "materials", f"{len(names)} materials in grey crops of scikit-image's photographs", train, test
    )


def table(results: Results) -> str:
    """The results as lines of text, in per cent."""
    lines = []
    for task, kinds in results:
        for kind, scores in kinds.items():
            mean = sum(score.value for score in scores) / len(scores)
            low, high = scores[0].interval
            spread = f"95 % {100 * low:.1f} to {100 * high:.1f}" if len(scores) == 1 else _listed(scores)
            lines.append(
                f"{task.name:14} {kind:15} {100 * mean:5.1f} %  ({spread}; {scores[0].count} pictures)"
            )
    return "\n".join(lines)


def _listed(scores: Sequence[Score]) -> str:
    return "seeds " + ", ".join(f"{100 * score.value:.1f}" for score in scores)


def _in_batches(features: Features, images_NCHW: np.ndarray) -> np.ndarray:
    batches: Iterable[np.ndarray] = (images_NCHW[at : at + BATCH] for at in range(0, len(images_NCHW), BATCH))
    return np.concatenate([features(np.ascontiguousarray(batch)) for batch in batches])


def _task(name: str, words: str, train: Labelled, test: Labelled) -> Task:
    """Pictures through the card's own program."""
    arrays = []
    for part in (train, test):
        batch = prepare([Image(pixels) for pixels, _ in part], PROGRAM)
        arrays += [np.asarray(batch.arrays), np.array([label for _, label in part])]
    return Task(name, words, *arrays)
