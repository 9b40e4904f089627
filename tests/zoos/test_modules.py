"""Weight files and configs of strangers: each fault is an error of ours, and nothing is run or guessed."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from signet.catalogue import configs, index
from signet.errors import BadCard, BadInput, SignetError
from signet.models import load
from signet.networks import ModuleSpec
from signet.predictions import Embedding
from signet.resolving import resolve
from signet.testing import made_images
from signet.zoos import from_timm, from_torchvision

torch = pytest.importorskip("torch")

SPEC = ModuleSpec("timm", "resnet18", classes=5, classifier="fc")


class Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm-was-done"),))


def _pickle(place: Path) -> None:
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Harm()))
        archive.writestr("archive/version", "3\n")


FAULTS = {
    "empty.safetensors": lambda place: place.write_bytes(b""),
    "header.safetensors": lambda place: place.write_bytes((2**62).to_bytes(8, "little") + b"{}"),
    "cut.safetensors": lambda place: place.write_bytes(
        (58).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}   '
    ),
    "text.bin": lambda place: place.write_text("<html>"),
    "empty.pth": lambda place: place.write_bytes(b""),
    "harm.pt": _pickle,
    "harm.bin": lambda place: place.write_bytes(pickle.dumps(Harm())),
    "list.pth": lambda place: torch.save([1, 2], place),
    "words.pth": lambda place: torch.save({"a": "b"}, place),
    "missing.safetensors": lambda place: None,
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("zoo", [from_timm, from_torchvision])
def test_a_broken_or_harmful_weight_file_is_an_error_that_says_what_to_do(
    name: str, zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FAULTS[name](tmp_path / name)
    with pytest.raises(BadInput, match=f"{name}: expected .*") as caught:
        zoo.build(SPEC, tmp_path / name)
    assert not (tmp_path / "harm-was-done").exists()
    assert "\n" not in str(caught.value)


def test_tensors_that_are_missing_or_too_many_are_named(tmp_path: Path) -> None:
    state = from_timm.build(SPEC, None).state_dict()
    state["fc.more"] = state.pop("fc.bias")
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(BadInput, match=r"(?s)exactly the tensors of timm/resnet18.*fc\.bias.*fc\.more"):
        from_timm.build(SPEC, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("zoo", "arguments", "words"),
    [
        (from_timm, {"checkpoint_path": "/etc/hostname"}, "passes checkpoint_path to timm"),
        (from_timm, {"pretrained": True}, "passes pretrained to timm"),
        (from_torchvision, {"weights": "DEFAULT"}, "passes weights to torchvision"),
        (from_timm, {"no_such": 1}, "cannot be built with the arguments"),
        (from_timm, {"block_args": 3}, "cannot be built with the arguments"),
        (from_torchvision, {"no_such": 1}, "cannot be built with the arguments"),
    ],
)
def test_arguments_of_a_stranger_build_a_network_and_load_nothing(
    zoo: Any, arguments: dict[str, Any], words: str
) -> None:
    spec = ModuleSpec(zoo.ZOO, "resnet18", arguments, classes=5, classifier="fc")
    with pytest.raises(BadInput, match=words):
        zoo.build(spec, None)


def test_a_config_of_odd_values_is_a_bad_card_and_never_a_crash() -> None:
    """Every value of a real config, and every value inside, replaced by each kind that JSON has."""
    whole = dict(index.config("timm/resnet18.a1_in1k"))
    whole["pretrained_cfg"] = {**whole["pretrained_cfg"], "crop_size": [64, 64], "value_range": [0, 1]}
    odd = (None, True, -1, 0, 1e300, "x", "", [], [None], {}, {"a": 1}, [0, 0, 0])
    refused = 0
    for place in [(key,) for key in whole] + [("pretrained_cfg", key) for key in whole["pretrained_cfg"]]:
        for value in odd:
            config = copy.deepcopy(whole)
            inner = config if len(place) == 1 else config["pretrained_cfg"]
            inner[place[-1]] = value
            try:
                card = configs.card("timm/a", json.loads(json.dumps(config)), None, "unknown", "")
                configs.spec("timm", config)
                assert card.program.steps
            except BadCard:
                refused += 1
            except SignetError as error:
                pytest.fail(f"{place} = {value!r}: {error!r}")
    assert refused > 50


def test_a_background_class_that_only_the_config_knows_is_refused() -> None:
    config = dict(index.config("timm/resnet18.a1_in1k"))
    config["pretrained_cfg"] = {**config["pretrained_cfg"], "label_offset": 1}
    with pytest.raises(BadCard, match="label_offset 0 is read, got 1"):
        configs.card("timm/a", config, None, "unknown", "")


def test_a_config_of_transformers_is_called_so() -> None:
    with pytest.raises(BadCard, match="got that of transformers"):
        configs.card("x", {"architectures": ["ViT"], "model_type": "vit"}, None, "unknown", "")


def test_a_network_without_a_head_gives_vectors_and_no_classes(tmp_path: Path) -> None:
    """DINOv2 and CLIP towers say `num_classes: 0`; their features are not the scores of 512 labels."""
    config = {
        "architecture": "resnet18",
        "num_classes": 0,
        "pretrained_cfg": {"input_size": [3, 64, 64], "num_classes": 0, "classifier": "fc"},
    }
    module = from_timm.build(configs.spec("timm", config), None)
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = resolve(tmp_path)
    assert found.card.task == "embed"
    for engine in ("torch", "onnx"):
        with load(found, Embedding, engine=engine) as model:
            (answer,) = model(made_images(1))
            assert len(answer) == 512


def test_labels_are_part_of_what_answers_depend_on() -> None:
    import dataclasses

    config = index.config("timm/resnet18.a1_in1k")
    card = configs.card("timm/a", config, None, "unknown", "")
    other = dataclasses.replace(card, labels=tuple(reversed(card.labels or ())))
    assert configs.digest_with("a" * 64, card) != configs.digest_with("a" * 64, other)
