"""`signet verify`: does a sealed model still answer as it did when it was sealed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import BadRequest


def verify(
    sealed: Annotated[Path, typer.Argument(metavar="SEAL", help="A sealed folder or zip.")],
    digest: Annotated[
        str | None, typer.Option("--digest", help="The digest that the seal must have, from elsewhere.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--command",
            metavar="CMD",
            help="Ask another program: it gets the path of an image, as {} or last, and writes JSON.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="SERVER", help="Ask a server, http://HOST:PORT, that serves the model."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="GRAPH",
            help="Verify this .onnx, .xml or .tflite file in place of the sealed network.",
        ),
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            "--trust",
            metavar="KEY",
            help="Public key, or root certificate, that the seal must be signed by; may be repeated, one "
            "must fit.",
        ),
    ] = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Replay SEAL's golden evidence, stage by stage, here or by another program.

    Exit code 1, and the first stage that differs is named; 3 with --trust, where the files are not what was
    sealed or nobody who is trusted signed them. Images are replayed one at a time, whatever --batch says, as
    they were when they were sealed.
    """
    from signet.cli.main import REFUSED
    from signet.verification import BEFORE_ALL
    from signet.verification import verify as check
    from signet.verification_elsewhere import verify_elsewhere

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        if command is not None or url is not None:
            _refuse_ours(engine, device, batch, threads, file)
            coarse = "fp32" if precision is o.PrecisionName.auto else precision.value
            verdict = verify_elsewhere(
                sealed,
                _other(command, url, sealed),
                precision=coarse,
                digest=digest,
                trust=trust or None,
                on_progress=terminal.on_progress,
            )
        else:
            verdict = check(
                sealed,
                engine=engine.value,
                precision=precision.value,
                file=file,
                digest=digest,
                trust=trust or None,
                settings=o.settings(engine, threads, batch, device, many=False),
            )
        if as_json:
            terminal.object(verdict.to_dict())
        else:
            rows = [
                (
                    stage.name,
                    "same" if stage.ok else "DIFFERS",
                    "" if stage.max_error is None else f"{stage.max_error:.3g}",
                    f"{stage.tolerance:.3g}",
                    "" if stage.note in verdict.message else stage.note,
                )
                for stage in verdict.stages
            ]
            terminal.table(("stage", "", "greatest difference", "allowed", ""), rows, right=(2, 3))
            if verdict.digest:
                terminal.result(f"digest {verdict.digest}")
            terminal.result(verdict.message)
        if trust and verdict.first_divergence in BEFORE_ALL:
            return REFUSED
        return 0 if verdict.ok else 1


def _other(command: str | None, url: str | None, sealed: Path) -> Any:
    """Who is asked in place of an engine."""
    from signet import asking

    if command is not None and url is not None:
        raise BadRequest("expected --command or --url, got both: one program is verified at a time.")
    if url is None:
        return asking.by_command(command or "")
    return asking.by_url(url, sealed.name.removesuffix(".zip").removesuffix(".signet"))


def _refuse_ours(
    engine: o.EngineName, device: str, batch: int | None, threads: int | None, file: Path | None
) -> None:
    """Refuse what says how a model runs here, where another program runs it."""
    stated = {
        "--engine": engine is not o.EngineName.auto,
        "--device": device != "cpu",
        "--batch": batch is not None,
        "--threads": threads is not None,
        "--file": file is not None,
    }
    names = [name for name, given in stated.items() if given]
    if names:
        raise BadRequest(
            f"{', '.join(names)}: expected none of them beside --command or --url: the other program decides "
            "how it runs."
        )
