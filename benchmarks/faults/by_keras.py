"""What Keras says of the mistakes, on its torch backend: an error or a warning while it is used.

    KERAS_BACKEND=torch PYTHONPATH=benchmarks PYTHON -m faults.by_keras --work FOLDER --shared FOLDER

PYTHON has Keras. Weights are random. The datasets lie in FOLDER already (`faults.by_signet` plants them).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults import planting
from faults.by_peers import EXPORT, PREDICT, TRAIN
from faults.detectors import FAULTS as OF_DETECTORS
from faults.noticing import Faulty, Noticed, Record, Watch, watched
from faults.pipelines import SIDE, Array
from faults.truths import TRUTHS

SYSTEM = "keras"
ABSENT = dict.fromkeys((*(fault.name for fault in OF_DETECTORS), *TRUTHS), "the package has no detector")
IMPOSSIBLE = {
    "train mode at inference": "`predict` and `evaluate` run without training",
    "exported in train mode": "`export` writes what `predict` runs",
    "augmentation in validation": "augmenting layers do nothing in `evaluate`",
}


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    asked = parser.parse_args()
    record = Record(asked.work / "noticed.jsonl")
    photo = sorted((asked.shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[0]
    for table, when in ((ABSENT, "does not apply"), (IMPOSSIBLE, "impossible")):
        for name, why in table.items():
            if not record.has(name, SYSTEM):
                record.add(Noticed(name, SYSTEM, when, why))  # type: ignore[arg-type]
    for name, program in {**of_pictures(photo), **of_models(), **of_data(asked.work), **of_files()}.items():
        if not record.has(name, SYSTEM):
            record.add(watched(name, SYSTEM, program))


def _model() -> Any:
    import keras

    return keras.applications.MobileNetV2(weights=None, alpha=0.35)


def of_pictures(photo: Path) -> Mapping[str, Faulty]:
    """The mistakes of reading and preparing: `load_img`, `preprocess_input`, `predict`."""
    import keras

    def opened(at: Path = photo, **settings: Any) -> Array:
        asked = {"target_size": (SIDE, SIDE), "interpolation": "bilinear", **settings}
        return np.asarray(keras.utils.img_to_array(keras.utils.load_img(at, **asked)))

    def ready(pixels: Array) -> Array:
        return np.asarray(keras.applications.mobilenet_v2.preprocess_input(pixels[None].copy()))

    def program(make: Callable[[], Array]) -> Faulty:
        def run(watch: Watch) -> None:
            net, shown = _model(), make()
            watch.using(PREDICT)
            net.predict(shown, verbose=0)

        return run

    def changed(change: Callable[[Image.Image], Image.Image]) -> Faulty:
        def make() -> Array:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "changed.png"
                change(Image.open(photo).convert("RGB")).save(file)
                return ready(opened(file))

        return program(make)

    def lying() -> Array:
        with tempfile.TemporaryDirectory() as folder:
            file, exif = Path(folder) / "turned.jpg", Image.Exif()
            exif[0x0112] = 6
            Image.open(photo).convert("RGB").save(file, exif=exif)
            return ready(opened(file))

    whole = (0, 0, SIDE, SIDE)
    return {
        "none: predicting": program(lambda: ready(opened())),
        "channels swapped": program(lambda: ready(opened()[:, :, ::-1])),
        "alpha on black": changed(_transparent),
        "grey in one channel": changed(lambda shown: Image.fromarray(_in_one_channel(np.asarray(shown)))),
        "scaled decode": changed(lambda shown: shown.reduce(2)),
        "EXIF ignored": program(lying),
        "no antialias": program(lambda: ready(opened(interpolation="nearest"))),
        "another filter": program(lambda: ready(opened(interpolation="bicubic"))),
        "stretch for crop": program(lambda: ready(opened(keep_aspect_ratio=False))),
        "crop ratio": changed(lambda shown: shown.crop((8, 8, shown.width - 8, shown.height - 8))),
        "long side rounded up": changed(lambda shown: shown.resize((342, 256)).crop((59, 16, 283, 240))),
        "crop off the middle": changed(lambda shown: shown.resize((341, 256)).crop(whole)),
        "another zoo's mean and std": program(
            lambda: np.asarray(keras.applications.resnet50.preprocess_input(opened()[None].copy()))
        ),
        "no normalisation": program(lambda: opened()[None] / 255),
        "normalised twice": program(lambda: ready(ready(opened())[0])),
        "0 to 255 for 0 to 1": program(lambda: opened()[None]),
        "NHWC for NCHW": program(
            lambda: ready(opened()).transpose(0, 3, 1, 2).reshape(1, SIDE, SIDE, 3)
        ),
    }  # fmt: skip


def _transparent(picture: Image.Image) -> Image.Image:
    whole = picture.convert("RGBA")
    whole.putalpha(100)
    return whole


def _in_one_channel(pixels: Array) -> Array:
    found = pixels.copy()
    found[:, :, 1:] = 0
    return found


def of_models() -> Mapping[str, Faulty]:
    """The mistakes of labels and networks."""
    import keras

    blank = np.zeros((1, SIDE, SIDE, 3), np.float32)

    def program(make: Callable[[], Any], order: Callable[[list[str]], list[str]] = list) -> Faulty:
        def run(watch: Watch) -> None:
            net, names = make(), order([str(number) for number in range(1000)])
            watch.using(PREDICT)
            names[int(net.predict(blank, verbose=0)[0].argmax())].upper()

        return run

    def drifted() -> Any:
        net = _model()
        net(np.random.default_rng(0).random((4, SIDE, SIDE, 3), np.float32), training=True)
        return net

    def reloaded(other: Callable[[], Any] = _model) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "other.weights.h5"
            other().save_weights(file)
            net = _model()
            net.load_weights(file)
            return net

    def headless() -> Any:
        return reloaded(lambda: keras.applications.MobileNetV2(weights=None, alpha=0.35, include_top=False))

    def without_limit() -> Any:
        def clone(layer: Any) -> Any:
            named = layer.__class__.__name__ == "ReLU"
            return (
                keras.layers.ReLU(name=layer.name)
                if named
                else layer.__class__.from_config(layer.get_config())
            )

        return keras.models.clone_model(_model(), clone_function=clone)

    def averaged() -> Any:
        net = _model()
        net.compile(keras.optimizers.SGD(use_ema=True), "sparse_categorical_crossentropy")
        net.train_on_batch(blank, np.zeros(1, np.int64))
        return net

    return {
        "labels shifted by one": program(_model, lambda names: names[-1:] + names[:-1]),
        '"10" before "2"': program(_model, sorted),
        "another set's names": program(_model, lambda names: sorted(names, reverse=True)),
        "frozen BatchNorm drifts": program(drifted),
        "head left random": program(headless),
        "other weights": program(reloaded),
        "symmetric for SAME padding": program(reloaded),
        "ReLU for ReLU6": program(without_limit),
        "EMA not used": program(averaged),
        "engine upgraded": _in_bf16,
    }


def _in_bf16(watch: Watch) -> None:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        net = _model()
        watch.using(PREDICT)
        net.predict(np.zeros((1, SIDE, SIDE, 3), np.float32), verbose=0)
    finally:
        keras.config.set_dtype_policy(before)


def of_data(work: Path) -> Mapping[str, Faulty]:
    """The mistakes of datasets and of the training: `image_dataset_from_directory` and `fit`'s step."""
    import keras

    def program(name: str, rate: float = 1e-3) -> Faulty:
        def run(watch: Watch) -> None:
            root = work / "planted" / name.replace(" ", "_")
            parts = []
            for split in ("train", "val"):
                files = [sorted(folder.iterdir())[0] for folder in sorted((root / split).iterdir())][:4]
                shown = [np.asarray(keras.utils.load_img(file, target_size=(SIDE, SIDE))) for file in files]
                parts.append((np.stack(shown).astype(np.float32) / 127.5 - 1, np.arange(len(files))))
            net = _model()
            net.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
            watch.using(TRAIN)
            net.fit(*parts[0], validation_data=parts[1], verbose=0)

        return run

    return {
        "none: training": program("plain"),
        **{name: program(name) for name in planting.DATASETS},
        "learning rate that kills": program("plain", 1.0),
    }


def of_files() -> Mapping[str, Faulty]:
    """The mistakes of exports, int8 and files."""

    def changed(change: Callable[[bytes], bytes]) -> Faulty:
        def run(watch: Watch) -> None:
            import keras

            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "net.keras"
                _model().save(file)
                file.write_bytes(change(file.read_bytes()))
                net = keras.models.load_model(file)
                watch.using(PREDICT)
                net.predict(np.zeros((1, SIDE, SIDE, 3), np.float32), verbose=0)

        return run

    return {
        "none: loading": changed(lambda data: data),
        "truncated file": changed(lambda data: data[:-4096]),
        "altered file": changed(_one_bit),
        "none: exporting": lambda watch: _exported(1, watch),
        "fixed batch": lambda watch: _exported(2, watch),
        "none: quantizing": lambda watch: _quantized(1.0, watch, per_channel=True),
        "calibrated with wrong preprocessing": lambda watch: _quantized(255.0, watch, per_channel=True),
        "sensitive layer collapsed": lambda watch: _quantized(1.0, watch, per_channel=False),
    }


def _one_bit(data: bytes) -> bytes:
    found = bytearray(data)
    found[len(found) // 2] ^= 0x40
    return bytes(found)


def _exported(pictures: int, watch: Watch, quantize: Callable[[Path], Path] | None = None) -> None:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        out, net = Path(folder) / "net.onnx", _model()
        net(np.zeros((1, SIDE, SIDE, 3), np.float32))
        net.export(out, format="onnx", verbose=False)
        ready = out if quantize is None else quantize(out)
        session = onnxruntime.InferenceSession(str(ready), providers=["CPUExecutionProvider"])
        watch.using(EXPORT)
        session.run(None, {session.get_inputs()[0].name: np.zeros((pictures, SIDE, SIDE, 3), np.float32)})


def _quantized(scale: float, watch: Watch, *, per_channel: bool) -> None:
    from faults.exports import quantized

    shown = [np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32) * np.float32(scale)]
    _exported(
        1, watch, lambda out: quantized(out, shown, out.with_name("int8.onnx"), per_channel=per_channel)
    )


if __name__ == "__main__":
    main()
