"""What the tags of weights say, each word with its source; and models of one name, told apart."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from signet.catalogue import index
from signet.catalogue.namesakes import namesakes, why
from signet.catalogue.recipes import recipe_of

FACTS = json.loads(files("signet.catalogue").joinpath("data/recipes.json").read_text("utf-8"))


def test_every_word_has_a_source_and_is_in_use() -> None:
    used = set()
    for zoo in ("timm", "torchvision", "keras"):
        tags = [f"_{name.partition('.')[2]}_" for name in index.names() if name.startswith(f"{zoo}/")]
        for word, (words, by, source) in FACTS[zoo].items():
            assert words or by, word
            assert source in FACTS["sources"], word
            used.add(source)
            assert any(f"_{word}_" in tag for tag in tags), word
    assert used == set(FACTS["sources"])


@pytest.mark.parametrize(
    ("name", "by", "words", "data"),
    [
        ("timm/resnet50.a1_in1k", "timm", "procedure A1", ("ImageNet-1k",)),
        (
            "timm/resnet50.fb_swsl_ig1b_ft_in1k",
            "Meta",
            "semi-weakly",
            ("Instagram pictures with hashtags", "ImageNet-1k"),
        ),
        ("timm/resnet50.ram_in1k", "timm", "", ("ImageNet-1k",)),
        ("torchvision/resnet50.imagenet1k_v2", "torchvision", "newer recipe", ()),
        ("timm/vit_base_patch16_224.augreg_in21k", "Google", "regularised", ("ImageNet-21k",)),
        ("keras/resnet50.imagenet", "Keras", "Keras Applications", ("ImageNet-1k",)),
        ("nobody", "", "", ()),
    ],
)
def test_known_recipes(name: str, by: str, words: str, data: tuple[str, ...]) -> None:
    found = recipe_of(name)
    assert found.by == by
    assert words in found.words
    assert bool(found.words) == bool(found.source)
    if data:
        assert found.trained_on == data


def test_namesakes_are_all_of_a_name_best_first() -> None:
    found = namesakes("resnet50")
    assert {one.entry.name for one in found} == set(index.candidates("resnet50"))
    best = [one.entry.key("top1") for one in found]
    assert best == sorted(best, reverse=True)
    sentence = why(found)
    assert sentence.startswith(f"The same name hides {100 * (best[0] - best[-1]):.1f} points of top-1")
    for difference in ("training data", "recipe", "resolution (224 to 288 px)", "publisher"):
        assert difference in sentence


def test_a_name_of_one_has_no_namesakes() -> None:
    assert namesakes("timm/resnet50.a1_in1k") == ()
    assert namesakes("nobody") == ()
