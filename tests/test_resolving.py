"""From what a person writes to the model: paths, names, mirrors, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from signet.catalogue import index
from signet.errors import BadInput, BadRequest, OfflineMiss, SignetError, UnknownName
from signet.networks import ModuleSource, ModuleSpec
from signet.resolving import module_source, remote_of, resolve
from signet.zoos import from_package

MOBILENET = "mobilenetv2_100.coral_in1k"


@pytest.fixture
def mirror(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    return shared / "weights"


@pytest.mark.parametrize("name", [MOBILENET, f"timm/{MOBILENET}"])
def test_a_mirrored_model_is_found_with_and_without_its_zoo(name: str, mirror: Path) -> None:
    found = resolve(name, offline=True)
    assert found.card.name == f"timm/{MOBILENET}"
    assert found.where == "mirror"
    assert (
        found.card.weights_digest
        == json.loads((mirror / MOBILENET / "config.json").read_text())["weights"]["sha256"]
    )
    assert found.card.digest_trust == "pinned"
    assert isinstance(found.networks[0], ModuleSource)
    assert found.networks[0].weights == mirror / MOBILENET / "model.safetensors"


def test_a_mirrored_model_of_another_zoo_is_not_taken_for_it(mirror: Path) -> None:
    assert (
        resolve("torchvision/squeezenet1_0.dc_in1k", offline=True).card.name
        == "torchvision/squeezenet1_0.dc_in1k"
    )
    with pytest.raises(SignetError) as caught:
        resolve(f"torchvision/{MOBILENET}", offline=True)
    assert isinstance(caught.value, UnknownName)


def test_mirrored_names_are_among_the_near_misses(mirror: Path) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean .*{MOBILENET}"):
        resolve("mobilenetv2_100.coral_in2k", offline=True)


def test_a_folder_is_the_same_model_as_its_name(mirror: Path) -> None:
    by_name, by_path = resolve(MOBILENET, offline=True), resolve(mirror / MOBILENET)
    assert by_path.where == "file"
    assert by_path.digest == by_name.digest
    assert by_path.card.program == by_name.card.program


def test_the_digest_is_of_weights_and_program_and_head(mirror: Path, tmp_path: Path) -> None:
    """Equal digests, equal answers: whatever changes an answer changes the digest."""
    digests = {resolve(mirror / MOBILENET).digest}
    changes = {
        "mean": lambda config: config["pretrained_cfg"].update(mean=[0.4, 0.5, 0.5]),
        "size": lambda config: config["pretrained_cfg"].update(input_size=[3, 160, 160]),
        "arguments": lambda config: config["model_args"].update(bn_eps=1e-5),
        "weights": lambda config: config.pop("weights"),
    }
    for name, change in changes.items():
        folder = Path(shutil.copytree(mirror / MOBILENET, tmp_path / name))
        config = json.loads((folder / "config.json").read_text())
        change(config)
        if name == "weights":
            with (folder / "model.safetensors").open("r+b") as file:
                file.seek(-1, 2)
                file.write(b"\x07")
        (folder / "config.json").write_text(json.dumps(config))
        digests.add(resolve(folder).digest)
    assert len(digests) == 5


def test_the_starter_is_a_name_of_its_own() -> None:
    if not (from_package.folder() / "card.json").is_file():
        pytest.skip("the starter is not in this package")
    found = resolve("starter", offline=True)
    assert found.card.name == "starter" or found.card.name.startswith("signet/")
    assert found.where == "package"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet5", "timm/resnet50"),
        ("timm/resnet5", "timm/resnet50"),
        ("STARTER", "'starter'"),
        ("torchvision/alexnett", "torchvision/alexnet.imagenet1k_v1"),
        ("efficientnet_b0.ra_in1", "timm/efficientnet_b0.ra_in1k"),
    ],
)
def test_a_name_that_is_nearly_right_gets_the_right_one(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean .*{near}"):
        resolve(name, offline=True)


def test_an_ambiguous_name_is_refused_with_its_candidates() -> None:
    with pytest.raises(
        UnknownName, match=r"\d+ models are called so, with other weights: timm/resnet50.*signet show"
    ):
        resolve("resnet50", offline=True)


@pytest.mark.parametrize(
    "name", ["timm/resnet18.a1_in1k", "alexnet", "torchvision/alexnet", "mobilenetv2_100"]
)
def test_offline_stops_before_the_hub(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    with pytest.raises(OfflineMiss, match="--offline"):
        resolve(name, offline=True)


@pytest.mark.parametrize(
    "name",
    [
        "./no.onnx",
        "/no/such/file",
        "~/x",
        "x.onnx",
        "a/b/c.tflite",
        "model.xml",
        "birds.signet",
        "birds.signet.zip",
    ],
)
def test_what_looks_like_a_path_is_looked_for_as_one(name: str) -> None:
    with pytest.raises(UnknownName, match="no such file; check the path"):
        resolve(name)


@pytest.mark.parametrize(
    "name", ["", " ", "timm/../x", "timm//x", "a\0b", "a\nb", "timm/", "x" * 5000, "con"]
)
def test_what_cannot_be_a_name_is_asked_wrongly(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        resolve(name, offline=True)
    assert "\0" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["empty", "file.txt", "only-config", "picture.jpg"])
def test_a_path_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("a")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "only-config").mkdir()
    (tmp_path / "only-config" / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(SignetError) as caught:
        resolve(tmp_path / name)
    assert isinstance(caught.value, BadInput)
    assert name in str(caught.value)


def test_a_folder_of_an_unknown_library_is_refused(mirror: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(mirror / MOBILENET, tmp_path / "x"))
    config = {**json.loads((folder / "config.json").read_text()), "library": "fastai"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadRequest, match="library 'fastai'; known: timm, torchvision"):
        resolve(folder)


def test_every_entry_says_where_its_weights_are() -> None:
    for name, config in index.configs():
        remote = remote_of(config)
        at_an_address = remote.source.startswith("https://")
        assert at_an_address == (remote.address is not None), name
        assert at_an_address or re.fullmatch(r"[\w.-]+/[\w.-]+@main", remote.source), name


def test_a_sealed_module_is_built_by_the_zoo_that_it_names(tmp_path: Path) -> None:
    for zoo, architecture in (("timm", "resnet18"), ("torchvision", "resnet18")):
        spec = ModuleSpec(zoo, architecture, classes=3, classifier="fc")
        source = module_source(spec, tmp_path / "w", "a" * 64, (64, 48))
        assert source.spec == spec
        assert source.input_shape == (3, 64, 48)
    assert module_source(ModuleSpec("elsewhere", "x"), tmp_path / "w", "a" * 64, (1, 1)) is None


def test_a_graph_without_its_card_is_refused(floor3: ModuleType, tmp_path: Path) -> None:
    path = floor3.graph_model(tmp_path).networks[0].path
    with pytest.raises(BadInput, match="they are not guessed"):
        resolve(path)


def _cached(name: str, weights: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put weights into the cache as if they had been downloaded."""
    from signet.hub.cache import Receipt, cached_place, keep
    from signet.storage import digest_of

    monkeypatch.setenv("SIGNET_CACHE", str(folder / "cache"))
    place = cached_place(name)
    place.mkdir(parents=True)
    came = folder / "came"
    came.write_bytes(weights)
    receipt = Receipt(
        name=name,
        source=remote_of(index.config(name)).source,
        commit="c",
        file="model.safetensors",
        sha256=digest_of(came),
        config_sha256=None,
        trust="locked",
    )
    keep(place, receipt, came, {})


@pytest.mark.parametrize(
    "name", ["timm/resnet18.a1_in1k", "resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"]
)
@pytest.mark.parametrize("below", ["resnet18.a1_in1k", "timm/resnet18.a1_in1k"])
def test_the_cache_comes_before_the_mirror_and_the_mirror_before_the_hub(
    name: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mirror" / below
    folder.mkdir(parents=True)
    config = {key: value for key, value in index.config("timm/resnet18.a1_in1k").items() if key != "name"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"of the mirror")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "no"))
    assert resolve(name, offline=True).where == "mirror"
    _cached("timm/resnet18.a1_in1k", b"of the cache", tmp_path, monkeypatch)
    assert resolve(name, offline=True).where == "cache"


def test_a_name_without_its_tag_finds_the_mirrored_folder_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = index.full_name("torchvision/alexnet")
    folder = tmp_path / full.partition("/")[2]
    folder.mkdir()
    config = {key: value for key, value in index.config(full).items() if key != "name"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"x")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path))
    for name in ("alexnet", "torchvision/alexnet", full):
        found = resolve(name, offline=True)
        assert (found.where, found.card.name) == ("mirror", full)


def test_a_folder_that_is_no_model_does_not_hide_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    for name in ("starter", "alexnet", "resnet50"):
        (tmp_path / name).mkdir()
    assert resolve("starter", offline=True).where == "package"
    with pytest.raises(OfflineMiss, match="torchvision/alexnet"):
        resolve("alexnet", offline=True)
    with pytest.raises(UnknownName, match="models are called so"):
        resolve("resnet50", offline=True)


def test_a_config_cannot_choose_a_name_with_strange_characters(mirror: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(mirror / MOBILENET, tmp_path / "x"))
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["tag"] = "../../\x1b[31m"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadRequest, match="cannot be a model's name"):
        resolve(folder)


def test_a_path_may_begin_at_home(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(mirror))
    assert resolve(f"~/{MOBILENET}").card.name == f"timm/{MOBILENET}"
