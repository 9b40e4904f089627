"""Package, cache, mirror, hub: the order in which weights are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signet.errors import DigestMismatch, HubError, OfflineMiss, SignetError, near_misses
from signet.hub.cache import Receipt, cached_place, in_cache, keep, list_cache, receipt_of
from signet.hub.download import download
from signet.hub.folders import (
    MIRROR_VARIABLE,
    in_mirror,
    in_package,
    list_mirror,
    list_package,
    mirror_folder,
    read_config,
)
from signet.hub.names import check_name
from signet.hub.offers import Offer, offered, offered_beside
from signet.hub.weights import Patience, Remote, WeightFiles
from signet.progress import OnProgress, Progress, silent
from signet.storage import locked


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was downloaded, still under temporary names.

    Attributes:
        weights: the file.
        sha256: of the weights, measured.
        small: by name, a further file and its digest; neither when there is none.
    """

    weights: Path
    sha256: str
    small: Mapping[str, tuple[Path | None, str | None]]


def obtain(
    name: str,
    remote: Remote | None = None,
    *,
    offline: bool = False,
    on_progress: OnProgress | None = None,
    patience: Patience | None = None,
) -> WeightFiles:
    """The weights of that name, from the nearest place that has them.

    Args:
        name: of the model, `zoo/architecture.tag`; it is also their place in mirror and cache.
        remote: where the zoo says that they are; None when nobody knows such a place.
        offline: look on this machine only.
        on_progress: told in bytes while they are downloaded.
        patience: how long to try; the default suits people.

    Raises:
        BadRequest: not a name, or `SIGNET_MIRROR` is not a folder.
        OfflineMiss: not on this machine, and looking further is forbidden.
        DigestMismatch: somewhere lie bytes that are not the promised ones; they are not used.
        HubError: the weights could not be had.
        SignetError: the disk refuses, or another process holds the cache for too long.
    """
    check_name(name)
    for look in (in_package, lambda wanted: in_cache(wanted, remote), in_mirror):
        found = look(name)
        if found is not None:
            return _held_to_pin(found, remote)
    if offline:
        raise OfflineMiss(_offline_message(name, remote))
    if remote is None:
        raise HubError(
            f"No public weights are known for {name!r}, and they are not on this machine.{_near(name)} "
            f"Put them into a mirror ({MIRROR_VARIABLE}) as {name}/model.safetensors."
        )
    return _downloaded(name, remote, on_progress or silent, patience or Patience())


def _held_to_pin(found: WeightFiles, remote: Remote | None) -> WeightFiles:
    """A file that nobody vouches for must be the pinned one, where one is pinned."""
    pinned = None if remote is None else remote.sha256
    if found.trust != "unknown" or pinned is None:
        return found
    if found.digest != pinned:
        raise DigestMismatch(
            f"{found.weights} has the sha256 {found.digest}, but {pinned} is pinned for these weights. Get "
            "the file again; if other bytes are meant, state their digest in the config.json beside it: "
            '{"weights": {"file": ..., "sha256": ...}}.'
        )
    return WeightFiles(found.config, found.weights, found.digest, "pinned", found.where)


def _downloaded(name: str, remote: Remote, on_progress: OnProgress, patience: Patience) -> WeightFiles:
    """Download under the name's lock, unless another process did so meanwhile."""
    folder = cached_place(name)

    def say_waiting() -> None:
        on_progress(Progress(f"waiting for another process that downloads {name}", 0, None, "bytes"))

    with locked(folder / "weights", seconds=patience.lock, on_wait=say_waiting):
        meanwhile = in_cache(name, remote)
        if meanwhile is not None:
            return meanwhile
        try:
            offer = offered(remote, patience)
            came = fetch(remote, offer, folder, on_progress=on_progress, patience=patience)
        except DigestMismatch:
            raise
        except HubError as error:
            raise type(error)(f"{error}{_near(name)}") from error
        receipt = Receipt(
            name=name,
            source=remote.source,
            commit=offer.commit,
            file=offer.file,
            sha256=came.sha256,
            config_sha256=came.small["config.json"][1],
            trust="locked" if remote.sha256 is None else "pinned",
            beside={file: came.small[file][1] for file in remote.beside},
        )
        keep(folder, receipt, came.weights, {file: place for file, (place, _) in came.small.items()})
    return WeightFiles(
        config=read_config(folder / "config.json"),
        weights=folder / receipt.file,
        digest=came.sha256,
        trust=receipt.trust,
        where="hub",
    )


def fetch(
    remote: Remote, offer: Offer, folder: Path, *, on_progress: OnProgress, patience: Patience
) -> Fetched:
    """Download an offer with all that shall lie beside it; the caller holds the lock of `folder`.

    Every file has a temporary name. What has come of the weights when this fails, the next call builds on.

    Raises:
        DigestMismatch: what came is not what was promised.
        HubError: it could not be had, or the configuration is none.
        SignetError: the disk refuses.
    """
    # What is small comes first: a configuration that is none is refused before the weights.
    small = {
        file: _small(remote, file, offer.commit, folder, patience) for file in ("config.json", *remote.beside)
    }
    weights, digest = download(offer, folder, patience, on_progress)
    return Fetched(weights, digest, small)


def _small(
    remote: Remote, file: str, commit: str | None, folder: Path, patience: Patience
) -> tuple[Path | None, str | None]:
    """A small file, finished, and its digest; neither when there is none. What is called JSON must be it."""
    offer = offered_beside(remote, file, commit, patience)
    if offer is None:
        return None, None
    path, digest = download(offer, folder, patience, silent)
    if file.endswith(".json"):
        read_config(path)
    return path, digest


def _offline_message(name: str, remote: Remote | None) -> str:
    mirror = mirror_folder()
    looked = ["in the package"]
    receipt = receipt_of(name)
    if receipt is None:
        looked.append(f"in the cache ({cached_place(name)})")
    else:
        looked.append(f"in the cache ({cached_place(name)} holds other weights, from {receipt.source})")
    looked.append(
        f"in the mirror ({mirror / name})" if mirror else f"in no mirror ({MIRROR_VARIABLE} is not set)"
    )
    then = "" if remote is None else f" Run it once without --offline to download {remote.source}, or put"
    return (
        f"The weights of {name!r} are not on this machine, and looking further is forbidden (--offline). "
        f"Looked {', '.join(looked)}.{_near(name)}"
        f"{then or ' Put'} them into a mirror as {name}/config.json and {name}/model.safetensors."
    )


def _near(name: str) -> str:
    """Names that are on this machine and look like it, as the end of a message."""
    try:
        known = {*list_package(), *list_cache(), *list_mirror()} - {name}
    except SignetError:
        return ""
    near = near_misses(name, known)
    return f" On this machine is {' and '.join(map(repr, near))}." if near else ""
