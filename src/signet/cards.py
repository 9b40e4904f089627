"""The card: all that is known of a model, from its labels to its licence, and where each figure is from.

The JSON form is specified by `docs/card.schema.json`. `Card.from_dict` is strict: what it does not know,
it refuses, unless a higher minor version of the format says that it may be there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from signet.errors import BadCard, UnknownName
from signet.geometry import Size
from signet.heads import HEADS, Head
from signet.programs import Program

CARD_FORMAT = (1, 1)
SINCE_1_1 = frozenset({"paper", "domain", "nearest"})
"""Fields that a card of format 1.0 does not have."""
T = TypeVar("T")

Task = Literal["classify", "detect", "instances", "segment", "embed"]
TASKS: tuple[Task, ...] = ("classify", "detect", "instances", "segment", "embed")
DigestTrust = Literal["pinned", "locked", "unknown"]

PERMISSIVE = frozenset({"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0"})
"""SPDX names, lower case, of the licences that `--licence permissive` lets through."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One published or measured figure, with its source.

    Attributes:
        metric: "top1", "top5", "ap" ...; a fraction, 0 to 1.
        value: the figure.
        dataset: on what it was measured.
        source: who says so: a paper, a table, or "measured, ...".
        low: lower end of its 95 % interval, where one is known.
        high: upper end.
        evaluation_size: side in pixels of the images that it was measured at, where the source says so.
    """

    metric: str
    value: float
    dataset: str
    source: str
    low: float | None = None
    high: float | None = None
    evaluation_size: int | None = None


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which terms the weights may be used.

    Attributes:
        weights: SPDX name or the words of the source; "unknown" where nobody said.
        stated: True when the weights' own publisher says so; False when it is a family's default.
        code: licence of the architecture's code.
        training_data: what is known of the terms of the training data; shown, never judged.
        words: who says so, for people.
    """

    weights: str = "unknown"
    stated: bool = False
    code: str | None = None
    training_data: str | None = None
    words: str | None = None

    @property
    def verdict(self) -> Literal["permissive", "restricted", "unknown"]:
        """Permissive only when the publisher stated a permissive licence for these weights."""
        if not self.stated or self.weights.lower() == "unknown":
            return "unknown"
        return "permissive" if self.weights.lower() in PERMISSIVE else "restricted"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of the network.

    Attributes:
        name: the graph's own name for it.
        kind: "image" (text and noise come with later tasks).
        dtype: "uint8" or "float32".
        shape: None where any length will do.
    """

    name: str
    kind: Literal["image", "text", "noise"] = "image"
    dtype: Literal["uint8", "float32"] = "float32"
    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputContract:
    """How the network's outputs are to be read.

    Attributes:
        head: "softmax" (one label), "sigmoid" (several), "embedding" (a vector), or a layout of detectors
            and segmenters in `heads.HEADS`.
        tensor: name or position of the output that holds the answer.
        classes: length of that output's class axis, background included; "no object" is no class, and
            neither are the values of a box.
        already_activated: the graph ends in its softmax or sigmoid.
        background_index: the class that stands for "none of these", or None.
        drop_first: class 0 is background and has no label: it is left out of every answer.
        temperature: logits are divided by this before the softmax (calibration).
        width: length of an embedding.
        features: name or position of the output that holds the penultimate features, or None.
        extra: fields that only some layouts have, as they stand; `heads.Head` is their typed form.
    """

    head: str
    tensor: str | int = 0
    classes: int | None = None
    already_activated: bool = False
    background_index: int | None = None
    drop_first: bool = False
    temperature: float = 1.0
    width: int | None = None
    features: str | int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise BadCard(f"a card's output: expected a temperature above 0, got {self.temperature}.")
        if self.classes is not None and self.classes < 1:
            raise BadCard(f"a card's output: expected at least 1 class, got {self.classes}.")


@dataclass(frozen=True, slots=True)
class Card:
    """A catalogue entry.

    Attributes:
        name: `zoo/architecture.tag`.
        task: what it does.
        program: its preprocessing.
        output: how to read its outputs.
        inputs: what goes in.
        labels: names in the order of the output, background left out if `output.drop_first`; None for
            a model without labels.
        family: "ResNet", "ViT" ...
        architecture: its name in its zoo.
        licence: terms of the weights.
        origin: where the weights come from.
        claims: figures with sources.
        parameters: number of trainable values, buffers not counted.
        gmacs: multiply-adds for one image at the input size, in 10^9.
        depth: layers, as the paper counts.
        year: of publication.
        weights_digest: sha256 hex of the weight file, when known.
        digest_trust: how that is known.
        lineage: teacher, training data, parent model, recipe.
        good_for: one sentence.
        paper: where the network is from: "arXiv:1512.03385" ...
        domain: of the training data: "natural", "medical" ...; "" when nobody says.
        nearest: the card to take instead, where no weights are public.
        extra: fields of a later minor format, kept and ignored.
    """

    name: str
    task: Task
    program: Program
    output: OutputContract
    inputs: tuple[InputSpec, ...] = ()
    labels: tuple[str, ...] | None = None
    family: str = ""
    architecture: str = ""
    licence: Licence = Licence()
    origin: str = ""
    claims: tuple[Claim, ...] = ()
    parameters: int | None = None
    gmacs: float | None = None
    depth: int | None = None
    year: int | None = None
    weights_digest: str | None = None
    digest_trust: DigestTrust = "unknown"
    lineage: Mapping[str, Any] = field(default_factory=dict)
    good_for: str = ""
    paper: str = ""
    domain: str = ""
    nearest: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels is None or self.output.classes is None:
            return
        expected = self.output.classes - (1 if self.output.drop_first else 0)
        if len(self.labels) != expected:
            raise BadCard(
                f"card {self.name!r}: expected {expected} labels for an output of "
                f"{self.output.classes} classes, got {len(self.labels)}."
            )

    @property
    def input_size(self) -> Size | None:
        """(height, width) of a prepared image, or None when it depends on the image."""
        return self.program.input_size()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `from_dict` of it is an equal card."""
        plain: dict[str, Any] = {
            "format": {"major": CARD_FORMAT[0], "minor": self._minor()},
            "program": self.program.to_list(),
            "labels": None if self.labels is None else list(self.labels),
            "inputs": [{**dataclasses.asdict(spec), "shape": list(spec.shape)} for spec in self.inputs],
            "output": _without_none({**dataclasses.asdict(self.output), **self.output.extra}, {"extra"}),
            "licence": _without_none(dataclasses.asdict(self.licence)),
            "claims": [_without_none(dataclasses.asdict(claim)) for claim in self.claims],
            "lineage": dict(self.lineage),
        }
        for key in _PLAIN:
            value = getattr(self, key)
            if value not in (None, ""):
                plain[key] = value
        return plain

    def _minor(self) -> int:
        """The lowest minor format that can hold it, so that readers of older ones can read what they know."""
        later = any(getattr(self, key) for key in SINCE_1_1) or self.licence.words is not None
        return int(later or any(claim.evaluation_size is not None for claim in self.claims))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Card:
        """From the JSON form, strictly. Labels are a list of names (files are read by the zoos).

        Raises:
            BadCard: a missing, unknown or ill-typed field.
        """
        values = _mapping(fields, "a card")
        major, minor = _format(values.pop("format", None))
        missing = [key for key in ("name", "task", "program", "output") if key not in values]
        if missing:
            raise BadCard(f"a card: expected the fields {', '.join(missing)}, which are missing.")
        known = {spec.name for spec in dataclasses.fields(cls)} - {"extra"}
        if minor == 0:
            known -= SINCE_1_1
        unknown = {key: values.pop(key) for key in sorted(set(values) - known)}
        later = (major, minor) > CARD_FORMAT
        if unknown and not later:
            raise BadCard(str(UnknownName("card field", next(iter(unknown)), known)))
        if values["task"] not in TASKS:
            raise BadCard(str(UnknownName("task", str(values["task"]), TASKS)))
        labels = values.get("labels")
        if not (labels is None or _all(labels, str)):
            raise BadCard(f"card field 'labels': expected a list of names or null, got {_shown(labels)}.")
        values["labels"] = None if labels is None else tuple(labels)
        values["program"] = Program.from_list(values["program"])
        values["output"] = _output(values["output"])
        row = HEADS.get(values["output"].head)
        if row is not None and values["task"] in row.tasks:
            Head.of(values["output"].head, values["output"].extra, values["output"].tensor)
        values["inputs"] = tuple(_input(spec) for spec in _rows(values.get("inputs", ()), "inputs"))
        values["licence"] = _noun(Licence, values.get("licence", {}), "licence", later)
        values["claims"] = tuple(
            _noun(Claim, row, "claim", later) for row in _rows(values.get("claims", ()), "claims")
        )
        _check_types(cls, {key: values[key] for key in (*_PLAIN, "lineage") if key in values}, "card")
        return cls(**values, extra=unknown)


_PLAIN = (
    "name",
    "task",
    "family",
    "architecture",
    "origin",
    "parameters",
    "gmacs",
    "depth",
    "year",
    "weights_digest",
    "digest_trust",
    "good_for",
    "paper",
    "domain",
    "nearest",
)


def _format(value: object) -> tuple[int, int]:
    match value:
        case {"major": int(major), "minor": int(minor)} if major == CARD_FORMAT[0]:
            return major, minor
        case {"major": int(major), "minor": int()}:
            raise BadCard(
                f"a card of format major {major}: this version reads major {CARD_FORMAT[0]}. "
                "Install a later version of Signet."
            )
        case _:
            raise BadCard(f'a card: expected "format": {{"major", "minor"}}, got {value!r}.')


def _output(stated: object) -> OutputContract:
    fields = _mapping(stated, "a card's output")
    known = {spec.name for spec in dataclasses.fields(OutputContract)} - {"extra"}
    own = {key: value for key, value in fields.items() if key in known}
    if "head" not in own:
        raise BadCard("a card's output: expected the field 'head', which is missing.")
    extra = {key: value for key, value in fields.items() if key not in known}
    if extra and own["head"] in ("softmax", "sigmoid", "embedding"):
        raise BadCard(str(UnknownName("output field", next(iter(extra)), known)))
    _check_types(OutputContract, own, "output")
    return OutputContract(**own, extra=extra)


def _input(stated: object) -> InputSpec:
    values = _mapping(stated, "a card's input")
    values["shape"] = tuple(_rows(values.get("shape", ()), "shape"))
    return _noun(InputSpec, values, "input")


def _noun(kind: type[T], stated: object, words: str, later: bool = False) -> T:
    fields = _mapping(stated, f"a card's {words}")
    known = {spec.name for spec in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if later:
        fields = {key: value for key, value in fields.items() if key in known}
    for key in fields:
        if key not in known:
            raise BadCard(str(UnknownName(f"{words} field", key, known)))
    _check_types(kind, fields, words)
    try:
        return kind(**fields)
    except TypeError as error:
        raise BadCard(f"a card's {words}: {error}.") from error


def _mapping(stated: object, words: str) -> dict[str, Any]:
    if not isinstance(stated, Mapping) or not all(isinstance(key, str) for key in stated):
        raise BadCard(f"{words}: expected an object with named fields, got {_shown(stated)}.")
    return dict(stated)


def _rows(stated: object, words: str) -> Sequence[Any]:
    if not isinstance(stated, list | tuple):
        raise BadCard(f"card field {words!r}: expected a list, got {_shown(stated)}.")
    return stated


def _check_types(kind: type, fields: Mapping[str, Any], words: str) -> None:
    """Refuse a value that is not of the type that its field states.

    Raises:
        BadCard: naming the field, the type and the value.
    """
    hints = get_type_hints(kind)
    for key, value in fields.items():
        if not _fits(value, hints[key]):
            wanted = str(hints[key]).replace("typing.", "").removeprefix("<class '").removesuffix("'>")
            raise BadCard(f"{words} field {key!r}: expected {wanted}, got {_shown(value)}.")


def _fits(value: object, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is tuple:
        return isinstance(value, list | tuple) and all(_fits(entry, parts[0]) for entry in value)
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind or hint)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _all(values: object, kind: type) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values)


def _without_none(fields: Mapping[str, Any], drop: set[str] | None = None) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and key not in (drop or ())}
