"""open_clip's towers with random weights: vectors, and classification with words, as open_clip gives them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file

from signet.catalogue import asking, entries, index, towers
from signet.decoding import read
from signet.errors import BadCard, BadInput, BadRequest, UnknownName
from signet.images import Image
from signet.networks import ModuleSpec
from signet.preprocessing import prepare
from signet.resolving import resolve
from signet.zoos import from_openclip

WORDS = ("a cat", "a dog", "a red bus")
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 64, "layers": 1, "width": 64, "patch_size": 16}
TINY: Mapping[str, Mapping[str, Any]] = {
    "tiny-ViT": {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT},
    "tiny-RN": {"embed_dim": 16, "vision_cfg": {**VISION, "layers": [1, 1, 1, 1]}, "text_cfg": TEXT},
    "coca-tiny": {
        "embed_dim": 16,
        "vision_cfg": {**VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "attn_pooler_heads": 2},
        "custom_text": True,
    },
}
"""Of the shapes that open_clip's own have, and small."""


@pytest.fixture(scope="module", autouse=True)
def _tiny(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("open_clip")
    for name, settings in TINY.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    open_clip.add_model_config(folder)


def mirrored(mirror: Path, architecture: str, **stated: Any) -> Any:
    """A mirror with random weights of an architecture, and open_clip's own module."""
    torch.manual_seed(3)
    settings = open_clip.get_model_config(architecture)
    module = from_openclip.empty(open_clip, settings, quick_gelu=False).eval()
    folder = mirror / "open_clip" / f"{architecture}.own"
    folder.mkdir(parents=True)
    save_file(
        {key: value.contiguous() for key, value in module.state_dict().items()}, folder / "model.safetensors"
    )
    size = settings["vision_cfg"]["image_size"]
    config = {
        "library": "open_clip",
        "architecture": architecture,
        "embedding_width": settings["embed_dim"],
        "pretrained_cfg": {
            "tag": "own",
            "input_size": [3, size, size],
            "mean": list(open_clip.OPENAI_DATASET_MEAN),
            "std": list(open_clip.OPENAI_DATASET_STD),
            **stated,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return module


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path))
    return tmp_path


def own_words(module: Any, architecture: str, features: torch.Tensor) -> torch.Tensor:
    """open_clip's own zero-shot logits."""
    length = open_clip.get_model_config(architecture)["text_cfg"].get("context_length", 77)
    weights = open_clip.build_zero_shot_classifier(
        module, open_clip.SimpleTokenizer(context_length=length), WORDS, open_clip.SIMPLE_IMAGENET_TEMPLATES
    )
    unit = torch.nn.functional.normalize(features, dim=-1)
    logits: torch.Tensor = module.logit_scale.exp() * unit @ weights
    return logits


@pytest.mark.parametrize("architecture", TINY)
def test_vectors_and_words_are_those_of_open_clip(architecture: str, mirror: Path) -> None:
    peer = mirrored(mirror, architecture)
    images = torch.randn(2, 3, 64, 64)
    name = f"open_clip/{architecture}.own"
    vectors = resolve(name)
    assert (vectors.card.task, vectors.card.labels) == ("embed", None)
    with torch.no_grad():
        plain = {} if isinstance(peer, open_clip.CoCa) else {"normalize": False}
        expected = (
            peer.encode_image(images, **plain) if plain else peer._encode_image(images, normalize=False)[0]
        )
        assert torch.equal(vectors.networks[0].build()(images), expected)
        worded = resolve(f"{name}:labels={','.join(WORDS)}")
        assert (worded.card.task, worded.card.labels) == ("classify", WORDS)
        assert worded.digest != vectors.digest
        module = worded.networks[0].build()
        logits = own_words(peer, architecture, expected)
        torch.testing.assert_close(module(images), logits, rtol=1e-5, atol=1e-5)
    assert module.get_submodule(worded.networks[0].classifier).out_features == len(WORDS)


def test_a_sigmoid_model_has_its_bias_and_its_activation(mirror: Path) -> None:
    entry = next(name for name in index.names() if "SigLIP" in name and name.startswith("open_clip/"))
    config = index.config(entry)
    assert config["pretrained_cfg"]["sigmoid"]
    card = towers.card(entry, config, None, "unknown", "", WORDS)
    assert card.output.head == "sigmoid"
    with pytest.raises(BadRequest, match="tokenizer that does not come with open_clip"):
        towers.checked_words(entry, WORDS, config)


def test_every_entry_has_the_transform_of_open_clip(few: list[Image]) -> None:
    done = set()
    for name, config in index.configs():
        if not name.startswith("open_clip/"):
            continue
        stated = config["pretrained_cfg"]
        program = towers.program(stated)
        if program.digest in done:
            continue
        done.add(program.digest)
        keys = ("mean", "std", "interpolation", "resize_mode")
        own = PreprocessCfg(size=tuple(stated["input_size"][1:]), **{key: stated[key] for key in keys})
        transform = image_transform_v2(own, is_train=False)
        for image in few[:2] if stated["input_size"][1] > 300 else few:
            peer = transform(PilImage.fromarray(image.pixels)).numpy()
            mine = np.asarray(prepare([image], program).arrays)[0]
            np.testing.assert_allclose(mine, peer, atol=2e-6, err_msg=name)
    assert len(done) > 8


@pytest.fixture(scope="module")
def few(shared: Path) -> list[Image]:
    files = sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))
    return [read(file) for file in files[::50]]


def test_every_entry_has_a_card() -> None:
    for name, config in index.configs():
        if name.startswith("open_clip/"):
            card = entries.card(name, config, None, "unknown", "")
            assert card.input_size == tuple(config["pretrained_cfg"]["input_size"][1:]), name
            assert card.parameters, name


def test_the_index_is_that_of_the_installed_package() -> None:
    tags = {f"open_clip/{model}.{tag}" for model, tag in open_clip.list_pretrained()}
    names = {name for name in index.names() if name.startswith("open_clip/")}
    assert names <= tags
    assert len(names) > 150


def test_missing_and_unexpected_tensors_are_refused(mirror: Path) -> None:
    mirrored(mirror, "tiny-ViT")
    file = mirror / "open_clip" / "tiny-ViT.own" / "model.safetensors"
    state = load_file(file)
    state["visual.extra"] = torch.zeros(1)
    del state["visual.proj"]
    save_file(state, file)
    with pytest.raises(BadInput, match=r"(?s)visual\.proj.*visual\.extra"):
        resolve("open_clip/tiny-ViT.own").networks[0].build()


def test_positions_of_another_size_are_refused_and_not_stretched(mirror: Path) -> None:
    mirrored(mirror, "tiny-ViT")
    file = mirror / "open_clip" / "tiny-ViT.own" / "model.safetensors"
    state = load_file(file)
    state["visual.positional_embedding"] = torch.zeros(65, state["visual.positional_embedding"].shape[1])
    save_file(state, file)
    with pytest.raises(BadInput, match="positional_embedding"):
        resolve("open_clip/tiny-ViT.own").networks[0].build()


def test_an_unknown_architecture_is_refused_with_near_misses() -> None:
    spec = ModuleSpec(zoo="open_clip", architecture="tiny-ViF", arguments={}, classes=0)
    with pytest.raises(UnknownName, match="tiny-ViT"):
        from_openclip.build(spec, None)


def test_building_sets_up_no_logging() -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    spec = ModuleSpec(zoo="open_clip", architecture="tiny-ViT", arguments={}, classes=0)
    from_openclip.build(spec, None)
    assert root.handlers == before


@pytest.mark.parametrize("words", [("cat",), ("cat", ""), ("cat", "cat"), ()])
def test_words_are_several_and_different(words: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="different words"):
        towers.checked_words("open_clip/x.y", words, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [({"interpolation": "nearest"}, "interpolation"), ({"resize_mode": "best"}, "resize_mode")],
)
def test_an_unknown_transform_is_refused(change: Mapping[str, Any], words: str) -> None:
    stated = {"input_size": [3, 8, 8], "mean": [0, 0, 0], "std": [1, 1, 1], **change}
    with pytest.raises(BadCard, match=words):
        towers.program(stated)


def test_words_come_from_the_line_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("Katze, klein\n\n  Hund\n", "utf-8")
    assert asking.asked(f"open_clip/a.b:labels=@{file}") == asking.Asked(
        "open_clip/a.b", ("Katze, klein", "Hund")
    )
    assert asking.asked("a:labels=cat,red bus") == asking.Asked("a", ("cat", "red bus"))
    assert asking.asked("a") == asking.Asked("a")
