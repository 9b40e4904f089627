"""Run by the Python of another environment, which has litert-torch and no Signet: `.pt2` to `.tflite`."""

from __future__ import annotations

import sys

MISSING = 3
"""Exit code: litert-torch is not installed."""


def main(graph: str, to: str) -> int:
    """Convert a file of `torch.export`."""
    try:
        import litert_torch  # type: ignore[import-not-found,unused-ignore]
        import torch
    except ImportError:
        return MISSING
    program = torch.export.load(graph)
    examples, _ = program.example_inputs or ((), {})
    litert_torch.convert(program.module(), tuple(examples)).export(to)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
