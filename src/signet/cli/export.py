"""`signet export`: a seal as a file of another runtime, with the verdict of that runtime."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from signet.cli import options as o
from signet.cli.terminal import Terminal


class FormatKind(enum.StrEnum):
    """What a seal can be exported to."""

    onnx = "onnx"
    openvino = "openvino"
    torchscript = "torchscript"
    torch_export = "torch-export"
    executorch = "executorch"
    litert = "litert"
    coreml = "coreml"


class PreprocessingPlace(enum.StrEnum):
    """Where the arithmetic of the preprocessing is."""

    out = "out"
    inside = "in"


class SnippetLanguage(enum.StrEnum):
    """What the program beside the file is written in."""

    python = "python"
    javascript = "javascript"
    cpp = "cpp"
    kotlin = "kotlin"
    swift = "swift"
    none = "none"


def export(
    sealed: Annotated[Path, typer.Argument(metavar="SEAL", help="A sealed folder or zip.")],
    to: Annotated[FormatKind, typer.Option("--to", help="The format to write.")],
    out: Annotated[
        Path, typer.Option("--out", help="The file to write; its card and snippet come beside it.")
    ],
    preprocessing: Annotated[
        PreprocessingPlace,
        typer.Option(
            "--preprocessing",
            help="out: the file takes prepared numbers; in: the resized and cropped picture as bytes.",
        ),
    ] = PreprocessingPlace.out,
    snippet: Annotated[
        SnippetLanguage, typer.Option("--snippet", help="Language of the program that uses the file.")
    ] = SnippetLanguage.python,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Leave a file that does not answer as sealed, or that nothing here runs."
        ),
    ] = False,
    converter: Annotated[
        Path | None,
        typer.Option(
            "--converter-python",
            metavar="PYTHON",
            help="Of litert: the Python of an environment with litert-torch.",
        ),
    ] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    offline: o.Offline = False,
    seed: o.Seed = 0,
    threads: o.Threads = None,
) -> int:
    """Write SEAL as a file of another runtime, and hold that file to the seal's evidence.

    The golden images go through the new file in the runtime that it is for. Exit code 1 where it answers
    otherwise, or where nothing here runs it (Core ML); nothing is left under --out then, without --keep.
    """
    from signet.exporting import ExportSettings
    from signet.exporting import export as write

    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        settings = ExportSettings(
            preprocessing=preprocessing.value,
            snippet=None if snippet is SnippetLanguage.none else snippet.value,
            keep=keep,
            converter=converter,
            overwrite=overwrite,
            on_progress=terminal.on_progress,
        )
        exported = write(sealed, to.value, out, settings=settings)
        for note in exported.notes:
            terminal.say(note)
        if as_json:
            terminal.object(exported.to_dict())
        else:
            for file in exported.files:
                terminal.result(f"written: {file}")
            terminal.say(exported.verdict.message)
        return 0 if exported.verdict.ok else 1
