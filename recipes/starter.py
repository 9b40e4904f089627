"""Makes the starter: the small pretrained network that is embedded in the package.

    python recipes/starter.py                          # about an hour on 2 cores; the same again resumes it
    python recipes/starter.py finish                   # only writes the files from the last checkpoint
    python recipes/starter.py evaluate                 # only measures the starter that is in the package

It distils a plain small residual network from a public teacher, on fresh augmented crops of real
photographs, and writes `model.safetensors` (float16), `graph.onnx` (which reads its weights out of that
file), `card.json` and `pool.json` (digests and perceptual hashes of all photographs) into `--out`. It is
limited by time: with more cores or hours, raise `--processes`, `--samples` and `--minutes`.

It needs the extra `train`, and the shared material beside the repository or where SIGNET_SHARED says.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import safetensors.torch

from distilling import card, evaluation, graph, photographs
from distilling.training import Settings, train

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SIGNET_SHARED") or ROOT.parent / "shared")
NETWORK = "student.network."


def main() -> None:
    """Reads the command line and does what it says."""
    options = _options()
    if options.command == "evaluate":
        print(evaluation.table(_evaluated(options)))
        return
    if options.command == "train":
        options.out.mkdir(parents=True, exist_ok=True)
        train(_settings(options))
    finish(options)


def finish(options: argparse.Namespace) -> None:
    """Turns the last checkpoint into the four files that the package carries."""
    tensors = safetensors.torch.load_file(options.out / "checkpoint.safetensors")
    state = {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}
    graph.write_weights(state, options.out / "model.safetensors")
    graph.write_graph(options.out / "model.safetensors", options.out / "graph.onnx")
    pool = photographs.pool_record(photographs.read_pool(options.images))
    (options.out / "pool.json").write_text(json.dumps(pool, indent=1) + "\n")
    options.starter = options.out
    results = _evaluated(options)
    card.write_card(
        options.out / "card.json",
        record=json.loads((options.out / "checkpoint.json").read_text()),
        pool=pool,
        teacher=options.teacher,
        hardware=options.hardware,
        results=results,
    )
    print(evaluation.table(results))


def _evaluated(options: argparse.Namespace) -> evaluation.Results:
    teacher = options.teacher if options.teacher.is_dir() else None
    cifar = options.cifar if options.cifar.is_dir() else None
    return evaluation.evaluate(options.starter, teacher, cifar, options.processes)


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        images=tuple(str(folder) for folder in options.images),
        teacher=str(options.teacher),
        out=str(options.out),
        samples=options.samples,
        minutes=options.minutes,
        processes=options.processes,
        batch=options.batch,
        precision=options.precision,
        seed=options.seed,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=("train", "finish", "evaluate"), default="train")
    sets = [SHARED / "data" / name for name in photographs.TERMS]
    parser.add_argument(
        "--images", nargs="+", type=Path, default=sets, metavar="DIR", help="sets of photographs"
    )
    teacher = SHARED / "weights" / "mobilenetv2_100.coral_in1k"
    parser.add_argument(
        "--teacher", type=Path, default=teacher, metavar="DIR", help="config.json, model.safetensors"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "starter", metavar="DIR")
    parser.add_argument("--samples", type=int, default=1_500_000, help="crops to learn from (1,500,000)")
    parser.add_argument("--minutes", type=float, default=60, help="stop by then at the latest (60)")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each (2)")
    parser.add_argument("--batch", type=int, default=64, help="crops of a process in a step (64)")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help="of the teacher (bf16)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--hardware", default=f"{os.cpu_count()} CPU cores", help="for the card, in general words"
    )
    packaged = ROOT / "src" / "signet" / "catalogue" / "starter"
    parser.add_argument(
        "--starter", type=Path, default=packaged, metavar="DIR", help="what `evaluate` measures"
    )
    parser.add_argument("--cifar", type=Path, default=SHARED / "data" / "cifar10_small", metavar="DIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
