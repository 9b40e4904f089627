"""Who takes part: limits keep out and say why, one network counts once, what has no features stays out."""

import dataclasses
import json
import shutil

import pytest

from signet.catalogue.finding import find
from signet.choosing.candidates import Limits, gather
from signet.errors import BadRequest, UnknownName
from signet.models import resolve


def reasons(found) -> dict[str, str]:
    return {one.name.rpartition("/")[2]: one.why for one in found.left_out}


def test_a_model_takes_part_with_what_is_known_of_it(models):
    (one,) = gather([models[0]], Limits()).candidates
    assert one.name == str(models[0])
    assert one.size_bytes == models[0].stat().st_size
    assert one.stated.prior.top1 is None
    assert one.licence.weights == "Apache-2.0"


def test_the_same_network_counts_once_unless_its_input_size_differs(models, tmp_path):
    found = gather(models, Limits())
    assert len(found.candidates) == 2
    copy = tmp_path / "copy.onnx"
    shutil.copy(models[0], copy)
    card = json.loads(models[0].with_name("colours.onnx.card.json").read_text())
    copy.with_name("copy.onnx.card.json").write_text(json.dumps(card))
    found = gather([models[0], copy], Limits())
    assert [one.name for one in found.candidates] == [str(models[0])]
    assert reasons(found)["copy.onnx"].startswith("the same network at the same input size as")
    other = resolve(models[0])
    steps = [
        dataclasses.replace(step, size=(32, 32)) if type(step).__name__ == "Resize" else step
        for step in other.card.program.steps
    ]
    program = dataclasses.replace(other.card.program, steps=tuple(steps))
    larger = dataclasses.replace(other, card=dataclasses.replace(other.card, program=program))
    assert len(gather([models[0], larger], Limits()).candidates) == 2


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_bytes": 10}, "bytes, and at most 10 are allowed"),
        ({"max_params": 10**9}, "number of parameters is not known"),
        ({"engine": "torch"}, "engine torch cannot run it here"),
        ({"trainable": True}, "a graph, which can be probed and not trained further"),
    ],
)
def test_a_limit_that_is_not_kept_is_said(models, limits, words):
    found = gather([models[0]], Limits(**limits))
    assert found.candidates == ()
    assert words in reasons(found)["colours.onnx"]


def test_what_can_be_trained_further_takes_part_where_only_that_is_asked_for(models):
    found = gather([models[0], "starter"], Limits(trainable=True))
    assert [one.name for one in found.candidates] == ["starter"]
    assert found.candidates[0].pretrained.module is not None


def test_an_inherited_licence_is_not_permissive(models):
    one = resolve(models[0])
    licence = dataclasses.replace(one.card.licence, stated=False)
    unstated = dataclasses.replace(one, card=dataclasses.replace(one.card, licence=licence))
    found = gather([unstated], Limits(licence="permissive"))
    assert "inherited or missing" in reasons(found)["colours"]
    assert gather([one], Limits(licence="permissive")).candidates


def test_the_starter_is_there_without_a_mirror_and_the_rest_is_counted():
    found = gather(None, Limits(), offline=True)
    assert [one.name for one in found.candidates] == ["starter"]
    assert found.candidates[0].size_bytes == find(status="embedded").entries[0].size_bytes
    assert found.downloadable > 1000


def test_what_is_not_on_this_machine_is_left_out_offline():
    entry = find("classify", text="resnet18", status="downloadable").entries[0]
    found = gather([entry], Limits(), offline=True)
    assert found.candidates == ()
    assert entry.name.rpartition("/")[2] in reasons(found)


def test_a_detector_has_no_features_and_stays_out(shared):
    found = gather([shared / "weights" / "files" / "yolox_nano.onnx"], Limits())
    assert "its task is 'detect'" in reasons(found)["yolox_nano.onnx"]


def test_a_name_that_does_not_exist_is_refused_with_near_misses():
    with pytest.raises(UnknownName, match="resnet50"):
        gather(["timm/resnet5.a1_in1k"], Limits(), offline=True)


def test_no_candidate_is_refused():
    with pytest.raises(BadRequest, match="at least one model"):
        gather([], Limits())


@pytest.mark.parametrize("limits", [{"max_milliseconds": 0}, {"max_params": -1}, {"licence": "permisive"}])
def test_limits_are_checked(limits):
    with pytest.raises(BadRequest):
        Limits(**limits)
