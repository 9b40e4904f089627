"""Every fault is named; what nobody vouches for is said to be so."""

from __future__ import annotations

import json
import shutil

import pytest

from signet import mirroring
from signet.errors import BadInput, BadRequest

from .conftest import NAME, OTHER


@pytest.fixture
def mirror(simple, tmp_path):
    assert mirroring.pull([NAME, OTHER], tmp_path / "m").ok
    return tmp_path / "m"


def faults(root):
    checked = mirroring.verify(root)
    assert checked.ok == all(model.ok for model in checked.models)
    return {model.name: model.faults for model in checked.models if model.faults}


def test_nothing_wrong(mirror):
    checked = mirroring.verify(mirror)
    assert (checked.ok, checked.unlisted, len(checked.manifest)) == (True, (), 64)
    assert [(model.name, model.held_to) for model in checked.models] == [
        (NAME, "manifest"),
        (OTHER, "manifest"),
    ]


def test_progress_is_in_bytes(mirror):
    moments = []
    mirroring.verify(mirror, moments.append)
    assert (moments[-1].stage, moments[-1].unit) == ("verifying", "bytes")
    assert moments[-1].done == moments[-1].total > 400_000


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "card.json", "model.json", "LICENCE.txt"]
)
def test_one_flipped_bit(mirror, file):
    path = mirror / NAME / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (found,) = faults(mirror)[NAME]
    assert found.startswith(f"{file}: has the sha256 ")
    assert OTHER not in faults(mirror)


def test_missing_and_longer_and_extra_and_linked(mirror):
    folder = mirror / NAME
    (folder / "labels.json").unlink()
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    (folder / "extra.py").write_text("import os")
    (folder / "inner").mkdir()
    (folder / "card.json").rename(mirror / "card.json")
    (folder / "card.json").symlink_to(mirror / "card.json")
    assert faults(mirror) == {
        NAME: (
            "model.safetensors: 200001 bytes, expected 200000",
            "card.json: is a link, which is not followed",
            "labels.json: missing",
            "extra.py: not listed",
            "inner: not listed",
        )
    }
    assert mirroring.verify(mirror).unlisted == ("card.json",)


def test_a_model_that_is_gone(mirror):
    shutil.rmtree(mirror / NAME)
    assert faults(mirror) == {NAME: ("the folder is missing",)}
    held = {model.name: model.fault for model in mirroring.contents(mirror)}
    assert held == {NAME: "its folder is missing", OTHER: ""}


def test_a_mirror_made_by_hand_is_held_to_what_its_configs_state(mirror):
    (mirror / "mirror.json").unlink()
    for name in (NAME, OTHER):
        (mirror / name / "model.json").unlink()
    config = json.loads((mirror / OTHER / "config.json").read_text())
    del config["weights"]
    (mirror / OTHER / "config.json").write_text(json.dumps(config))
    checked = mirroring.verify(mirror)
    assert checked.manifest is None
    assert [(model.name, model.held_to) for model in checked.models] == [(NAME, "config"), (OTHER, "nothing")]
    (mirror / NAME / "model.safetensors").write_bytes(b"other")
    assert faults(mirror)[NAME][0].startswith("model.safetensors: has the sha256")
    (mirror / NAME / "model.safetensors").unlink()
    assert faults(mirror)[NAME] == ("model.safetensors: missing",)


def test_a_model_beside_the_manifest_is_unlisted_and_checked(mirror):
    shutil.copytree(mirror / NAME, mirror / "mine")
    (mirror / "mine" / "model.safetensors").write_bytes(b"other")
    checked = mirroring.verify(mirror)
    assert checked.unlisted == ("mine",)
    assert not checked.ok


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected JSON"),
        ("{}", "expected 'format' and 'models'"),
        ('{"format": {"major": 9}, "models": {}}', "of format 9"),
        ('{"format": {"major": 1}, "models": {"../x": {}}}', "cannot be a model's name"),
        (
            '{"format": {"major": 1}, "models": {"x": {"files": [{"file": "../y"}]}}}',
            "not what a mirror states",
        ),
        ('{"format": {"major": 1}, "models": {"x": []}}', "not what a mirror states"),
    ],
)
def test_a_manifest_that_is_none(mirror, text, words):
    (mirror / "mirror.json").write_text(text)
    for verb in (mirroring.verify, mirroring.contents):
        with pytest.raises(BadInput, match=words):
            verb(mirror)


def test_a_manifest_names_no_file_outside(mirror):
    raw = json.loads((mirror / "mirror.json").read_text())
    raw["models"][NAME]["files"][0]["file"] = f"../{OTHER.removeprefix('timm/')}"
    (mirror / "mirror.json").write_text(json.dumps(raw))
    with pytest.raises(BadInput, match="no name of a file beside others"):
        mirroring.verify(mirror)


def test_no_folder(tmp_path):
    with pytest.raises(BadRequest, match="expected the folder of a mirror"):
        mirroring.verify(tmp_path / "none")


def test_contents(mirror):
    (mirror / "broken").mkdir()
    (mirror / "broken" / "config.json").write_text("{")
    shutil.copytree(mirror / NAME, mirror / "mine")
    rows = {model.name: model for model in mirroring.contents(mirror)}
    assert sorted(rows) == ["broken", "mine", NAME, OTHER]
    assert rows["broken"].fault
    assert (rows["mine"].task, rows["mine"].trust, rows["mine"].size_bytes) == ("classify", "pinned", 200_000)
    assert (rows[NAME].trust, rows[NAME].parameters) == ("locked", rows["mine"].parameters)
    assert rows[NAME].to_dict()["licence"].keys() == {"weights", "stated", "verdict"}
