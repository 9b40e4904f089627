"""`signet find` and `signet show`."""

from __future__ import annotations

import itertools
import json

import pytest

from signet.cli.find import count
from signet.errors import BadRequest

KEYS = [
    "name", "task", "family", "params", "gmacs", "depth", "size_bytes", "input_size", "licence", "status",
    "claims", "domain", "top1", "year", "paper", "good_for",
]  # fmt: skip


def top1(row):
    return -1 if row["top1"] is None else row["top1"]


def test_json_is_one_list_with_the_keys_of_the_contract(signet):
    ran = signet("find", "--json")
    assert ran.code == 0
    rows = ran.object
    assert len(rows) > 1000
    assert all(list(row) == KEYS for row in rows)
    assert {row["status"] for row in rows} <= {"embedded", "mirrored", "downloadable", "no public weights"}
    claims = [claim for row in rows for claim in row["claims"]]
    assert claims
    keys = ["metric", "value", "dataset", "source", "evaluation_size"]
    assert all(list(claim) == keys for claim in claims)


def test_filters_narrow(signet):
    names = signet("find", "resnet50", "--names").out.split()
    assert names
    assert all("resnet50" in name for name in names)
    few = signet("find", "resnet50", "--max-params", "24M", "--json").object
    assert few
    assert all(row["params"] <= 24_000_000 for row in few)
    assert {row["name"] for row in few} < set(names)


def test_every_model_of_a_permissive_search_states_its_licence(signet):
    ran = signet("find", "--licence", "permissive", "--json")
    assert {row["licence"]["verdict"] for row in ran.object} == {"permissive"}
    assert "licence that is inherited or not stated" in ran.err


def test_sorted_by_accuracy_best_first(signet):
    rows = signet("find", "resnet", "--sort", "top1", "--json").object
    best = [top1(row) for row in rows]
    assert best[0] > 0.7
    assert best == sorted(best, reverse=True)


def test_pareto_keeps_what_no_other_beats(signet):
    rows = signet("find", "--pareto", "params,top1", "--sort", "params", "--json").object
    figures = [(row["params"], top1(row)) for row in rows]
    assert len(figures) > 1
    assert all(small[1] < large[1] for small, large in itertools.pairwise(figures))


def test_what_nobody_published_is_known_with_its_nearest(signet):
    (row,) = signet("find", "coca_2b", "--json").object
    assert list(row) == [*KEYS, "nearest"]
    assert (row["status"], row["top1"]) == ("no public weights", 0.91)
    shown = signet("show", "signet/coca_2b")
    assert shown.code == 0
    assert "no public weights; nearest: open_clip/coca_ViT-L-14.laion2b_s13b_b90k" in shown.out
    assert signet("show", "signet/coca_2b", "--json").object["nearest"] == row["nearest"]


def test_show_says_why_stated_and_published_figures_differ(signet):
    out = signet("show", "torchvision/vgg19.imagenet1k_v1").out
    assert "143,667,240 as torch counts" in out
    assert "Depth 26 is Keras's older count" in out
    assert "at 224 px" in out
    assert "unknown (torchvision states no licence for its weights" in out
    (row,) = signet("show", "torchvision/vgg19.imagenet1k_v1", "--json").object["systems"]
    assert row["stated"]["top1"] == 0.745


def test_nothing_found_is_1(signet):
    ran = signet("find", "nosuchmodelanywhere")
    assert (ran.code, ran.out) == (1, "")
    assert "loosen a filter" in ran.err
    ran = signet("find", "nosuchmodelanywhere", "--json", "--quiet")
    assert (ran.code, ran.object, ran.err) == (1, [], "")


@pytest.mark.parametrize(
    "words",
    [
        ["--sort", "parms"],
        ["--status", "here"],
        ["--max-params", "ten"],
        ["--task", "clasify"],
        ["--max-gmacs", "nan"],
        ["--max-gmacs", "-1"],
    ],
)
def test_wrong_filters_are_2(signet, words):
    ran = signet("find", *words)
    assert (ran.code, ran.out) == (2, "")
    assert words[1] in ran.err


def test_a_wrong_sort_key_has_near_misses(signet):
    assert "Did you mean 'params'" in signet("find", "--sort", "parms").err


def test_a_wrong_task_and_a_mistyped_text_have_near_misses(signet):
    assert "Did you mean 'classify'" in signet("find", "--task", "clasify").err
    assert "did you mean 'mobilenet'" in signet("find", "mobilnet").err


def test_table_holds_every_model_and_counts_them_on_stderr(signet):
    ran = signet("find", "resnet18")
    names = signet("find", "resnet18", "--names").out.split()
    assert all(name in ran.out for name in names)
    assert ran.err == f"{len(names)} models\n"


@pytest.mark.parametrize(
    ("text", "value"), [("10M", 10**7), ("1.5k", 1500), ("2B", 2 * 10**9), ("7", 7), ("3g", 3 * 10**9)]
)
def test_counts(text, value):
    assert count(text) == value


@pytest.mark.parametrize("text", ["", "M", "ten", "1e", "-3M", "nan", "inf"])
def test_counts_that_are_none(text):
    with pytest.raises(BadRequest):
        count(text)


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
