"""What another program answers about an image: a command that is run, or a server that is asked.

Both answer in JSON, as a line of `signet predict` does (docs/verifying.md). A program that also writes down
what its stages gave can be told which of them is the first that differs.
"""

from __future__ import annotations

import http.client
import json
import mimetypes
import re
import shlex
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signet.arrays import Array
from signet.errors import BadInput, BadRequest, SignetError
from signet.naming import shown

SECONDS = 120.0
"""How long an answer about one image may take: a program's start, and its first prediction, included."""
MOST_BYTES = 64 * 2**20
_IMAGE = "{}"
_PREDICT = ":predict"
_SAID = 400
_UNSENDABLE = re.compile(r"[^!-~]")
"""What no address may hold as it is: blanks, control characters, all but ASCII."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer about one image.

    Attributes:
        line: the JSON object.
        stages: name of a stage to what it gave, as far as the program tells.
    """

    line: Mapping[str, Any]
    stages: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """What can be asked about images.

    Attributes:
        name: for a person: "the command", "the server".
        ask: raises BadInput where there is no answer about this image.
    """

    name: str
    ask: Callable[[Path], Said]


def by_command(command: str, *, seconds: float = SECONDS) -> Program:
    """Ask a program, which is run once for each image.

    Args:
        command: as a shell reads it, but no shell is started; the image's path takes the place of "{}", or
            comes last. The program writes one JSON object to stdout, alone or as its last line. Its key
            "stages", where it has one, names a safetensors file with a tensor for each stage.
        seconds: that it may take.

    Raises:
        BadRequest: the command is empty or is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"--command: {shown(command)!r} cannot be read: {error}.") from error
    if not words:
        raise BadRequest("--command: expected a program, and what it is given before the image, got nothing.")

    def ask(image: Path) -> Said:
        filled = [word.replace(_IMAGE, str(image)) for word in words]
        asked = filled if filled != words else [*words, str(image)]
        try:
            done = subprocess.run(
                asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BadInput(f"no answer within {seconds:g} seconds") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadRequest(f"--command: {shown(words[0])} cannot be run: {reason}.") from error
        if done.returncode:
            raise BadInput(f"the program ended with {done.returncode}: {_end_of(done.stderr)}")
        return _understood(done.stdout)

    return Program("the command", ask)


def by_url(server: str, model: str, *, seconds: float = SECONDS) -> Program:
    """Ask a server, which gets the image's bytes by POST and answers with one JSON object.

    Args:
        server: `http(s)://HOST:PORT`, below which `/v1/models/MODEL:predict` is asked; or the whole address,
            which ends in ":predict".
        model: its name there.
        seconds: that an answer may take.

    Raises:
        BadRequest: no such address.
    """
    try:
        parts = urllib.parse.urlsplit(server)
        plain = parts.port is None or parts.port > 0
    except ValueError:  # half a bracket, a port that is none
        parts, plain = urllib.parse.urlsplit(""), False
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or _UNSENDABLE.search(server):
        raise BadRequest(f"--url: expected http://HOST:PORT or https://..., got {shown(server)!r}.")
    named = f"{server.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}{_PREDICT}"
    address = server if parts.path.endswith(_PREDICT) else named

    def ask(image: Path) -> Said:
        kind = mimetypes.guess_type(image.name)[0] or "application/octet-stream"
        request = urllib.request.Request(  # noqa: S310  (the scheme was looked at above)
            address, image.read_bytes(), {"Content-Type": kind, "Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
                data: bytes = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            raise BadInput(f"the server answered {error.code}: {_end_of(error.read(_SAID))}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SignetError(
                f"{shown(address)} cannot be asked: {shown(str(reason))}. Expected a server that runs and "
                "serves this model."
            ) from error
        if len(data) > MOST_BYTES:
            raise BadInput(f"an answer of more than {MOST_BYTES} bytes")
        return _understood(data)

    return Program("the server", ask)


def _understood(data: bytes) -> Said:
    text = data.decode("utf-8", "replace").strip()
    for candidate in (text, text.rsplit("\n", 1)[-1]):
        try:
            line = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            return Said(line, _stages(line.get("stages")))
    raise BadInput(f"expected one JSON object, got {_end_of(data)}")


def _stages(named: object) -> Mapping[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if named is None:
        return {}
    if not isinstance(named, str):
        raise BadInput("stages: expected the path of a safetensors file")
    try:
        return dict(load_file(named))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"stages: {shown(named)} is no safetensors file: {shown(str(error))}") from error


def _end_of(said: bytes) -> str:
    words = said.decode("utf-8", "replace").strip()
    return shown(words[-_SAID:]) or "nothing"
