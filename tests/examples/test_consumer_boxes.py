"""The reference reader of detectors gives the boxes that Signet gives, without Signet."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from signet.answers.suppression import kept
from signet.cards import Card
from signet.models import load
from signet.sealing import seal
from signet.zoos import from_file

ROOT = Path(__file__).resolve().parent.parent.parent
READER = ROOT / "examples" / "consumer_boxes.py"
SIDE, CLASSES, COUNT = 64, 3, 80


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The one of the tests of seals: a network that was traced once is not traced again.
        patch.setenv("SIGNET_CACHE", str(tmp_path_factory.getbasetemp() / "signet-cache"))
        yield


@pytest.fixture(scope="module")
def reader(module_at):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(READER.parent))
        yield module_at("signet_consumer_boxes", READER)
    sys.modules.pop("consumer", None)


@pytest.fixture(scope="module")
def objects(module_at):
    return module_at("signet_seals_objects", ROOT / "tests" / "seals" / "objects.py")


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(3)
    paths = []
    for place, (width, height) in enumerate([(90, 40), (33, 71), (64, 64), (130, 97)]):
        values = generator.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        exif = PillowImage.Exif()
        exif[0x0112] = (1, 6, 3, 8)[place]
        path = tmp_path / f"{place}.jpg"
        PillowImage.fromarray(values).resize((width, height)).save(path, exif=exif)
        paths.append(path)
    return paths


def compare(reader, sealed, paths):
    ours = reader.Detector(sealed.path)
    assert ours.verify() == len(sealed.golden)
    counts = []
    with load(sealed.path, engine="onnx") as model:
        for path, expected in zip(paths, model(paths), strict=True):
            found = ours.answer(path)
            assert [row["label"] for row in found] == list(expected.labels)
            assert [row["index"] for row in found] == expected.indices.tolist()
            assert np.allclose([row["score"] for row in found], expected.scores, atol=2e-6)
            assert np.allclose([row["xyxy"] for row in found], expected.xyxy.reshape(-1, 4), atol=2e-3)
            counts.append(len(found))
    return counts


@pytest.mark.parametrize(("anchor", "multi_label"), [("top-left", True), ("center", False)])
def test_its_boxes_are_signets_of_yolox(anchor, multi_label, reader, objects, pictures, tmp_path):
    found = objects.make("detect", tmp_path)
    plain = found.card.to_dict()
    plain["program"][2]["anchor"] = anchor
    plain["output"]["nms"]["multi_label"] = multi_label
    changed = dataclasses.replace(found, card=Card.from_dict(plain))
    sealed = seal(changed, pictures, out=tmp_path / "fresh.signet")
    counts = compare(reader, sealed, pictures)
    assert min(counts) > 3


def graph(folder, outputs):
    """A network whose boxes are constants, shifted by what is in the picture."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0)]
    nodes.append(helper.make_node("Mul", ["mean", "little"], ["shift"]))
    values = [numpy_helper.from_array(np.float32(1e-3), "little")]
    infos = []
    for name, array in outputs.items():
        values.append(numpy_helper.from_array(array[None].astype(np.float32), f"{name}-fixed"))
        nodes.append(
            helper.make_node(
                "Add" if name != "classes" else "Identity",
                [f"{name}-fixed", "shift"][: 2 - (name == "classes")],
                [name],
            )
        )
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *array.shape]))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    made = helper.make_model(
        helper.make_graph(nodes, "boxes", [image], infos, values),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = folder / "boxes.onnx"
    onnx.save(made, path)
    return path


def written(folder, outputs, output):
    path = graph(folder, outputs)
    card = {
        "format": {"major": 1, "minor": 0},
        "name": "tests/boxes",
        "task": "detect",
        "labels": ["a", "b", "c"],
        "program": [
            {"step": "read"},
            {"step": "resize", "size": [SIDE, SIDE], "fit": "pad"},
            {"step": "pad", "to": [SIDE, SIDE], "value": 114, "anchor": "center"},
            {"step": "range", "scale": 1 / 255},
            {"step": "layout"},
        ],
        "inputs": [{"name": "images", "kind": "image", "dtype": "float32", "shape": [1, 3, SIDE, SIDE]}],
        "output": {"classes": CLASSES, **output},
    }
    path.with_name(f"{path.name}.card.json").write_text(json.dumps(card))
    return from_file.pretrained(path, None)


def drawn(activated=True):
    """Centres and sides of crowded boxes, their objectness and classes."""
    random = np.random.default_rng(11)
    centres, sides = random.uniform(5, SIDE - 5, (COUNT, 2)), random.uniform(8, 30, (COUNT, 2))
    boxes = np.concatenate([centres, sides], axis=1)
    scores = random.uniform(0, 1, (COUNT, 1 + CLASSES)) ** 2
    return boxes, scores if activated else np.log(scores / (1 - scores))


NMS = {"iou": 0.4, "score_floor": 0.05}
ALL = {**NMS, "class_wise": False}
KINDS = {
    "yolov8": ({"head": "yolov8", "nms": NMS}, False),
    "yolov8 that ends before its sigmoid": ({"head": "yolov8", "activation": "sigmoid", "nms": NMS}, True),
    "yolov8 in fractions": ({"head": "yolov8", "units": "fraction", "nms": ALL}, False),
    "yolov8 with few answers": ({"head": "yolov8", "nms": {**NMS, "before": 40, "after": 5}}, False),
    "yolov5": ({"head": "yolov5", "nms": {"iou": 0.5}}, False),
    "yolov10": ({"head": "yolov10"}, False),
    "boxes": ({"head": "boxes"}, False),
    "boxes with a background": ({"head": "boxes", "drop_first": True, "classes": 4, "nms": NMS}, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_its_boxes_are_signets_of_the_other_heads(kind, reader, pictures, tmp_path):
    output, raw = KINDS[kind]
    boxes, scores = drawn(activated=not raw)
    if output.get("units") == "fraction":
        boxes = boxes / SIDE
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    order = np.argsort(-scores[:, 0])
    classes = (np.arange(COUNT) % output.get("classes", CLASSES))[:, None]
    outputs = {
        "yolov8": lambda: {"predictions": np.concatenate([boxes, scores[:, 1:]], axis=1).T},
        "yolov5": lambda: {"predictions": np.concatenate([boxes, scores], axis=1)},
        "boxes": lambda: {
            "boxes": corners[order],
            "scores": scores[order, 0],
            "classes": classes[order, 0].astype(float),
        },
    }
    if output["head"] == "yolov10":
        # The shift of the picture is far below half a class.
        table = np.concatenate([corners, scores[:, :1], classes], axis=1)[order]
        found = written(tmp_path, {"predictions": table}, output)
    else:
        found = written(tmp_path, outputs[output["head"]](), output)
    sealed = seal(found, pictures[:2], out=tmp_path / "fresh.signet")
    assert min(compare(reader, sealed, pictures)) >= 5


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans())
def test_its_suppression_decides_as_signets(reader, count, seed, iou, class_wise):
    random = np.random.default_rng(seed)
    near = random.integers(0, 12, (count, 2))
    boxes = np.concatenate([near, near + random.integers(0, 9, (count, 2))], axis=1).astype(np.float32)
    scores = np.sort(random.integers(1, 6, count))[::-1].astype(np.float32)
    classes = random.integers(0, 2, count)
    nms = {"iou": iou, "class_wise": class_wise, "after": None}
    expected = kept(boxes, scores, classes if class_wise else np.zeros_like(classes), iou)
    assert reader.kept(boxes, classes, nms) == expected.tolist()


def test_it_answers_on_the_command_line_and_refuses_a_harmed_seal(objects, pictures, tmp_path):
    sealed = seal(objects.make("detect", tmp_path), pictures[:1], out=tmp_path / "fresh.signet")

    def ran(*words):
        command = [sys.executable, "-W", "error", str(READER), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = ran(sealed.path, pictures[0])
    assert good.returncode == 0, good.stderr
    row = json.loads(good.stdout)
    assert (row["source"], row["kind"]) == (str(pictures[0]), "boxes")
    assert all(box["score"] >= 0.25 for box in row["boxes"])
    place = sealed.path / "golden" / "expected.safetensors"
    place.write_bytes(place.read_bytes()[:-1])
    bad = ran(sealed.path)
    assert (bad.returncode, "golden/expected.safetensors" in bad.stderr) == (1, True)
    assert ran().returncode == 2


@pytest.mark.large
def test_its_boxes_are_signets_on_a_real_network(reader, shared, tmp_path):
    images = sorted((shared / "data/coco_tiny").rglob("*.jpg"))[:40:10]
    sealed = seal(shared / "weights/files/yolox_nano.onnx", images[:1], out=tmp_path / "real.signet")
    assert min(compare(reader, sealed, images)) >= 5


EDITS = {
    "instances": (lambda card: card.update(task="instances"), "task 'instances'"),
    "another head": (lambda card: card["output"].update(head="nanodet"), "not 'nanodet'"),
    "soft": (lambda card: card["output"]["nms"].update(soft="linear"), "by their overlap alone"),
    "other labels": (lambda card: card["labels"].reverse(), "the list of labels is not the one"),
    "another floor": (lambda card: card["output"]["nms"].update(score_floor=0.9), "no box of class"),
    "more boxes": (lambda card: card["output"]["nms"].update(iou=1.0, after=1000), "that was not sealed"),
}


@pytest.mark.parametrize("name", EDITS)
def test_it_says_what_it_does_not_decode_and_what_was_decided_otherwise(
    name, reader, objects, pictures, tmp_path, capsys
):
    edit, words = EDITS[name]
    sealed = seal(objects.make("detect", tmp_path), pictures[:1], out=tmp_path / "fresh.signet")
    folder = Path(shutil.copytree(sealed.path, tmp_path / "edited.signet"))
    manifest = json.loads((folder / "seal.json").read_text("utf-8"))
    edit(manifest["card"])
    data = json.dumps(manifest).encode()
    (folder / "seal.json").write_bytes(data)
    (folder / "seal.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  seal.json\n")
    assert reader.main([str(folder)]) == 1
    assert words in capsys.readouterr().err
