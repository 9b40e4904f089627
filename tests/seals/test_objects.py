"""Seals of detectors and segmenters: the evidence, and the stage at which a change of them is found."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from signet.errors import BadInput
from signet.models import load
from signet.sealing import SealSettings, seal
from signet.seals import Expected, open_seal
from signet.verification import verify

from .objects import KINDS, make
from .test_evidence import _with_expected

ORDER = {"step": "order", "order": "BGR"}


@pytest.fixture(scope="session")
def sealed(tmp_path_factory, photos):
    """Kind to seal."""
    folder = tmp_path_factory.mktemp("objects")
    settings = SealSettings(bf16_images=0)
    return {
        kind: seal(make(kind, folder), photos, out=folder / f"{kind}.signet", settings=settings).path
        for kind in KINDS
    }


@pytest.fixture
def copied(sealed, tmp_path):
    return lambda kind: Path(shutil.copytree(sealed[kind], tmp_path / f"{kind}.signet"))


def _output(**changes):
    return lambda manifest: manifest["card"]["output"].update(changes)


def _nms(**changes):
    return lambda manifest: manifest["card"]["output"]["nms"].update(changes)


def _step(name, **changes):
    return lambda manifest: next(step for step in manifest["card"]["program"] if step["step"] == name).update(
        changes
    )


def _shift_labels(manifest):
    labels = manifest["card"]["labels"]
    manifest["card"]["labels"] = labels[-1:] + labels[:-1]


def _swap_channels(manifest):
    manifest["card"]["program"].insert(-1, ORDER)


def _swap_channels_before(manifest):
    manifest["card"]["program"].insert(1, ORDER)


EDITS = {
    "another NMS overlap": ("detect", _nms(iou=0.1), "answer"),
    "suppression of all classes": ("detect", _nms(class_wise=False), "answer"),
    "a number of answers": ("detect", _nms(after=5), "answer"),
    "soft suppression": ("detect", _nms(soft="gaussian"), "answer"),
    "a higher score floor": ("detect", _nms(score_floor=0.3), "head"),
    "a lower score floor": ("detect", _nms(score_floor=0.0), "head"),
    "one label a box": ("detect", _nms(multi_label=False), "head"),
    "strides in another order": ("detect", _output(strides=[16, 8]), "head"),
    "other strides": ("detect", _output(strides=[8, 32]), "head"),
    "a sigmoid too many": ("detect", _output(activation="sigmoid"), "head"),
    "a centred letterbox": ("detect", _step("pad", anchor="center"), "resize"),
    "another colour of the letterbox": ("detect", _step("pad", value=0), "resize"),
    "stretched": ("detect", _step("resize", fit="stretch"), "resize"),
    "swapped channels": ("detect", _swap_channels, "layout"),
    "swapped channels first of all": ("detect", _swap_channels_before, "layout"),
    "EXIF ignored": ("detect", _step("read", orient=False), "orient"),
    "another range": ("detect", _step("range", scale=1 / 128), "normalise"),
    "shifted labels": ("detect", _shift_labels, "decision"),
    "an output that is not there": ("detect", _output(tensor="elsewhere"), "network"),
    "fractions for pixels": ("instances", _output(units="fraction"), "head"),
    "another mask threshold": ("instances", _output(mask_threshold=0.8), "answer"),
    "another NMS overlap of instances": ("instances", _nms(iou=0.1), "answer"),
    "shifted labels of instances": ("instances", _shift_labels, "decision"),
    "shifted labels of a map": ("class_map", _shift_labels, "decision"),
    "a centred map": ("class_map", _step("pad", anchor="center"), "resize"),
    "channels last": ("pixel_logits", _output(channels="last"), "head"),
    "shifted labels of logits": ("pixel_logits", _shift_labels, "decision"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_seal_passes_on_every_engine(sealed, kind):
    for engine in ("onnx", "openvino"):
        verdict = verify(sealed[kind], engine=engine, precision="fp32")
        assert verdict.ok, verdict.message
        assert verdict.agree == verdict.total == 4
        names = [stage.name for stage in verdict.stages]
        assert names[-4:] == ["network", "head", "answer", "decision"]


@pytest.mark.parametrize("name", EDITS)
def test_the_first_stage_that_differs_is_named(copied, forge, name):
    kind, edit, stage = EDITS[name]
    folder = copied(kind)
    forge(folder, edit)
    verdict = verify(folder, engine="onnx")
    assert verdict.first_divergence == stage, verdict.message


@pytest.mark.parametrize("kind", KINDS)
def test_the_evidence_is_what_the_model_answers(sealed, kind):
    opened = open_seal(sealed[kind])
    assert opened.manifest.format == (1, 1)
    tensors = Expected.from_file(opened.expected).of(1)
    with load(sealed[kind], engine="onnx") as model:
        answer = model(opened.golden[1])[0]
    if kind in ("class_map", "pixel_logits"):
        laid_out = np.repeat(tensors["answer"], tensors["answer.runs"]).reshape(answer.size)
        assert np.array_equal(laid_out, answer.indices)
        assert len(np.unique(laid_out)) == 3
        return
    boxes = answer if kind == "detect" else answer.boxes
    assert len(boxes) > 5
    assert np.allclose(tensors["answer"], boxes.xyxy, atol=1e-3)
    assert np.allclose(tensors["answer.scores"], boxes.scores, atol=1e-6)
    assert tensors["decision"].tolist() == boxes.indices[boxes.scores >= 0.25].tolist()
    names = tensors["label"].tobytes().decode().split("\n")[:-1]
    assert names == [label for label, score in zip(boxes.labels, boxes.scores, strict=True) if score >= 0.25]
    if kind == "instances":
        ends = np.cumsum(tensors["answer.masks"])
        runs = np.split(tensors["answer.runs"], ends[:-1])
        assert all(np.array_equal(row, mask.counts) for row, mask in zip(runs, answer.masks, strict=True))


def _changed(name, change):
    def made(expected):
        tensor = change(expected.tensors[name].copy())
        return dataclasses.replace(expected, tensors={**expected.tensors, name: tensor})

    return made


def _without(name):
    return lambda expected: dataclasses.replace(
        expected, tensors={key: value for key, value in expected.tensors.items() if key != name}
    )


@pytest.mark.parametrize(
    ("kind", "change", "stage"),
    [
        ("detect", _changed("1/answer", lambda xyxy: xyxy + np.float32(9)), "answer"),
        ("detect", _changed("1/answer", lambda xyxy: xyxy[:, ::-1].copy()), "answer"),
        ("detect", _changed("1/answer", lambda xyxy: xyxy.reshape(-1)), "answer"),
        ("detect", _changed("1/answer.scores", lambda scores: scores * np.float32(0.9)), "answer"),
        ("detect", _changed("1/answer.size", lambda size: size * 1000), "answer"),
        ("detect", _changed("1/head.rows", lambda rows: rows + 1), "head"),
        ("detect", _changed("1/network.predictions", lambda raw: raw[1:]), "network"),
        ("detect", _changed("1/decision", lambda indices: indices[1:]), "decision"),
        ("detect", _without("1/answer.least"), "answer"),
        ("detect", _without("1/label"), "decision"),
        ("detect", _without("1/network.predictions"), "network"),
        ("instances", _changed("1/answer.masks", lambda counts: counts * 2), "answer"),
        ("instances", _changed("1/answer.runs", lambda runs: runs + 2**62), "answer"),
        ("class_map", _changed("1/answer.runs", lambda runs: runs - 1), "answer"),
        ("class_map", _changed("1/answer", lambda values: values * 0), "answer"),
        ("class_map", _changed("1/answer", lambda values: values + 2**40), "answer"),
    ],
)
def test_evidence_that_somebody_changed_is_a_verdict_and_no_crash(copied, forge, kind, change, stage):
    folder = copied(kind)
    _with_expected(folder, forge, change)
    verdict = verify(folder, engine="onnx")
    assert verdict.first_divergence == stage, verdict.message


def test_it_predicts_verifies_and_is_sealed_again_without_torch(sealed, tmp_path):
    assert importlib.util.find_spec("signet")
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import signet\n"
        f"for path in {[str(path) for path in sealed.values()]!r}:\n"
        "    assert signet.verify(path, precision='fp32').ok\n"
        "    with signet.load(path) as model: model(path + '/golden/1.jpg')\n"
        f"signet.seal({str(sealed['detect'])!r}, out={str(tmp_path / 'again.signet')!r})\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('timm', 'torchvision')]\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_an_output_that_is_no_number_is_not_sealed(tmp_path):
    from onnx import load as load_onnx
    from onnx import numpy_helper, save

    from signet.graphs.opening import open_graph

    found = make("pixel_logits", tmp_path)
    graph = load_onnx(str(found.networks[0].path))
    values = numpy_helper.to_array(graph.graph.initializer[0]) * np.float32(np.inf)
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, graph.graph.initializer[0].name))
    save(graph, str(tmp_path / "bad.onnx"))
    odd = dataclasses.replace(found, networks=(open_graph(tmp_path / "bad.onnx"),))
    with pytest.raises(BadInput, match="logits"):
        seal(odd, out=tmp_path / "out.signet")


def test_the_models_card_says_what_it_answers(sealed):
    text = (sealed["detect"] / "README.md").read_text("utf-8")
    assert "yolox" in text
    assert "overlaps a better one of its class by more than 0\\.3" in text
    assert "score of at least 0\\.05" in text
    assert "probability is above 0\\.5" in (sealed["instances"] / "README.md").read_text("utf-8")
    assert "label for each pixel" in (sealed["class_map"] / "README.md").read_text("utf-8")


@pytest.mark.large
@pytest.mark.parametrize(
    ("name", "engines"),
    [
        ("yolox_nano.onnx", ("onnx", "openvino")),
        ("deeplabv3_mnv2_dm05_pascal_quant.tflite", ("openvino",)),
    ],
)
def test_real_networks(shared, tmp_path, name, engines):
    images = sorted((shared / "data" / "coco_tiny").rglob("*.jpg"))[:4]
    made = seal(shared / "weights" / "files" / name, images, out=tmp_path / "real.signet")
    assert sum(file.stat().st_size for file in (made.path / "golden").iterdir()) < 10_000_000
    for engine in engines:
        verdict = verify(made, engine=engine, precision="fp32")
        assert verdict.ok, verdict.message
        assert verdict.agree == verdict.total
