"""The program of every entry of the index, and what it makes of pixels beside the zoo's own transform."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from signet.catalogue import configs, entries, index
from signet.errors import BadCard
from signet.images import Image
from signet.preprocessing import prepare
from signet.programs import Program
from signet.steps import Crop, Normalise, Range, Resize

# Detectors and segmenters write their program out: tests/zoos/test_torchvision_dense.py.
ENTRIES = {name: row for name, row in index.configs() if "task" not in row}
STATED: Mapping[str, Mapping[str, Any]] = {name: row["pretrained_cfg"] for name, row in ENTRIES.items()}


def kinds(zoo: str) -> dict[str, str]:
    """One name for each distinct program of a zoo."""
    names: dict[str, str] = {}
    for name, stated in STATED.items():
        if name.startswith(f"{zoo}/"):
            names.setdefault(configs.program(stated).digest, name)
    return names


def diverse(count: int) -> list[str]:
    """Entries of timm, each with a program of its own, spread over sizes, kernels, crops and statistics."""

    def key(name: str) -> tuple[Any, ...]:
        stated = STATED[name]
        crop = stated.get("test_crop_pct") or stated["crop_pct"]
        return (
            stated["crop_mode"],
            stated["interpolation"],
            stated["mean"][0] == 0.485,
            "test_input_size" in stated,
            crop > 1,
            crop == 1,
        )

    chosen: dict[Any, list[str]] = {}
    for name in kinds("timm").values():
        chosen.setdefault(key(name), []).append(name)
    groups = [sorted(names, key=lambda name: configs.size_of(STATED[name])) for names in chosen.values()]
    picked: list[str] = []
    while len(picked) < count:
        before = len(picked)
        for group in groups:
            if group and len(picked) < count:
                picked.append(group.pop(0 if len(picked) % 2 else len(group) // 2))
        if len(picked) == before:
            break
    return picked


@pytest.mark.parametrize("zoo", ["timm", "torchvision"])
def test_every_entry_has_a_program_that_survives_json(zoo: str) -> None:
    count = 0
    for name, config in ENTRIES.items():
        if not name.startswith(f"{zoo}/"):
            continue
        program = configs.program(config["pretrained_cfg"])
        again = Program.from_list(json.loads(json.dumps(program.to_list())))
        assert again == program, name
        assert again.digest == program.digest, name
        assert program.input_size() == configs.size_of(config["pretrained_cfg"]), name
        assert len(program.split()[1]) == 4, name
        count += 1
    assert count > 100


def test_every_entry_has_a_card() -> None:
    labels = 0
    for name, config in ENTRIES.items():
        card = entries.card(name, config, None, "unknown", "")
        assert card.name == name
        assert card.input_size == card.inputs[0].shape[2:], name
        labels += card.labels is not None
    assert labels > 1000


@pytest.mark.parametrize("name", diverse(25))
def test_timm_entries_give_timms_own_pixels(name: str, few: list[Image]) -> None:
    timm = pytest.importorskip("timm")
    from timm.data import create_transform, resolve_data_config

    full = timm.get_pretrained_cfg(name.removeprefix("timm/")).to_dict()
    wanted = resolve_data_config(pretrained_cfg=full, use_test_size=True)
    transform = create_transform(**wanted)
    bare = create_transform(**wanted, normalize=False)
    program = configs.program(STATED[name])
    geometric = Program(program.split()[0])
    for image in few:
        pixels = np.asarray(prepare([image], geometric).arrays)[0]
        assert np.array_equal(pixels.transpose(2, 0, 1), bare(image.to_pillow()).numpy()), image.size
        expected = transform(image.to_pillow()).numpy()
        found = np.asarray(prepare([image], program).arrays)[0]
        assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max(), image.size


@pytest.mark.parametrize("name", kinds("torchvision").values())
def test_every_kind_of_torchvision_entry_gives_its_own_pixels(name: str, few: list[Image]) -> None:
    pytest.importorskip("torchvision")
    from torchvision.models import get_model_weights
    from torchvision.transforms.functional import center_crop, resize

    architecture, _, tag = name.removeprefix("torchvision/").partition(".")
    transform = get_model_weights(architecture)[tag.upper()].transforms()
    program = configs.program(STATED[name])
    geometric = Program(program.split()[0])
    for image in few:
        whole = resize(image.to_pillow(), transform.resize_size, interpolation=transform.interpolation)
        cut = np.asarray(center_crop(whole, transform.crop_size))
        assert np.array_equal(np.asarray(prepare([image], geometric).arrays)[0], cut), image.size
        expected = transform(image.to_pillow()).numpy()
        found = np.asarray(prepare([image], program).arrays)[0]
        assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max(), image.size


@pytest.mark.parametrize("mode", ["center", "border", "squash"])
@pytest.mark.parametrize("fraction", [0.8, 1.0, 1.15])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_every_crop_mode_is_timms(mode: str, fraction: float, kernel: str, pictures: list[Image]) -> None:
    pytest.importorskip("timm")
    from timm.data import create_transform, resolve_data_config

    stated = {
        "input_size": (3, 97, 97),
        "crop_pct": fraction,
        "crop_mode": mode,
        "interpolation": kernel,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
    }
    wanted = resolve_data_config(pretrained_cfg=stated, use_test_size=True)
    transform = create_transform(**wanted, normalize=False)
    geometric = Program(configs.program(stated).split()[0])
    for image in pictures:
        if mode == "border" and max(image.size) > 25 * min(image.size):
            continue  # timm asks Pillow for a side of 0 pixels
        expected = transform(image.to_pillow()).numpy().transpose(1, 2, 0)
        assert np.array_equal(np.asarray(prepare([image], geometric).arrays)[0], expected), image.size


def test_the_test_time_values_win() -> None:
    stated = {
        "input_size": [3, 176, 176],
        "test_input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "test_crop_pct": 0.95,
    }
    steps = configs.program(stated).steps
    assert steps[1:3] == (Resize(short=235, filter="bicubic"), Crop(size=(224, 224)))


def test_a_value_range_scales_before_the_mean() -> None:
    steps = configs.program({"value_range": [0, 255], "mean": [1, 2, 3], "std": [4, 5, 6]}).steps
    assert Range(1.0, 0) in steps
    assert Normalise((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)) in steps


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"interpolation": "random"}, "interpolation is one of"),
        ({"channel_order": "BGR"}, "channel_order"),
        ({"crop_mode": "middle"}, "crop_mode 'middle'"),
        ({"crop_mode": "center", "input_size": [3, 224, 160]}, "not understood"),
        ({"resize_mode": "longest", "resize_size": 256}, "resize_mode"),
        ({"resize_mode": "squash", "resize_size": 256}, "resize_mode"),
    ],
)
def test_what_is_not_understood_is_refused(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(BadCard, match=words):
        configs.program(stated)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"pretrained_cfg": {}}, "architecture"),
        ({"architecture": "a", "pretrained_cfg": {"crop_pc": 1}}, "crop_pct"),
        ({"architecture": "a", "pretrained_cfg": {"resolution": 224}}, "may change the preprocessing"),
        ({"architecture": "a", "pretrained_cfg": {"input_size": [1, 28, 28]}}, "3 channels"),
    ],
)
def test_a_config_with_an_unknown_key_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(BadCard, match=words):
        configs.card("timm/a", config, None, "unknown", "")
