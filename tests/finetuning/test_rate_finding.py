"""`find_rate` tries the rates of the very network with which `finetune` would begin."""

from __future__ import annotations

import pytest

from signet.datasets import open_dataset
from signet.errors import BadRequest
from signet.finetuning import find_rate
from signet.recipes import Recipe

pytest.importorskip("torch")
pytest.importorskip("onnx")


def test_a_probe_has_no_rate(shapes):
    with pytest.raises(BadRequest, match="a probe, which is a fit on features and has no learning rate"):
        find_rate("starter", open_dataset(shapes), recipe=Recipe(strategy="probe", threads=1))


def test_a_target_has_no_part_in_a_rate(shapes):
    recipe = Recipe(strategy="full", threads=1, target="dusk")
    with pytest.raises(BadRequest, match=r"got a target \(dusk\), whose images have no part in a rate"):
        find_rate("starter", open_dataset(shapes), recipe=recipe)


@pytest.mark.large
def test_rates_of_a_real_network_are_tried_and_nothing_is_written(shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(strategy="full", input_size=64, batch=16, threads=1, backbone_rate=0.05, head_rate=0.05)
    curve = find_rate("starter", open_dataset(shapes), recipe=recipe, steps=20)
    # A rate that would be refused for training is only the proportion here.
    assert curve.head_rates == curve.backbone_rates
    assert 10 <= len(curve.losses) <= 20
    assert not list(tmp_path.iterdir())
