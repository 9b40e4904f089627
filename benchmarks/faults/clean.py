"""No false alarm: models of all zoos without a fault, sealed and verified on every engine that runs them.

    PYTHONPATH=benchmarks python -m faults.clean --work FOLDER [--shared FOLDER] [--csv FILE]

Weights that cannot be had here are random, with a fixed seed: what is verified is that engines agree with
what was sealed, not that a model is good. Each finished model is a line of FOLDER/clean.jsonl.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from signet import resolve
from signet.errors import BadRequest, SignetError
from signet.networks import ModuleSource, Pretrained
from signet.records import Verdict
from signet.resolving import module_source
from signet.sealing import seal
from signet.storage import digest_of
from signet.untrained import untrained
from signet.verification import verify

ENGINES = ("openvino", "onnx", "torch")

REAL = ("starter", "mobilenetv2_100.coral_in1k", "squeezenet1_0.dc_in1k")
FILES = (
    "tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "mobilenet_v1_0.5_160_quant.tflite",
    "mobilenet_v1_0.25_128_quant.tflite",
    "mobilenet_v2_1.0_224_inat_bird_quant.tflite",
    "mobilenet_v2_1.0_224_inat_insect_quant.tflite",
    "deeplabv3_mnv2_dm05_pascal_quant.tflite",
    "yolox_nano.onnx",
)
RANDOM = (
    "timm/test_convnext.r160_in1k",
    "keras/mobilenet_025_128.imagenet",
    "torchvision/squeezenet1_1.imagenet1k_v1",
    "timm/mobilevit_xxs.cvnets_in1k",
    "torchvision/shufflenet_v2_x0_5.imagenet1k_v1",
    "timm/mobilenetv3_small_050.lamb_in1k",
    "timm/lcnet_050.ra2_in1k",
    "torchvision/mnasnet0_5.imagenet1k_v1",
    "timm/mnasnet_small.lamb_in1k",
    "timm/edgenext_xx_small.in1k",
    "torchvision/mobilenet_v3_small.imagenet1k_v1",
    "timm/regnetx_002.pycls_in1k",
    "timm/dla46x_c.in1k",
    "torchvision/efficientnet_b0.imagenet1k_v1",
    "keras/efficientnetb0.imagenet",
    "torchvision/resnet18.imagenet1k_v1",
    "torchvision/regnet_y_400mf.imagenet1k_v1",
    "keras/nasnetmobile.imagenet",
    "torchvision/googlenet.imagenet1k_v1",
    "torchvision/densenet121.imagenet1k_v1",
    "timm/efficientvit_m0.r224_in1k",
    "timm/starnet_s1.in1k",
    "keras/resnet50v2.imagenet",
    "timm/test_vit.r160_in1k",
    "timm/test_efficientnet.r160_in1k",
    "timm/test_byobnet.r160_in1k",
    "timm/test_resnet.r160_in1k",
    "timm/resnet10t.c3_in1k",
)


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--csv", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    record = asked.work / "clean.jsonl"
    done = {row["model"] for row in _rows(record)}
    files = [str(asked.shared / "weights" / "files" / name) for name in FILES]
    for name in (*REAL, *files, *RANDOM):
        if _called(name) not in done:
            row = checked(name, asked.work)
            with record.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    if asked.csv is not None:
        _table(_rows(record), asked.csv)


def checked(name: str, work: Path) -> dict[str, Any]:
    """One model, sealed with made pictures, and what `verify` says on each engine.

    That is "ok", the verdict in words, or "" where the model has no form that the engine runs.
    """
    begin = time.monotonic()
    out = work / "model.signet"
    row: dict[str, Any] = {"model": _called(name), "error": ""}
    try:
        seal(_found(name, work), out=out, golden="made", overwrite=True)
        for engine in ENGINES:
            row[engine], row[f"{engine} share"] = _verdict(out, engine)
    except SignetError as error:
        row["error"] = f"{type(error).__name__}: {error}"[:300]
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return {**row, "seconds": round(time.monotonic() - begin, 1)}


def _called(name: str) -> str:
    return Path(name).name if Path(name).is_file() else name


def _verdict(out: Path, engine: str) -> tuple[str, float | None]:
    try:
        verdict = verify(out, engine=engine, precision="fp32")
    except BadRequest:
        return "", None
    return "ok" if verdict.ok else verdict.message, share_of(verdict)


def share_of(verdict: Verdict) -> float | None:
    """The greatest part of its tolerance that the network's stage used."""
    shares = [
        stage.max_error / stage.tolerance
        for stage in verdict.stages
        if stage.name == "network" and stage.max_error is not None and stage.tolerance
    ]
    return max(shares, default=None)


def _found(name: str, work: Path) -> Pretrained:
    if name in REAL or Path(name).exists():
        return resolve(name)
    model = untrained(name)
    (source,) = model.networks
    assert isinstance(source, ModuleSource)
    return dataclasses.replace(model, networks=(seeded(source, work / "weights.safetensors"),))


def seeded(source: ModuleSource, to: Path) -> ModuleSource:
    """The same random weights each time that it is built; written down, so that they are sealed, too."""
    from safetensors.torch import save_file

    state = _built(source).state_dict()
    save_file({name: value.contiguous().clone() for name, value in state.items()}, to)
    if source.spec is None:
        return dataclasses.replace(source, build=partial(_built, source), weights=to)
    # With weights some networks are another (GoogLeNet of torchvision then takes its input otherwise).
    filled = module_source(source.spec, to, digest_of(to), source.input_shape[-2:])
    assert filled is not None
    return filled


def _built(source: ModuleSource) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return source.build()


def _rows(record: Path) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.is_file() else []


def _table(rows: Sequence[Mapping[str, Any]], to: Path) -> None:
    fields = ("model", *ENGINES, *(f"{engine} share" for engine in ENGINES), "error")
    with to.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, fields, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
