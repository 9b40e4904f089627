"""The nouns of the hub: where weights are said to be, what was found, and how long to try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from signet.cards import DigestTrust
from signet.errors import BadRequest
from signet.hub.names import fault_of_part

Where = Literal["package", "cache", "mirror", "hub", "folder"]
SHA256 = re.compile(r"[0-9a-f]{64}")
STANDARD_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files by preference: safetensors first, a pickle only where nothing else is."""

# Source: torch.hub.load_state_dict_from_url, "the filename part of the URL should follow the naming
# convention filename-<sha256>.ext where <sha256> is the first eight or more digits of the SHA256 hash".
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.")
_DATE = re.compile(r"20[12]\d[01]\d[0-3]\d")
_OURS = frozenset({"config.json", "signet.json", "weights.lock"})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """Weights that are on this machine and whose digest was checked.

    Attributes:
        config: the `config.json` that lay with them, or None.
        weights: the file. A `.safetensors` is safe to read; `.bin` and `.pth` are pickles, which only
            `torch.load(weights_only=True)` may open.
        digest: its sha256, 64 hex digits.
        trust: "pinned" when the digest was stated beforehand, "locked" when it was taken at the first
            download and held since, "unknown" when nobody vouches for it.
        where: where it was found.
    """

    config: Mapping[str, Any] | None
    weights: Path
    digest: str
    trust: DigestTrust
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a zoo says that weights are: in a repository of the hub, or at an address.

    Attributes:
        repository: "timm/resnet50.a1_in1k".
        files: names in the repository, tried in this order.
        revision: branch, tag or commit of the repository.
        address: an https address instead of a repository. Where its file name ends in `-` and at least 8
            hex digits, the digest must begin with them.
        sha256: the digest of the file, where it is known beforehand.
        beside: names of further small files of the repository (an image processor's configuration, label
            names), which come from the same commit and lie beside the weights; the repository may lack them.
    """

    repository: str | None = None
    files: tuple[str, ...] = STANDARD_FILES
    revision: str = "main"
    address: str | None = None
    sha256: str | None = None
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.repository is None) == (self.address is None):
            raise BadRequest(
                f"weights lie in a repository or at an address: expected one of the two, got "
                f"repository={self.repository!r} and address={self.address!r}."
            )
        if self.sha256 is not None and not SHA256.fullmatch(self.sha256):
            raise BadRequest(f"sha256: expected 64 lower-case hex digits, got {self.sha256!r}.")
        if not self.files:
            raise BadRequest(f"{self.source}: expected the name of at least one file, got none.")
        if self.address is not None:
            _check_address(self.address)
        for file in self.files if self.address is None else (_last_part(self.address),):
            fault = next(filter(None, map(fault_of_part, file.split("/"))), "")
            if fault:
                raise BadRequest(f"{file!r} cannot be the name of a weight file: {fault}.")
        for file in self.beside:
            fault = fault_of_part(file) or ("it is a name of ours" if file in _OURS else "")
            if fault:
                raise BadRequest(f"{file!r} cannot be the name of a file beside weights: {fault}.")

    @property
    def source(self) -> str:
        """The same text for the same weights: "REPOSITORY@REVISION" or the address."""
        return self.address if self.address is not None else f"{self.repository}@{self.revision}"

    @property
    def address_file(self) -> str:
        """The file name at the end of the address; empty for a repository."""
        return "" if self.address is None else _last_part(self.address)

    @property
    def address_digits(self) -> str:
        """The first digits of the sha256 as the address's file name states them; empty when it does not."""
        found = _DIGITS.search(self.address_file)
        # Eight decimal digits that read as a day are a date, which some file names end in.
        return found[1] if found is not None and not _DATE.fullmatch(found[1]) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try before giving up on a network.

    Attributes:
        attempts: failures in a row, without one new byte, before giving up.
        most_attempts: failures in all.
        first_wait: seconds before the second attempt; doubled each time.
        longest_wait: seconds that are waited at most, also when the server asks for more.
        silence: seconds without an answer or a byte that count as a failure.
        lock: seconds to wait for another process that downloads the same weights.
    """

    attempts: int = 6
    most_attempts: int = 60
    first_wait: float = 1.0
    longest_wait: float = 60.0
    silence: float = 30.0
    lock: float = 3600.0


def _last_part(address: str) -> str:
    return unquote(urlsplit(address).path).rsplit("/", 1)[-1]


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise BadRequest(f"an address of weights: expected https://HOST/.../FILE, got {address!r}.")
