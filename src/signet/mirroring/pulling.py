"""Fill a mirror: one model after the other, each whole or not there, those that fail named at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from signet.errors import BadRequest, SignetError
from signet.hub.digests import remembered_digest
from signet.hub.names import place_of
from signet.hub.weights import Patience
from signet.mirroring import planning
from signet.mirroring.manifest import MirroredFile, MirroredModel, add, read_manifest, read_record
from signet.mirroring.planning import Source, ToDownload, Wanted
from signet.mirroring.staging import Stage
from signet.mirroring.verifying import faults_of
from signet.naming import shown
from signet.progress import OnProgress, Progress, silent
from signet.storage import locked

Status = Literal["pulled", "there", "failed"]
PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class PulledModel:
    """What became of one name.

    Attributes:
        name: the whole name; as it was given, where nobody is called so.
        status: "pulled", "there" (it was already), or "failed".
        files: of its folder.
        error: why it failed; empty when it did not.
        remark: where it was taken from, in words.
    """

    name: str
    status: Status
    files: tuple[MirroredFile, ...] = ()
    error: str = ""
    remark: str = ""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        plain = {"name": self.name, "status": self.status, "files": [file.to_dict() for file in self.files]}
        return {**plain, "error": self.error} if self.error else plain


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did.

    Attributes:
        to: the mirror.
        models: one for each name, in their order.
    """

    to: Path
    models: tuple[PulledModel, ...]

    @property
    def ok(self) -> bool:
        """Whether none failed."""
        return all(model.status != "failed" for model in self.models)

    @property
    def size_bytes(self) -> int:
        """What this pull wrote."""
        return sum(model.size_bytes for model in self.models if model.status == "pulled")

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the command contract."""
        models = [model.to_dict() for model in self.models]
        return {"to": str(self.to), "models": models, "bytes": self.size_bytes}


def pull(
    names: Iterable[str],
    to: str | Path,
    *,
    licence: str | None = None,
    overwrite: bool = False,
    offline: bool = False,
    on_progress: OnProgress | None = None,
) -> Pulled:
    """Bring models into a mirror, with all that a site without a network needs of them.

    What the cache or the mirror of `SIGNET_MIRROR` has is copied, the rest downloaded. A pull that was killed
    is gone on with by the next one; two at once do not disturb each other.

    Args:
        names: of models; zoo or tag may be left out where that leaves one candidate.
        to: the mirror; made when missing.
        licence: "permissive" or "commercial": refuse, before anything is done, when one does not fit.
        overwrite: replace models that the mirror has already.
        offline: take only what is on this machine.
        on_progress: told in bytes over all models.

    Raises:
        BadRequest: no name, or `to` is not a folder.
        Refused: the licence of a model does not fit; all such are named.
        SignetError: the disk has not room enough for all of it.

    Example:
        >>> import tempfile
        >>> pull(["starter"], to=tempfile.mkdtemp()).models[0].status
        'there'
    """
    root = Path(to).expanduser()
    done = each(names, root, licence=licence, overwrite=overwrite, offline=offline, on_progress=on_progress)
    return Pulled(root, tuple(done))


def each(
    names: Iterable[str],
    to: Path,
    *,
    licence: str | None = None,
    overwrite: bool = False,
    offline: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[PulledModel]:
    """What becomes of each name, as soon as it is known; see `pull`."""
    asked = list(dict.fromkeys(names))
    if not asked:
        raise BadRequest("expected the name of at least one model, got none.")
    if to.exists() and not to.is_dir():
        raise BadRequest(f"{shown(to)}: expected a folder for the mirror, got a file.")
    read_manifest(to)  # one that is damaged is nothing to add to
    plan = [_named(name) for name in asked]
    models = list({model.name: model for model in plan if isinstance(model, Wanted)}.values())
    if licence is not None:
        planning.require_licence([model.name for model in models], licence)
    yield from (model for model in plan if isinstance(model, PulledModel))
    yield from _Pull(to, overwrite, offline, on_progress or silent).run(models)


def _named(name: str) -> Wanted | PulledModel:
    try:
        return planning.wanted(name)
    except SignetError as error:
        return PulledModel(name, "failed", error=str(error))


class _Pull:
    """One pull: what it was told, and how many bytes are done."""

    def __init__(self, root: Path, overwrite: bool, offline: bool, on_progress: OnProgress) -> None:
        self._root = root
        self._overwrite = overwrite
        self._offline = offline
        self._on_progress = on_progress
        self._sizes: dict[str, int] = {}
        self._done = 0

    def run(self, models: list[Wanted]) -> Iterator[PulledModel]:
        """Look for all of them, then bring them one after the other."""
        sources: dict[str, Source] = {}
        for count, model in enumerate(models, 1):
            self._on_progress(Progress("looking", count, len(models), "models", model.name))
            ended = self._guarded(model, lambda model=model: self._looked(model, sources))
            if ended is not None:
                yield ended
        if not sources:
            return
        self._sizes = {name: source.size for name, source in sources.items()}
        planning.require_room(self._root, sum(self._sizes.values()) - self._come(sources))
        for model in models:
            if model.name in sources:
                ended = self._guarded(model, lambda model=model: self._brought(model, sources[model.name]))
                self._done += self._sizes[model.name]
                if ended is not None:
                    yield ended

    def _guarded(self, model: Wanted, action: Any) -> PulledModel | None:
        """One that fails does not stop the others."""
        try:
            result: PulledModel | None = action()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return PulledModel(model.name, "failed", error=f"{where}{error.strerror or error}")
        except SignetError as error:
            return PulledModel(model.name, "failed", error=str(error))
        return result

    def _looked(self, model: Wanted, sources: dict[str, Source]) -> PulledModel | None:
        """What is known without bringing anything; else its source is put down."""
        if model.embedded:
            return PulledModel(model.name, "there", remark="it comes with Signet itself")
        there = self._there(model)
        if there is None:
            sources[model.name] = planning.source_of(
                model, self._root, offline=self._offline, patience=PATIENCE
            )
        return there

    def _there(self, model: Wanted) -> PulledModel | None:
        """The model as the mirror has it already, or None when it is to be brought.

        Raises:
            BadRequest: something else has its name, or it is damaged, and it shall not be overwritten.
        """
        folder = place_of(model.name, self._root)
        if self._overwrite or not folder.exists():
            return None
        listed = (read_manifest(self._root) or {}).get(model.name)
        known = listed or read_record(folder, model.name)
        if known is None:
            raise BadRequest(
                f"{folder} exists already, and no manifest says what it is. It is left as it is; "
                "--overwrite replaces it."
            )
        faults = faults_of(folder, known, remembered_digest)
        if faults:
            raise BadRequest(
                f"{folder} exists already and is damaged: {'; '.join(faults)}. --overwrite replaces it."
            )
        if listed is None:  # a pull was killed after it had named the folder
            add(self._root, known)
        return PulledModel(model.name, "there", known.files)

    def _brought(self, model: Wanted, source: Source) -> PulledModel:
        stage = Stage(self._root, model.name)
        with locked(stage.place, on_wait=lambda: self._tell(0, f"waiting for another pull of {model.name}")):
            meanwhile = self._there(model)
            if meanwhile is not None:
                return meanwhile
            ready = stage.finished()
            if ready is None:
                ready = stage.make(
                    model,
                    source,
                    on_progress=lambda moment: self._took(model.name, moment),
                    patience=PATIENCE,
                )
            stage.settle(overwrite=self._overwrite)
            self._listed(ready)
        where = "downloaded from {}" if isinstance(source, ToDownload) else _COPIED[source.found.where]
        return PulledModel(model.name, "pulled", ready.files, remark=where.format(ready.source))

    def _listed(self, model: MirroredModel) -> None:
        add(self._root, model, lambda: self._tell(0, "waiting for another pull"))

    def _took(self, name: str, moment: Progress) -> None:
        """Turn what one model tells into what all have done."""
        if moment.total is not None and moment.total > self._sizes[name]:
            self._sizes[name] = moment.total  # an estimate was too small
        self._tell(min(moment.done, self._sizes[name]), name)

    def _tell(self, done: int, note: str) -> None:
        total = sum(self._sizes.values())
        self._on_progress(Progress("pulling", min(self._done + done, total), total, "bytes", note))

    def _come(self, sources: dict[str, Source]) -> int:
        """Bytes of them that an earlier attempt has left in the mirror."""
        places = [Stage(self._root, name).place for name in sources]
        return sum(
            path.stat().st_size
            for place in places
            if place.is_dir()
            for path in place.rglob("*")
            if path.is_file()
        )


_COPIED = {
    "cache": "copied from the cache; from {}",
    "mirror": "copied from another mirror",
    "package": "copied from Signet itself",
    "hub": "copied from the cache; from {}",
    "folder": "copied from a folder",
}
