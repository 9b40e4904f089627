"""The names that YOLO's own packages give to the tensors of our networks.

A key map is a data file (`keys/*.json`): under `layers` the number that each of our layers has in their list,
under `blocks` the names of what lies inside a block, by its class, under `ignored` tensors of theirs that
follow from others. What is not stated has the same name in both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class KeyMap:
    """One data file.

    Attributes:
        source: whose names they are, and how they were read.
        layers: from paths of our modules to paths of theirs.
        blocks: for a class of ours, from paths inside it to paths inside theirs; "" where there is none.
        ignored: tensors of theirs, by our module's path and their leaf, that our network has no place for.
    """

    source: str
    layers: Mapping[str, str]
    blocks: Mapping[str, Mapping[str, str]]
    ignored: tuple[str, ...]


@cache
def key_map(name: str) -> KeyMap:
    """The key map of a data file: "yolov8", "yolov8-cls", "yolov9", "yolov9e", "yolov7", "yolov7-tiny"."""
    text = files("signet.architectures").joinpath(f"keys/{name}.json").read_text("utf-8")
    fields = json.loads(text)
    return KeyMap(fields["source"], fields["layers"], fields["blocks"], tuple(fields["ignored"]))


def original_names(module: nn.Module, keys: KeyMap) -> dict[str, str]:
    """For each of our modules that has tensors of its own, what it is called in their files."""
    return {
        path: _translated(module, path, keys)
        for path, part in module.named_modules()
        if any(True for _ in part.parameters(recurse=False)) or any(True for _ in part.buffers(recurse=False))
    }


def without_ignored(state: Mapping[str, Tensor], keys: KeyMap) -> dict[str, Tensor]:
    """The tensors of a file of theirs that our network has a place for, or should have."""
    ignored = ignored_names(keys)
    return {name: tensor for name, tensor in state.items() if name not in ignored}


def ignored_names(keys: KeyMap) -> frozenset[str]:
    """Tensors of theirs that our network has no place for, by their full names."""
    parts = (path.rpartition(".") for path in keys.ignored)
    return frozenset(f"{keys.layers[layer]}.{leaf}" for layer, _, leaf in parts)


def numbered(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors under `model.NUMBER.`, whether the file has that word once, twice or not at all."""
    words = "model."
    while state and all(name.startswith(words) for name in state):
        state = {name.removeprefix(words): tensor for name, tensor in state.items()}
    if state and all(name[:1].isdecimal() for name in state):
        return {words + name: tensor for name, tensor in state.items()}
    return state


def _translated(module: nn.Module, path: str, keys: KeyMap) -> str:
    steps = path.split(".")
    place = next(end for end in range(len(steps), 0, -1) if ".".join(steps[:end]) in keys.layers)
    names = [keys.layers[".".join(steps[:place])]]
    part = module.get_submodule(".".join(steps[:place]))
    while place < len(steps):
        inside = keys.blocks.get(type(part).__name__, {})
        # A path of two steps is looked for before one of one step.
        ends = (end for end in range(len(steps), place, -1) if ".".join(steps[place:end]) in inside)
        end = next(ends, place + 1)
        step = ".".join(steps[place:end])
        names.append(inside.get(step, step))
        part = part.get_submodule(step)
        place = end
    return ".".join(name for name in names if name)
