"""Writing a seal: every file under its name, its digest into `seal.json`, all of it or nothing."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from signet import machine, storage
from signet.cards import Card
from signet.errors import BadRequest, SealError, SignetError
from signet.graphs.opening import files_of
from signet.naming import shown
from signet.networks import GraphFile, ModuleSpec, Variant
from signet.seals.expected import Expected
from signet.seals.golden import GoldenImage
from signet.seals.manifest import FeatureStatistics, Manifest, SealedFile, check, format_of
from signet.seals.modelcard import model_card
from signet.seals.names import (
    CARD,
    DIGEST,
    EXPECTED,
    MANIFEST,
    SIGNATURE,
    SUFFIX,
    WEIGHTS,
    WEIGHTS_SUFFIX,
    collision,
    wrong_name,
)
from signet.seals.reading import Seal, open_seal


@dataclass(frozen=True, slots=True, kw_only=True)
class SealContents:
    """All that goes into a seal.

    Attributes:
        card: all that is known of the model; its temperature is the calibrated one.
        graph: the network as a graph; weights that lie beside it are taken along.
        golden: the golden images, in order.
        expected: what they gave, from this card and this graph.
        weights: a safetensors file with what can be trained further, or None.
        module: which torch module the weights fill, or None.
        beside: further safetensors files under their own names, such as `adapter.safetensors`; the record of
            the training says what they are.
        training: how it was trained; plain JSON.
        calibration: how the temperature was found; plain JSON.
        feature_statistics: of the penultimate features on the training data.
        variants: how other engines and precisions decided.
        versions: of what made it; this machine's by default.
    """

    card: Card
    graph: GraphFile
    golden: Sequence[GoldenImage]
    expected: Expected
    weights: Path | None = None
    module: ModuleSpec | None = None
    beside: Sequence[Path] = ()
    training: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    feature_statistics: FeatureStatistics | None = None
    variants: Sequence[Variant] = ()
    versions: Mapping[str, str] = field(default_factory=machine.versions)


def write_seal(contents: SealContents, out: str | Path, overwrite: bool = False) -> Seal:
    """Write a sealed folder and open it again, so that what is returned was checked on the disk.

    Args:
        contents: all of it.
        out: the folder, `NAME.signet`.
        overwrite: replace what is there.

    Raises:
        AlreadyExists: `out` is there and `overwrite` was not given.
        BadRequest: `out` has another ending.
        BadInput: a record holds values that are no plain JSON.
        SealError: the contents contradict each other.
    """
    target = check_out(out)
    with storage.new_folder(target, overwrite=overwrite) as folder:
        manifest = _manifest(contents, _placed(contents, folder), folder)
        data = manifest.to_bytes()
        digest = hashlib.sha256(data).hexdigest()
        (folder / MANIFEST).write_bytes(data)
        (folder / DIGEST).write_bytes(f"{digest}  {MANIFEST}\n".encode())
        sealed = open_seal(folder)
    return replace(sealed, path=target)


def check_out(out: str | Path) -> Path:
    """The path of a seal to write.

    Raises:
        BadRequest: it does not end in `.signet`.
    """
    target = Path(out)
    if target.suffix != SUFFIX:
        raise BadRequest(
            f"{shown(target)}: expected a folder name that ends in {SUFFIX}, such as birds{SUFFIX}."
        )
    return target


def _placed(contents: SealContents, folder: Path) -> dict[str, str | None]:
    """Copy every file in; the names of graph and weights."""
    graph = contents.graph
    beside = files_of(graph)
    names = {graph.path: f"graph{graph.path.suffix.lower()}"}
    for file in beside:
        # ONNX names its further files itself; OpenVINO finds its own by the graph's name.
        relative = file.relative_to(graph.path.parent).as_posix()
        names[file] = relative if graph.format == "onnx" else f"graph{file.suffix.lower()}"
    weights = None
    if contents.weights is not None:
        tensors = [file for file in beside if file.suffix == WEIGHTS_SUFFIX]
        same = [file for file in tensors if _same_file(file, contents.weights)]
        # Where the graph reads its weights from that very file, it is sealed once.
        weights = names[same[0]] if same else WEIGHTS
        names.setdefault(same[0] if same else contents.weights, weights)
    for file in contents.beside:
        if file.suffix != WEIGHTS_SUFFIX:
            raise SealError(
                f"{shown(file.name)}: expected a file in the safetensors format beside the weights."
            )
        names[file] = file.name
    taken = [*names.values(), CARD, MANIFEST, DIGEST, SIGNATURE, EXPECTED]
    wrong = next((name for name in taken if wrong_name(name)), None) or (collision(taken) or (None,))[0]
    if wrong:
        raise SealError(
            f"{shown(graph.path)}: keeps weights in {shown(wrong)!r}, a name that a seal cannot have."
        )
    for file, name in names.items():
        _copy(file, folder / name)
    for image in contents.golden:
        _write(folder / image.entry.file, image.data)
    _write(folder / EXPECTED, contents.expected.to_bytes())
    return {"graph": names[graph.path], "weights": weights}


def _manifest(contents: SealContents, placed: Mapping[str, str | None], folder: Path) -> Manifest:
    manifest = Manifest(
        card=contents.card,
        graphs={"image": str(placed["graph"])},
        files={},
        golden=tuple(image.entry for image in contents.golden),
        weights=placed["weights"],
        module=contents.module if placed["weights"] else None,
        training=contents.training,
        calibration=contents.calibration,
        feature_statistics=contents.feature_statistics,
        variants=tuple(contents.variants),
        versions=contents.versions,
        format=format_of(contents.card),
    )
    _write(folder / CARD, model_card(manifest).encode())
    files = {
        file.relative_to(folder).as_posix(): SealedFile(storage.digest_of(file), file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    manifest = replace(manifest, files=files)
    check(manifest)
    return manifest


def _copy(source: Path, to: Path) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)
    except OSError as error:
        raise SignetError(
            f"{shown(source)} cannot be copied into the seal: {error.strerror or error}."
        ) from error


def _write(to: Path, data: bytes) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(data)
    except OSError as error:
        raise SignetError(f"{to.name} cannot be written into the seal: {error.strerror or error}.") from error


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (
        one.stat().st_size == other.stat().st_size and storage.digest_of(one) == storage.digest_of(other)
    )
