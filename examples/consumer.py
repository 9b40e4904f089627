"""A reader of sealed models that knows no Signet: numpy, Pillow and ONNX Runtime only.

    python examples/consumer.py birds.signet robin.jpg

It checks every file against its digest, replays the golden images and compares the decisions, and then
answers for images. It follows docs/seal-format.md; whoever writes a reader in another language can start
here. It reads folders, not zips, and classifiers with an ONNX graph; `consumer_boxes.py` reads detectors.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

Array = NDArray[Any]
ROUND: dict[str, Callable[[float], int]] = {"floor": math.floor, "round": round, "ceil": math.ceil}
FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
}
# The fields of each step, with what they are where a program leaves them out.
STEPS: dict[str, dict[str, Any]] = {
    "read": {"channels": "RGB", "orient": True},
    "crop": {"size": None, "fraction": None, "anchor": "center", "rounding": "round", "fill": 0},
    "resize": {
        **{"size": None, "short": None, "longest": None, "fit": "short", "filter": "bilinear"},
        **{"antialias": True, "rounding": "floor", "upscale": True, "lengths": None, "multiple": None},
    },
    "pad": {"to": None, "multiple": None, "value": 0, "anchor": "center"},
    "range": {"scale": 1.0, "offset": 0.0},
    "normalise": {"mean": None, "std": None},
    "order": {"order": "RGB"},
    "layout": {"order": "NCHW"},
    "type": {"dtype": "float32"},
}


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys occur once."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def finite(text: str) -> float:
    """A JSON number that is one."""
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no number")
    return float(text)


def open_seal(folder: Path) -> dict[str, Any]:
    """Check all files, and only then read the manifest."""
    paths = list(folder.rglob("*"))
    for path in paths:
        if path.is_symlink() or not (path.is_file() or (path.is_dir() and any(path.iterdir()))):
            raise ValueError(f"{path.name} is a link, an empty folder or no plain file")
    raw = (folder / "seal.json").read_bytes()
    stated = (folder / "seal.sha256").read_bytes()
    if stated != f"{hashlib.sha256(raw).hexdigest()}  seal.json\n".encode():
        raise ValueError("seal.json is not what was sealed")
    manifest: dict[str, Any] = json.loads(
        raw.decode("utf-8"), object_pairs_hook=unique, parse_float=finite, parse_constant=finite
    )
    if manifest["format"]["major"] != 1:
        raise ValueError(f"format major {manifest['format']['major']}: this reads major 1")
    present = {path.relative_to(folder).as_posix() for path in paths if path.is_file()} - {"seal.sig"}
    listed = {*manifest["files"], "seal.json", "seal.sha256"}
    if present != listed:
        raise ValueError(f"missing or unlisted: {sorted(present ^ listed)}")
    for name, file in manifest["files"].items():
        data = (folder / name).read_bytes()
        if len(data) != file["size"] or hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise ValueError(f"{name} is not what was sealed")
    return manifest


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Tensors and facts of a file: a length, a JSON header, the values one after the other."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    dtypes = {"U8": np.uint8, "I8": np.int8, "F32": np.float32, "I64": np.int64}
    tensors = {}
    for name in header.keys() - {"__metadata__"}:
        first, last = header[name]["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], dtypes[header[name]["dtype"]])
        tensors[name] = values.reshape(header[name]["shape"])
    return tensors, json.loads(header["__metadata__"]["signet"])


def read(path: Path, step: dict[str, Any]) -> Array:
    """uint8 (H, W, 3), upright, alpha over white."""
    with Image.open(path) as opened:
        picture: Image.Image = ImageOps.exif_transpose(opened) if step["orient"] else opened.copy()
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, (255, 255, 255))
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    picture = picture.convert("RGB")
    return np.asarray(picture.convert("L").convert("RGB") if step["channels"] == "L" else picture)


def resize(array: Array, step: dict[str, Any]) -> Array:
    """Fit "short", "stretch" or "pad", with or without antialias."""
    height, width = array.shape[:2]
    rounded = ROUND[step["rounding"]]
    if step["fit"] == "stretch":
        to = tuple(step["size"])
    elif step["fit"] == "pad":
        ratio = max(height / step["size"][0], width / step["size"][1])
        to = (max(1, rounded(height / ratio)), max(1, rounded(width / ratio)))
    else:
        short, long = step["short"], max(1, rounded(step["short"] * max(height, width) / min(height, width)))
        if step.get("longest") and long > step["longest"]:
            short, long = max(1, rounded(step["longest"] * short / long)), step["longest"]
        low, high, most = min(height, width), max(height, width), step.get("longest") or math.inf
        if step["lengths"] == "factor":
            short, long = (
                max(1, rounded(side * min(step["short"] / low, most / high))) for side in (low, high)
            )
        elif step["lengths"] == "short":
            exact = most * low / high if high / low * step["short"] > most else float(step["short"])
            short, long = max(1, round(exact)), max(1, rounded(exact * high / low))
            long = high if short == low else long
        to = (short, long) if height <= width else (long, short)
        to = tuple(-(-side // (step["multiple"] or 1)) * (step["multiple"] or 1) for side in to)
    if to == (height, width) or (not step["upscale"] and (to[0] > height or to[1] > width)):
        return array
    picture = Image.fromarray(np.ascontiguousarray(array))
    if step["antialias"] or step["filter"] == "nearest":
        return np.asarray(picture.resize((to[1], to[0]), FILTERS[step["filter"]]))
    values: Array = array.astype(np.float64)
    for axis, length in enumerate(to):
        centres = (np.arange(length) + 0.5) * (array.shape[axis] / length) - 0.5
        total: Any = 0
        for tap in (-1, 0, 1, 2) if step["filter"] == "bicubic" else (0, 1):
            place = np.floor(centres).astype(int) + tap
            d = np.abs(centres - place)
            near, far = (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
            weights = np.where(d <= 1, near, far) if step["filter"] == "bicubic" else 1 - d
            taken = np.take(values, np.clip(place, 0, array.shape[axis] - 1), axis)
            total = total + taken * np.expand_dims(weights, (1 - axis, 2))
        values = total
    return np.clip(np.rint(values), 0, 255).astype(np.uint8) if array.dtype == np.uint8 else values


def cut(array: Array, top: int, left: int, box: tuple[int, int], fill: Any) -> Array:
    """A box of a picture; what lies outside the picture is `fill`."""
    canvas = np.empty((*box, array.shape[2]), array.dtype)
    canvas[:] = fill
    inside = array[max(top, 0) : max(top + box[0], 0), max(left, 0) : max(left + box[1], 0)]
    canvas[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return canvas


def window(sides: tuple[int, ...], step: dict[str, Any]) -> tuple[int, int, tuple[int, int], Any]:
    """Where a crop or a pad cuts: top, left, height and width, and what is outside the picture."""
    if step["step"] == "crop":
        square = (max(1, round(min(sides) * (step.get("fraction") or 0))),) * 2
        box, fill = square if step.get("fraction") else tuple(step["size"]), step["fill"]
    else:
        times = step.get("multiple")
        to = [-(-side // times) * times for side in sides] if times else map(max, sides, step["to"])
        box, fill = tuple(to), step["value"]
    corner = [
        -((want - side) // 2) if want > side else ROUND[step.get("rounding", "round")]((side - want) / 2)
        for side, want in zip(sides, box, strict=True)
    ]
    top, left = (0, 0) if step["anchor"] == "top-left" else corner
    return top, left, (box[0], box[1]), fill


def numeric(array: Array, step: dict[str, Any], first: bool) -> Array:
    """An elementwise step, or another order of channels; `first`: the channels are the first axis."""
    match step["step"]:
        case "range":
            array = (array.astype(np.float64) * step["scale"] + step["offset"]).astype(np.float32)
        case "normalise":
            shape = (-1, 1, 1) if first else (1, 1, -1)
            mean, std = (np.asarray(step[key], np.float32).reshape(shape) for key in ("mean", "std"))
            array = (array.astype(np.float32) - mean) / std
        case "order":
            array = np.flip(array, 0 if first else -1) if step["order"] == "BGR" else array
        case "type":
            rounded = np.clip(np.rint(array), 0, 255) if step["dtype"] == "uint8" else array
            array = rounded.astype(step["dtype"])
    return array


def prepared(path: Path, program: list[dict[str, Any]]) -> Array:
    """The network's input for one image, with a batch axis of 1."""
    return traced(path, program)[0]


def traced(path: Path, program: list[dict[str, Any]]) -> tuple[Array, tuple[int, int], Array]:
    """The same, (height, width) of the upright image, and the way: prepared = original * way[0] + way[1]."""
    for step in program:
        if step["step"] not in STEPS or step.keys() - STEPS[step["step"]].keys() - {"step"}:
            raise ValueError(f"unknown step or field: {step}")
    program = [{**STEPS[step["step"]], **step} for step in program]
    array = read(path, program[0])
    size, way, first = array.shape[:2], np.array([[1.0, 1.0], [0.0, 0.0]]), False
    for step in program[1:]:
        if step["step"] == "resize":
            before, array = array.shape[:2], resize(array, step)
            way = way * (np.array(array.shape[:2]) / before)
        elif step["step"] in ("crop", "pad"):
            top, left, box, fill = window(array.shape[:2], step)
            array, way = cut(array, top, left, box, fill), way - [[0, 0], [top, left]]
        elif step["step"] == "layout":
            wanted = step["order"] == "NCHW"
            if wanted != first:
                array, first = array.transpose((2, 0, 1) if wanted else (1, 2, 0)), wanted
        else:
            array = numeric(array, step, first)
    return np.ascontiguousarray(array)[None], (size[0], size[1]), way


def session_of(folder: Path, manifest: dict[str, Any]) -> onnxruntime.InferenceSession:
    """The sealed graph, ready to run."""
    # Pad_Fusion changes answers: it makes padding with zeros part of a max pooling, which pads otherwise.
    graph = str(folder / manifest["graphs"]["image"])
    return onnxruntime.InferenceSession(
        graph, providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
    )


class Classifier:
    """A sealed classifier on ONNX Runtime."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = open_seal(folder)
        self.card = self.manifest["card"]
        head = self.card["output"]["head"]
        if head not in ("softmax", "sigmoid"):
            raise ValueError(
                "all files are as they were sealed. This reader decodes the heads softmax and sigmoid, not "
                f"{head!r} (task {self.card['task']!r}): consumer_boxes.py reads detectors, and "
                "docs/seal-format.md, section 6.1, says how the rest is read."
            )
        self.session = session_of(folder, self.manifest)

    def probabilities(self, path: Path) -> Array:
        """float32 (C,), a dropped background left out."""
        defaults = {"tensor": 0, "already_activated": False, "drop_first": False, "temperature": 1.0}
        output: dict[str, Any] = {**defaults, **self.card["output"]}
        names = [entry.name for entry in self.session.get_outputs()]
        wanted = output["tensor"] if isinstance(output["tensor"], str) else names[output["tensor"]]
        array = prepared(path, self.card["program"])
        raw = self.session.run([wanted], {self.session.get_inputs()[0].name: array})[0].reshape(-1)
        if raw.dtype in (np.uint8, np.int8):
            raw = (raw.astype(np.float32) + (128 if raw.dtype == np.int8 else 0)) / 256
        if not output["already_activated"] and output["head"] == "softmax":
            powers = np.exp((raw - raw.max()) / output["temperature"])
            raw = powers / powers.sum()
        elif not output["already_activated"]:
            raw = 0.5 + 0.5 * np.tanh(raw / output["temperature"] / 2)
        answer: Array = raw[1:] if output["drop_first"] else raw
        return answer

    def answer(self, path: Path) -> dict[str, Any]:
        """The first label of one image."""
        scores = self.probabilities(path)
        index = int(scores.argmax())
        labels = self.card["labels"]
        return {"index": index, "label": labels[index] if labels else None, "score": float(scores[index])}

    def verify(self) -> int:
        """How many golden images there are; every one must be decided as it was when sealed."""
        golden = self.manifest["golden"]
        expected, facts = read_safetensors(self.folder / golden["expected"])
        names = "".join(f"{label}\n" for label in self.card["labels"] or ())
        if hashlib.sha256(names.encode()).hexdigest() != facts["labels_sha256"]:
            raise ValueError("the list of labels is not the one that was sealed")
        for place, entry in enumerate(golden["images"]):
            array = prepared(self.folder / entry["file"], self.card["program"])[0]
            last = [key for key in expected if key.startswith(f"{place}/layout")]
            if last and not np.allclose(array, expected[max(last)], rtol=1e-5, atol=1e-5):
                raise ValueError(f"{entry['file']}: preprocessing differs")
            answer = self.answer(self.folder / entry["file"])
            label = expected[f"{place}/label"].tobytes().decode()
            if (answer["index"], answer["label"] or "") != (int(expected[f"{place}/decision"][0]), label):
                raise ValueError(f"{entry['file']}: sealed as {label!r}, got {answer['label']!r}")
        return len(golden["images"])


def main(arguments: list[str]) -> int:
    """Verify a seal, then answer for images, one JSON line each."""
    if not arguments:
        print("usage: python consumer.py NAME.signet [IMAGE...]", file=sys.stderr)
        return 2
    try:
        model = Classifier(Path(arguments[0]))
        print(f"{model.verify()} golden images decided as sealed", file=sys.stderr)
        for path in arguments[1:]:
            print(json.dumps({"source": path, **model.answer(Path(path))}, ensure_ascii=False))
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
