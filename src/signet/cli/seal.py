"""`signet seal` and `signet pack`: a model as one folder, or one file, with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signet.cli import options as o
from signet.cli.sign import Certificate, password_of
from signet.cli.terminal import Terminal
from signet.errors import BadRequest
from signet.naming import shown


def seal(
    model: o.ModelName,
    images: Annotated[
        list[str] | None, typer.Argument(metavar="IMAGE", help="Images for the golden evidence.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The seal to write: X.signet.")] = Path("model.signet"),
    golden: Annotated[
        o.GoldenKind, typer.Option("--golden", help="own: a few of IMAGES are sealed; made: none of them.")
    ] = o.GoldenKind.own,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            "--sign", metavar="KEY", help="PEM of the private key to sign it with; see signet sign."
        ),
    ] = None,
    certificate: Certificate = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    card: o.CardFile = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Seal MODEL into one folder with its golden evidence.

    Weights, graph, preprocessing, labels, licence, and images with the answers that it must give. The
    evidence is made in fp32; the seal is then verified with the engine and precision that are asked for.
    """
    from signet import sources
    from signet.models import resolve
    from signet.sealing import SealSettings
    from signet.sealing import seal as make_seal
    from signet.seals import sign as write_signature
    from signet.seals.signing import signer_of
    from signet.verification import verify

    if certificate is not None and signing_key is None:
        raise BadRequest("--certificate: expected --sign KEY beside it, got none: it is the key that signs.")
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        password = None
        if signing_key is not None:
            # Before there is a seal that nobody could sign.
            password = None if certificate else password_of(signing_key)
            signer_of(signing_key, certificate=certificate, password=password)
        found = resolve(model, offline=offline, card=card, on_progress=terminal.on_progress)
        paths = list(sources.list_images(images or []))
        made_with = SealSettings(
            engine=o.settings(o.EngineName.auto, threads, None, "cpu", many=False),
            on_progress=terminal.on_progress,
        )
        sealed = make_seal(
            found, paths, out=out, golden=golden.value, overwrite=overwrite, settings=made_with
        )
        for line in sealed.golden_words():
            terminal.say(line)
        if signing_key is not None:
            write_signature(sealed, signing_key, certificate=certificate, password=password)
        verdict = verify(
            sealed.path,
            engine=engine.value,
            precision=precision.value,
            settings=o.settings(engine, threads, batch, device, many=False),
        )
        if as_json:
            terminal.object(
                {
                    "seal": str(sealed.path),
                    "digest": sealed.digest,
                    "stages": [stage.to_dict() for stage in verdict.stages],
                    "decisions": {"agree": verdict.agree, "total": verdict.total},
                }
            )
        else:
            terminal.result(f"sealed: {sealed.path}")
            terminal.result(f"digest: {sealed.digest}")
            terminal.say(verdict.message)
        return 0 if verdict.ok else 1


def pack(
    sealed: Annotated[Path, typer.Argument(metavar="SEAL", help="A sealed folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="The zip to write; SEAL.zip by default.")] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Pack a sealed folder into one zip.

    The same bytes each time; it is accepted wherever a seal is.
    """
    from signet.seals import open_seal
    from signet.seals import pack as make_zip

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        if out is None and sealed.suffix.lower() == ".zip":
            raise BadRequest(
                f"{shown(sealed)} is packed already. To write it again as another file, give --out."
            )
        opened = open_seal(sealed)
        target = out or sealed.with_name(sealed.name + ".zip")
        path = make_zip(opened, target, overwrite=overwrite)
        if as_json:
            terminal.object({"path": str(path), "digest": opened.digest, "size_bytes": path.stat().st_size})
        else:
            terminal.result(str(path))
        return 0
