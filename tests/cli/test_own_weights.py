"""A weight file without a card on the command line: shown with what to write, and only then used."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mine.pt"
    torch.save({"model": timm.create_model("test_resnet", num_classes=2).state_dict()}, path)
    return path


def card_line(text):
    return next(line for line in text.splitlines() if line.startswith("{"))


def test_show_says_what_matched_and_what_to_write_and_that_makes_a_model(signet, weights, pictures):
    shown = signet("show", weights)
    assert shown.code == 0
    assert "exactly the" in shown.out
    assert "timm/test_resnet, with a head of 2 classes" in shown.out
    assert "the tensors under 'model'" in shown.out
    refused = signet("predict", weights, pictures[0])
    assert (refused.code, refused.out) == (2, "")
    assert card_line(refused.err.replace("\n  ", "")) == card_line(shown.out)
    (weights.parent / "NAMES.txt").write_text("left\nright\n")
    (weights.parent / "mine.pt.card.json").write_text(card_line(shown.out))
    done = signet("predict", weights, pictures[0], "--engine", "torch")
    assert done.code == 0
    assert {row["label"] for row in done.lines[0]["top"]} == {"left", "right"}
    assert "lineage" in signet("show", weights).out


def test_the_guess_as_json(signet, weights):
    told = signet("show", weights, "--json").object["guess"]
    assert [row["architecture"] for row in told["matches"]] == ["timm/test_resnet"]
    assert told["card"]["labels"] == {"file": "NAMES.txt"}
    refused = signet("predict", weights, weights, "--json")
    assert refused.code == 2
    assert "mine.pt.card.json" in refused.object["error"]["message"]


def test_weights_that_match_nothing_are_shown_with_the_difference(signet, weights):
    state = torch.load(weights, weights_only=True)["model"]
    state["more"] = state.pop("fc.bias")
    torch.save(state, weights)
    shown = signet("show", weights)
    assert shown.code == 0
    assert "Nearest: timm/test_resnet: 1 missing (fc.bias), 1 unexpected (more)" in shown.out
    assert json.loads(signet("show", weights, "--json").out)["guess"]["card"] is None
    assert signet("predict", weights, weights).code == 1


def test_a_yolo_checkpoint_is_a_model_without_a_card(signet, tmp_path, pictures):
    from signet.architectures import building, yolo_names

    torch.manual_seed(0)
    module = building.build("yolov8n", 2)
    names = yolo_names.original_names(module, yolo_names.key_map("yolov8"))
    state = {}
    for key, value in module.state_dict().items():
        path, _, leaf = key.rpartition(".")
        state[f"{names[path]}.{leaf}"] = value
    # Every place says "left" with certainty.
    state["model.22.cv3.0.2.bias"] += torch.tensor([20.0, 0.0])
    place = tmp_path / "mine.pt"
    torch.save({"model": state, "names": {0: "left", 1: "right"}, "train_args": {"imgsz": 64}}, place)
    shown = signet("show", place)
    assert "certainly signet/yolov8n: detect, 2 classes" in shown.out
    assert "pad to 64x64 with 114" in shown.out
    told = signet("show", place, "--json").object
    assert (told["guess"]["sure"], told["task"], told["labels"]) == ("certain", "detect", ["left", "right"])
    done = signet("predict", place, pictures[0], "--engine", "torch")
    assert done.code == 0
    assert {row["label"] for row in done.lines[0]["boxes"]} == {"left"}
    torch.save({"model": state, "train_args": {"imgsz": 64}}, place)
    unnamed = signet("predict", place, pictures[0], "--engine", "torch")
    assert {row["label"] for row in unnamed.lines[0]["boxes"]} == {"class 0"}
    assert "names no classes" in unnamed.err
    (tmp_path / "mine.pt.card.json").write_text('{"labels": ["up", "down"]}')
    named = signet("predict", place, pictures[0], "--engine", "torch")
    assert {row["label"] for row in named.lines[0]["boxes"]} == {"up"}


def test_a_path_that_is_not_there_is_no_name(signet, tmp_path):
    refused = signet("show", "weights/none.pt")
    assert refused.code == 2
    assert "There is no such file" in refused.err
