"""`docs/card.schema.json` accepts what Signet reads and writes, and refuses what it refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from signet.cards import Card, Claim, Licence
from signet.catalogue import configs, index
from signet.errors import BadCard
from signet.seals import open_seal

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def schema():
    loaded = json.loads((ROOT / "docs" / "card.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)


@pytest.fixture
def card():
    return open_seal(ROOT / "tests" / "golden" / "seals" / "tiny-1.0.signet").card


def test_the_cards_beside_graph_files_are_accepted_as_they_stand(schema, shared):
    cards = sorted((shared / "weights" / "files").glob("*.card.json"))
    assert len(cards) == 7
    for path in cards:
        schema.validate(json.loads(path.read_text("utf-8")))


def test_cards_that_signet_writes_are_accepted(schema, card):
    schema.validate(json.loads(json.dumps(card.to_dict())))
    full = Card(
        **{
            **{
                name: getattr(card, name)
                for name in ("name", "task", "program", "output", "inputs", "labels")
            },
            "family": "F",
            "architecture": "a",
            "licence": Licence("MIT", True, "MIT", "unknown terms"),
            "origin": "o",
            "claims": (Claim("top1", 0.5, "d", "s", 0.4, 0.6),),
            "parameters": 5,
            "gmacs": 0.5,
            "depth": 3,
            "year": 2026,
            "weights_digest": "0" * 64,
            "digest_trust": "pinned",
            "lineage": {"teacher": "t"},
            "good_for": "tests",
        }
    )
    schema.validate(json.loads(json.dumps(full.to_dict())))


def test_cards_of_the_catalogue_are_accepted(schema):
    for name in [name for name in index.names() if "/" in name][::40]:
        try:
            found = configs.card(name, index.config(name), None, "unknown", "here")
        except BadCard:
            continue
        schema.validate(json.loads(json.dumps(found.to_dict())))


BROKEN = {
    "no name": lambda c: c.pop("name"),
    "no program": lambda c: c.pop("program"),
    "no format": lambda c: c.pop("format"),
    "another major": lambda c: c["format"].update(major=2),
    "unknown key": lambda c: c.update(flavour=1),
    "unknown task": lambda c: c.update(task="guess"),
    "labels as text": lambda c: c.update(labels="a, b"),
    "labels as numbers": lambda c: c.update(labels=[1, 2, 3]),
    "empty program": lambda c: c.update(program=[]),
    "no read first": lambda c: c["program"].pop(0),
    "two reads": lambda c: c["program"].append({"step": "read"}),
    "unknown step": lambda c: c["program"].append({"step": "explode"}),
    "unknown field": lambda c: c["program"][1].update(flavour=1),
    "unknown filter": lambda c: c["program"][1].update(filter="sinc"),
    "no antialias there": lambda c: c["program"][1].update(filter="lanczos", antialias=False),
    "size and short": lambda c: c["program"][1].update(size=[3, 3]),
    "stretch without size": lambda c: c["program"][1].update(fit="stretch"),
    "crop of nothing": lambda c: c["program"].insert(1, {"step": "crop"}),
    "crop of both": lambda c: c["program"].insert(1, {"step": "crop", "size": [3, 3], "fraction": 0.5}),
    "fraction above 1": lambda c: c["program"].insert(1, {"step": "crop", "fraction": 1.5}),
    "three sizes": lambda c: c["program"].insert(1, {"step": "crop", "size": [3, 3, 3]}),
    "size of zero": lambda c: c["program"].insert(1, {"step": "crop", "size": [0, 3]}),
    "std of zero": lambda c: c["program"].insert(1, {"step": "normalise", "mean": [0], "std": [0]}),
    "no head": lambda c: c["output"].pop("head"),
    "unknown output field": lambda c: c["output"].update(flavour=1),
    "unknown licence field": lambda c: c["licence"].update(flavour=1),
    "claim without source": lambda c: c.update(claims=[{"metric": "top1", "value": 1, "dataset": "d"}]),
    "input without name": lambda c: c.update(inputs=[{"kind": "image"}]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_cards_are_refused_by_both(schema, card, name):
    fields = json.loads(json.dumps(card.to_dict()))
    broken = copy.deepcopy(fields)
    BROKEN[name](broken)
    assert not schema.is_valid(broken)
    with pytest.raises(BadCard):
        Card.from_dict(broken)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["output"].update(temperature=0),
        lambda c: c["output"].update(classes="three"),
        lambda c: c.update(weights_digest="abc"),
        lambda c: c.update(labels={"file": "x.txt", "drop": True}),
        lambda c: c.update(inputs=[{"name": "x", "dtype": "int4"}]),
    ],
)
def test_the_schema_also_holds_types(schema, card, change):
    fields = json.loads(json.dumps(card.to_dict()))
    change(fields)
    assert not schema.is_valid(fields)


def test_a_higher_minor_may_have_more(schema, card):
    fields = json.loads(json.dumps(card.to_dict()))
    fields["format"]["minor"] = 3
    fields["flavour"] = 1
    schema.validate(fields)
    assert Card.from_dict(fields).extra == {"flavour": 1}
