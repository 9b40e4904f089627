"""Decisions over somebody's own images: how many flip, and what that costs where the truth is known."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from signet.asking import Program, Said
from signet.errors import BadDataset, BadInput, BadRequest
from signet.models import load
from signet.seals import open_seal
from signet.verification import verify
from signet.verification_elsewhere import verify_elsewhere
from signet.verification_exhibits import exhibits_of
from signet.verification_images import Judged, flips_over

COUNT = 12


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Noise of many colours, so that the tiny network has several answers."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(8)
    for number in range(COUNT):
        level = random.integers(0, 256, 3)
        noise = np.clip(random.normal(level, 60, (30, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def decided(tiny, pictures):
    """The index that the tiny seal's reference gives each picture."""
    with load(tiny, engine="onnx") as model:
        return [int(answer.top(1).indices[0]) for answer in model(sorted(pictures.iterdir()))]


@pytest.fixture
def other(tiny, pictures, tmp_path):
    """The sealed graph with another bias of its head: half of the pictures become class 1."""
    with load(tiny, engine="onnx") as model:
        images = [model.read(path) for path in sorted(pictures.iterdir())]
        logits = np.concatenate([model.run(model.prepare([image]))["logits"] for image in images])
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny / "graph.onnx")
    head = next(node for node in model.graph.node if node.op_type == "Gemm")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == head.input[2])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[1] += np.median(logits.max(axis=1) - logits[:, 1])
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "other.onnx")
    return tmp_path / "other.onnx"


def _table(pictures, to, indices):
    with to.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "class_index"])
        rows.writerows(zip(sorted(pictures.iterdir()), indices, strict=True))
    return to


def test_another_engine_flips_nothing(tiny, pictures):
    found = flips_over(tiny, pictures, Judged(engine="openvino", precision="fp32"))
    assert (found.images, found.unanswered, found.flips) == (COUNT, 0, ())
    assert (found.reference, found.judged) == ("onnx in fp32", "openvino in fp32")
    assert found.per_thousand.value == found.per_thousand.low == 0
    assert found.per_thousand.high > 100  # of twelve images nobody knows more
    assert found.cost is None
    assert "nothing says what is right" in found.notes[0]


def test_flips_are_counted_and_their_cost_is_paired(tiny, pictures, decided, other, tmp_path):
    wrong = COUNT // 2
    # The truth is what the reference says, but on the first picture.
    truth = [(decided[0] + 1) % 3, *decided[1:]]
    seen = []
    data = _table(pictures, tmp_path / "truth.csv", truth)
    found = flips_over(tiny, data, Judged(file=other, engine="onnx"), on_progress=seen.append)
    assert len(found.flips) == wrong
    assert found.per_thousand.value == pytest.approx(1000 * wrong / COUNT)
    labels = open_seal(tiny).card.labels
    assert {flip.now for flip in found.flips} == {labels[1]}
    flipped = {flip.source for flip in found.flips}
    now = [
        1 if str(path) in flipped else index
        for path, index in zip(sorted(pictures.iterdir()), decided, strict=True)
    ]
    scores = [flip.before_score for flip in found.flips]
    assert scores == sorted(scores, reverse=True)
    cost = found.cost
    rights = [index == right for index, right in zip(decided, truth, strict=True)]
    others = [index == right for index, right in zip(now, truth, strict=True)]
    assert cost.images == COUNT
    assert cost.reference.value == pytest.approx(np.mean(rights))
    assert cost.now.value == pytest.approx(np.mean(others))
    assert cost.difference.value == pytest.approx(np.mean(others) - np.mean(rights))
    assert cost.lost - cost.won == sum(rights) - sum(others)
    assert cost.difference.low < cost.difference.value < cost.difference.high
    assert len(seen) == 2 * COUNT
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["agree"] == COUNT - wrong
    assert plain["accuracy"]["lost"] == cost.lost
    assert f"{COUNT - wrong} of {COUNT} images are decided" in found.message
    assert "points" in found.message


def test_another_program_is_judged_by_what_it_says(tiny, pictures, decided):
    def ask(image):
        number = int(image.stem)
        if number == 3:
            raise BadInput("no answer within 1 second")
        index = (decided[number] + (number == 5)) % 3
        return Said({"top": [{"index": index, "score": 0.9}]})

    found = flips_over(tiny, pictures, Judged(program=Program("mine", ask)))
    assert (found.images, found.unanswered, found.judged) == (COUNT - 1, 1, "mine")
    assert [flip.source.endswith("05.png") for flip in found.flips] == [True]
    assert "no answer within 1 second" in found.notes[-1]


def test_what_cannot_be_compared_is_refused(tiny, pictures, tmp_path, forge):
    def silent(image):
        raise BadInput(f"nothing about {image.name}")

    with pytest.raises(BadDataset, match=r"among 12; the first: nothing about 00.png"):
        flips_over(tiny, pictures, Judged(program=Program("mine", silent)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput):
        flips_over(tiny, tmp_path / "empty", Judged())
    opened = open_seal(tiny)
    card = dataclasses.replace(
        opened.card, task="embed", output=dataclasses.replace(opened.card.output, head="embedding")
    )
    forge(tiny, lambda manifest: manifest.update(card=card.to_dict()))
    with pytest.raises(BadRequest, match="vectors"):
        flips_over(tiny, pictures, Judged())


def test_what_a_verdict_rests_on_is_shown(tiny, other, forge):
    verdict = verify(tiny, file=other, engine="onnx")
    shown = exhibits_of(tiny, verdict, Judged(file=other, engine="onnx"))
    assert len(shown) == 3
    assert verdict.first_divergence == "network"
    assert any(not np.array_equal(one.expected, one.found) for one in shown)
    assert all(one.sealed[0][1] >= one.sealed[1][1] for one in shown)
    assert shown[0].sealed != shown[0].now

    def edit(manifest):
        step = next(step for step in manifest["card"]["program"] if step["step"] == "resize")
        step.update(antialias=False)

    forge(tiny, edit)
    verdict = verify(tiny, engine="onnx")
    shown = exhibits_of(tiny, verdict, Judged(engine="onnx"))
    assert {one.found.dtype for one in shown} == {np.dtype(np.uint8)}
    assert any(not np.array_equal(one.expected, one.found) for one in shown)


def test_another_programs_own_names_are_shown(tiny):
    def ask(image):
        del image
        return Said({"top": [{"index": 0, "score": 0.1}, {"index": 1, "label": "mine", "score": 0.8}]})

    program = Program("mine", ask)
    shown = exhibits_of(tiny, verify_elsewhere(tiny, program), Judged(program=program))
    assert [label for label, _ in shown[0].now] == ["mine", open_seal(tiny).card.labels[0]]
