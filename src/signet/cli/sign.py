"""`signet sign`: who made a seal, in a signature that goes with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal

PASSWORD = "SIGNET_KEY_PASSWORD"  # noqa: S105
"""The environment variable that holds the password of a key, where nobody can be asked."""

Certificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="PEM of the certificate of the key, and those between it and the root after it.",
    ),
]


def sign(
    sealed: Annotated[Path, typer.Argument(metavar="SEAL", help="A sealed folder.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="PEM of a private key: P-256, P-384 or P-521.")
    ],
    certificate: Certificate = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Sign SEAL, so that `signet verify --trust` can tell who made it.

    The signature, seal.sig, is one that OpenSSF model signing can check. No network is asked. The password of
    an encrypted key is asked for, or taken from SIGNET_KEY_PASSWORD.
    """
    from signet.seals import open_seal
    from signet.seals import sign as write_signature

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        opened = open_seal(sealed)
        password = None if certificate else password_of(key)
        path = write_signature(sealed, key, certificate=certificate, password=password, overwrite=overwrite)
        if as_json:
            terminal.object({"seal": str(sealed), "digest": opened.digest, "signature": str(path)})
        else:
            terminal.result(f"signed: {path}")
            terminal.result(f"digest: {opened.digest}")
        return 0


def password_of(key: Path) -> str | None:
    """The password of a private key: None where it has none; asked for where somebody can be asked."""
    try:
        encrypted = b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return None  # who reads it as a key says what is wrong
    if not encrypted:
        return None
    if PASSWORD in os.environ or not sys.stdin.isatty():
        return os.environ.get(PASSWORD)
    return str(typer.prompt(f"password of {key.name}", hide_input=True, err=True))
