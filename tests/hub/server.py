"""A hub on loopback, with faults to switch on: a test double that speaks the protocol.

Large files (`.safetensors`, `.bin`, `.pth`) are redirected to a second server, as the real hub redirects to
its content network; small ones are served by the hub itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

COMMIT = "c0ffee00" * 5
LARGE = (".safetensors", ".bin", ".pth")


@dataclass
class Faults:
    """What goes wrong. Lists are used up one entry a request for bytes."""

    cut_after: list[int | None] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    head_answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    ignore_range: bool = False
    ignore_if_range: bool = False
    shift_range: int = 0
    no_tag: bool = False
    no_length: bool = False
    no_commit: bool = False
    web_page: bool = False
    promise: str | None = None
    corrupt: list[bool] = field(default_factory=list)
    seconds_a_chunk: float = 0.0
    chunk: int = 16_384
    silent_after: int | None = None


@dataclass
class Request:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]


class Hub:
    """The two servers; `files` maps (repository, file name) to bytes, `plain` a path to bytes."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.plain: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.sent = 0
        self._closing = threading.Event()
        self._servers = [self._serve(), self._serve()]

    def _serve(self) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.hub = self  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def content_network(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def bytes_requests(self) -> list[Request]:
        """The requests that asked for bytes of a large or a plain file."""
        return [
            one
            for one in self.requests
            if one.method == "GET" and one.path.startswith(("/content/", "/plain/"))
        ]

    def wait_for_bytes(self, count: int, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while self.sent < count:
            assert time.monotonic() < deadline, f"{self.sent} of {count} bytes were asked for"
            time.sleep(0.01)

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def pause(self, seconds: float) -> None:
        self._closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.hub
        hub.requests.append(Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.command == "HEAD" and hub.faults.head_answers:
            status, headers = hub.faults.head_answers.pop(0)
            return self._send(status, headers)
        if self.path.startswith("/content/"):
            repository, _, file = self.path.removeprefix("/content/").rpartition("/")
            return self._bytes(hub.files[repository, file])
        if self.path.startswith("/plain/"):
            data = hub.plain.get(self.path.removeprefix("/plain/"))
            return self._send(404, {}) if data is None else self._bytes(data)
        return self._resolve()

    def _resolve(self) -> None:
        hub = self.hub
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        if not any(repository == known for known, _ in hub.files):
            return self._send(401, {"X-Error-Code": "RepoNotFound"})
        if repository in hub.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo"})
        if revision not in ("main", "v1", COMMIT):
            return self._send(404, {"X-Error-Code": "RevisionNotFound"})
        commit = {} if hub.faults.no_commit else {"X-Repo-Commit": COMMIT}
        data = hub.files.get((repository, file))
        if data is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound", **commit})
        if not file.endswith(LARGE):
            tag = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            return self._send(200, {"ETag": f'"{tag}"', **commit}, data)
        promise = hub.faults.promise or hashlib.sha256(data).hexdigest()
        return self._send(
            302,
            {
                "X-Linked-Etag": f'"{promise}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{hub.content_network}/content/{repository}/{file}",
                **commit,
            },
        )

    def _send(self, status: int, headers: dict[str, str], data: bytes = b"") -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _bytes(self, data: bytes) -> None:
        faults = self.hub.faults
        if faults.answers:
            status, headers = faults.answers.pop(0)
            if status != 200:
                return self._send(status, headers)
        tag = '"' + hashlib.md5(data, usedforsecurity=False).hexdigest() + '"'
        if faults.corrupt and faults.corrupt.pop(0):
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = self._start(len(data), tag)
        if start is None:
            return self._send(416, {"Content-Range": f"bytes */{len(data)}"})
        self.send_response(206 if start else 200)
        if start:
            span = f"{start + faults.shift_range}-{len(data) - 1}"
            self.send_header("Content-Range", f"bytes {span}/{len(data)}")
        if not faults.no_tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Type", "text/html" if faults.web_page else "application/octet-stream")
        if faults.no_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return self._body(data[start:], faults.cut_after.pop(0) if faults.cut_after else None)

    def _start(self, length: int, tag: str) -> int | None:
        faults, stated = self.hub.faults, self.headers.get("Range", "")
        condition = self.headers.get("If-Range", tag)
        if not stated or faults.ignore_range or (condition != tag and not faults.ignore_if_range):
            return 0
        start = int(stated.removeprefix("bytes=").rstrip("-"))
        return start if start < length else None

    def _body(self, data: bytes, cut_after: int | None) -> None:
        faults, sent = self.hub.faults, 0
        while sent < len(data) and (cut_after is None or sent < cut_after):
            end = min(sent + faults.chunk, len(data), cut_after or len(data))
            self.wfile.write(data[sent:end])
            self.hub.sent += end - sent
            sent = end
            if faults.silent_after is not None and sent >= faults.silent_after:
                self.wfile.flush()
                self.hub.pause(10)
                self.close_connection = True
                return
            if faults.seconds_a_chunk:
                self.wfile.flush()
                self.hub.pause(faults.seconds_a_chunk)
        if sent < len(data):
            self.close_connection = True
