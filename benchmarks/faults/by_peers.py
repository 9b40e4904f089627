"""What libraries say of the mistakes, on torch: an error or a warning of the library while it is used.

    PYTHONPATH=benchmarks PYTHON -m faults.by_peers LIBRARY --work FOLDER --shared FOLDER

PYTHON has the library. The datasets lie in FOLDER already (`faults.by_signet` plants them).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults import detecting_peers, planting
from faults.adapters import LIBRARIES, STD, Adapter, Picture
from faults.noticing import Faulty, Noticed, Record, Watch, watched
from faults.pipelines import SIDE

PREDICT, TRAIN, EXPORT = "predicting", "training and validating", "exporting and running"


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=tuple(LIBRARIES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    asked = parser.parse_args()
    adapter = LIBRARIES[asked.library]()
    record = Record(asked.work / "noticed.jsonl")
    picture = sorted((asked.shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[0]
    programs = {
        **of_pictures(adapter, picture),
        **of_models(adapter, picture),
        **of_data(adapter, asked.work),
        **of_files(adapter),
        **detecting_peers.programs(adapter.name),
    }
    for name, program in programs.items():
        if not record.has(name, adapter.name):
            record.add(_row(adapter, name, program))


def _row(adapter: Adapter, name: str, program: Faulty) -> Noticed:
    if name in adapter.impossible:
        return Noticed(name, adapter.name, "impossible", adapter.impossible[name])
    if name in adapter.absent:
        return Noticed(name, adapter.name, "does not apply", adapter.absent[name])
    return watched(name, adapter.name, program)


def of_pictures(adapter: Adapter, photo: Path) -> Mapping[str, Faulty]:
    """The mistakes of reading and preparing, each in a prediction of a sound network."""

    def program(read: Callable[[Path], Picture], late: Callable[[Any], Any], **changes: Any) -> Faulty:
        def run(watch: Watch) -> None:
            net, shown = adapter.module(), late(adapter.view(read(photo), **changes))
            watch.using(PREDICT)
            adapter.logits(net, shown)

        return run

    def same(value: Any) -> Any:
        return value

    opened = adapter.opened
    read_faults: Mapping[str, Callable[[Path], Picture]] = {
        "channels swapped": lambda at: Image.fromarray(
            np.ascontiguousarray(np.asarray(opened(at))[:, :, ::-1])
        ),
        "alpha on black": lambda at: _clear(opened(at)),
        "grey in one channel": lambda at: _in_one_channel(opened(at)),
        "scaled decode": _draft,
        "EXIF ignored": lambda at: _lying(opened, at),
        "long side rounded up": lambda at: opened(at).resize((301, 256)),
        "crop off the middle": lambda at: opened(at).resize((300, 256)).crop((0, 0, SIDE, SIDE)),
    }
    changed: Mapping[str, Mapping[str, Any]] = {
        "no antialias": {"antialias": False},
        "another filter": {"filter": "bicubic"},
        "stretch for crop": {"size": (256, 256)},
        "crop ratio": {"size": round(SIDE / 0.95)},
        "another zoo's mean and std": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
        "no normalisation": {"normalised": False},
        "0 to 255 for 0 to 1": {"scaled": False},
    }
    return {
        "none: predicting": program(opened, same),
        **{name: program(read, same) for name, read in read_faults.items()},
        **{name: program(opened, same, **changes) for name, changes in changed.items()},
        "normalised twice": program(opened, lambda shown: (shown - STD[0]) / STD[0]),
        "NHWC for NCHW": program(opened, lambda shown: shown.permute(0, 2, 3, 1).reshape(1, 3, SIDE, SIDE)),
    }


def _clear(picture: Picture) -> Picture:
    whole = picture.convert("RGBA")
    whole.putalpha(100)
    return Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole).convert("RGB")


def _in_one_channel(picture: Picture) -> Picture:
    pixels = np.asarray(picture).copy()
    pixels[:, :, 1:] = 0
    return Image.fromarray(pixels)


def _draft(path: Path) -> Picture:
    picture = Image.open(path)
    picture.draft("RGB", (picture.width // 2, picture.height // 2))
    return picture.convert("RGB")


def _lying(opened: Callable[[Path], Picture], path: Path) -> Picture:
    with tempfile.TemporaryDirectory() as folder:
        turned, exif = Path(folder) / "turned.jpg", Image.Exif()
        exif[0x0112] = 6
        Image.open(path).convert("RGB").save(turned, exif=exif)
        return opened(turned)


def of_models(adapter: Adapter, photo: Path) -> Mapping[str, Faulty]:
    """The mistakes of labels and networks, each in a prediction from a sound view."""
    import torch

    def program(make: Callable[[], Any], labels: Callable[[list[str]], list[str]] = list) -> Faulty:
        def run(watch: Watch) -> None:
            net, shown = make(), adapter.view(adapter.opened(photo))
            names = labels([str(number) for number in range(1000)])
            watch.using(PREDICT)
            names[int(adapter.logits(net, shown)[0].argmax())].upper()

        return run

    def drifted() -> Any:
        net = adapter.module().train()
        with torch.no_grad():
            adapter.logits(net, torch.rand(4, 3, SIDE, SIDE))
        return net.eval()

    def headless() -> Any:
        from safetensors.torch import load_file, save_file

        with tempfile.TemporaryDirectory() as folder:
            at = adapter.saved(adapter.module(), Path(folder) / "whole.safetensors")
            file = at / "model.safetensors" if at.is_dir() else at
            left = {
                name: value for name, value in load_file(file).items() if not name.startswith(adapter.head)
            }
            save_file(left, file, metadata={"format": "pt"})
            return adapter.loaded(adapter.module(), at)

    def averaged() -> Any:
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        net = adapter.module()
        AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9)).update_parameters(net)
        return net

    return {
        "labels shifted by one": program(adapter.module, lambda names: names[-1:] + names[:-1]),
        '"10" before "2"': program(adapter.module, sorted),
        "another set's names": program(adapter.module, lambda names: sorted(names, reverse=True)),
        "train mode at inference": program(lambda: adapter.module().train()),
        "frozen BatchNorm drifts": program(drifted),
        "head left random": program(headless),
        "other weights": program(lambda: _reloaded(adapter)),
        "symmetric for SAME padding": program(lambda: _reloaded(adapter)),
        "ReLU for ReLU6": program(lambda: _without_limit(adapter.module())),
        "EMA not used": program(averaged),
        "engine upgraded": lambda watch: _in_bf16(adapter, photo, watch),
    }


def _reloaded(adapter: Adapter) -> Any:
    """Weights of another training, and of one with another padding, have the same names and shapes."""
    with tempfile.TemporaryDirectory() as folder:
        at = adapter.saved(adapter.module(), Path(folder) / "other.safetensors")
        return adapter.loaded(adapter.module(), at)


def _without_limit(net: Any) -> Any:
    from torch import nn

    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, nn.ReLU())
    return net


def _in_bf16(adapter: Adapter, photo: Path, watch: Watch) -> None:
    import torch

    net, shown = adapter.module(), adapter.view(adapter.opened(photo))
    watch.using(PREDICT)
    with torch.autocast("cpu", torch.bfloat16):
        adapter.logits(net, shown)


def of_data(adapter: Adapter, work: Path) -> Mapping[str, Faulty]:
    """The mistakes of datasets and of the training, each in a step of training and one of validation."""

    def program(name: str, rate: float = 1e-3, **changes: Any) -> Faulty:
        def run(watch: Watch) -> None:
            learned, judged = adapter.datasets(work / "planted" / name.replace(" ", "_"), **changes)
            watch.using(TRAIN)
            _learn(adapter, learned, judged, rate)

        return run

    return {
        "none: training": program("plain"),
        **{name: program(name) for name in planting.DATASETS},
        "learning rate that kills": program("plain", rate=1.0),
        "augmentation in validation": program("plain", augmented=True),
    }


def _learn(adapter: Adapter, learned: Any, judged: Any, rate: float) -> None:
    import torch

    net = adapter.module().train()
    optimizer = torch.optim.SGD(net.parameters(), rate)
    for part in (learned, judged):
        pairs = [part[place] for place in range(4)]
        shown = torch.stack([torch.as_tensor(pair[0]).float() for pair in pairs])
        loss = torch.nn.functional.cross_entropy(
            adapter.logits(net, shown), torch.tensor([pair[1] for pair in pairs])
        )
        if net.training:
            loss.backward()
            optimizer.step()
            net.eval()


def of_files(adapter: Adapter) -> Mapping[str, Faulty]:
    """The mistakes of exports, int8 and files."""

    def changed(change: Callable[[bytes], bytes]) -> Faulty:
        def run(watch: Watch) -> None:
            with tempfile.TemporaryDirectory() as folder:
                at = adapter.saved(adapter.module(), Path(folder) / "net.safetensors")
                file = at / "model.safetensors" if at.is_dir() else at
                file.write_bytes(change(file.read_bytes()))
                net = adapter.loaded(adapter.module(), at)
                watch.using(PREDICT)
                _blank(adapter, net)

        return run

    return {
        "none: exporting": lambda watch: _exported(adapter.module(), 1, watch),
        "none: quantizing": lambda watch: _quantized(adapter.module(), 1.0, watch, per_channel=True),
        "none: loading": changed(lambda data: data),
        "exported in train mode": lambda watch: _exported(adapter.module().train(), 1, watch),
        "fixed batch": lambda watch: _exported(adapter.module(), 2, watch),
        "calibrated with wrong preprocessing": lambda watch: _quantized(
            adapter.module(), 255.0, watch, per_channel=True
        ),
        "sensitive layer collapsed": lambda watch: _quantized(
            adapter.module(), 1.0, watch, per_channel=False
        ),
        "truncated file": changed(lambda data: data[:-4096]),
        "altered file": changed(_one_bit),
    }


def _blank(adapter: Adapter, net: Any) -> None:
    import torch

    adapter.logits(net, torch.zeros(1, 3, SIDE, SIDE))


def _one_bit(data: bytes) -> bytes:
    found = bytearray(data)
    found[len(found) // 2] ^= 0x40
    return bytes(found)


def _exported(net: Any, pictures: int, watch: Watch) -> None:
    import onnxruntime
    import torch

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "net.onnx"
        torch.onnx.export(net, (torch.zeros(1, 3, SIDE, SIDE),), str(out), external_data=False, verbose=False)
        session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
        watch.using(EXPORT)
        session.run(None, {session.get_inputs()[0].name: np.zeros((pictures, 3, SIDE, SIDE), np.float32)})


def _quantized(net: Any, scale: float, watch: Watch, *, per_channel: bool) -> None:
    import onnxruntime
    import torch

    from faults.exports import quantized

    with tempfile.TemporaryDirectory() as folder:
        graph, out = Path(folder) / "net.onnx", Path(folder) / "int8.onnx"
        torch.onnx.export(
            net, (torch.zeros(1, 3, SIDE, SIDE),), str(graph), external_data=False, verbose=False
        )
        shown = [np.random.default_rng(0).random((3, SIDE, SIDE), np.float32) * np.float32(scale)]
        session = onnxruntime.InferenceSession(
            str(quantized(graph, shown, out, per_channel=per_channel)), providers=["CPUExecutionProvider"]
        )
        watch.using(EXPORT)
        session.run(None, {session.get_inputs()[0].name: shown[0][None]})


if __name__ == "__main__":
    main()
