"""A weight file of the user's own: what tensors it holds, under which names, and how they were reached.

Training scripts wrap the tensors in a checkpoint and put words before their names. Both are undone, and said
so; nothing else is. A checkpoint with several sets of tensors (the weights and their moving average) is not
chosen from: the card says which.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet import storage
from signet.errors import BadInput, BadRequest, MissingExtra
from signet.hub.digests import remembered_digest
from signet.naming import shown
from signet.zoos import modules, npz_layouts, pickled_tensors

PICKLES = (".pt", ".pth", ".bin")
SUFFIXES = (*PICKLES, ".safetensors", ".npz")
PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.")
"""What DataParallel, Lightning, torch.compile and training scripts put before every name."""
_DEPTH = 3
# Counts and tables of positions; any other whole number is a quantised weight.
_WHOLE_NUMBERS = ("num_batches_tracked", "index", "idx", "idxs", "indices")

Sets = dict[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StateFile:
    """The tensors of one file.

    Attributes:
        path: the file.
        digest: its sha256.
        tensors: under which keys of the checkpoint the tensors lie ("model", "ema/module"); "" for none.
        shapes: of the tensors, by the names that they have once prefixes are gone.
        remarks: what was undone to get there, in words.
        plain: a zoo can fill a module with the file as it is.
        write: writes the tensors under their names as safetensors.
        stated: what a file of torch.save states beside these tensors, in words and numbers, by name.
    """

    path: Path
    digest: str
    tensors: str
    shapes: Mapping[str, tuple[int, ...]]
    remarks: tuple[str, ...]
    plain: bool
    write: Callable[[Path], None]
    stated: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> Path:
        """A file that holds exactly these tensors: itself, or a copy in the cache."""
        if self.plain:
            return self.path
        what = json.dumps([self.digest, self.tensors, sorted(self.shapes)])
        name = hashlib.sha256(what.encode()).hexdigest()
        copy = storage.cache_folder() / "states" / f"{name}.safetensors"
        if not copy.is_file():
            with storage.new_file(copy, overwrite=True) as temporary:
                self.write(temporary)
        return copy


def is_state(path: Path) -> bool:
    """Whether a path has the ending of a weight file."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, tensors: str | None = None) -> StateFile:
    """The tensors of a file; nothing in it is ever executed.

    Args:
        path: `.pt`, `.pth`, `.bin` (of torch.save), `.safetensors`, or an author's `.npz`.
        tensors: which set of tensors, for a checkpoint that holds several.

    Raises:
        BadInput: it cannot be read, is cut short, holds code or something else than tensors, or a quantised
            weight; an `.npz` of neither layout.
        BadRequest: it holds several sets of tensors and none was named, or none of that name.
        MissingExtra: torch is not installed, and the file is none of `.safetensors` and `.npz`.
    """
    match path.suffix.lower():
        case ".npz":
            found = _of_npz(path)
        case ".safetensors":
            found = _of_safetensors(path)
        case _:
            return _of_pickle(path, tensors)
    if tensors:
        raise BadRequest(
            f"{shown(path.name)}: expected no 'tensors' for a file without sets, got {tensors!r}."
        )
    return found


def _of_pickle(path: Path, tensors: str | None) -> StateFile:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(f"{shown(path.name)}: a file of torch.save", "train", "torch") from error
    sets: Sets = {}
    stated = modules.read_file(path)
    _gather(stated, "", sets, torch.Tensor)
    if not sets:
        raise BadInput(
            f"{shown(path.name)}: expected tensors by name, got {_described(stated)}. "
            "Save module.state_dict() and nothing more."
        )
    if tensors is None and len(sets) > 1:
        raise BadRequest(
            f"{shown(path.name)}: it holds several sets of tensors, and none is chosen for you: "
            f"{', '.join(map(shown, sets))}. Name one of them in the card: "
            f'"tensors": {json.dumps(next(iter(sets)))}.'
        )
    chosen = next(iter(sets)) if tensors is None else tensors
    if chosen not in sets:
        raise BadRequest(
            f"{shown(path.name)}: no set of tensors is named {chosen!r}; there are: "
            f"{', '.join(map(repr, sets))}."
        )
    state = sets[chosen]
    names, remarks = _stripped(state)
    if isinstance(stated, modules.Pickled):
        remarks = ("a pickled model: its tensors were taken, and nothing of it was run", *remarks)
    if chosen:
        remarks = (f"the tensors under {shown(chosen)!r}", *remarks)
    _refuse_quantised(path, {name: str(value.dtype) for name, value in state.items()})

    def write(place: Path) -> None:
        from safetensors.torch import save_file

        # Tied tensors share memory, which safetensors refuses.
        save_file({names[name]: value.detach().clone().contiguous() for name, value in state.items()}, place)

    shapes = {names[name]: tuple(value.shape) for name, value in state.items()}
    direct = len(sets) == 1 and chosen in ("", *modules.WRAPPERS) and all(k == v for k, v in names.items())
    beside = _beside(stated, chosen)
    return StateFile(path, remembered_digest(path), chosen, shapes, remarks, direct, write, beside)


def _beside(stated: Any, chosen: str) -> dict[str, Any]:
    """What is stated beside a set of tensors: by the module itself, else by the checkpoint."""
    if isinstance(stated, modules.Pickled):
        return {**stated.stated[""], **stated.stated.get(chosen, {})}
    return pickled_tensors.plain(stated)


def _gather(stated: Any, place: str, sets: Sets, kind: type) -> None:
    """Every mapping of names to tensors and nothing else, by the keys that lead to it."""
    if not isinstance(stated, Mapping) or not stated or not all(isinstance(key, str) for key in stated):
        return
    if all(isinstance(value, kind) for value in stated.values()):
        sets[place] = stated
    elif place.count("/") < _DEPTH:
        for key, value in stated.items():
            _gather(value, f"{place}/{key}" if place else key, sets, kind)


def _of_safetensors(path: Path) -> StateFile:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="np") as opened:
            found = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  (no mapping)
            old = {name: tuple(part.get_shape()) for name, part in found.items()}
            kinds = {name: str(part.get_dtype()) for name, part in found.items()}
    except Exception as error:  # a Rust library's own kinds
        raise modules.unreadable(path, error) from error
    if not old:
        raise BadInput(f"{shown(path.name)}: expected tensors by name, got none.")
    names, remarks = _stripped(old)
    _refuse_quantised(path, kinds)
    shapes = {names[name]: shape for name, shape in old.items()}
    return StateFile(
        path,
        remembered_digest(path),
        "",
        shapes,
        remarks,
        names == {name: name for name in old},
        lambda place: _rename(path, names, place),
    )


def _rename(path: Path, names: Mapping[str, str], place: Path) -> None:
    """The same file with other names in its header; the values are copied as they are.

    Source: the format's README: 8 bytes, the header's length; the header, JSON; the values.
    """
    with path.open("rb") as source, place.open("wb") as target:
        header = json.loads(source.read(int.from_bytes(source.read(8), "little")))
        text = json.dumps({names.get(name, name): value for name, value in header.items()}).encode()
        text += b" " * (-len(text) % 8)
        target.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(source, target)


def _of_npz(path: Path) -> StateFile:
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except Exception as error:  # zip, zlib and numpy each have their own kinds
        raise BadInput(
            f"{shown(path.name)}: expected an .npz of plain arrays; it cannot be read: "
            f"{modules.first_line(error)} Objects in it are never unpickled."
        ) from error
    state, layout = npz_layouts.translated(arrays, path.name)

    def write(place: Path) -> None:
        from safetensors.numpy import save_file

        save_file(state, place)

    shapes = {name: tuple(array.shape) for name, array in state.items()}
    remarks = (f"the arrays of {layout}, with names and axes of the module",)
    return StateFile(path, remembered_digest(path), "", shapes, remarks, False, write)


def _stripped(state: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Old name to new name without the prefixes that all names share, and what was taken away, in words."""
    names = {name: name for name in state}
    remarks: list[str] = []
    while True:
        prefix = next(
            (prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names.values())), None
        )
        if prefix is None:
            return names, tuple(remarks)
        names = {old: new.removeprefix(prefix) for old, new in names.items()}
        remarks.append(f"the prefix {prefix!r} of every name is left out")


def _refuse_quantised(path: Path, kinds: Mapping[str, str]) -> None:
    for name, kind in kinds.items():
        floats = kind.removeprefix("torch.").upper().startswith(("F", "BF"))
        if not floats and not name.endswith(_WHOLE_NUMBERS):
            raise BadInput(
                f"{shown(path.name)}: expected floating-point weights, got {shown(name)} as {kind}. A "
                "quantised network has no float weights to load; export it as a graph (ONNX) instead."
            )


def _described(stated: Any) -> str:
    if not isinstance(stated, Mapping):
        return f"a {type(stated).__name__}"
    strangers = [key for key, value in stated.items() if not hasattr(value, "shape")]
    return f"an object with {', '.join(shown(key) for key in (strangers or list(stated))[:4])}"
