"""Peak memory of predicting on a film: it must not grow with its length.

    python benchmarks/video_memory.py --model MODEL [--few 500] [--many 5000] [--size 480x640]

Makes films of moving squares, and predicts on each with lines, a drawn film and, where a model finds objects,
numbers for them. Each film runs in a process of its own; the peak is what the operating system says of that
process (its maximum resident set). The lines are counted, and the drawn film is decoded to its end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from signet import machine, resolve
from signet.images import Image
from signet.video import Video, new_video

HERE = Path(__file__).resolve().parent
MIB = 1024 * 1024


def make_film(path: Path, count: int, size: tuple[int, int]) -> None:
    """Two squares that go round and round on noise that does not change."""
    height, width = size
    ground = np.random.default_rng(0).integers(40, 90, (height, width, 3), dtype=np.uint8)
    side = min(size) // 5
    with new_video(path) as film:
        for number in range(count):
            pixels = ground.copy()
            for colour, place in (((220, 20, 20), 3 * number), ((20, 20, 220), 5 * number)):
                left, top = place % (width - side), (place // 3) % (height - side)
                pixels[top : top + side, left : left + side] = colour
            film.write(Image(pixels))


def run(model: str, film: Path, folder: Path, words: list[str]) -> tuple[int, float]:
    """(maximum resident set in bytes, seconds) of `signet predict`."""
    command = [sys.executable, "-m", "signet", "predict", model, str(film), "--quiet", "--overwrite"]
    command += ["--out", str(folder / f"{film.stem}.jsonl"), "--draw", str(folder / film.stem), *words]
    started = time.monotonic()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"predicting on {film.name} failed with status {status}")
    return usage.ru_maxrss * 1024, time.monotonic() - started


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--size", default="480x640", help="height x width of a frame")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    size = tuple(int(side) for side in chosen.size.split("x"))
    card = resolve(chosen.model).card
    words = ["--track"] if card.task in ("detect", "instances") else []
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for count in (chosen.few, chosen.many):
            film = folder / f"{count}.mp4"
            make_film(film, count, size)
            peak, seconds = run(chosen.model, film, folder, words)
            lines = sum(1 for _ in (folder / f"{count}.jsonl").open())
            with Video(next((folder / film.stem).iterdir())) as video:
                drawn = sum(frame.error is None for frame in video)
            rows.append(f"{count},{lines},{drawn},{peak / MIB:.1f},{seconds:.1f},{lines / seconds:.1f}")
            print(rows[-1])
    now = datetime.now(UTC).date().isoformat()
    chosen.out.mkdir(parents=True, exist_ok=True)
    head = f"# {now}, {card.name}, {chosen.size}, {machine.processor()}, {os.cpu_count()} processors\n"
    columns = "frames,lines,frames_drawn,peak_mib,seconds,frames_per_second\n"
    (chosen.out / f"video-memory-{now}.csv").write_text(head + columns + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
