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


def test_a_path_that_is_not_there_is_no_name(signet, tmp_path):
    refused = signet("show", "weights/none.pt")
    assert refused.code == 2
    assert "There is no such file" in refused.err
