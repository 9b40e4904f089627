"""What the tensors of a file say of its architecture, and what they leave open, in words.

Names and shapes are compared with those of every architecture of timm and torchvision. Nothing here chooses
between architectures that compute different things, and nothing says how pictures are prepared.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signet.catalogue import configs, index, signatures
from signet.catalogue.signatures import Match, Shapes, Signature
from signet.errors import BadInput, MissingExtra, SignetError
from signet.naming import shown
from signet.networks import ModuleSpec
from signet.zoos import card_files, yolo_matches
from signet.zoos.state_differences import Difference, differing
from signet.zoos.state_files import StateFile

FindZoo = Callable[[str, str], Any]
"""From the name of a zoo and of an architecture to the module of that zoo: `build` and `module_source`."""

TWO_FORMS = {"torchvision/googlenet": "transform_input", "torchvision/inception_v3": "transform_input"}
"""Architectures that exist in two forms with equal tensors, and the argument that tells them apart.

Source: torchvision.models.googlenet and inception_v3: true with their own weights, false without any.
"""
_ALIKE = ("read as RGB", "values as", "range 0..255 to 0..1", "axes in order NCHW")
"""Steps in words that nearly all programs share."""
_MOST_ENTRIES = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """What a weight file says of itself.

    Attributes:
        file: its name.
        tensors: how many there are that answers depend on.
        remarks: what was undone to reach them.
        matches: architectures with exactly these tensors, the preferred one first.
        differences: the nearest architectures, when none matches.
    """

    file: str
    tensors: int
    remarks: tuple[str, ...]
    matches: tuple[Match, ...]
    differences: tuple[Difference, ...]

    @property
    def functions(self) -> tuple[tuple[Match, ...], ...]:
        """The matches, those together that compute the same."""
        return functions(self.matches)

    @property
    def short_card(self) -> dict[str, Any] | None:
        """The shortest card that makes a model of the file, with a proposal for what only its maker knows."""
        if not self.matches:
            return None
        first = self.matches[0]
        architecture = first.signature.architecture
        card: dict[str, Any] = {"like": _entries(architecture)[0], "labels": _labels(first.classes)}
        if architecture in TWO_FORMS:
            card["arguments"] = {TWO_FORMS[architecture]: True}
        return card

    def summary(self) -> str:
        """What matched, as one sentence."""
        if not self.matches:
            nearest = next((difference.words() for difference in self.differences), "")
            return (
                "no architecture of timm or torchvision, and no YOLO of generation 7, 8 or 9, has exactly "
                f"its {self.tensors} tensors; {f'nearest is {nearest}' if nearest else 'none is near'}"
            )
        groups = [" = ".join(match.signature.name for match in group) for group in self.functions]
        classes = self.matches[0].classes
        head = f"a head of {classes} classes" if classes else "no head"
        if len(groups) == 1:
            return f"it has exactly the {self.tensors} tensors of {groups[0]}, with {head}"
        return (
            f"{len(groups)} architectures that compute different things have exactly its {self.tensors} "
            f"tensors, with {head}: {'; '.join(groups)}"
        )

    def lines(self) -> Iterator[str]:
        """All that is known, for a person."""
        yield f"{self.file}: {self.summary()}."
        yield from (f"Read: {remark}." for remark in self.remarks)
        if not self.matches:
            yield from (f"Nearest: {difference.words()}." for difference in self.differences)
            return
        yield f"Write {self.file}{card_files.ENDING} beside it to say what the weights do not:"
        yield json.dumps(self.short_card, ensure_ascii=False)
        yield "`like` is the model whose preprocessing it was trained with; of this architecture there are:"
        for name in self.entries():
            yield f"  {name}: {_program(name)}"
        yield '`labels`: the names in order, {"file": "NAMES.txt"}, "like" for those of that model, or null.'
        for match in self.matches[:1]:
            argument = TWO_FORMS.get(match.signature.architecture)
            if argument:
                yield f"`{argument}` is true for what began with torchvision's weights, false for the rest."

    def entries(self) -> tuple[str, ...]:
        """Names of the index that the card may be like: of each function, the first with each program."""
        found: dict[str, str] = {}
        for group in self.functions:
            for match in group:
                for name in _entries(match.signature.architecture):
                    found.setdefault(f"{match.signature.name} {_program(name)}", name)
        return tuple(itertools.islice(found.values(), _MOST_ENTRIES))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "file": self.file,
            "tensors": self.tensors,
            "remarks": list(self.remarks),
            "matches": [
                {
                    "architecture": match.signature.name,
                    "classes": match.classes,
                    "function": match.signature.function,
                }
                for match in self.matches
            ],
            "nearest": [
                {
                    "architecture": difference.name,
                    "missing": list(difference.missing),
                    "unexpected": list(difference.unexpected),
                    "shapes": [
                        {"name": name, "expected": list(wanted), "got": list(got)}
                        for name, wanted, got in difference.shapes
                    ],
                }
                for difference in self.differences
            ],
            "card": self.short_card,
            "like": list(self.entries()),
        }


def guess(state: StateFile, zoo: FindZoo) -> Guess:
    """What the tensors of a file say.

    Raises:
        MissingExtra: nothing matches, and the library to compare with is not installed.
    """
    matches = signatures.exact(state.shapes)
    near: tuple[Difference, ...] = ()
    if not matches:
        rows = signatures.nearest(state.shapes)
        near = yolo_matches.nearest(state.shapes) or tuple(difference(state.shapes, row, zoo) for row in rows)
    file, count = shown(state.path.name), len(signatures.counted(state.shapes))
    return Guess(file, count, state.remarks, matches, near)


def functions(matches: Sequence[Match]) -> tuple[tuple[Match, ...], ...]:
    """Matches in groups that compute the same; networks with and without a head are never one group."""
    groups: dict[tuple[str, int, int], list[Match]] = {}
    for match in matches:
        row = match.signature
        groups.setdefault((row.digest, row.function, match.classes), []).append(match)
    return tuple(map(tuple, groups.values()))


def difference(shapes: Shapes, row: Signature, zoo: FindZoo) -> Difference:
    """How tensors differ from those of an architecture; the number of classes is no difference."""
    name, _, architecture = row.architecture.partition("/")
    module = _without_memory(zoo(name, architecture), ModuleSpec(name, architecture, row.arguments))
    state = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    wanted = signatures.opened(signatures.counted(state), row.head)
    got = signatures.counted(shapes)
    both = sorted(set(wanted) & set(got))
    # The number of classes is free, and one number.
    free = len({got[key][:1] for key in both if key in row.head}) == 1
    compared = signatures.opened(got, row.head) if free else got
    return differing(row.name, wanted, got, compared)


def _without_memory(zoo: Any, spec: ModuleSpec) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(
            f"Comparing weights with {spec.zoo}/{spec.architecture}", "train", "torch"
        ) from error
    try:
        with torch.device("meta"):
            return zoo.build(spec, None)
    except BadInput:  # some read values while they are built
        return zoo.build(spec, None)


def _entries(architecture: str) -> list[str]:
    """Names of the index that have this architecture."""
    return [name for name in index.names() if name.partition(".")[0] == architecture]


def _program(name: str) -> str:
    """The preprocessing of an index entry, short: what differs between entries of one architecture."""
    try:
        words = configs.card(name, index.config(name), None, "unknown", "").program.words()
    except SignetError as error:
        return str(error)
    return "; ".join(line for line in words if not line.startswith(_ALIKE))


def _labels(classes: int) -> Mapping[str, str] | None:
    return {"file": "NAMES.txt"} if classes else None
