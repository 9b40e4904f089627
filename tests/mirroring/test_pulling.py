"""What a pull leaves behind, what it refuses, and that one that fails stops no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signet import mirroring
from signet.catalogue import index
from signet.catalogue.finding import find
from signet.errors import BadInput, BadRequest, Refused, SignetError
from signet.hub import Remote, obtain
from signet.resolving import resolve
from signet.storage import digest_of

from .conftest import NAME, OTHER, QUICK

FILES = [
    "LICENCE.txt",
    "card.json",
    "config.json",
    "labels.json",
    "model.json",
    "model.safetensors",
]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_all_that_is_needed(simple, tmp_path, monkeypatch):
    simple.files[NAME, "config.json"] = b'{"architecture": "something", "from": "the publisher"}'
    pulled = mirroring.pull([NAME], tmp_path / "m")
    (model,) = pulled.models
    assert (model.status, model.name, pulled.ok) == ("pulled", NAME, True)
    folder = tmp_path / "m" / NAME
    assert files(folder) == sorted([*FILES, "config.publisher.json"])
    assert sorted(file.file for file in model.files) == files(folder)
    for file in model.files:
        assert (folder / file.file).stat().st_size == file.size
        assert digest_of(folder / file.file) == file.sha256
    config = json.loads((folder / "config.json").read_text())
    assert config["weights"] == {
        "file": "model.safetensors",
        "sha256": digest_of(folder / "model.safetensors"),
    }
    assert config["pretrained_cfg"] == index.config(NAME)["pretrained_cfg"]
    card = json.loads((folder / "card.json").read_text())
    assert (card["name"], card["digest_trust"]) == (NAME, "locked")
    assert len(json.loads((folder / "labels.json").read_text())["labels"]) == 1000
    assert "Licence of the weights: " in (folder / "LICENCE.txt").read_text()
    manifest = json.loads((tmp_path / "m" / "mirror.json").read_text())
    assert manifest["format"] == {"major": 1, "minor": 0}
    entry = manifest["models"][NAME]
    assert entry["source"] == f"{NAME}@main"
    assert entry["commit"] == "c0ffee00" * 5
    assert entry["files"][0]["file"] == "model.safetensors"
    assert {"licence", "date", "task", "parameters", "trust"} <= entry.keys()
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "m"))
    found = resolve(NAME, offline=True)
    assert (found.where, found.card.name) == ("mirror", NAME)


def test_a_model_answers_to_the_same_digest_from_hub_and_mirror(simple, tmp_path, monkeypatch):
    mirroring.pull([NAME], tmp_path / "m")
    online = resolve(NAME)
    assert online.where == "hub"
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "m"))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "empty"))
    assert resolve(NAME, offline=True).digest == online.digest


def test_what_the_cache_or_another_mirror_has_is_not_downloaded(simple, tmp_path, monkeypatch):
    config = index.config(NAME)
    obtain(NAME, Remote(repository=config["pretrained_cfg"]["hf_hub_id"]), patience=QUICK)
    asked = len(simple.requests)
    first = mirroring.pull([NAME], tmp_path / "a", offline=True)
    assert [model.status for model in first.models] == ["pulled"]
    assert "from the cache" in first.models[0].remark
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "a"))
    second = mirroring.pull([NAME], tmp_path / "b")
    assert [model.status for model in second.models] == ["pulled"]
    assert len(simple.requests) == asked
    assert mirroring.verify(tmp_path / "b").ok
    one, two = (json.loads((tmp_path / mirror / NAME / "config.json").read_text()) for mirror in "ab")
    assert one == two
    entries = [json.loads((tmp_path / mirror / "mirror.json").read_text())["models"][NAME] for mirror in "ab"]
    assert {(entry["source"], entry["commit"], entry["trust"]) for entry in entries} == {
        (f"{NAME}@main", "c0ffee00" * 5, "locked")
    }


def test_a_hand_made_mirror_with_short_names_is_a_source(tmp_path, monkeypatch):
    folder = tmp_path / "hand" / NAME.removeprefix("timm/")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architecture": "test_efficientnet"}))
    (folder / "model.safetensors").write_bytes(b"hand-made")
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "run.py").write_text("import os")
    (folder / "link.json").symlink_to("/etc/hostname")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "hand"))
    assert mirroring.pull([NAME], tmp_path / "m", offline=True).ok
    assert files(tmp_path / "m" / NAME) == sorted([*FILES, "preprocessor_config.json"])
    assert (tmp_path / "m" / NAME / "model.safetensors").read_bytes() == b"hand-made"
    assert str(tmp_path) not in (tmp_path / "m" / "mirror.json").read_text()


def test_there_is_left_alone_and_overwrite_replaces(simple, tmp_path):
    mirroring.pull([NAME], tmp_path / "m")
    before = (tmp_path / "m" / "mirror.json").read_bytes()
    asked = len(simple.requests)
    again = mirroring.pull([NAME, NAME.removeprefix("timm/")], tmp_path / "m")
    assert [model.status for model in again.models] == ["there"]
    assert again.models[0].files
    assert (again.size_bytes, len(simple.requests)) == (0, asked)
    assert (tmp_path / "m" / "mirror.json").read_bytes() == before
    simple.files[NAME, "model.safetensors"] = b"new" * 1000
    replaced = mirroring.pull([NAME], tmp_path / "m", overwrite=True)
    assert [model.status for model in replaced.models] == ["pulled"]
    assert (tmp_path / "m" / NAME / "model.safetensors").read_bytes() == b"new" * 1000
    assert mirroring.verify(tmp_path / "m").ok
    assert files(tmp_path / "m" / "timm") == [NAME.removeprefix("timm/")]


def test_what_is_damaged_or_of_nobody_is_not_overwritten_unasked(simple, tmp_path):
    mirroring.pull([NAME], tmp_path / "m")
    (tmp_path / "m" / NAME / "card.json").write_text("{}")
    strange = tmp_path / "m" / OTHER
    strange.mkdir()
    (strange / "notes").write_text("mine")
    pulled = mirroring.pull([NAME, OTHER], tmp_path / "m")
    assert [model.status for model in pulled.models] == ["failed", "failed"]
    assert "damaged: card.json: 2 bytes" in pulled.models[0].error
    assert "no manifest says what it is" in pulled.models[1].error
    assert all("--overwrite" in model.error for model in pulled.models)
    assert (strange / "notes").read_text() == "mine"
    assert mirroring.pull([NAME, OTHER], tmp_path / "m", overwrite=True).ok
    assert mirroring.verify(tmp_path / "m").ok


def test_one_that_fails_does_not_stop_the_others(simple, tmp_path):
    del simple.files[OTHER, "model.safetensors"]
    names = ["timm/test_efficientnet.r160_in1", OTHER, "../../etc", "resnet50", "starter", NAME]
    pulled = mirroring.pull(names, tmp_path / "m")
    status = {model.name: (model.status, model.error) for model in pulled.models}
    assert status["timm/test_efficientnet.r160_in1"][0] == "failed"
    assert f"Did you mean '{NAME}'" in status["timm/test_efficientnet.r160_in1"][1]
    assert "cannot be a model's name" in status["../../etc"][1]
    assert "models are called so" in status["resnet50"][1]
    assert status[OTHER][0] == "failed"
    assert status["starter"] == ("there", "")
    assert status[NAME] == ("pulled", "")
    assert not (tmp_path / "m" / OTHER).exists()
    assert mirroring.verify(tmp_path / "m").ok
    assert not pulled.ok


def test_a_bad_download_leaves_nothing_under_the_name(simple, tmp_path):
    simple.faults.corrupt = [True] * 4
    pulled = mirroring.pull([NAME, OTHER], tmp_path / "m")
    assert [model.status for model in pulled.models] == ["failed", "failed"]
    assert "was promised" in pulled.models[0].error
    assert not (tmp_path / "m" / "timm").exists()


def test_a_pull_that_was_killed_before_the_manifest_is_taken_up(simple, tmp_path):
    mirroring.pull([NAME], tmp_path / "m")
    (tmp_path / "m" / "mirror.json").unlink()
    assert mirroring.verify(tmp_path / "m").models[0].held_to == "record"
    asked = len(simple.requests)
    assert [model.status for model in mirroring.pull([NAME], tmp_path / "m").models] == ["there"]
    assert len(simple.requests) == asked
    assert mirroring.verify(tmp_path / "m").models[0].held_to == "manifest"


def test_a_pull_that_was_killed_before_the_rename_downloads_nothing_again(simple, tmp_path, monkeypatch):
    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("signet.mirroring.staging.move_folder_into_place", killed)
        with pytest.raises(SystemExit):
            mirroring.pull([NAME], tmp_path / "m")
    sent = simple.sent
    assert mirroring.pull([NAME], tmp_path / "m").ok
    assert simple.sent == sent


def test_licences_that_do_not_fit_are_refused_before_anything_is_downloaded(simple, tmp_path):
    alexnet = "torchvision/alexnet.imagenet1k_v1"
    with pytest.raises(Refused, match=f"not permissive: .*{alexnet}") as caught:
        mirroring.pull(["starter", alexnet], tmp_path / "m", licence="permissive")
    assert "1 of 2" in str(caught.value)
    assert not (tmp_path / "m").exists()
    assert simple.requests == []
    assert mirroring.pull(["starter"], tmp_path / "m", licence="permissive").ok
    with pytest.raises(BadRequest, match="permissive or commercial"):
        mirroring.pull(["starter"], tmp_path / "m", licence="free")


def test_a_disk_that_is_too_small_is_said_before_the_start(simple, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 40_960})())
    with pytest.raises(SignetError, match=r"need 0 MB .* has 0 MB\. Nothing was pulled"):
        mirroring.pull([NAME], tmp_path / "m")
    assert simple.bytes_requests() == []


def test_a_link_does_not_lead_out_of_the_mirror(simple, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "m" / "timm").symlink_to(tmp_path / "out")
    pulled = mirroring.pull([NAME], tmp_path / "m", overwrite=True)
    assert "leads out of" in pulled.models[0].error
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_is_in_bytes_over_all_models(simple, tmp_path):
    moments = []
    mirroring.pull([NAME, OTHER], tmp_path / "m", on_progress=moments.append)
    pulling = [moment for moment in moments if moment.stage == "pulling"]
    assert {moment.unit for moment in pulling} == {"bytes"}
    assert (pulling[-1].done, pulling[-1].total) == (400_000, 400_000)
    assert [moment.done for moment in pulling] == sorted(moment.done for moment in pulling)


def test_wrong_requests(simple, tmp_path):
    with pytest.raises(BadRequest, match="at least one model"):
        mirroring.pull([], tmp_path / "m")
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="expected a folder"):
        mirroring.pull([NAME], tmp_path / "file")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mirror.json").write_text('{"format": {"major": 2}, "models": {}}')
    with pytest.raises(BadInput, match="of format 2; this version reads format 1"):
        mirroring.pull([NAME], tmp_path / "m")
    assert simple.requests == []


def test_a_repository_that_no_index_lists(hub, tmp_path, monkeypatch):
    hub.files["someone/vit", "model.safetensors"] = b"w" * 1000
    hub.files["someone/vit", "config.json"] = json.dumps(
        {
            "model_type": "vit",
            "architectures": ["ViTForImageClassification"],
            "id2label": {"0": "cat", "1": "dog"},
            "image_size": 32,
        }
    ).encode()
    hub.files["someone/vit", "preprocessor_config.json"] = json.dumps(
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    ).encode()
    name = "transformers/someone/vit"
    pulled = mirroring.pull([name], tmp_path / "m")
    assert pulled.ok, pulled.models[0].error
    assert "preprocessor_config.json" in files(tmp_path / "m" / name)
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "m"))
    found = resolve(name, offline=True)
    assert (found.where, found.card.name, found.card.labels) == ("mirror", name, ("cat", "dog"))
    assert [entry.name for entry in find(text="someone/vit")] == [name]


def test_what_is_mirrored_is_found_once_and_without_hashing(simple, tmp_path, monkeypatch):
    mirroring.pull([NAME], tmp_path / "m")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "m"))
    (tmp_path / "m" / "broken").mkdir()
    (tmp_path / "m" / "broken" / "config.json").write_text('{"weights": {"file": "w"}}')
    (tmp_path / "m" / "broken" / "w").touch()
    monkeypatch.setattr("signet.hub.folders.remembered_digest", lambda _: pytest.fail("hashed"))
    rows = [entry for entry in find() if "test_efficientnet.r160" in entry.name or entry.name == "broken"]
    assert [(entry.name, entry.status, entry.size_bytes) for entry in rows] == [(NAME, "mirrored", 200_000)]
    assert rows[0].claims
    assert rows[0].params == index.config(NAME)["parameters"]


def test_a_manifest_of_a_later_minor_format_keeps_what_it_says(simple, tmp_path):
    mirroring.pull([NAME], tmp_path / "m")
    place = tmp_path / "m" / "mirror.json"
    raw = json.loads(place.read_text())
    raw["format"]["minor"] = 7
    raw["later"] = {"a": 1}
    raw["models"][NAME]["later"] = [1]
    place.write_text(json.dumps(raw))
    mirroring.pull([OTHER], tmp_path / "m")
    now = json.loads(place.read_text())
    assert (now["format"]["minor"], now["later"], now["models"][NAME]["later"]) == (7, {"a": 1}, [1])
    assert sorted(now["models"]) == [NAME, OTHER]
