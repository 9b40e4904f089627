"""What a seal can be exported to: the literal table of formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signet.errors import BadRequest, UnknownName
from signet.naming import shown


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: as `--to` has it.
        ending: of the file.
        runtime: what runs the file, for people.
        unrun: why Signet does not run such files; "" where it does.
    """

    name: str
    ending: str
    runtime: str
    unrun: str = ""


FORMATS = {
    row.name: row
    for row in (
        Format("onnx", ".onnx", "ONNX Runtime"),
        Format("openvino", ".xml", "OpenVINO"),
        Format("torchscript", ".torchscript", "torch"),
        Format("torch-export", ".pt2", "torch"),
        Format("executorch", ".pte", "ExecuTorch"),
        Format("litert", ".tflite", "LiteRT"),
        Format(
            "coreml",
            ".mlpackage",
            "Core ML",
            "Core ML runs on Apple's systems only, and Signet on none of them",
        ),
    )
}
"""By name."""


def format_of(name: str, out: Path) -> Format:
    """The format of that name, if the path has its ending.

    Raises:
        UnknownName: there is no such format.
        BadRequest: the path has another ending.
    """
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS, f"Known: {', '.join(FORMATS)}.")
    found = FORMATS[name]
    if out.suffix.lower() != found.ending:
        proposed = out.with_suffix(found.ending) if out.name else f"model{found.ending}"
        raise BadRequest(
            f"--out {shown(out)}: expected a path that ends in {found.ending}, as files for {found.runtime} "
            f"do. Give --out {shown(proposed)}."
        )
    return found
