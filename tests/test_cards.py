"""Cards: read strictly, written whole, and the licence rules."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from signet.cards import CARD_FORMAT, PERMISSIVE, Card, Claim, Licence, OutputContract
from signet.errors import BadCard
from signet.zoos import card_files, from_file

CARD: dict[str, Any] = {
    "format": {"major": 1, "minor": 0},
    "name": "tests/tiny",
    "task": "classify",
    "program": [{"step": "read"}, {"step": "resize", "size": [8, 9], "fit": "stretch"}],
    "output": {"head": "softmax", "tensor": "logits", "classes": 2, "features": "features"},
    "inputs": [{"name": "images", "kind": "image", "dtype": "float32", "shape": [None, 3, 8, 9]}],
    "labels": ["a", "b"],
    "licence": {"weights": "Apache-2.0", "stated": True, "code": "mit"},
    "origin": "made by a test",
    "claims": [{"metric": "top1", "value": 0.5, "dataset": "d", "source": "s", "low": 0.4, "high": 0.6}],
    "lineage": {"teacher": "nobody"},
    "parameters": 12,
    "gmacs": 0.1,
    "year": 2024,
}


def changed(**fields: Any) -> dict[str, Any]:
    """The card with fields replaced; `...` leaves one out. `a__b` is the field b of a."""
    card = copy.deepcopy(CARD)
    for key, value in fields.items():
        place, _, inner = key.partition("__")
        owner = card[place] if inner else card
        owner = owner[0] if isinstance(owner, list) else owner
        if value is ...:
            del owner[inner or place]
        else:
            owner[inner or place] = value
    return card


def test_a_card_survives_json() -> None:
    card = Card.from_dict(CARD)
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert card.labels == ("a", "b")
    assert card.input_size == (8, 9)
    assert card.claims == (Claim("top1", 0.5, "d", "s", 0.4, 0.6),)
    assert card.inputs[0].shape == (None, 3, 8, 9)


def test_the_least_card_has_the_defaults_that_its_class_states() -> None:
    least = {key: CARD[key] for key in ("format", "name", "task", "program", "output")}
    card = Card.from_dict(least)
    assert (card.labels, card.inputs, card.licence) == (None, (), Licence())
    assert Card.from_dict(card.to_dict()) == card


BAD: list[tuple[dict[str, Any], str]] = [
    (changed(format=...), '"format"'),
    (changed(format=1), '"format"'),
    (changed(format={"major": 1}), '"format"'),
    (
        changed(format={"major": 2, "minor": 0}),
        "major 2: this version reads major 1. Install a later version",
    ),
    (changed(name=...), "expected the fields name"),
    (changed(program=..., output=...), "program, output"),
    (changed(nmae="x"), "No card field named 'nmae'. Did you mean 'name'"),
    (changed(extra={"a": 1}), "No card field named 'extra'"),
    (changed(name=5), "'name': expected str, got 5"),
    (changed(origin=["x"]), "'origin': expected str"),
    (changed(task="clasify"), "Did you mean 'classify'"),
    (changed(task=["classify"]), "No task named"),
    (changed(program="read"), "expected a list of steps"),
    (changed(program=[{"step": "reed"}]), "program step"),
    (changed(labels="ab"), "'labels': expected a list of names"),
    (changed(labels=["a", 2]), "'labels': expected a list of names"),
    (changed(labels=["a"]), "expected 2 labels for an output of 2 classes, got 1"),
    (changed(output="softmax"), "a card's output: expected an object"),
    (changed(output__head=...), "'head', which is missing"),
    (changed(output__head=1), "'head': expected str"),
    (changed(output__classes="2"), "'classes'"),
    (changed(output__classes=True), "'classes'"),
    (changed(output__classes=0), "at least 1 class"),
    (changed(output__temperature=0), "temperature above 0"),
    (changed(output__temperature=float("nan")), "'temperature'"),
    (changed(output__drop_first=1), "'drop_first': expected bool"),
    (changed(output__tensor=1.5), "'tensor'"),
    (changed(output__temprature=2.0), "No output field named 'temprature'. Did you mean 'temperature'"),
    (changed(inputs={"name": "x"}), "'inputs': expected a list"),
    (changed(inputs=["x"]), "a card's input: expected an object"),
    (changed(inputs__name=...), "a card's input: .*name"),
    (changed(inputs__shape="abc"), "'shape': expected a list"),
    (changed(inputs__shape=[1, "3"]), "'shape'"),
    (changed(inputs__dtype="float16"), "'dtype'"),
    (changed(inputs__kind="sound"), "'kind'"),
    (changed(inputs__size=3), "No input field named 'size'"),
    (changed(licence="MIT"), "a card's licence: expected an object"),
    (changed(licence__stated="yes"), "'stated': expected bool"),
    (changed(licence__weight="MIT"), "Did you mean 'weights'"),
    (changed(claims={}), "'claims': expected a list"),
    (changed(claims__value="0.5"), "'value': expected float"),
    (changed(claims__source=...), "a card's claim: .*source"),
    (changed(parameters=-1.5), "'parameters'"),
    (changed(gmacs="many"), "'gmacs'"),
    (changed(lineage="me"), "'lineage'"),
    (changed(digest_trust="sure"), "'digest_trust'"),
]


@pytest.mark.parametrize(("fields", "words"), BAD, ids=[words[:50] for _, words in BAD])
def test_what_breaks_the_schema_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadCard, match=words):
        Card.from_dict(fields)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(key=some.sampled_from([*CARD, "output__classes", "licence__weights", "inputs__shape"]), value=JSON)
def test_no_value_makes_another_error_than_ours(key: str, value: Any) -> None:
    try:
        card = Card.from_dict(changed(**{key: value}))
    except BadCard:
        return
    assert Card.from_dict(card.to_dict()).to_dict() == card.to_dict()


@pytest.mark.parametrize("value", [None, 5, "card", [CARD]])
def test_what_is_no_object_is_no_card(value: Any) -> None:
    with pytest.raises(BadCard, match="a card: expected an object"):
        Card.from_dict(value)


def test_a_higher_minor_may_bring_fields_that_are_kept_and_ignored() -> None:
    later = changed(format={"major": CARD_FORMAT[0], "minor": CARD_FORMAT[1] + 1}, mood="good")
    card = Card.from_dict(later)
    assert card.extra == {"mood": "good"}
    assert dataclasses.replace(card, extra={}) == Card.from_dict(CARD)
    with pytest.raises(BadCard, match="'labels'"):
        Card.from_dict({**later, "labels": 5})  # known fields stay strict


def test_a_card_is_written_in_the_lowest_minor_that_holds_it() -> None:
    plain = Card.from_dict(CARD)
    assert plain.to_dict()["format"] == {"major": 1, "minor": 0}
    for change in (
        {"paper": "arXiv:1512.03385"},
        {"domain": "natural"},
        {"nearest": "timm/resnet50.a1_in1k"},
        {"licence": Licence("MIT", words="its page")},
        {"claims": (Claim("top1", 0.5, "d", "s", evaluation_size=224),)},
    ):
        later = dataclasses.replace(plain, **change)
        assert later.to_dict()["format"] == {"major": 1, "minor": 1}
        assert Card.from_dict(later.to_dict()) == later
    with pytest.raises(BadCard, match="'paper'"):
        Card.from_dict({**CARD, "paper": "arXiv:1512.03385"})  # not a field of 1.0


def test_a_higher_minor_may_bring_fields_of_claims_and_licences_that_are_ignored() -> None:
    claim = {"metric": "top1", "value": 0.5, "dataset": "d", "source": "s", "weather": "fair"}
    fields = changed(claims=[claim], licence={"weights": "mit", "mood": "good"})
    with pytest.raises(BadCard, match=r"'(weather|mood)'"):
        Card.from_dict(fields)
    later = Card.from_dict({**fields, "format": {"major": 1, "minor": CARD_FORMAT[1] + 1}})
    assert later.claims == (Claim("top1", 0.5, "d", "s"),)


def test_fields_of_later_layouts_are_kept_with_their_output() -> None:
    card = Card.from_dict(
        changed(task="detect", labels=None, output={"head": "yolox-grid", "strides": [8, 16]})
    )
    assert card.output.extra == {"strides": [8, 16]}
    assert Card.from_dict(card.to_dict()) == card


def test_the_background_has_no_label() -> None:
    card = Card.from_dict(changed(output__classes=3, output__drop_first=True))
    assert card.labels == ("a", "b")


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        (Licence("Apache-2.0", stated=True), "permissive"),
        (Licence("mit", stated=True), "permissive"),
        (Licence("MIT", stated=False), "unknown"),
        (Licence(), "unknown"),
        (Licence("unknown", stated=True), "unknown"),
        (Licence("cc-by-nc-4.0", stated=True), "restricted"),
        (Licence("AGPL-3.0", stated=True), "restricted"),
        (Licence("cc-by-4.0", stated=True), "permissive"),
    ],
)
def test_only_a_stated_licence_of_the_list_is_permissive(licence: Licence, verdict: str) -> None:
    assert licence.verdict == verdict


def test_the_list_of_permissive_licences_is_the_frozen_one() -> None:
    assert {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0"} == PERMISSIVE


def test_the_shared_cards_are_read_as_they_stand(shared: Path) -> None:
    files = sorted((shared / "weights" / "files").glob("*.card.json"))
    assert len(files) >= 7
    tasks = []
    for file in files:
        card = card_files.read_card(file)
        assert Card.from_dict(json.loads(json.dumps(card.to_dict()))).to_dict() == card.to_dict(), file.name
        tasks.append(card.task)
        if card.task == "classify":
            assert card.labels is not None
            assert len(card.labels) == card.output.classes - card.output.drop_first
            assert card.labels[0].lower() != "background"
    assert {"classify", "detect", "segment"} <= set(tasks)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"file": "../../secret.txt"}, "outside the models' folder"),
        ({"file": "/etc/passwd"}, "outside the models' folder"),
        ({"file": "missing.txt"}, "cannot be read"),
        ({"file": "labels.txt", "drop_frist": True}, "drop_first"),
        ({"file": 5}, "drop_first"),
        ({}, "drop_first"),
        ({"file": "binary.txt"}, "cannot be read"),
        ({"file": "a\0b"}, "cannot be read"),
    ],
)
def test_label_files_are_read_with_suspicion(labels: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("a\nb\n")
    (folder / "labels.txt").write_text("a\nb\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")
    place = folder / "x.card.json"
    place.write_text(json.dumps(changed(labels=labels)))
    with pytest.raises(BadCard, match=words):
        card_files.read_card(place)


def test_a_label_file_beside_an_output_that_is_none_is_refused_for_the_output(tmp_path: Path) -> None:
    place = tmp_path / "x.card.json"
    place.write_text(json.dumps(changed(labels={"file": "labels.txt"}) | {"output": 1}))
    with pytest.raises(BadCard, match="output"):
        card_files.read_card(place)


def test_a_label_file_may_end_with_a_remark_and_begin_with_the_background(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("background\na\nb\nThese are the labels.\n")
    place = tmp_path / "x.card.json"
    place.write_text(
        json.dumps(changed(labels={"file": "labels.txt", "drop_first": True}, output__classes=3))
    )
    card = card_files.read_card(place)
    assert card.labels == ("a", "b")
    assert card.output.drop_first


def test_a_graph_without_a_card_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(BadCard, match=r"x\.onnx\.card\.json.*--card"):
        from_file.pretrained(tmp_path / "x.onnx")


def test_an_output_contract_is_a_value() -> None:
    assert OutputContract("softmax") == OutputContract("softmax")
    with pytest.raises(dataclasses.FrozenInstanceError):
        OutputContract("softmax").head = "sigmoid"
