"""Fetching the bytes of an offer: goes on where it was cut, tries again, and measures what came.

What has come lies in `FILE.part`; beside it `FILE.part.json` says of what it is a part. A later attempt,
also one of another process after this one was killed, goes on only when both sides still speak of the
same file (RFC 9110, section 14: Range with If-Range).
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signet.errors import DigestMismatch, HubError, SignetError
from signet.hub.failures import persistently
from signet.hub.offers import Offer
from signet.hub.weights import Patience
from signet.progress import OnProgress, Progress
from signet.storage import digest_of, read_json, write_json

if TYPE_CHECKING:
    from httpx2 import Response

CHUNK_BYTES = 128 * 1024
RESERVE_BYTES = 64 * 1024 * 1024
"""Room that is left free on the disk: a full one harms more than this download."""
_SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True, slots=True)
class Part:
    """What has come so far of one offer.

    Attributes:
        path: the bytes.
        offer: of what they are a part.
    """

    path: Path
    offer: Offer

    @property
    def note(self) -> Path:
        """The file that says of what it is a part."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def identity(self) -> str:
        """The same text for the same bytes, as far as can be known beforehand."""
        return self.offer.sha256 or self.offer.address

    def size(self) -> int:
        """Bytes that can be built on; 0 when what is there is of something else."""
        if self._noted().get("identity") != self.identity or not self.path.is_file():
            return 0
        size = self.path.stat().st_size
        if self.offer.size is not None and size > self.offer.size:
            return 0
        # Without a tag to compare and a digest to end with, nobody could tell that two halves fit.
        provable = self.validator() or self.offer.sha256 or self.offer.digits or self.offer.commit
        return size if provable else 0

    def validator(self) -> str:
        """The server's tag of the bytes, for If-Range; empty when it gave none."""
        tag = self._noted().get("validator")
        return tag if isinstance(tag, str) else ""

    def begin(self, validator: str) -> None:
        """Note of what the bytes will be a part."""
        self.path.unlink(missing_ok=True)
        write_json(self.note, {"identity": self.identity, "validator": validator}, overwrite=True)

    def discard(self) -> None:
        """Forget all."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _noted(self) -> dict[str, object]:
        try:
            return read_json(self.note, limit_bytes=65_536)
        except SignetError:
            return {}


def download(offer: Offer, folder: Path, patience: Patience, on_progress: OnProgress) -> tuple[Path, str]:
    """Fetch the offer into `folder`, under a temporary name; the caller holds the folder's lock.

    Returns:
        The finished file and its measured sha256.

    Raises:
        DigestMismatch: what came is not what was promised; it is deleted.
        HubError: it could not be had; what came is kept for the next attempt.
        SignetError: the disk refuses.
    """
    part = Part(folder / f"{offer.file}.part", offer)
    try:
        for again in (True, False):
            transfer = _Transfer(part, patience, on_progress, resumed=part.size() > 0)
            persistently(transfer.go_on, offer.what, patience, transfer.received)
            digest = digest_of(part.path)
            if _keeps_promise(digest, offer):
                part.note.unlink(missing_ok=True)
                return part.path, digest
            part.discard()
            # Of several pieces one may have been bad (a power cut, another version): once more, from 0.
            if not (again and transfer.pieced):
                break
    except OSError as error:
        raise SignetError(
            f"{part.path} cannot be written: {error.strerror or error}. "
            "Expected a folder that this user may write to, with room on the disk."
        ) from error
    raise DigestMismatch(
        f"{offer.what}: what came has the sha256 {digest}, but {offer.sha256 or offer.digits + '...'} was "
        "promised. It is deleted. Try again; if it happens again, somebody on the way changes the file."
    )


class _Transfer:
    """The connections that together fetch one part."""

    def __init__(self, part: Part, patience: Patience, on_progress: OnProgress, *, resumed: bool) -> None:
        self._part = part
        self._patience = patience
        self._on_progress = on_progress
        self._received = 0
        self._reported = 0.0
        self._resumed = resumed
        self._connections = 0

    @property
    def pieced(self) -> bool:
        """Whether the file is put together from several connections."""
        return self._resumed or self._connections > 1

    def received(self) -> int:
        """Bytes that have come over all connections."""
        return self._received

    def go_on(self) -> None:
        """Fetch what is missing, over one connection."""
        from huggingface_hub import get_session

        offer, start = self._part.offer, self._part.size()
        if offer.size is not None and start == offer.size and self._part.path.is_file():
            return
        headers = offer.request_headers()
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._part.validator():
                headers["If-Range"] = self._part.validator()
        with get_session().stream(
            "GET", offer.address, headers=headers, timeout=self._patience.silence, follow_redirects=True
        ) as response:
            self._require_usable(response, start)
            if response.status_code == 200:
                start = 0
                self._part.begin(_validator_of(response))
            self._take(response, start)

    def _require_usable(self, response: Response, start: int) -> None:
        """Refuse what cannot be built on."""
        from httpx2 import RemoteProtocolError

        offer = self._part.offer
        if offer.address.startswith("https:") and response.url.scheme != "https":
            raise HubError(
                f"{offer.what} was redirected to an address without encryption; it is not followed."
            )
        if start and (response.status_code == 416 or not _continues(response, start, self._part)):
            self._part.discard()
            raise RemoteProtocolError("the rest of the file does not fit what has come of it")
        response.raise_for_status()
        if response.status_code not in ((200, 206) if start else (200,)):
            raise RemoteProtocolError(f"HTTP {response.status_code} is no answer to this request")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise HubError(
                f"{offer.what}: expected a file, got a web page. Check the address, and whether a proxy or a "
                "log-in page answers in its place."
            )

    def _take(self, response: Response, start: int) -> None:
        """Append the body, and require all of it."""
        from httpx2 import RemoteProtocolError

        self._connections += 1
        offer = self._part.offer
        total = offer.size if offer.size is not None else _total_of(response, start)
        _require_room(self._part.path.parent, (total or 0) - start, offer.what)
        done = start
        with self._part.path.open("ab") as stream:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                stream.write(chunk)
                done += len(chunk)
                self._received += len(chunk)
                if total is not None and done > total:
                    break
                self._report(done, total)
        if total is not None and done > total:
            self._part.discard()
            raise HubError(f"{offer.what}: expected {total} bytes, got more. What came is deleted.")
        if done < max(total or 0, 1):
            raise RemoteProtocolError(f"the connection ended after {done} of {total or 'unknown'} bytes")
        self._report(done, total or done)

    def _report(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == total or now - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._on_progress(Progress(f"downloading {self._part.offer.what}", done, total, "bytes"))


def _keeps_promise(digest: str, offer: Offer) -> bool:
    return digest == (offer.sha256 or digest) and digest.startswith(offer.digits)


def _continues(response: Response, start: int, part: Part) -> bool:
    """Whether this answer is the rest of what has come, or the whole file once more."""
    if response.status_code != 206:
        return True
    unit, _, stated = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = stated.partition("/")
    if unit != "bytes" or span.partition("-")[0] != str(start) or "Content-Encoding" in response.headers:
        return False
    if part.offer.size is not None and total not in ("*", str(part.offer.size)):
        return False
    # A server that does not know If-Range sends the rest of a file that has changed.
    return part.validator() in ("", _validator_of(response)) or not _validator_of(response)


def _validator_of(response: Response) -> str:
    """A strong tag, else the date of the last change. Source: RFC 9110, section 13.1.5."""
    tag = str(response.headers.get("ETag", ""))
    if tag.startswith('"'):
        return tag
    return "" if tag else str(response.headers.get("Last-Modified", ""))


def _total_of(response: Response, start: int) -> int | None:
    """Length of the whole file, from the headers of this answer."""
    stated = str(response.headers.get("Content-Length", ""))
    if "Content-Encoding" in response.headers or not (stated.isascii() and stated.isdigit()):
        return None
    return start + int(stated[:18])


def _require_room(folder: Path, missing: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if missing + RESERVE_BYTES > free:
        raise HubError(
            f"{what} needs {missing / 1e6:.0f} MB more (and {RESERVE_BYTES / 1e6:.0f} MB are left free), but "
            f"the disk of {folder} has {free / 1e6:.0f} MB. Make room, or set SIGNET_CACHE to another disk."
        )
