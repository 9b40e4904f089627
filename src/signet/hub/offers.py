"""Asking a hub what it has: where the file is, how long it is, which digest it promises.

huggingface_hub speaks the protocol here (endpoint, token, headers, redirects). Its own download is not
used: it drops what had come when a process dies, compares no digest, and draws its own bars.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signet.errors import BadRequest, DigestMismatch, HubError
from signet.hub.failures import persistently
from signet.hub.folders import CONFIG_LIMIT_BYTES
from signet.hub.weights import SHA256, Patience, Remote
from signet.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One file that can be downloaded.

    Attributes:
        what: is offered, for messages.
        address: to get it from; for a repository that of one commit, so that it cannot change meanwhile.
        file: the name that it gets here.
        from_hub: whether the user's token may be sent along.
        size: in bytes, when known beforehand.
        sha256: promised digest, when there is one.
        digits: promised first digits of the digest; empty when there are none.
        commit: of the repository.
    """

    what: str
    address: str
    file: str
    from_hub: bool
    size: int | None = None
    sha256: str | None = None
    digits: str = ""
    commit: str | None = None

    def request_headers(self) -> dict[str, str]:
        """What every request for it says; the token, where there is one, goes to its own hub only."""
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        token = None if self.from_hub else False
        headers = build_hf_headers(token=token, library_name="signet", library_version=__version__)
        return {**headers, "Accept-Encoding": "identity"}


def offered(remote: Remote, patience: Patience) -> Offer:
    """The weight file that the remote has: the first of its names that exists.

    Raises:
        HubError: it cannot be asked, or has none of them.
        DigestMismatch: what it has is not what is pinned.
    """
    if remote.address is not None:
        return Offer(
            what=remote.address,
            address=remote.address,
            file=remote.address_file,
            from_hub=False,
            sha256=remote.sha256,
            digits=remote.address_digits,
        )
    for file in remote.files:
        offer = _offer_of(remote, file, remote.revision, patience)
        if offer is not None:
            return _held_to_pin(offer, remote)
    raise HubError(
        f"{remote.source} has none of the weight files {', '.join(remote.files)}. "
        "Check the name, or say which file holds the weights."
    )


def offered_beside(remote: Remote, file: str, commit: str | None, patience: Patience) -> Offer | None:
    """A small file beside the weights, of the same commit; None when there is none.

    Raises:
        HubError: the hub cannot be asked, or what it has is too large to be a configuration.
    """
    if remote.repository is None:
        return None
    offer = _offer_of(remote, file, commit or remote.revision, patience)
    if offer is not None and (offer.size or 0) > CONFIG_LIMIT_BYTES:
        raise HubError(
            f"{offer.what} has {offer.size} bytes; expected at most {CONFIG_LIMIT_BYTES} for a configuration."
        )
    return offer


def _held_to_pin(offer: Offer, remote: Remote) -> Offer:
    """The offer with the pinned digest in place of the hub's own word."""
    if remote.sha256 is None:
        return offer
    if offer.sha256 not in (None, remote.sha256):
        raise DigestMismatch(
            f"{offer.what} has the sha256 {offer.sha256} on the hub, but {remote.sha256} is pinned: the "
            "publisher changed the file since. Nothing was downloaded; name the revision that is meant."
        )
    return replace(offer, sha256=remote.sha256)


def _offer_of(remote: Remote, file: str, revision: str, patience: Patience) -> Offer | None:
    """One file of the repository, or None when it has no such file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HFValidationError

    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    what = f"{remote.repository}@{remote.revision}/{file}"
    repository = remote.repository or ""
    try:
        address = hf_hub_url(repository, file, revision=revision, endpoint=endpoint)
        found = persistently(lambda: _metadata(address, endpoint, patience), what, patience)
    except HFValidationError as error:
        raise BadRequest(f"{repository!r} cannot be a repository of the hub: {error}") from error
    if found is None:
        return None
    if not found.commit_hash or len(found.commit_hash) > 100:
        raise HubError(
            f"{what}: the answer does not come from a hub (it names no commit). Check HF_ENDPOINT, and "
            "whether a proxy or a log-in page answers in its place."
        )
    etag = (found.etag or "").lower()
    return Offer(
        what=what,
        address=hf_hub_url(repository, file, revision=found.commit_hash, endpoint=endpoint),
        file=file.rsplit("/", 1)[-1],
        from_hub=True,
        size=found.size,
        # Large files have their sha256 as their tag, small ones git's own number of them.
        sha256=etag if SHA256.fullmatch(etag) else None,
        commit=found.commit_hash,
    )


def _metadata(address: str, endpoint: str | None, patience: Patience) -> HfFileMetadata | None:
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        return get_hf_file_metadata(
            address,
            timeout=patience.silence,
            library_name="signet",
            library_version=__version__,
            endpoint=endpoint,
        )
    except RemoteEntryNotFoundError:
        return None
