"""One model made ready inside the mirror, under no name of its own, and then named in one step.

`MIRROR/.pull/KEY/` holds what has come, also of an attempt that was killed; its folder `whole/NAME` becomes
the model's place when `model.json`, which is written last, says that all of it is there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signet.cards import Card, DigestTrust
from signet.errors import BadInput, BadRequest, DigestMismatch, HubError, SignetError
from signet.hub.folders import names_below, read_config
from signet.hub.names import check_name, place_of
from signet.hub.obtaining import fetch
from signet.hub.weights import Patience
from signet.mirroring.manifest import (
    RECORD,
    STAGING,
    MirroredFile,
    MirroredModel,
    file_of,
    read_record,
    write_record,
)
from signet.mirroring.planning import Local, Source, ToDownload, Wanted
from signet.mirroring.verifying import faults_of
from signet.progress import OnProgress, Progress
from signet.resolving import resolve
from signet.storage import digest_of, move_folder_into_place, write_bytes, write_json

CHUNK_BYTES = 1024 * 1024
PUBLISHER = "config.publisher.json"
"""The configuration of the weights' repository, where the packaged index has its own."""


@dataclass(frozen=True, slots=True)
class Brought:
    """Weights that lie in the staged folder, and where they came from.

    Attributes:
        file: the weights.
        config: the one that they are used with.
        trust: how their digest is known.
        source: where they are from.
        commit: of the repository, or None.
    """

    file: MirroredFile
    config: Mapping[str, Any]
    trust: DigestTrust
    source: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one model of a mirror is made ready.

    Attributes:
        root: the mirror.
        name: of the model.
    """

    root: Path
    name: str

    @property
    def place(self) -> Path:
        """What has come so far. The name's digest makes one flat name that is safe on every disk."""
        return self.root / STAGING / hashlib.sha256(self.name.encode()).hexdigest()[:32]

    @property
    def folder(self) -> Path:
        """The folder that shall become the model's."""
        return self.place / "whole" / check_name(self.name)[-1]

    def finished(self) -> MirroredModel | None:
        """The model that an earlier attempt had ready, every byte of it; else None."""
        try:
            model = read_record(self.folder, self.name)
            if model is None or faults_of(self.folder, model, digest_of):
                return None
        except SignetError:
            return None
        return model

    def make(
        self, wanted: Wanted, source: Source, *, on_progress: OnProgress, patience: Patience
    ) -> MirroredModel:
        """Bring all files, and write what is known of the model beside them.

        Args:
            wanted: the model.
            source: where it comes from.
            on_progress: told in bytes, of this model.
            patience: how long to try a network.

        Raises:
            HubError: it could not be had.
            BadInput: what came cannot be used as a model.
            SignetError: the disk refuses.
        """
        self._empty()
        match source:
            case Local():
                brought = self._copied(wanted, source, on_progress)
            case ToDownload():
                brought = self._downloaded(wanted, source, on_progress, patience)
        try:
            return self._described(brought)
        except (BadInput, BadRequest):
            # The same would come again, and could be used as little.
            shutil.rmtree(self.place, ignore_errors=True)
            raise

    def settle(self, *, overwrite: bool) -> None:
        """Give the finished folder its name.

        Raises:
            AlreadyExists: something has that name, and `overwrite` was not given.
            HubError: the name leads out of the mirror, into another model's folder, or around one.
            SignetError: the disk refuses.
        """
        target = place_of(self.name, self.root)
        above = [parent for parent in target.parents if parent.is_relative_to(self.root)][:-1]
        inside = next((parent for parent in above if (parent / "config.json").exists()), None)
        around = names_below(target, lambda folder: (folder / "config.json").is_file())
        if inside is not None or around:
            raise HubError(
                f"{self.name} cannot lie in this mirror: {inside or target / around[0]} is the folder of "
                "another model. Name another folder with --to."
            )
        move_folder_into_place(self.folder, target, overwrite=overwrite)
        shutil.rmtree(self.place, ignore_errors=True)

    def _empty(self) -> None:
        """Begin anew, but keep what has come of a download."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise SignetError(f"{self.folder} cannot be made: {error.strerror or error}.") from error

    def _copied(self, wanted: Wanted, source: Local, on_progress: OnProgress) -> Brought:
        done, total = 0, source.size
        for path in (*source.beside, source.found.weights):
            digest = hashlib.sha256()
            try:
                with path.open("rb") as old, (self.folder / path.name).open("xb") as new:
                    while chunk := old.read(CHUNK_BYTES):
                        new.write(chunk)
                        digest.update(chunk)
                        done += len(chunk)
                        on_progress(Progress("copying", done, total, "bytes"))
            except OSError as error:
                raise SignetError(
                    f"{path} cannot be copied to {self.root}: {error.strerror or error}."
                ) from error
        found = source.found
        if digest.hexdigest() != found.digest:
            raise DigestMismatch(f"{found.weights} changed while it was copied; try again.")
        file = file_of(self.folder / found.weights.name, found.digest)
        # What a mirror has is used with the mirror's own configuration.
        indexed = None if found.where == "mirror" else wanted.config
        return Brought(file, self._config(indexed, found.config), found.trust, source.source, source.commit)

    def _downloaded(
        self, wanted: Wanted, source: ToDownload, on_progress: OnProgress, patience: Patience
    ) -> Brought:
        remote, offer = source.remote, source.offer
        came = fetch(remote, offer, self.place, on_progress=on_progress, patience=patience)
        try:
            for name, (path, _) in came.small.items():
                if path is not None:
                    path.replace(self.folder / name)
            weights = came.weights.replace(self.folder / offer.file)
            file = file_of(weights, came.sha256)
        except OSError as error:
            raise SignetError(f"{self.folder} cannot be written: {error.strerror or error}.") from error
        config = self._config(wanted.config, read_config(self.folder / "config.json"))
        trust: DigestTrust = "locked" if remote.sha256 is None else "pinned"
        return Brought(file, config, trust, remote.source, offer.commit)

    def _config(
        self, indexed: Mapping[str, Any] | None, publisher: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        """The configuration that the model is used with; the index goes before its publisher's.

        So a model answers alike from a mirror and without one. The publisher's own lies beside it.
        """
        if indexed is None:
            if publisher is None:
                raise BadInput(
                    f"{self.name}: expected a config.json that says what its weights are; there is none."
                )
            return publisher
        if publisher is not None:
            write_json(self.folder / PUBLISHER, publisher, overwrite=True)
        return {key: value for key, value in indexed.items() if key != "name"}

    def _described(self, brought: Brought) -> MirroredModel:
        """Write configuration, card, labels, licence and the record, which comes last."""
        weights = {"file": brought.file.file, "sha256": brought.file.sha256}
        write_json(self.folder / "config.json", {**brought.config, "weights": weights}, overwrite=True)
        found = resolve(self.folder).card
        card = dataclasses.replace(found, name=self.name, digest_trust=brought.trust)
        self._tell(card)
        rest = sorted(path for path in self.folder.iterdir() if path.name not in (brought.file.file, RECORD))
        model = MirroredModel(
            name=self.name,
            files=(brought.file, *map(file_of, rest)),
            weights=brought.file.file,
            licence=card.licence,
            task=card.task,
            parameters=card.parameters,
            trust=brought.trust,
            source=brought.source,
            commit=brought.commit,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return write_record(self.folder, model)

    def _tell(self, card: Card) -> None:
        """The files for people."""
        write_json(self.folder / "card.json", card.to_dict(), overwrite=True)
        if card.labels is not None:
            write_json(self.folder / "labels.json", {"labels": list(card.labels)}, overwrite=True)
        write_bytes(self.folder / "LICENCE.txt", licence_words(card).encode(), overwrite=True)


def licence_words(card: Card) -> str:
    """What is known of the terms of a model, for people."""
    licence = card.licence
    stated = "stated by their publisher" if licence.stated else "not stated by their publisher"
    lines = [
        f"Model: {card.name}",
        f"Licence of the weights: {licence.weights} ({stated})",
        f"Licence of the code: {licence.code or 'unknown'}",
        f"Training data: {licence.training_data or 'unknown'}",
        f"Origin: {card.origin or 'unknown'}",
        "These are the words of the catalogue. The licence itself is its publisher's, and counts.",
    ]
    words = getattr(licence, "words", None)
    if words:
        lines.insert(2, f"Who says so: {words}")
    return "\n".join(lines) + "\n"
