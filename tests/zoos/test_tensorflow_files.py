"""TensorFlow's files with a card beside them, from prediction to a sealed probe, without TensorFlow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet import datasets
from signet.cli.main import main
from signet.errors import BadCard, BadGraph, BadInput, BadRequest, UnknownName
from signet.images import Image
from signet.models import load, resolve
from signet.recipes import Recipe
from signet.sealing import seal
from signet.verification import verify

HERE = Path(__file__).resolve().parents[1] / "graphs" / "tensorflow"
ANSWERS = np.load(HERE / "answers.npz")
NAMES = [f"label {place}" for place in range(11)]
PROGRAM = [
    {"step": "read"},
    {"step": "resize", "size": [16, 12], "fit": "stretch"},
    {"step": "type", "dtype": "float32"},
    {"step": "range", "scale": 1 / 255},
    {"step": "layout", "order": "NHWC"},
]
BYTES = [*PROGRAM[:2], {"step": "type", "dtype": "uint8"}, PROGRAM[-1]]


@pytest.fixture(scope="module")
def put(tmp_path_factory):
    """`put(name, **changes)`: a copy of one of the models with a card beside it."""
    models = {}

    def make(name, *, output=None, **changes):
        key = json.dumps([name, output, changes])
        if key not in models:
            place = tmp_path_factory.mktemp("model") / name
            (shutil.copytree if (HERE / name).is_dir() else shutil.copy)(HERE / name, place)
            card = {
                "format": {"major": 1, "minor": 0},
                "name": "own/tiny",
                "task": "classify",
                "program": PROGRAM,
                "labels": NAMES,
                "output": {"head": "softmax", "classes": 11, "already_activated": True, **(output or {})},
                **changes,
            }
            place.with_name(f"{name}.card.json").write_text(json.dumps(card))
            models[key] = place
        return models[key]

    return make


@pytest.fixture(scope="module")
def pictures():
    return [Image(pixels, f"picture {place}") for place, pixels in enumerate(ANSWERS["pixels"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The three pictures as files."""
    place = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(ANSWERS["pixels"]):
        PillowImage.fromarray(pixels).save(place / f"{number}.png")
    return place


MODELS = {
    "SavedModel": ("classifier", {"output": {"tensor": "scores"}}, "classifier"),
    "from logits": ("classifier", {"output": {"tensor": "logits", "already_activated": False}}, "classifier"),
    "by position": ("classifier", {"output": {"tensor": 1}}, "classifier"),
    "bytes": (
        "classifier",
        {"program": BYTES, "inputs": [{"name": "pixels", "dtype": "uint8"}], "output": {"tensor": "scores"}},
        "classifier",
    ),
    "frozen": ("slim.pb", {}, "slim"),
    "inner tensors": (
        "inception.pb",
        {
            "inputs": [{"name": "Mul", "dtype": "float32", "shape": [None, 16, 12, 3]}],
            "output": {"tensor": "softmax"},
        },
        "inception",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_predictions_are_those_of_tensorflow(case, put, pictures):
    name, changes, stored = MODELS[case]
    with load(put(name, **changes), precision="fp32") as model:
        answered = model(pictures)
    assert np.abs(np.stack([one.scores for one in answered]) - ANSWERS[stored]).max() < 1e-5
    assert [one.best for one in answered] == [NAMES[place] for place in ANSWERS[stored].argmax(axis=1)]


def test_the_background_of_1001_classes_is_never_answered(put, pictures, tmp_path):
    """As TF-slim's: class 0 is background, and wins twice here; the label file has a name for it."""
    path = put("slim.pb", labels={"file": "names.txt", "drop_first": True}, output={"background_index": 0})
    path.with_name("names.txt").write_text("\n".join(["background", *NAMES[1:]]))
    assert list(ANSWERS["slim"].argmax(axis=1)) == [0, 0, 5]
    with load(path, precision="fp32") as model:
        assert model.card.labels == tuple(NAMES[1:])
        answered = model(pictures)
    assert np.abs(np.stack([one.scores for one in answered]) - ANSWERS["slim"][:, 1:]).max() < 1e-5
    assert [one.best for one in answered] == [NAMES[1:][row[1:].argmax()] for row in ANSWERS["slim"]]
    sealed = seal(resolve(path), out=tmp_path / "slim.signet")
    with load(sealed.path, precision="fp32") as model:
        assert [one.best for one in model(pictures)] == [one.best for one in answered]


def test_the_card_tells_what_was_read(put):
    found = resolve(put("classifier", output={"tensor": "scores"}))
    assert found.card.inputs[0].shape == (None, 16, 12, 3)
    origin = found.card.lineage["converted_from"]
    assert (origin["file"], origin["signature"]) == ("classifier", "serving_default")
    assert found.where == "file"
    assert found.digest != resolve(put("classifier", output={"tensor": "logits"})).digest


def test_what_does_not_fit_is_refused(put, tmp_path):
    with pytest.raises(
        BadCard, match="its input 'pixels' has the dtype 'float32', the graph's takes 'uint8'"
    ):
        resolve(put("classifier", inputs=[{"name": "pixels"}], output={"tensor": "scores"}))
    with pytest.raises(BadCard, match="expected one input, an image, got 2"):
        resolve(put("slim.pb", inputs=[{"name": "input"}, {"name": "other"}]))
    card = put("slim.pb").with_name("slim.pb.card.json")
    with pytest.raises(BadGraph, match="name its folder"):
        resolve(HERE / "classifier" / "saved_model.pb", card=card)
    with pytest.raises(BadCard, match=r"expected a card beside it \(classifier\.card\.json\)"):
        resolve(HERE / "classifier")
    with pytest.raises(UnknownName, match=r"nothing\.pb"):
        resolve("nothing.pb")
    with pytest.raises(BadInput, match="TensorFlow SavedModel or frozen"):
        resolve(tmp_path)


def test_from_within_the_folder(put, monkeypatch):
    place = put("classifier", output={"tensor": "scores"})
    monkeypatch.chdir(place)
    assert resolve("./").digest == resolve(place).digest


def test_another_engine_says_which_one_does(put):
    with pytest.raises(BadRequest, match=r"no form that engine onnx runs\. Use --engine openvino\."):
        load(put("slim.pb"), engine="onnx")


@pytest.mark.parametrize("name", ["classifier", "slim.pb"])
def test_the_way_of_a_model(name, put, folder, tmp_path, capsys):
    """Show, predict, embed, evaluate, seal, verify: from the command line."""
    pytest.importorskip("sklearn")
    model = str(put(name, output={"tensor": "scores"} if name == "classifier" else {}))

    def told(*words):
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    shown = told("show", model)
    assert shown["features"].startswith("10 from ")
    assert shown["lineage"]["converted_from"]["file"] == name
    told("embed", model, str(folder), "--out", str(tmp_path / "x.npy"))
    assert np.load(tmp_path / "x.npy").shape == (3, 10)
    best = ANSWERS[name.removesuffix(".pb")].argmax(axis=1)
    rows = [f"{number}.png,{place}" for number, place in enumerate(best)]
    (folder / "table.csv").write_text("\n".join(["file,class_index", *rows]))
    report = told("evaluate", model, str(folder / "table.csv"))
    assert report["metrics"]["top1"]["value"] == 1.0
    out = tmp_path / "out.signet"
    sealed = told("seal", model, str(folder / "0.png"), "--out", str(out))
    assert sealed["decisions"]["agree"] == sealed["decisions"]["total"]
    assert {"graph.xml", "graph.bin"} <= {file.name for file in out.iterdir()}
    assert told("verify", str(out))["ok"]
    # In fp32, as the files were: four bytes a weight.
    assert (out / "graph.bin").stat().st_size > 4 * (9 * 3 * 8 + 9 * 8 + 8 * 10 + 110)


def test_a_probe_is_sealed_with_the_graph(put, tmp_path):
    pytest.importorskip("sklearn")
    from signet.finetuning import finetune

    random = np.random.default_rng(5)
    for label, colour in (("dark", 40), ("light", 200)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(16):
            noise = random.integers(-30, 30, (20, 18, 3)) + colour
            PillowImage.fromarray(noise.astype(np.uint8)).save(tmp_path / "data" / label / f"{number}.png")
    data = datasets.open_dataset(tmp_path / "data")
    model = put("classifier", output={"tensor": "scores"})
    tuned = finetune(str(model), data, out=tmp_path / "tuned.signet", recipe=Recipe(strategy="probe"))
    assert verify(tuned.seal.path).ok
    with load(tuned.seal.path, precision="fp32") as loaded:
        answered = loaded([Image(np.full((20, 18, 3), value, np.uint8), "plain") for value in (40, 200)])
    assert [one.best for one in answered] == ["dark", "light"]
