"""Peak memory of predicting many images: it must not grow with their number.

    python benchmarks/memory.py --model MODEL --images DIR [--few 1000] [--many 20000]

The same photographs are repeated through a list file. Each count runs in a process of its own; the peak
is what the operating system says of that process (its maximum resident set).
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from signet import machine
from signet.sources import list_images

HERE = Path(__file__).resolve().parent


def peak_bytes(model: str, paths: list[Path], count: int, folder: Path) -> int:
    """Maximum resident set of `signet predict --list`."""
    listed = folder / f"{count}.txt"
    listed.write_text("\n".join(str(path) for path in itertools.islice(itertools.cycle(paths), count)))
    command = [sys.executable, "-m", "signet", "predict", model, "--list", str(listed)]
    command += [
        "--out",
        str(folder / f"{count}.jsonl"),
        "--quiet",
        "--engine",
        "openvino",
        "--precision",
        "fp32",
    ]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"predicting {count} images failed with status {status}")
    return usage.ru_maxrss * 1024


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    paths = list(list_images([chosen.images]))
    with tempfile.TemporaryDirectory() as scratch:
        # Not counted: the first prediction with a model builds its graph, which needs torch and much more.
        peak_bytes(chosen.model, paths, 8, Path(scratch))
        peaks = {
            count: peak_bytes(chosen.model, paths, count, Path(scratch))
            for count in (chosen.few, chosen.many)
        }
    ratio = peaks[chosen.many] / peaks[chosen.few]
    rows = [f"| {count:,} | {peak / 2**20:,.0f} MiB |" for count, peak in peaks.items()]
    lines = [
        "# Peak memory of a prediction",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine.processor()}; {len(paths)} photographs, repeated.",
        "",
        "| images | peak |",
        "|--:|--:|",
        *rows,
        "",
        f"Ratio {ratio:.3f}.",
    ]
    text = "\n".join(lines) + "\n"
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"memory-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
