"""The authors' `.npz` files: the module is filled as timm's own reader of these files fills it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.catalogue import index, signatures
from signet.errors import BadInput, BadRequest, SignetError
from signet.networks import ModuleSource
from signet.resolving import resolve
from signet.zoos import npz_layouts

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
VIT = "vit_tiny_patch16_224"
VIT_FILE = (
    "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.npz"
)


def bit_arrays(module: Any) -> dict[str, np.ndarray]:
    """Random arrays with the names and axes of BiT's files, for a module of timm."""
    draw = np.random.Generator(np.random.PCG64(3))
    found = {}
    for name, value in module.state_dict().items():
        shape = tuple(value.shape)
        kind = {"weight": "gamma", "bias": "beta"}[name.rpartition(".")[2]]
        inside = re.match(r"stages\.(\d+)\.blocks\.(\d+)\.(conv|norm|downsample)", name)
        where = "root_block/standardized_conv2d" if name.startswith("stem") else "head/conv2d"
        if inside:
            unit = f"block{int(inside[1]) + 1}/unit{int(inside[2]) + 1:02d}"
            step = "a/proj" if inside[3] == "downsample" else "abc"[int(name[inside.end()]) - 1]
            where = f"{unit}/{step}/{'group_norm' if inside[3] == 'norm' else 'standardized_conv2d'}"
        elif name.startswith("norm."):
            where = "group_norm"
        if len(shape) == 4:
            kind, shape = "kernel", (shape[2], shape[3], shape[1], shape[0])
        elif name.startswith("head"):
            kind = "bias"
        found[f"resnet/{where}/{kind}"] = draw.normal(size=shape).astype(np.float32)
    return found


def vit_arrays(module: Any) -> dict[str, np.ndarray]:
    """Random arrays with the names and axes of ViT's files, for a module of timm."""
    draw = np.random.Generator(np.random.PCG64(4))
    width, classes = module.embed_dim, module.num_classes
    heads = module.blocks[0].attn.num_heads
    patch = module.patch_embed.patch_size[0]
    shapes: dict[str, tuple[int, ...]] = {
        "cls": (1, 1, width),
        "embedding/kernel": (patch, patch, 3, width),
        "embedding/bias": (width,),
        "Transformer/posembed_input/pos_embedding": tuple(module.pos_embed.shape),
        "Transformer/encoder_norm/scale": (width,),
        "Transformer/encoder_norm/bias": (width,),
        "head/kernel": (width, classes),
        "head/bias": (classes,),
    }
    for place in range(len(module.blocks)):
        block = f"Transformer/encoderblock_{place}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        for norm in (0, 2):
            shapes |= {f"{block}/LayerNorm_{norm}/{kind}": (width,) for kind in ("scale", "bias")}
        for part in ("query", "key", "value"):
            shapes[f"{attention}/{part}/kernel"] = (width, heads, width // heads)
            shapes[f"{attention}/{part}/bias"] = (heads, width // heads)
        shapes[f"{attention}/out/kernel"] = (heads, width // heads, width)
        shapes[f"{attention}/out/bias"] = (width,)
        for dense, (rows, columns) in enumerate(((width, 4 * width), (4 * width, width))):
            shapes[f"{block}/MlpBlock_3/Dense_{dense}/kernel"] = (rows, columns)
            shapes[f"{block}/MlpBlock_3/Dense_{dense}/bias"] = (columns,)
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def built(path: Path) -> Any:
    (network,) = resolve(path).networks
    assert isinstance(network, ModuleSource)
    return network.build()


@pytest.mark.parametrize(
    ("file", "architecture", "classes", "size"),
    [
        pytest.param("BiT-M-R50x1.npz", "resnetv2_50x1_bit", 21843, 224, marks=pytest.mark.slow),
        ("BiT-M-R50x1-ILSVRC2012.npz", "resnetv2_50x1_bit", 1000, 448),
        (VIT_FILE, VIT, 1000, 224),
    ],
)
def test_a_file_known_by_its_name_is_filled_as_timm_fills_it(
    file: str, architecture: str, classes: int, size: int, tmp_path: Path
) -> None:
    module = timm.create_model(architecture, pretrained=False, num_classes=classes).eval()
    arrays = (bit_arrays if file.startswith("BiT") else vit_arrays)(module)
    assert len(arrays) >= len(module.state_dict())
    np.savez(tmp_path / file, **arrays)
    module.load_pretrained(str(tmp_path / file))
    found = resolve(tmp_path / file)
    assert (found.card.output.classes, found.card.input_size) == (classes, (size, size))
    assert (found.card.labels is None) == (classes != 1000)
    ours = built(tmp_path / file)
    expected = module.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
    picture = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(picture), module(picture))


def test_every_known_file_is_like_an_entry_of_its_kind() -> None:
    known = signatures.known_npz()
    assert len(known) == len(set(known.values())) > 30
    for file, like in known.items():
        config = index.config(like)
        kind = "_bit" if file.startswith("BiT-") else "vit_"
        assert kind in config["architecture"]
        assert config["num_classes"] == (
            21843 if ("i21k" in file and "--" not in file) or file.count("-") == 2 else 1000
        )


@pytest.fixture(scope="module")
def small() -> dict[str, np.ndarray]:
    """A ViT of two blocks."""
    return vit_arrays(timm.create_model(VIT, pretrained=False, num_classes=5, depth=2))


def test_the_translation_uses_every_array_once(small: dict[str, np.ndarray]) -> None:
    module = timm.create_model(VIT, pretrained=False, num_classes=5, depth=2)
    state, layout = npz_layouts.translated(small, "x.npz")
    assert layout.startswith("ViT")
    assert {name: tuple(array.shape) for name, array in state.items()} == {
        name: tuple(value.shape) for name, value in module.state_dict().items()
    }
    values = np.sort(np.concatenate([array.ravel() for array in small.values()]))
    np.testing.assert_array_equal(values, np.sort(np.concatenate([a.ravel() for a in state.values()])))


ATTENTION = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1"
FAULTS = {
    "stranger": (lambda a: a.update({"pre_logits/kernel": a["head/kernel"]}), "also pre_logits/kernel"),
    "part": (lambda a: a.pop(f"{ATTENTION}/key/kernel"), "expected query, key and value for blocks.0"),
    "shape of part": (
        lambda a: a.update({f"{ATTENTION}/key/bias": a[f"{ATTENTION}/key/bias"][:2]}),
        "not of one shape",
    ),
    "axes": (lambda a: a.update({"head/bias": a["head/bias"][None]}), "float32 with 1 axes"),
    "type": (lambda a: a.update({"head/bias": a["head/bias"].astype(np.float64)}), "got float64"),
    "heads": (
        lambda a: a.update({f"{ATTENTION}/query/kernel": a[f"{ATTENTION}/query/kernel"].reshape(192, 6, 32)}),
        "6 attention heads at a width of 192",
    ),
    "twice": (
        lambda a: a.update({"Transformer/encoderblock_00/LayerNorm_0/bias": a["head/bias"]}),
        r"two arrays are blocks\.0\.norm1\.bias",
    ),
    "no layout": (lambda a: a.pop("Transformer/posembed_input/pos_embedding"), "Other .npz files"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_array_too_many_too_few_or_of_another_kind_is_refused(
    fault: str, small: dict[str, np.ndarray]
) -> None:
    arrays = dict(small)
    change, words = FAULTS[fault]
    change(arrays)
    with pytest.raises(BadInput, match=words):
        npz_layouts.translated(arrays, "x.npz")


def test_units_that_are_counted_in_two_ways_are_not_one() -> None:
    arrays = {
        npz_layouts.BIT.mark: np.zeros((7, 7, 3, 8), np.float32),
        "resnet/block1/unit01/a/group_norm/gamma": np.zeros(8, np.float32),
        "resnet/block1/unit1/a/group_norm/gamma": np.ones(8, np.float32),
    }
    with pytest.raises(BadInput, match=r"two arrays are stages\.0\.blocks\.0\.norm1\.weight"):
        npz_layouts.translated(arrays, "x.npz")


def test_a_missing_array_or_another_depth_is_a_near_miss(
    small: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / VIT_FILE
    np.savez(path, **small)
    with pytest.raises(BadInput, match=rf"exactly the tensors of timm/{VIT}: 120 missing"):
        resolve(path)


def test_under_another_name_the_file_needs_a_card(tmp_path: Path) -> None:
    module = timm.create_model(VIT, pretrained=False, num_classes=5)
    path = tmp_path / "mine.npz"
    np.savez(path, **vit_arrays(module))
    with pytest.raises(BadRequest, match=f"timm/{VIT}.* a head of 5 classes"):
        resolve(path)
    card = {"like": f"timm/{VIT}.augreg_in21k_ft_in1k", "labels": list("abcde")}
    (tmp_path / "mine.npz.card.json").write_text(json.dumps(card))
    found = resolve(path)
    assert found.card.labels == tuple("abcde")
    assert found.card.lineage["read"][0].startswith("the arrays of ViT")
    module.load_pretrained(str(path))
    assert all(torch.equal(v, module.state_dict()[k]) for k, v in built(path).state_dict().items())


def test_objects_and_files_that_are_cut_short_are_refused(
    small: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **small, bad=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadInput, match="never unpickled"):
        resolve(path)
    np.savez(path, **small)
    data = path.read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:length])
        with pytest.raises(BadInput, match="cannot be read"):
            resolve(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(SignetError):
        resolve(path)
