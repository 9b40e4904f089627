"""`signet show`: the card of a model, a system or a network of our own."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import save_file


def test_show_says_why_stated_and_published_figures_differ(signet):
    out = signet("show", "torchvision/vgg19.imagenet1k_v1").out
    assert "143,667,240 as torch counts" in out
    assert "Depth 26 is Keras's older count" in out
    assert "ImageNet-1k validation  224 px  72.38 %" in out
    assert "unknown (torchvision states no licence for its weights" in out
    (row,) = signet("show", "torchvision/vgg19.imagenet1k_v1", "--json").object["systems"]
    assert row["stated"]["top1"] == 0.745


def test_a_name_of_several_shows_them_side_by_side(signet):
    ran = signet("show", "resnet50")
    assert ran.code == 0
    assert "The same name hides" in ran.out
    assert "a1_in1k: ResNet strikes back, procedure A1" in ran.out
    plain = signet("show", "resnet50", "--json").object
    names = [row["name"] for row in plain["models"]]
    assert {"timm/resnet50.a1_in1k", "torchvision/resnet50.imagenet1k_v1"} <= set(names)
    best = [-1 if row["top1"] is None else row["top1"] for row in plain["models"]]
    assert best == sorted(best, reverse=True)
    assert plain["why"].startswith(f"The same name hides {100 * (best[0] - best[-1]):.1f} points")
    by = {row["name"]: row["recipe"]["by"] for row in plain["models"]}
    assert by["timm/resnet50.tv_in1k"] == by["torchvision/resnet50.imagenet1k_v1"] == "torchvision"
    assert {row["recipe"]["source"] for row in plain["models"] if row["recipe"]["words"]} - {""}


def test_a_system_is_shown_by_its_bare_name(signet):
    out = signet("show", "omnivec").out
    assert "no public weights; nearest: timm/eva02_large" in out
    assert "stated: top1 0.924" in out
    assert signet("show", "OmniVec", "--json").object["name"] == "signet/omnivec"


def test_a_network_of_our_own_is_shown_with_its_size_and_how_weights_are_brought(signet):
    ran = signet("show", "signet/yolov8n")
    assert ran.code == 0
    for words in (
        "parameters: 3,157,184 with 80 classes",
        "GFLOPs: 8.7, as published",
        "ap 0.373 on COCO val2017",
        "pad to 640x640 with 114",
        "signet predict MY.pt",
    ):
        assert words in ran.out
    assert signet("show", "YOLOv9t").out.startswith("signet/yolov9t\n")
    plain = signet("show", "signet/yolov8n-seg:size=320", "--json").object
    assert (plain["name"], plain["status"]) == ("signet/yolov8n-seg:size=320", "no public weights")
    built = plain["built"]
    assert (built["input_size"], built["outputs"]) == ([320, 320], ["predictions", "prototypes"])
    assert (built["parameters"], built["gflops"]) == (None, None)
    assert signet("show", "signet/densenet264", "--json").object["built"]["gmacs"] == 5.77
    refused = signet("show", "signet/efficientnet:widt=1")
    assert (refused.code, "Did you mean 'width'" in refused.err) == (2, True)
    assert "Did you mean 'signet/yolov8" in signet("show", "signet/yolov8q").err


def test_a_network_of_our_own_with_weights_in_the_mirror_is_shown_as_a_model(signet, tmp_path, monkeypatch):
    folder = tmp_path / "signet/yolov8n"
    folder.mkdir(parents=True)
    save_file({"x": np.zeros(1, np.float32)}, folder / "model.safetensors")
    config = {"library": "signet", "architecture": "yolov8n", "num_classes": 2, "labels": ["a", "b"]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path))
    assert signet("show", "signet/yolov8n", "--json").object["labels"] == ["a", "b"]


def test_show_names_recipe_licence_and_every_source(signet):
    ran = signet("show", "timm/resnet50.a1_in1k")
    assert "procedure A1: 600 epochs" in ran.out
    assert "let through by --licence permissive" in ran.out
    assert "ImageNet-Sketch" in ran.out
    assert "[1] timm results/results-imagenet.csv" in ran.out
    plain = signet("show", "timm/resnet50.a1_in1k", "--json").object
    assert (plain["recipe"]["by"], plain["licence_verdict"]) == ("timm", "permissive")


def test_show_json_is_the_whole_card(signet, classifier):
    ran = signet("show", classifier, "--json")
    assert ran.code == 0
    plain = ran.object
    assert plain["name"] == "tests/colours"
    assert plain["labels"] == ["red", "green", "blue", "white"]
    assert plain["status"] == "file"
    assert [step["step"] for step in plain["program"]] == ["read", "resize", "type", "range", "layout"]
    assert len(plain["program_words"]) == 5
    assert {"format", "task", "inputs", "output", "licence", "claims", "lineage"} <= plain.keys()
    assert "outputs" not in plain


def test_show_layers_names_the_outputs(signet, classifier):
    assert signet("show", classifier, "--layers", "--json").object["outputs"] == ["scores", "features"]


def test_show_for_a_person(signet):
    ran = signet("show", "starter")
    assert ran.code == 0
    assert ran.out.startswith("starter\n")
    assert "preprocessing\n  1. read as RGB" in ran.out
    assert "\nclaims\n" in ran.out
    assert "\nlineage\n" in ran.out


def test_show_of_weights_that_are_not_here(signet):
    ran = signet("show", "timm/resnet50.a1_in1k", "--json")
    assert ran.code == 0
    assert ran.object["status"] == "downloadable"


def test_a_hostile_card_does_not_act_on_the_terminal(signet, tiny, tmp_path):
    path = tiny.make_classifier(
        tmp_path, "bad", labels=("\x1b[2Jred", "[bold]green", "blue\nwhite", "\u202ewhite")
    )
    place = path.with_name("bad.onnx.card.json")
    card = json.loads(place.read_text())
    card |= {"origin": "\x1b]0;owned\x07", "name": "evil\x1b[31m", "lineage": {"a\x9b31m": {"b": "\x1b[0m"}}}
    place.write_text(json.dumps(card))
    ran = signet("show", path)
    assert ran.code == 0
    for act in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert act not in ran.out
    assert "[bold]green" in ran.out
    assert signet("show", path, "--json").object["labels"][0] == "\x1b[2Jred"
