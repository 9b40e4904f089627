"""The packaged index: no older than the installed zoos, and its names lead to one model each."""

from __future__ import annotations

import re

import pytest

from signet.catalogue import configs, entries, index
from signet.errors import UnknownName
from signet.resolving import remote_of

NAMES = index.names()


def indexed(zoo: str) -> set[str]:
    return {name.removeprefix(f"{zoo}/") for name in NAMES if name.startswith(f"{zoo}/")}


def test_the_index_has_what_the_installed_timm_has() -> None:
    """When this fails: python tools/index_zoos.py src/signet/catalogue/data"""
    timm = pytest.importorskip("timm")
    there = set()
    for name in timm.list_pretrained():
        stated = timm.get_pretrained_cfg(name)
        if stated.num_classes and (stated.hf_hub_id or (stated.url or "").startswith("https://")):
            there.add(name)
    assert indexed("timm") == there


def test_what_no_repository_has_comes_from_an_address() -> None:
    """Each with the first digits of its digest in its name, so that it is held to them."""
    found = [
        (name, config)
        for name, config in index.configs()
        if name.startswith("timm/") and not config["pretrained_cfg"].get("hf_hub_id")
    ]
    assert "timm/legacy_xception.tf_in1k" in {name for name, _ in found}
    for name, config in found:
        remote = remote_of(config)
        assert remote.address == config["pretrained_cfg"]["url"], name
        assert len(remote.address_digits) >= 8, name
    for name, config in index.configs():
        assert not (config["pretrained_cfg"].get("hf_hub_id") and config["pretrained_cfg"].get("url")), name


def test_towers_give_vectors_and_never_pose_as_classifiers() -> None:
    towers = {name: config for name, config in index.configs() if "embedding_width" in config}
    assert len([name for name in towers if name.startswith("timm/")]) > 100
    assert {"timm/vit_base_patch16_clip_224.openai", "timm/resnet50_clip.openai"} <= set(towers)
    for name, config in index.configs():
        card = entries.card(name, config, None, "unknown", "")
        if name in towers:
            assert (card.task, card.output.head, card.labels) == ("embed", "embedding", None), name
            assert card.output.width == config["embedding_width"], name
        elif "task" in config:
            assert (card.task, card.name.split("/")[0]) == (config["task"], "torchvision"), name
        else:
            # ImageNet-1k, or one of the larger sets of more than 10,000: no other number is one of classes.
            assert card.task == "classify", name
            assert card.output.classes == 1000 or card.output.classes > 10_000, name


def test_a_tower_is_known_by_the_config_that_timm_gives_it_too() -> None:
    indexed = index.config("timm/vit_base_patch16_clip_224.openai")
    on_the_hub = {key: value for key, value in indexed.items() if key not in ("embedding_width", "library")}
    card = configs.card("a", on_the_hub, None, "unknown", "")
    assert (card.task, card.output.width) == ("embed", 512)
    spec = configs.spec("timm", on_the_hub)
    assert (spec.classes, spec.classifier) == (512, None)
    tuned = {**on_the_hub, "num_classes": 10}
    assert configs.card("a", tuned, None, "unknown", "").task == "classify"


def test_the_index_has_what_the_installed_torchvision_has() -> None:
    """When this fails: python tools/index_zoos.py src/signet/catalogue/data"""
    torchvision = pytest.importorskip("torchvision")
    from torchvision.models import get_model_weights, list_models

    there = {
        f"{architecture}.{weight.name.lower()}"
        for architecture in list_models(module=torchvision.models)
        for weight in get_model_weights(architecture)
        if weight.meta["categories"] is not None
    }
    classifiers = {
        name for name in indexed("torchvision") if "task" not in index.config(f"torchvision/{name}")
    }
    assert classifiers == there


def test_the_index_states_the_preprocessing_of_the_installed_timm() -> None:
    timm = pytest.importorskip("timm")
    keys = (
        "input_size",
        "test_input_size",
        "crop_pct",
        "test_crop_pct",
        "crop_mode",
        "interpolation",
        "mean",
        "std",
        "classifier",
        "num_classes",
    )
    for name, config in index.configs():
        if name.startswith("timm/"):
            there = timm.get_pretrained_cfg(name.removeprefix("timm/")).to_dict()
            stated = config["pretrained_cfg"]
            for key in keys:
                one, other = stated.get(key), there.get(key)
                assert (list(other) if isinstance(other, tuple) else other) == one, (name, key)


def test_names_are_sorted_unique_and_of_one_form() -> None:
    assert NAMES[0] == index.STARTER
    assert list(NAMES[1:]) == sorted(set(NAMES[1:]))
    assert len(NAMES) > 1600
    for name in NAMES[1:]:
        assert re.fullmatch(r"(timm|torchvision|open_clip|keras)/[A-Za-z0-9_-]+\.[a-z0-9_-]+", name), name


def test_the_labels_are_a_thousand_different_names() -> None:
    name = "timm/resnet18.a1_in1k"
    labels = configs.card(name, index.config(name), None, "unknown", "").labels
    assert len(labels) == 1000
    assert labels[1] == "goldfish"
    assert len(set(labels)) == 1000
    assert (labels[134], labels[517]) == ("crane bird", "crane"), "ImageNet itself calls both of them crane"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("alexnet", "torchvision/alexnet.imagenet1k_v1"),
        ("torchvision/alexnet", "torchvision/alexnet.imagenet1k_v1"),
        ("googlenet.imagenet1k_v1", "torchvision/googlenet.imagenet1k_v1"),
    ],
)
def test_zoo_and_tag_may_be_left_out_where_one_candidate_is_left(name: str, full: str) -> None:
    assert index.full_name(name) == full
    assert index.config(name)["name"] == full


@pytest.mark.parametrize("name", ["resnet50", "timm/resnet50", "torchvision/resnet50", "vgg16"])
def test_a_name_of_several_models_is_refused_with_them(name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        index.full_name(name)
    assert re.search(r"No single model named .* \d+ models are called so", str(caught.value))
    assert "Give the whole name" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["timm/alexnet", "torchvision/resnet18.a1_in1k", "resnet18.", "", "timm/", "nothing_like_it"]
)
def test_a_name_of_no_model_is_refused(name: str) -> None:
    with pytest.raises(UnknownName, match="No model named"):
        index.full_name(name)


def test_every_head_of_an_entry_is_a_name_or_several() -> None:
    for name, config in index.configs():
        head = config["pretrained_cfg"].get("classifier")
        if name.startswith("timm/"):
            assert isinstance(head, str) or all(isinstance(part, str) for part in head), name
