"""`seal.json`: what a seal says of itself, as frozen values and as JSON.

Specified in `docs/seal-format.md`. Reading is strict: a key that this minor format does not know is refused;
in a seal of a higher minor it is kept and ignored.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from signet.arrays import Floats, frozen
from signet.cards import Card
from signet.errors import BadInput, SealError, SignetError, UnknownName, UnsupportedFormat
from signet.naming import shown
from signet.networks import ModuleSpec, Variant
from signet.seals.names import EXPECTED, WEIGHTS_SUFFIX
from signet.seals.strict import strict_json
from signet.seals.typed import check_types, without_later_fields

FORMAT = (1, 1)
"""(major, minor) up to which this version knows every key; it reads every minor of this major."""

GoldenSource = Literal["own", "made"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a seal.

    Attributes:
        sha256: 64 lower-case hex digits.
        size: bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class GoldenEntry:
    """One golden image.

    Attributes:
        file: its name inside the seal.
        source: "own" (one of the user's) or "made" (by Signet, procedurally).
        traits: of "turned" (EXIF orientation), "oblong" (not square), "grey".
        note: what was done to it: "re-encoded smaller".
    """

    file: str
    source: GoldenSource
    traits: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """What the penultimate features look like on the data that the model was made with, to notice drift.

    Attributes:
        count: images.
        mean: D numbers.
        std: D numbers, of the same images.
    """

    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.count < 1 or len(self.mean) != len(self.std) or not self.mean:
            raise BadInput(
                "feature statistics: expected at least one image and as many means as stds, "
                f"got {self.count} images, {len(self.mean)} and {len(self.std)}."
            )

    @classmethod
    def of(cls, features: Floats) -> FeatureStatistics:
        """Of float32 (N, D) features; kept to 6 significant digits."""
        rows = frozen(features, "features", "float32", (None, None))
        if not len(rows):
            raise BadInput("feature statistics: expected the features of at least one image, got none.")

        def short(values: Any) -> tuple[float, ...]:
            return tuple(float(f"{value:.6g}") for value in values)

        return cls(len(rows), short(rows.mean(axis=0, dtype=float)), short(rows.std(axis=0, dtype=float)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that `seal.json` states.

    Attributes:
        card: the model's card: program, labels, inputs, output contract, licence, lineage, claims.
        graphs: role to file; this format has the one role "image".
        files: name to size and digest, of every file but `seal.json` and `seal.sha256`.
        golden: the golden images, in order.
        expected: the file with the tensors that they gave.
        weights: the file with the weights that can be trained further, or None.
        module: which torch module the weights fill, or None.
        training: how it was trained: data and split fingerprint, recipe, metrics with intervals; plain JSON.
        calibration: how its temperature was found; "temperature" is that of the card.
        feature_statistics: to notice drift; or None.
        variants: how other engines and precisions decided, when it was sealed.
        versions: library to version, of what sealed it.
        format: (major, minor).
        extra: keys of a higher minor format, kept and ignored.
    """

    card: Card
    graphs: Mapping[str, str]
    files: Mapping[str, SealedFile]
    golden: tuple[GoldenEntry, ...]
    expected: str = EXPECTED
    weights: str | None = None
    module: ModuleSpec | None = None
    training: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    feature_statistics: FeatureStatistics | None = None
    variants: tuple[Variant, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    format: tuple[int, int] = FORMAT
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file `seal.json`: UTF-8, indented, keys in a fixed order.

        Raises:
            BadInput: a value is no plain JSON (NaN and infinities included).
        """
        document = {
            "format": {"major": self.format[0], "minor": self.format[1]},
            "card": self.card.to_dict(),
            "graphs": dict(self.graphs),
            "weights": self.weights,
            "module": None if self.module is None else self.module.to_dict(),
            "golden": {
                "images": [
                    {**dataclasses.asdict(entry), "traits": list(entry.traits)} for entry in self.golden
                ],
                "expected": self.expected,
            },
            "training": self.training,
            "calibration": self.calibration,
            "feature_statistics": _statistics_to_dict(self.feature_statistics),
            "variants": [dataclasses.asdict(variant) for variant in self.variants],
            "versions": dict(self.versions),
            "files": {name: dataclasses.asdict(self.files[name]) for name in sorted(self.files)},
        }
        try:
            text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
            return f"{text}\n".encode()
        except (TypeError, ValueError) as error:
            raise BadInput(f"seal.json: expected plain JSON values with finite numbers; {error}.") from error


def format_of(card: Card) -> tuple[int, int]:
    """The lowest format that can hold a model of this card, so that readers of older ones read what they can.

    1.1 has the evidence of detectors and segmenters.
    """
    return FORMAT[0], int(card.task not in ("classify", "embed"))


def parse(data: bytes, name: str) -> Manifest:
    """The manifest in the bytes of a `seal.json`.

    Args:
        data: the file's bytes; their digest is checked already.
        name: the seal, for messages.

    Raises:
        UnsupportedFormat: a higher major; the message names the version that wrote it.
        SealError: not JSON, a missing, unknown or ill-typed key.
    """
    try:
        return _manifest(strict_json(data))
    except UnsupportedFormat as error:
        raise UnsupportedFormat(f"{name}: {error}") from error
    except SignetError as error:
        raise SealError(f"{name}: seal.json: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise SealError(
            f"{name}: seal.json does not hold what docs/seal-format.md states "
            f"({type(error).__name__}: {shown(error)}). Seal the model again."
        ) from error


def _manifest(document: Mapping[str, Any]) -> Manifest:
    form = _format(document)
    lenient = form > FORMAT
    known = {spec.name for spec in dataclasses.fields(Manifest)} - {"extra", "expected"}
    own, extra = _own(document, known, "key", lenient)
    for key in ("card", "graphs", "golden", "files"):
        if key not in own:
            raise SealError(f"expected the key {key!r}, which is missing.")
    golden, _ = _own(own["golden"], {"images", "expected"}, "golden key", lenient)
    module = own.get("module")
    statistics = own.get("feature_statistics")
    stated = without_later_fields(own["card"]) if lenient else own["card"]
    card = Card.from_dict(_object(stated, "card"))
    check_types(card)
    manifest = Manifest(
        format=form,
        card=card,
        graphs=_texts(own["graphs"], "graphs"),
        weights=_text_or_none(own.get("weights"), "weights"),
        module=None if module is None else _module(module, lenient),
        golden=tuple(_golden(row, lenient) for row in _rows(golden["images"], "golden images")),
        expected=_text(golden["expected"], "golden expected"),
        training=_object_or_none(own.get("training"), "training"),
        calibration=_object_or_none(own.get("calibration"), "calibration"),
        feature_statistics=None if statistics is None else _statistics(statistics, lenient),
        variants=tuple(_variant(row, lenient) for row in _rows(own.get("variants", []), "variants")),
        versions=_texts(own.get("versions", {}), "versions"),
        files={name: _file(row, name, lenient) for name, row in _object(own["files"], "files").items()},
        extra=extra,
    )
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Refuse a manifest that contradicts itself.

    Raises:
        SealError: a file that it names is not in its list, or two statements differ.
    """
    named = [*manifest.graphs.values(), manifest.expected, *(entry.file for entry in manifest.golden)]
    if manifest.weights is not None:
        named.append(manifest.weights)
    for name in named:
        if name not in manifest.files:
            raise SealError(f"it names the file {shown(name)!r}, which is not in its list of files.")
    if manifest.weights is not None and not manifest.weights.endswith(WEIGHTS_SUFFIX):
        # Torch's own files are pickled, and a seal holds nothing that is.
        raise SealError(
            f"expected weights whose name ends in {WEIGHTS_SUFFIX}, got {shown(manifest.weights)!r}."
        )
    if "image" not in manifest.graphs:
        raise SealError("expected a graph in the role 'image'.")
    if not manifest.golden:
        raise SealError("expected at least one golden image.")
    if len({entry.file for entry in manifest.golden}) != len(manifest.golden):
        raise SealError("expected every golden image once.")
    stated = (manifest.calibration or {}).get("temperature", manifest.card.output.temperature)
    if stated != manifest.card.output.temperature:
        raise SealError(
            f"calibration states the temperature {stated}, the card {manifest.card.output.temperature}: "
            "expected one and the same."
        )


def _format(document: Mapping[str, Any]) -> tuple[int, int]:
    versions = document.get("versions")
    writer = versions.get("signet") if isinstance(versions, Mapping) else None
    stated = document.get("format")
    # True and False are whole numbers to Python, and to nobody else.
    odd = isinstance(stated, dict) and any(isinstance(value, bool) for value in stated.values())
    match None if odd else stated:
        case {"major": int(major), "minor": int(minor)} if major == FORMAT[0] and minor >= 0:
            return major, minor
        case {"major": int(major), "minor": int()} if major > FORMAT[0]:
            needed = f"Signet {shown(writer)} (which wrote it) or later" if writer else "a later Signet"
            raise UnsupportedFormat(
                f"this seal has format major {major}; this version reads major {FORMAT[0]}. "
                f"{needed} reads it: python -m pip install --upgrade signet."
            )
        case _:
            raise SealError(f'expected "format": {{"major": {FORMAT[0]}, "minor"}}, got {stated!r}.')


def _own(fields: object, known: set[str], words: str, lenient: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(known keys, the others); others are refused unless the seal has a higher minor format."""
    values = _object(fields, words)
    others = {key: value for key, value in values.items() if key not in known}
    if others and not lenient:
        hint = f"Format {FORMAT[0]}.{FORMAT[1]} has no such key. Known: {', '.join(sorted(known))}."
        raise SealError(str(UnknownName(words, next(iter(others)), known, hint)))
    return {key: value for key, value in values.items() if key in known}, others


def _noun(kind: Callable[..., T], fields: object, words: str, lenient: bool) -> T:
    known = {spec.name for spec in dataclasses.fields(kind)}  # type: ignore[arg-type]
    own, _ = _own(fields, known, f"{words} field", lenient)
    return kind(**own)


def _module(fields: object, lenient: bool) -> ModuleSpec:
    spec = _noun(ModuleSpec, fields, "module", lenient)
    for key in ("zoo", "architecture"):
        _text(getattr(spec, key), f"module {key}")
    _text_or_none(spec.classifier, "module classifier")
    _count(spec.classes, "module classes")
    for key in _object(spec.arguments, "module arguments"):
        # These would make a zoo fetch or unpickle a file; a seal brings its weights itself.
        if key.startswith(("pretrained", "weights", "checkpoint", "cache")):
            raise SealError(f"module arguments: {key!r} is not an argument of an architecture.")
    return spec


def _golden(row: object, lenient: bool) -> GoldenEntry:
    entry = _noun(GoldenEntry, row, "golden image", lenient)
    _text(entry.file, "golden file")
    _text(entry.note, "golden note")
    if entry.source not in ("own", "made"):
        raise SealError(f"golden source: expected 'own' or 'made', got {entry.source!r}.")
    traits = tuple(_text(trait, "golden trait") for trait in _rows(entry.traits, "golden traits"))
    return dataclasses.replace(entry, traits=traits)


def _variant(row: object, lenient: bool) -> Variant:
    variant = _noun(Variant, row, "variant", lenient)
    for key in ("engine", "version", "processor", "precision"):
        _text(getattr(variant, key), f"variant {key}")
    for key in ("compared", "equal", "golden", "golden_equal"):
        _count(getattr(variant, key), f"variant {key}")
    return variant


def _file(row: object, name: str, lenient: bool) -> SealedFile:
    file = _noun(SealedFile, row, f"file {shown(name)!r}", lenient)
    digits = _text(file.sha256, "sha256")
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise SealError(
            f"file {shown(name)!r}: expected a sha256 of 64 lower-case hex digits, got {digits!r}."
        )
    _count(file.size, "size")
    return file


def _statistics(row: object, lenient: bool) -> FeatureStatistics:
    own, _ = _own(row, {"count", "mean", "std"}, "feature statistics field", lenient)
    mean, std = (tuple(float(value) for value in _rows(own[key], key)) for key in ("mean", "std"))
    if not all(map(math.isfinite, (*mean, *std))):
        raise SealError("feature statistics: expected finite numbers.")
    return FeatureStatistics(_count(own["count"], "count"), mean, std)


def _statistics_to_dict(statistics: FeatureStatistics | None) -> dict[str, Any] | None:
    if statistics is None:
        return None
    return {"count": statistics.count, "mean": list(statistics.mean), "std": list(statistics.std)}


def _object(value: object, words: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SealError(f"{words}: expected an object, got a {type(value).__name__}.")
    return value


def _object_or_none(value: object, words: str) -> dict[str, Any] | None:
    return None if value is None else _object(value, words)


def _rows(value: object, words: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise SealError(f"{words}: expected a list, got a {type(value).__name__}.")
    return value


def _text(value: object, words: str) -> str:
    if not isinstance(value, str):
        raise SealError(f"{words}: expected text, got {value!r}.")
    return value


def _text_or_none(value: object, words: str) -> str | None:
    return None if value is None else _text(value, words)


def _texts(value: object, words: str) -> dict[str, str]:
    return {key: _text(entry, f"{words} {key!r}") for key, entry in _object(value, words).items()}


def _count(value: object, words: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SealError(f"{words}: expected a whole number of 0 or more, got {value!r}.")
    return value
