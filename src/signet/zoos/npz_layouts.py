"""The authors' `.npz` files of BiT and ViT: their names and axes as the torch modules have them.

One table of names for each of the two; every array is used exactly once, and one that the table does not
know is refused. Convolutions go from (height, width, in, out) to (out, in, height, width), matrices from
(in, out) to (out, in). Weights are not standardised here: BiT's module does that each time it runs.

Source: the names in the files of google-research/big_transfer (`bit_pytorch/models.py` lists them) and of
google-research/vision_transformer (`vit_jax/models_vit.py` makes them), and the state of timm 1.0's
`resnetv2_*_bit` and `vit_*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signet.errors import BadInput
from signet.naming import shown

Array = NDArray[Any]


def _as_it_is(array: Array) -> Array:
    return array


def _convolution(array: Array) -> Array:
    return array.transpose(3, 2, 0, 1)


def _matrix(array: Array) -> Array:
    return array.transpose(1, 0)


def _into_heads(array: Array) -> Array:
    """(width, heads, head width) to (heads * head width, width)."""
    return array.reshape(array.shape[0], -1).transpose(1, 0)


def _out_of_heads(array: Array) -> Array:
    """(heads, head width, width) to (width, heads * head width)."""
    return array.reshape(-1, array.shape[-1]).transpose(1, 0)


def _flat(array: Array) -> Array:
    return array.reshape(-1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of the arrays whose whole name fits a pattern.

    Attributes:
        pattern: of the name in the file.
        name: in the module, from the match and the words table; "#0", "#1" ... at its end marks the parts
            of one tensor that is joined along its first axis.
        axes: how many the array has.
        change: of its axes.
    """

    pattern: str
    name: Callable[[re.Match[str]], str]
    axes: int
    change: Callable[[Array], Array] = _as_it_is


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file.

    Attributes:
        name: for messages.
        mark: an array that every such file has, and no other.
        rules: for all of its arrays.
    """

    name: str
    mark: str
    rules: tuple[Rule, ...]


_WORD = {
    "gamma": "weight",
    "beta": "bias",
    "scale": "weight",
    "kernel": "weight",
    "bias": "bias",
    "a": "1",
    "b": "2",
    "c": "3",
    "query": "#0",
    "key": "#1",
    "value": "#2",
    "LayerNorm_0": "norm1",
    "LayerNorm_2": "norm2",
    "Dense_0": "fc1",
    "Dense_1": "fc2",
}
_UNIT = r"resnet/block(\d+)/unit(\d+)"
_BLOCK = r"Transformer/encoderblock_(\d+)"
_ATTENTION = rf"{_BLOCK}/MultiHeadDotProductAttention_1"


def _always(name: str) -> Callable[[re.Match[str]], str]:
    return lambda _: name


def _in_unit(ending: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    """Stages and their blocks are counted from 1 in the file, from 0 in the module."""
    return lambda found: f"stages.{int(found[1]) - 1}.blocks.{int(found[2]) - 1}.{ending(found)}"


BIT = Layout(
    "BiT (google-research/big_transfer)",
    "resnet/root_block/standardized_conv2d/kernel",
    (
        Rule("resnet/root_block/standardized_conv2d/kernel", _always("stem.conv.weight"), 4, _convolution),
        Rule(
            rf"{_UNIT}/([abc])/standardized_conv2d/kernel",
            _in_unit(lambda found: f"conv{_WORD[found[3]]}.weight"),
            4,
            _convolution,
        ),
        Rule(
            rf"{_UNIT}/a/proj/standardized_conv2d/kernel",
            _in_unit(lambda _: "downsample.conv.weight"),
            4,
            _convolution,
        ),
        Rule(
            rf"{_UNIT}/([abc])/group_norm/(gamma|beta)",
            _in_unit(lambda found: f"norm{_WORD[found[3]]}.{_WORD[found[4]]}"),
            1,
        ),
        Rule("resnet/group_norm/(gamma|beta)", lambda found: f"norm.{_WORD[found[1]]}", 1),
        Rule("resnet/head/conv2d/kernel", _always("head.fc.weight"), 4, _convolution),
        Rule("resnet/head/conv2d/bias", _always("head.fc.bias"), 1),
    ),
)

VIT = Layout(
    "ViT (google-research/vision_transformer)",
    "Transformer/posembed_input/pos_embedding",
    (
        Rule("embedding/kernel", _always("patch_embed.proj.weight"), 4, _convolution),
        Rule("embedding/bias", _always("patch_embed.proj.bias"), 1),
        Rule("cls", _always("cls_token"), 3),
        Rule("Transformer/posembed_input/pos_embedding", _always("pos_embed"), 3),
        Rule(
            rf"{_BLOCK}/(LayerNorm_[02])/(scale|bias)",
            lambda found: f"blocks.{int(found[1])}.{_WORD[found[2]]}.{_WORD[found[3]]}",
            1,
        ),
        Rule(
            rf"{_ATTENTION}/(query|key|value)/kernel",
            lambda found: f"blocks.{int(found[1])}.attn.qkv.weight{_WORD[found[2]]}",
            3,
            _into_heads,
        ),
        Rule(
            rf"{_ATTENTION}/(query|key|value)/bias",
            lambda found: f"blocks.{int(found[1])}.attn.qkv.bias{_WORD[found[2]]}",
            2,
            _flat,
        ),
        Rule(
            rf"{_ATTENTION}/out/kernel",
            lambda found: f"blocks.{int(found[1])}.attn.proj.weight",
            3,
            _out_of_heads,
        ),
        Rule(rf"{_ATTENTION}/out/bias", lambda found: f"blocks.{int(found[1])}.attn.proj.bias", 1),
        Rule(
            rf"{_BLOCK}/MlpBlock_3/(Dense_[01])/kernel",
            lambda found: f"blocks.{int(found[1])}.mlp.{_WORD[found[2]]}.weight",
            2,
            _matrix,
        ),
        Rule(
            rf"{_BLOCK}/MlpBlock_3/(Dense_[01])/bias",
            lambda found: f"blocks.{int(found[1])}.mlp.{_WORD[found[2]]}.bias",
            1,
        ),
        Rule("Transformer/encoder_norm/(scale|bias)", lambda found: f"norm.{_WORD[found[1]]}", 1),
        Rule("head/kernel", _always("head.weight"), 2, _matrix),
        Rule("head/bias", _always("head.bias"), 1),
    ),
)

HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
"""Width of a ViT to its attention heads, which the module's shapes do not show.

Source: Dosovitskiy et al. 2021, table 1 (Base, Large, Huge); Touvron et al. 2021, table 1 (Tiny, Small).
"""


def translated(arrays: Mapping[str, Array], file: str) -> tuple[dict[str, Array], str]:
    """The tensors of the module that a file's arrays are, and the layout's name.

    Args:
        arrays: all arrays of the file by name.
        file: its name, for messages.

    Raises:
        BadInput: neither layout; an array that the layout does not know, that has another number of axes or
            another type, or that is there twice; a part of a tensor that is missing; attention heads as no
            ViT of the papers has.
    """
    layout = next((layout for layout in (BIT, VIT) if layout.mark in arrays), None)
    if layout is None:
        raise BadInput(
            f"{shown(file)}: expected the arrays of {BIT.name} or of {VIT.name}, got "
            f"{_some(sorted(arrays))}. Other .npz files are not read."
        )
    known = {name: _rule(layout, name) for name in arrays}
    strangers = [name for name, rule in known.items() if rule is None]
    if strangers:
        raise BadInput(
            f"{shown(file)}: expected nothing but the arrays of {layout.name}, got also "
            f"{_some(sorted(strangers))}. An array that is left out would change the answers, so none is."
        )
    parts: dict[str, dict[int, Array]] = {}
    for name, (rule, target) in ((name, rule) for name, rule in known.items() if rule is not None):
        array = arrays[name]
        if array.ndim != rule.axes or array.dtype != np.float32:
            raise BadInput(
                f"{shown(file)}: expected {name} to be float32 with {rule.axes} axes, got {array.dtype} "
                f"with the shape {array.shape}."
            )
        _check_heads(name, array, file)
        whole, _, part = target.partition("#")
        if int(part or 0) in parts.setdefault(whole, {}):
            raise BadInput(f"{shown(file)}: two arrays are {target} of the module; one of them is {name}.")
        parts[whole][int(part or 0)] = rule.change(array)
    return {name: _joined(name, found, file) for name, found in parts.items()}, layout.name


def _rule(layout: Layout, name: str) -> tuple[Rule, str] | None:
    """The rule for an array, and what the array becomes."""
    for rule in layout.rules:
        found = re.fullmatch(rule.pattern, name, re.ASCII)
        if found:
            return rule, rule.name(found)
    return None


def _joined(target: str, parts: Mapping[int, Array], file: str) -> Array:
    expected = 3 if ".qkv." in target else 1
    if sorted(parts) != list(range(expected)):
        raise BadInput(
            f"{shown(file)}: expected query, key and value for {target}, got {len(parts)} of them."
        )
    ordered = [parts[part] for part in range(expected)]
    if len({array.shape for array in ordered}) > 1:
        raise BadInput(f"{shown(file)}: query, key and value of {target} are not of one shape.")
    return np.ascontiguousarray(ordered[0] if expected == 1 else np.concatenate(ordered))


def _check_heads(name: str, array: Array, file: str) -> None:
    if not name.endswith("/query/kernel"):
        return
    width, heads, _ = array.shape
    if HEADS.get(width) != heads:
        raise BadInput(
            f"{shown(file)}: {name} has {heads} attention heads at a width of {width}; known are "
            f"{', '.join(f'{heads} at {width}' for width, heads in HEADS.items())}."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
