"""Weight files of Keras: each fault is refused with the difference shown; Keras comes without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import resolving
from signet.catalogue import configs, index
from signet.engines.contract import EngineSettings
from signet.errors import BadCard, BadInput, BadRequest, DigestMismatch, UnknownName
from signet.hub import WeightFiles
from signet.models import load
from signet.networks import ModuleSpec
from signet.resolving import resolve
from signet.storage import digest_of, write_json
from signet.testing import check_zoo, made_images
from signet.zoos import from_keras

torch = pytest.importorskip("torch")
ARGUMENTS: dict[str, Any] = {"alpha": 0.25, "input_shape": (96, 96, 3)}
FORMS = ("h5", "whole", "weights.h5")


@pytest.fixture(scope="module")
def written(files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small model in each form of file; not to be changed."""
    folder = tmp_path_factory.mktemp("keras")
    model = files.model("mobilenet", **ARGUMENTS)
    return {form: files.save(model, folder, form) for form in FORMS}


def copied(file: Path, to: Path, change: Callable[[Any], None]) -> Path:
    import h5py

    place = to / file.name
    place.write_bytes(file.read_bytes())
    with h5py.File(place, "r+") as opened:
        change(opened.get("model_weights", opened))
    return place


@pytest.mark.parametrize("form", FORMS)
def test_every_form_fills_the_same_network(form: str, files: ModuleType, written: dict[str, Path]) -> None:
    spec = files.spec("mobilenet", **ARGUMENTS)
    expected, got = from_keras.build(spec, written["h5"]), from_keras.build(spec, written[form])
    state = expected.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in got.state_dict().items())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_short_is_refused(
    form: str, files: ModuleType, written: dict[str, Path], tmp_path: Path
) -> None:
    whole = written[form].read_bytes()
    for size in (0, 7, 600, len(whole) // 2, len(whole) - 1):
        place = tmp_path / written[form].name
        place.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"cannot be read: .* cut short"):
            from_keras.build(files.spec("mobilenet", **ARGUMENTS), place)


@pytest.mark.parametrize("form", FORMS)
def test_another_width_and_other_classes_are_shown(
    form: str, files: ModuleType, written: dict[str, Path]
) -> None:
    wider = files.spec("mobilenet", **{**ARGUMENTS, "alpha": 0.5})
    with pytest.raises(BadInput, match=r"of another shape: .*\(3, 3, 3, 16\), got \(3, 3, 3, 8\).* more"):
        from_keras.build(wider, written[form])
    with pytest.raises(BadInput, match=r"of another shape: .*\(1, 1, 256, 5\), got \(1, 1, 256, 1000\)"):
        from_keras.build(files.spec("mobilenet", classes=5, **ARGUMENTS), written[form])


@pytest.mark.parametrize("form", ["h5", "weights.h5"])
def test_weights_without_a_head_are_refused_by_name(form: str, files: ModuleType, tmp_path: Path) -> None:
    headless = files.model("mobilenetv2", include_top=False, alpha=0.35, input_shape=(96, 96, 3))
    file = files.save(headless, tmp_path, form)
    spec = files.spec("mobilenetv2", alpha=0.35, input_shape=(96, 96, 3))
    missing = "predictions" if form == "h5" else "layers/dense/vars/0"
    with pytest.raises(BadInput, match=f"expected exactly the tensors of .*missing: {missing}"):
        from_keras.build(spec, file)


def test_a_missing_and_an_unexpected_tensor_are_named(
    files: ModuleType, written: dict[str, Path], tmp_path: Path
) -> None:
    spec = files.spec("mobilenet", **ARGUMENTS)

    def without(group: Any) -> None:
        del group["conv1/conv1/kernel"]

    def more(group: Any) -> None:
        group["conv1/another"] = np.zeros(3, np.float32)

    with pytest.raises(BadInput, match=r"missing: conv1/conv1/kernel"):
        from_keras.build(spec, copied(written["h5"], tmp_path, without))
    with pytest.raises(BadInput, match=r"unexpected: conv1/another"):
        from_keras.build(spec, copied(written["whole"], tmp_path, more))

    def without_new(group: Any) -> None:
        del group["layers/conv2d/vars/0"]

    def more_new(group: Any) -> None:
        group["layers/conv2d/vars/9"] = np.zeros(3, np.float32)

    with pytest.raises(BadInput, match=r"missing: layers/conv2d/vars/0\."):
        from_keras.build(spec, copied(written["weights.h5"], tmp_path, without_new))
    with pytest.raises(BadInput, match=r"unexpected: layers/conv2d/vars/9\."):
        from_keras.build(spec, copied(written["weights.h5"], tmp_path, more_new))


def test_two_layers_that_changed_places_are_refused(
    files: ModuleType, written: dict[str, Path], tmp_path: Path
) -> None:
    """Keras itself goes by order and would load one layer's weights into the other, without a word."""

    def exchange(group: Any) -> None:
        stated = group.attrs["layer_names"]
        names = [name.decode() if isinstance(name, bytes) else name for name in stated]
        one, other = names.index("conv_pw_8"), names.index("conv_pw_9")
        names[one], names[other] = names[other], names[one]
        group.attrs["layer_names"] = np.asarray([name.encode() for name in names])

    with pytest.raises(BadInput, match=r"has 'conv_pw_9' where 'conv_pw_8' belongs"):
        from_keras.build(files.spec("mobilenet", **ARGUMENTS), copied(written["h5"], tmp_path, exchange))


def test_layers_that_keras_numbered_load_whatever_their_numbers(files: ModuleType, tmp_path: Path) -> None:
    shape = {"input_shape": (107, 107, 3)}
    files.model("inceptionv3", **shape)  # counts the numbers up
    model = files.model("inceptionv3", seed=4, **shape)
    assert model.layers[1].name != "conv2d"
    file = files.save(model, tmp_path, "h5")
    network = from_keras.build(files.spec("inceptionv3", **shape), file)
    kernel = np.asarray(model.layers[1].kernel.value.detach()).transpose(3, 2, 0, 1)
    assert np.array_equal(network.get_submodule("stage1.conv2d").weight.detach().numpy(), kernel)


def test_links_and_whole_models_are_refused(
    files: ModuleType, written: dict[str, Path], tmp_path: Path
) -> None:
    import h5py

    spec = files.spec("mobilenet", **ARGUMENTS)
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as opened:
        opened["secret"] = np.zeros((3, 3, 3, 8), np.float32)

    def link(group: Any) -> None:
        del group["conv1/conv1/kernel"]
        group["conv1/conv1/kernel"] = h5py.ExternalLink(str(outside), "/secret")

    def loop(group: Any) -> None:
        group["conv1/loop"] = group["conv1"]

    def words(group: Any) -> None:
        group["conv1/words"] = "code"

    for change, reason in ((link, "is a link"), (loop, "nested more than"), (words, "holds no numbers")):
        with pytest.raises(BadInput, match=reason):
            from_keras.build(spec, copied(written["h5"], tmp_path, change))
    archive = tmp_path / "model.keras"
    archive.write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"code of their own \(Lambda\).*save_weights\('NAME\.weights\.h5'\)"):
        from_keras.build(spec, archive)


def test_arguments_that_are_no_networks_are_refused(files: ModuleType) -> None:
    for argument in ("weights", "include_preprocessing", "include_top", "classifier_activation"):
        with pytest.raises(BadInput, match=f"passes '?{argument}'?; expected alpha"):
            from_keras.build(ModuleSpec("keras", "mobilenet", {argument: True}), None)
    with pytest.raises(BadInput, match="cannot be built with the arguments"):
        from_keras.build(ModuleSpec("keras", "mobilenet", {"input_shape": "none"}), None)
    with pytest.raises(UnknownName, match="Did you mean 'resnet50'"):
        from_keras.build(ModuleSpec("keras", "resnet5"), None)


# --- names ------------------------------------------------------------------------------------------------


def mirrored(files: ModuleType, file: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "model.weights.h5").write_bytes(file.read_bytes())
    write_json(folder / "config.json", files.config("mobilenet", **ARGUMENTS))


def test_a_mirrored_model_keeps_the_contract(
    files: ModuleType, written: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(files, written["weights.h5"], tmp_path / "mirror" / "mobilenet.imagenet")
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))
    check_zoo(resolve, ["keras/mobilenet.imagenet"], tmp_path, unknown="keras/mobilenett.imagenet")
    found = resolve("keras/mobilenet.imagenet", offline=True)
    assert found.where == "mirror"
    assert found.card.input_size == (96, 96)
    assert found.card.lineage["keras_parameters"] == 4253864
    assert found.card.labels[:1] == ("tench",)


def test_a_folder_needs_its_program(files: ModuleType, written: dict[str, Path], tmp_path: Path) -> None:
    mirrored(files, written["weights.h5"], tmp_path / "one")
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    del config["program"]
    write_json(tmp_path / "one" / "config.json", config, overwrite=True)
    with pytest.raises(BadCard, match="'program', a list of preprocessing steps"):
        resolve(tmp_path / "one")


def test_nasnet_mobile_is_our_own_network(files: ModuleType, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    config = index.config("keras/nasnetmobile.imagenet")
    spec = configs.spec("keras", config)
    network = from_keras.build(spec, None)
    assert sum(parameter.numel() for parameter in network.parameters()) == config["parameters"]
    file = tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    weights = WeightFiles(None, file, digest_of(file), "unknown", "folder")
    entry = {key: value for key, value in config.items() if key != "file_md5"}
    found = from_keras.pretrained("keras/nasnetmobile.imagenet", entry, weights)
    with load(found, engine="torch", settings=EngineSettings(threads=2)) as model:
        assert model.run(model.prepare(made_images(1)))["features"].shape == (1, 1056)


def test_a_file_is_held_to_the_md5_that_keras_states(written: dict[str, Path]) -> None:
    config = index.config("keras/resnet50.imagenet")
    assert len(config["file_md5"]) == 32
    file = written["h5"]
    weights = WeightFiles(None, file, digest_of(file), "locked", "cache")
    for _ in range(2):
        with pytest.raises(DigestMismatch, match=f"but Keras states {config['file_md5']}"):
            from_keras.pretrained("keras/resnet50.imagenet", config, weights)


def test_a_stated_sha256_is_pinned() -> None:
    config = index.config("keras/convnexttiny.imagenet")
    assert resolving.remote_of(config).sha256 == config["file_sha256"]
    assert resolving.remote_of(index.config("keras/resnet50.imagenet")).sha256 is None


# --- the import -------------------------------------------------------------------------------------------

TRACE = """
import os, random, sys
import numpy as np
import torch
before = dict(os.environ)
from signet.networks import ModuleSpec
from signet.zoos import from_keras
random.seed(1); np.random.seed(1); torch.manual_seed(1)
states = random.getstate(), str(np.random.get_state()), torch.random.get_rng_state()
from_keras.build(ModuleSpec("keras", "mobilenet", {"alpha": 0.25, "input_shape": [96, 96, 3]}), None)
assert random.getstate() == states[0]
assert str(np.random.get_state()) == states[1]
assert torch.equal(torch.random.get_rng_state(), states[2])
assert dict(os.environ) == before
import keras
assert keras.config.backend() == "torch"
from keras.src.backend import config
assert config._KERAS_DIR == os.path.expanduser("~/.keras"), config._KERAS_DIR
"""


def run(code: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_")}
    surroundings |= {"HOME": str(home), "SIGNET_CACHE": str(home / "cache"), **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=False
    )


def test_keras_is_imported_without_a_trace(files: ModuleType, tmp_path: Path) -> None:
    done = run(TRACE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    assert not done.stderr
    assert not (tmp_path / ".keras").exists()


def test_another_backend_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config:
        backend = staticmethod(lambda: "jax")

    stand_in = ModuleType("keras")
    stand_in.config = Config  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", stand_in)
    with pytest.raises(BadRequest, match=r"imported before with the backend 'jax'.*KERAS_BACKEND=torch"):
        from_keras.build(ModuleSpec("keras", "resnet50"), None)


def test_another_layout_is_refused(files: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(BadRequest, match="image_data_format channels_last"):
        from_keras.build(ModuleSpec("keras", "resnet50"), None)
