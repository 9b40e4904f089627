"""What this machine is, for records and for keys of what was measured on it."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path

from signet.version import __version__

LIBRARIES = (
    "numpy",
    "pillow",
    "simplejpeg",
    "openvino",
    "onnxruntime",
    "torch",
    "torchvision",
    "timm",
    "keras",
    "transformers",
    "open_clip_torch",
    "segmentation_models_pytorch",
    "onnxscript",
)


@cache
def processor() -> str:
    """The processor's own name, with the instructions that matter to a network."""
    name = platform.processor() or platform.machine()
    flags: set[str] = set()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "model name":
                name = value
            elif key == "flags":
                flags = set(value.split())
                break
    except OSError:
        return name
    known = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    return " ".join([name, *(flag for flag in known if flag in flags)])


@cache
def versions() -> dict[str, str]:
    """Versions of Signet, Python and the libraries that an answer can depend on; missing ones left out."""
    found = {"signet": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: version for name in LIBRARIES if (version := version_of(name))}


@cache
def version_of(library: str) -> str | None:
    """The version of one library, as it is installed; None where it is not."""
    # Imported here: it brings the standard library's mail and archive readers along.
    from importlib import metadata

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held, or None where the platform does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
