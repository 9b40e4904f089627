"""`signet demo`: the main job on embedded defaults, offline, in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, seals and the report.")] = Path(
        "demo"
    ),
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """See the main job done, offline, in a minute.

    Adapts the embedded starter to two small sets of real images, evaluates, seals, verifies, predicts.
    """
    from signet.demonstration.run import run_demo

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        found = run_demo(
            out, seed=seed, overwrite=overwrite, on_progress=terminal.on_progress, on_step=terminal.say
        )
        if as_json:
            terminal.object({**found.to_dict(), "seconds": round(terminal.seconds, 1)})
            return 0 if found.ok else 1
        for line in found.words():
            terminal.result(line)
        terminal.say(f"done in {terminal.seconds:.0f} seconds")
        return 0 if found.ok else 1
