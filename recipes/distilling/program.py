"""How a picture comes to the starter: the preprocessing program of its card."""

from __future__ import annotations

from signet.architectures.starter import INPUT_SIZE
from signet.programs import Program

PROGRAM = Program.from_list(
    [
        {"step": "read", "channels": "RGB", "orient": True},
        {
            "step": "resize",
            "size": [INPUT_SIZE, INPUT_SIZE],
            "fit": "stretch",
            "filter": "bilinear",
            "antialias": True,
        },
        {"step": "type", "dtype": "float32"},
        {"step": "range", "scale": 1 / 255, "offset": 0.0},
        {"step": "normalise", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"step": "layout", "order": "NCHW"},
    ]
)
"""The whole picture is stretched: so were the crops that it learned from, of proportions from 7:10 to
10:7."""
