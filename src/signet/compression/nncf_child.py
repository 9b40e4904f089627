"""The process in which NNCF quantizes: reads one job from stdin, writes one JSON object as its last line.

`quantizing.quantized` starts it. A job names the seal, the images and the file to write.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from signet.arrays import Array
from signet.cards import Card
from signet.compression import layers
from signet.compression.layer_inputs import moments_of
from signet.compression.rounding import rounded
from signet.errors import BadInput, SignetError
from signet.evidence import decoded
from signet.preprocessing import finish, prepare
from signet.seals import open_seal

SAMPLE = 24
"""Images whose patches decide which way weights are rounded: 24 times 256 patches of each layer."""


def prepared(card: Card, path: Path) -> Array:
    """An image as the network gets it, (1, ...), by the card's program.

    Raises:
        BadInput: it cannot be read.
    """
    batch = finish(prepare([decoded(path, card.program)], card.program, fuse=False))
    return np.ascontiguousarray(np.asarray(batch.arrays[0])[None])


def readable(card: Card, paths: Sequence[Path]) -> list[Path]:
    """The images that can be prepared."""
    found = []
    for path in paths:
        with suppress(BadInput):
            prepared(card, path)
            found.append(path)
    return found


def main() -> dict[str, Any]:
    """Do the job on stdin; what goes to stdout as the answer."""
    job = json.loads(sys.stdin.read())
    # Without the one NNCF has nothing to report its uses with; torch is slow to load and not needed here.
    for name in ("openvino_telemetry", "torch"):
        sys.modules[name] = None  # type: ignore[assignment]
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    seal = open_seal(Path(job["seal"]))
    model = layers.quantizable(seal.graphs["image"])
    images = readable(seal.card, [Path(one) for one in job["images"]])
    if not images:
        return {"ok": False, "error": f"none of {len(job['images'])} calibration images can be read"}
    name = model.graph.input[0].name
    found = nncf.quantize(
        model,
        # Prepared anew for each pass: three hundred pictures of a detector would fill the memory.
        nncf.Dataset(images, lambda path: {name: prepared(seal.card, path)}),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(images),
    )
    with tempfile.TemporaryDirectory(prefix="signet-") as folder:
        some = (prepared(seal.card, path) for path in images[:SAMPLE])
        known = moments_of(model, some, Path(folder))
    layers.write(rounded(found, model, known), Path(job["out"]))
    return {"ok": True, "images": len(images)}


if __name__ == "__main__":
    try:
        answer = main()
    except (SignetError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"[:400]}
    print(json.dumps(answer), flush=True)  # noqa: T201
