"""From names to sources: what this machine has, what must be downloaded, and how much that is."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signet import hub, resolving
from signet.catalogue import index
from signet.catalogue.finding import Query, select
from signet.errors import BadInput, OfflineMiss, Refused, SignetError, UnknownName
from signet.hub.cache import receipt_of
from signet.hub.download import RESERVE_BYTES
from signet.hub.folders import CONFIG_LIMIT_BYTES, mirror_folder
from signet.hub.names import fault_of_part
from signet.hub.offers import Offer, offered
from signet.hub.weights import Patience, WeightFiles
from signet.mirroring.manifest import RECORD, read_record

_MADE_HERE = frozenset(
    {"config.json", RECORD, "card.json", "labels.json", "LICENCE.txt", "config.publisher.json"}
)
_BESIDE = frozenset({".json", ".txt", ".md"})
_BYTES_A_PARAMETER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model that shall be in the mirror.

    Attributes:
        name: whole; its place in the mirror.
        config: what the packaged index states, or None: then its own folder or repository says it.
        remote: where it can be downloaded, or None when nobody knows such a place.
        embedded: it comes inside the package, so that nothing is to be done.
    """

    name: str
    config: Mapping[str, Any] | None = None
    remote: hub.Remote | None = None
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """Weights that this machine has.

    Attributes:
        found: weights and configuration, their digests checked.
        beside: further files that belong to them.
        source: where they were from.
        commit: of the repository, or None.
    """

    found: WeightFiles
    beside: tuple[Path, ...]
    source: str
    commit: str | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in (self.found.weights, *self.beside))


@dataclass(frozen=True, slots=True)
class ToDownload:
    """Weights that must be downloaded.

    Attributes:
        remote: where they are.
        offer: what is there, of one commit.
        size: in bytes; an estimate where the server does not say it before it sends.
    """

    remote: hub.Remote
    offer: Offer
    size: int


Source = Local | ToDownload


def wanted(name: str) -> Wanted:
    """The model of a name, which may leave out zoo or tag where that leaves one candidate.

    Raises:
        BadRequest: not a name.
        UnknownName: nobody, or more than one, is called so; carries near misses.
    """
    text = name.removeprefix(resolving.HUB_PREFIX)
    hub.check_name(text)
    if text == index.STARTER:
        return Wanted(name=text, embedded=True)
    try:
        full = index.full_name(text)
    except UnknownName as error:
        if text in hub.list_mirror():
            return Wanted(name=text)
        place = _of_the_hub(name, text)
        if place is None or error.ambiguous:
            raise
        return place
    config = index.config(full)
    return Wanted(name=full, config=config, remote=resolving.remote_of(config))


def _of_the_hub(name: str, text: str) -> Wanted | None:
    """A repository that no index lists."""
    zoo, _, repository = text.partition("/")
    if zoo == "transformers" and "/" in repository:
        place = text
    elif name != text and text.count("/") == 1:
        place, repository = f"{resolving.HUB_FOLDER}/{text}", text
    else:
        return None
    return Wanted(name=place, remote=hub.Remote(repository=repository, beside=(resolving.PROCESSOR_FILE,)))


def require_licence(names: Sequence[str], policy: str) -> None:
    """Refuse names whose licence does not fit, by the same rule as `find --licence`.

    Raises:
        BadRequest: no such policy.
        Refused: names every one that does not fit, with its licence.
    """
    fitting = Counter(entry.name for entry in select(Query(licence=policy)))
    every = select(Query())
    known = {entry.name: entry for entry in every}
    counts = Counter(entry.name for entry in every)
    refused = [name for name in dict.fromkeys(names) if not fitting[name] or fitting[name] < counts[name]]
    if not refused:
        return
    words = [
        f"{name} ({known[name].licence.weights}{'' if known[name].licence.stated else ', not stated'})"
        if name in known
        else f"{name} (unknown)"
        for name in refused
    ]
    raise Refused(
        f"The licence of {len(refused)} of {len(set(names))} models is not {policy}: {', '.join(words)}. "
        "Nothing was pulled. Leave them out, or leave out --licence after reading their terms."
    )


def source_of(model: Wanted, root: Path, *, offline: bool, patience: Patience) -> Source:
    """Where to take a model from: the cache, another mirror, else the network.

    Raises:
        OfflineMiss: not on this machine, and looking further is forbidden.
        HubError: it cannot be had.
    """
    cached = hub.in_cache(model.name, model.remote)
    if cached is not None:
        return _from_cache(model, cached)
    other = mirror_folder()
    if other is not None and not (root.exists() and other.samefile(root)):
        for name in dict.fromkeys((model.name, model.name.partition("/")[2])):
            mirrored = hub.in_mirror(name) if name else None
            if mirrored is not None and mirrored.config is not None and _same_zoo(model, name, mirrored):
                return _from_mirror(name, mirrored)
    if model.remote is None:
        raise OfflineMiss(f"{model.name} is not on this machine, and no public weights are known for it.")
    if offline:
        raise OfflineMiss(
            f"{model.name} is not on this machine, and looking further is forbidden (--offline)."
        )
    offer = offered(model.remote, patience)
    return ToDownload(model.remote, offer, offer.size or _estimate(model))


def require_room(root: Path, missing: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        SignetError: it cannot.
    """
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if missing + RESERVE_BYTES > free:
        raise SignetError(
            f"These models need {missing / 1e6:,.0f} MB (and {RESERVE_BYTES / 1e6:.0f} MB are left free), "
            f"but the disk of {root} has {free / 1e6:,.0f} MB. Nothing was pulled. "
            "Make room, name fewer models, or name a folder of another disk."
        )


def _from_cache(model: Wanted, cached: WeightFiles) -> Local:
    receipt = receipt_of(model.name)
    names = () if receipt is None else tuple(file for file, digest in receipt.beside.items() if digest)
    beside = tuple(cached.weights.with_name(file) for file in names)
    return Local(
        cached, beside, "" if receipt is None else receipt.source, None if receipt is None else receipt.commit
    )


def _from_mirror(name: str, mirrored: WeightFiles) -> Local:
    """Weights of another mirror, with what that one says of where it has them from."""
    try:
        known = read_record(mirrored.weights.parent, name)
    except BadInput:
        known = None
    if known is None or known.files[0].sha256 != mirrored.digest:
        return Local(mirrored, _beside(mirrored.weights), "another mirror")
    found = dataclasses.replace(mirrored, trust=known.trust)
    return Local(found, _beside(mirrored.weights), known.source, known.commit)


def _beside(weights: Path) -> tuple[Path, ...]:
    """The small files beside weights: an image processor's configuration, label names, a model card."""
    return tuple(
        path
        for path in sorted(weights.parent.iterdir())
        if path.suffix in _BESIDE
        and path.name not in _MADE_HERE
        and not fault_of_part(path.name)
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size <= CONFIG_LIMIT_BYTES
    )


def _same_zoo(model: Wanted, name: str, found: WeightFiles) -> bool:
    """A folder of that name may hold another zoo's model than the one that is asked for."""
    config = found.config or {}
    return name == model.name or config.get("library", "timm") == model.name.partition("/")[0]


def _estimate(model: Wanted) -> int:
    return _BYTES_A_PARAMETER * int((model.config or {}).get("parameters") or 0)
