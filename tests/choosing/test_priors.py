"""Which ImageNet figure is a candidate's own, borrowed, or none."""

import dataclasses

import pytest

from signet.cards import Claim
from signet.catalogue import entries, facts, index
from signet.choosing.priors import stated_of
from signet.models import resolve


def card_of(name):
    return entries.card(name, index.config(name), None, "unknown", "")


def test_published_weights_have_their_own():
    name = "timm/resnet50.a1_in1k"
    card = card_of(name)
    found = stated_of(name, card)
    assert found.prior.top1 == facts.top1_of(name, card.input_size)
    assert not found.prior.borrowed


def test_other_weights_of_an_architecture_borrow_from_its_zoo():
    published = card_of("timm/mobilenetv2_100.ra_in1k")
    card = dataclasses.replace(published, name="timm/mobilenetv2_100.mine", claims=())
    found = stated_of(card.name, card)
    assert found.prior.borrowed
    assert found.prior.top1 == pytest.approx(facts.top1_of("timm/mobilenetv2_100.ra_in1k"))
    assert "other mobilenetv2_100 weights" in found.words


def test_a_figure_on_imagenet_that_a_card_states_is_its_own():
    card = dataclasses.replace(
        card_of("timm/mobilenetv2_100.ra_in1k"),
        name="mine/x.y",
        claims=(Claim("top1", 0.71, "ImageNet-1k validation", "a paper"),),
    )
    assert stated_of("mine/x.y", card).prior == (0.71, False)


def test_networks_of_other_labels_and_of_other_sets_have_none(shared):
    files = shared / "weights" / "files"
    for name in ("mobilenet_v2_1.0_224_inat_bird_quant", "mobilenet_v2_1.0_224_inat_insect_quant"):
        assert stated_of(name, resolve(files / f"{name}.tflite").card).prior.top1 is None
    # 45.9 % of easy pictures, as its card claims, is no accuracy on ImageNet.
    found = stated_of("small", resolve(files / "mobilenet_v1_0.25_128_quant.tflite").card)
    assert found.prior == (0.498, True)
    assert "mobilenet_v1.md" in found.words


def test_the_starter_has_none():
    assert stated_of("starter", resolve("starter").card).prior.top1 is None
