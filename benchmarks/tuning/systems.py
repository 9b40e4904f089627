"""One program that fine-tunes one backbone on one folder of images, in a process of its own: lines of JSON.

    python benchmarks/tuning/systems.py fastai ASKED.json

The job is the same for all: from the same tensors and the same images to a classifier. Each program is used
as its own documentation teaches it, with the values given there; they stand in each function. Imports are
inside the functions and are timed with the rest, as somebody who runs the program pays for them. After each
epoch a line says the seconds so far and how much of the validation images is right.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEAN = STD = (0.5, 0.5, 0.5)
IMAGES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What all programs are asked for alike.

    Attributes:
        model: folder of a timm network, `config.json` and `model.safetensors`.
        data: folder with `train` and `test`, in each a folder of images for each class.
        size: height and width of the network's input.
        threads: of torch.
        seed: of order, augmentation and the new head.
        few: there are few images, of which a person lets a program see more epochs.
        features: folder in which the features of images are kept from one run to the next, in one folder for
            each model, or "".
    """

    model: str
    data: str
    size: int
    threads: int
    seed: int
    few: bool = False
    features: str = ""

    @classmethod
    def read(cls, place: Path) -> Asked:
        """From the file that `write` made."""
        return cls(**json.loads(place.read_text()))

    def write(self, place: Path) -> None:
        """As JSON."""
        place.write_text(json.dumps(dataclasses.asdict(self)))

    @property
    def labels(self) -> list[str]:
        """Names of the folders, in order."""
        return sorted(child.name for child in (Path(self.data) / "train").iterdir() if child.is_dir())

    def files(self, part: str) -> list[tuple[str, int]]:
        """(path, class) of every image of a part."""
        return [
            (str(path), place)
            for place, label in enumerate(self.labels)
            for path in sorted((Path(self.data) / part / label).iterdir())
            if path.suffix.lower() in IMAGES
        ]


def model_digest(folder: Path) -> str:
    """Of a network's weights and config, which also states its preprocessing: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:12]


Epochs = Iterator[float]
"""The share of the test images that is right after each epoch; it decides nothing."""


def with_timm(asked: Asked) -> Epochs:
    """Timm: a full training with its transforms, optimizer and schedule, as its train script does it.

    AdamW at 1e-4 with weight decay 0.05, RandAugment, label smoothing 0.1, a cosine over 10 epochs; 30
    of few images, judged at the end alone.
    """
    import timm
    import torch
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler

    model = timm.create_model(f"local-dir:{asked.model}", pretrained=True, num_classes=len(asked.labels))
    size, epochs = (3, asked.size, asked.size), 30 if asked.few else 10
    same: dict[str, Any] = {"mean": MEAN, "std": STD, "interpolation": "bilinear"}
    learning = timm.data.create_transform(size, is_training=True, auto_augment="rand-m9-mstd0.5", **same)
    judging = timm.data.create_transform(size, crop_pct=0.875, **same)
    learned = _loader(asked, "train", learning, batch=32)
    judged = _loader(asked, "test", judging, batch=64)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-4, weight_decay=0.05)
    schedule = CosineLRScheduler(optimizer, t_initial=epochs, lr_min=1e-6)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(epochs):
        model.train()
        for images, targets in learned:
            optimizer.zero_grad()
            loss(model(images), targets).backward()
            optimizer.step()
        schedule.step(epoch + 1)
        if not asked.few or epoch + 1 == epochs:
            yield _share_right(model, judged)


def with_fastai(asked: Asked) -> Epochs:
    """Fastai: `vision_learner(...).fine_tune(4)`: one frozen epoch, then four, all values its own.

    Of few images 15, in batches of at most a fourth of them: it drops a last batch that is not full.
    """
    from fastai.vision.all import (
        Callback,
        ImageDataLoaders,
        Resize,
        accuracy,
        aug_transforms,
        set_seed,
        vision_learner,
    )

    set_seed(asked.seed)
    loaders = ImageDataLoaders.from_folder(
        asked.data,
        valid="test",
        item_tfms=Resize(asked.size),
        batch_tfms=aug_transforms(),
        num_workers=0,
        bs=min(64, max(2, len(asked.files("train")) // 4)),
    )

    class Watch(Callback):  # type: ignore[misc]
        def after_epoch(self) -> None:
            _tell(float(self.learn.recorder.metrics[-1].value))

    learner = vision_learner(loaders, f"local-dir:{asked.model}", metrics=accuracy, cbs=[Watch()])
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(15 if asked.few else 4)
    yield from ()


def with_transformers(asked: Asked) -> Epochs:
    """Transformers: `Trainer` with the values of its guide to image classification.

    Random crops, AdamW at 5e-5, batches of 16 accumulated 4 times, warm-up 0.1, 3 epochs.
    """
    import torch
    from torchvision.transforms import Compose, Normalize, RandomResizedCrop, Resize, ToTensor
    from transformers import (
        TimmWrapperForImageClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    model = TimmWrapperForImageClassification.from_pretrained(
        asked.model, num_labels=len(asked.labels), ignore_mismatched_sizes=True
    )
    end = [ToTensor(), Normalize(MEAN, STD)]
    learning, judging = (
        Compose([RandomResizedCrop(asked.size), *end]),
        Compose([Resize((asked.size, asked.size)), *end]),
    )

    def collate(rows: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.stack([image for image, _ in rows]),
            "labels": torch.tensor([target for _, target in rows]),
        }

    def figures(answers: Any) -> dict[str, float]:
        return {"accuracy": float((answers.predictions.argmax(1) == answers.label_ids).mean())}

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            _tell(metrics["eval_accuracy"])

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            remove_unused_columns=False,
            eval_strategy="epoch",
            save_strategy="no",
            learning_rate=5e-5,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=4,
            per_device_eval_batch_size=16,
            num_train_epochs=3,
            warmup_steps=0.1,
            seed=asked.seed,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
        )
        Trainer(
            model=model,
            args=settings,
            data_collator=collate,
            train_dataset=_Files(asked.files("train"), learning),
            eval_dataset=_Files(asked.files("test"), judging),
            compute_metrics=figures,
            callbacks=[Watch()],
        ).train()
    yield from ()


def with_keras(asked: Asked) -> Epochs:
    """Keras on torch: `fit` of a dense layer on a frozen base, as its guide to transfer learning does it.

    The base is the same network as a `TorchModuleWrapper`, in evaluation mode; mirror images and small
    rotations, dropout 0.2, Adam at its own rate, 10 epochs.
    """
    import keras
    import timm
    from keras import layers
    from torchvision.transforms import Compose, Normalize, Resize, ToTensor

    keras.utils.set_random_seed(asked.seed)
    keras.config.set_image_data_format("channels_first")
    network = timm.create_model(f"local-dir:{asked.model}", pretrained=True, num_classes=0).eval()
    base = layers.TorchModuleWrapper(network, output_shape=(None, network.num_features))
    base.trainable = False
    inputs = keras.Input((3, asked.size, asked.size))
    varied = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    features = layers.Dropout(0.2)(base(varied, training=False))
    model = keras.Model(inputs, layers.Dense(len(asked.labels))(features))
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    way = Compose([Resize((asked.size, asked.size)), ToTensor(), Normalize(MEAN, STD)])
    learned, judged = (_loader(asked, part, way, batch=32) for part in ("train", "test"))

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            del epoch
            _tell(float(logs["val_accuracy"]))

    model.fit(learned, validation_data=judged, epochs=10, verbose=0, callbacks=[Watch()])
    yield from ()


def with_logistic_regression(asked: Asked) -> Epochs:
    """Scikit-learn's logistic regression, as it comes, on the features of timm's network.

    They are of the network's own input size and preprocessing, since nothing is trained that more pixels
    would make slow. Where they are kept, the seconds are of a run that extracts only what is not there yet.
    """
    import numpy as np
    import timm
    import torch
    from sklearn.linear_model import LogisticRegression

    network = timm.create_model(f"local-dir:{asked.model}", pretrained=True, num_classes=0).eval()
    way = timm.data.create_transform(**timm.data.resolve_model_data_config(network))

    store = Path(asked.features or ".") / model_digest(Path(asked.model))
    if asked.features:
        store.mkdir(parents=True, exist_ok=True)

    def names(files: list[tuple[str, int]]) -> list[Path]:
        digests = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file, _ in files]
        return [store / f"{digest}.npy" for digest in digests]

    def features(part: str) -> tuple[Any, Any]:
        files = asked.files(part)
        places = names(files)
        missing = [place for place, kept in enumerate(places) if not (asked.features and kept.exists())]
        rows = {place: np.load(kept) for place, kept in enumerate(places) if place not in set(missing)}
        batches = torch.utils.data.DataLoader(_Files([files[place] for place in missing], way), batch_size=64)  # type: ignore[arg-type]
        with torch.inference_mode():
            made = [row for images, _ in batches for row in network(images).numpy()]
        for place, row in zip(missing, made, strict=True):
            rows[place] = row
            if asked.features:
                part = places[place].with_suffix(f".{os.getpid()}.part")
                with part.open("wb") as stream:
                    np.save(stream, row)
                part.replace(places[place])
        return np.stack([rows[place] for place in range(len(files))]), np.array(
            [target for _, target in files]
        )

    fitted = LogisticRegression(max_iter=1000).fit(*features("train"))
    yield float(fitted.score(*features("test")))


SYSTEMS: dict[str, Callable[[Asked], Epochs]] = {
    "timm": with_timm,
    "fastai": with_fastai,
    "transformers": with_transformers,
    "keras": with_keras,
    "linear-probe": with_logistic_regression,
}
"""Every peer, by the name that the report gives it."""


class _Files:
    """A dataset for a DataLoader: pictures as a transform makes them, and their class."""

    def __init__(self, files: list[tuple[str, int]], way: Callable[[Any], Any]) -> None:
        self.files, self.way = files, way

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        from PIL import Image

        path, target = self.files[place]
        with Image.open(path) as picture:
            return self.way(picture.convert("RGB")), target


def _loader(asked: Asked, part: str, way: Callable[[Any], Any], *, batch: int) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(_Files(asked.files(part), way), batch_size=batch, shuffle=part == "train")  # type: ignore[arg-type]


def _share_right(model: Any, judged: Any) -> float:
    import torch

    model.eval()
    with torch.inference_mode():
        right = [(model(images).argmax(1) == targets) for images, targets in judged]
    return float(torch.cat(right).double().mean())


_BEGAN = time.perf_counter()


def _tell(right: float) -> None:
    """One line after an epoch: share right, seconds of the clock and of the processor since the start."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    row = {
        "accuracy": right,
        "seconds": time.perf_counter() - _BEGAN,
        "processor_seconds": used.ru_utime + used.ru_stime,
    }
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fine-tune with one system."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("asked", type=Path)
    chosen = parser.parse_args()
    asked = Asked.read(chosen.asked)
    os.environ.update(KERAS_BACKEND="torch", HF_HUB_OFFLINE="1")
    import torch

    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    for right in SYSTEMS[chosen.system](asked):
        _tell(right)


if __name__ == "__main__":
    main()
