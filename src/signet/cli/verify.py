"""`signet verify`: does a sealed model still answer as it did when it was sealed?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal
from signet.errors import AlreadyExists, BadRequest

MOST_ROWS = 20
"""Flips that are listed in a terminal; all are in the JSON."""


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
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DATASET",
            help="Also count decisions that flip on these images, a folder or dataset, and what that costs.",
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
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write this HTML file: the verdict in pictures.")
    ] = None,
    engine: o.Engine = o.EngineName.auto,
    precision: o.Precision = o.PrecisionName.auto,
    device: o.Device = "cpu",
    batch: o.BatchSize = None,
    overwrite: o.Overwrite = False,
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
    from signet.verification_images import Judged

    if report is not None and report.exists() and not overwrite:
        raise AlreadyExists(report)
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        program = None if command is None and url is None else _other(command, url, sealed)
        judged = Judged(
            engine=engine.value,
            precision=precision.value,
            file=file,
            program=program,
            settings=o.settings(engine, threads, batch, device, many=True),
        )
        if program is not None:
            _refuse_ours(engine, device, batch, threads, file)
            coarse = "fp32" if precision is o.PrecisionName.auto else precision.value
            verdict = verify_elsewhere(
                sealed,
                program,
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
        if data is not None and verdict.first_divergence not in BEFORE_ALL:
            from signet.verification_images import flips_over

            flips = flips_over(sealed, data, judged, on_progress=terminal.on_progress)
            verdict = dataclasses.replace(verdict, flips=flips)
        if report is not None:
            _write_report(report, sealed, verdict, judged, overwrite)
            terminal.say(f"report in {report}")
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
            if verdict.flips is not None:
                _tell_flips(terminal, verdict.flips)
        if trust and verdict.first_divergence in BEFORE_ALL:
            return REFUSED
        return 0 if verdict.ok else 1


def _write_report(report: Path, sealed: Path, verdict: Any, judged: Any, overwrite: bool) -> None:
    """The verdict as a page; of a seal that is not whole nothing is opened for it."""
    from signet import storage
    from signet.reporting import render, verdict_page
    from signet.verification import BEFORE_ALL
    from signet.verification_exhibits import exhibits_of

    whole = verdict.first_divergence not in BEFORE_ALL
    exhibits = exhibits_of(sealed, verdict, judged) if whole else ()
    page = verdict_page(verdict, exhibits, name=sealed.name)
    storage.write_bytes(report, render(page).encode(), overwrite=overwrite)


def _tell_flips(terminal: Terminal, flips: Any) -> None:
    """The flips of which the reference is surest, and what all of them are."""
    rows = [
        (flip.source, _scored(flip.before, flip.before_score), _scored(flip.now, flip.now_score), flip.truth)
        for flip in flips.flips[:MOST_ROWS]
    ]
    if rows:
        terminal.table(("image", flips.reference, flips.judged, "truth"), rows, spare=(0,))
    terminal.result(flips.message)
    for note in flips.notes:
        terminal.say(f"note: {note}")


def _scored(words: str, score: float | None) -> str:
    return words if score is None else f"{words} {score:.3f}"


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
