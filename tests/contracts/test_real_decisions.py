"""Of a real detector and a real semantic segmenter every engine and, without torch, the seal decide alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from signet import agreement
from signet.engines.contract import EngineSettings
from signet.models import load
from signet.networks import Pretrained
from signet.predictions import Prediction
from signet.resolving import resolve
from signet.sealing import SealSettings, seal
from signet.segments import SegmentMap

WITHOUT_TORCH = """
import json, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} was asked for")

sys.meta_path.insert(0, Refusing())
import signet

seal, engine, *pictures = sys.argv[1:]
with signet.load(seal, engine=engine, precision="fp32") as model:
    print(json.dumps([answer.to_dict() for answer in model(pictures)]))
"""


def answers(model: Pretrained | Path, engine: str, pictures: list[Path], cache: Path) -> list[Prediction]:
    settings = EngineSettings(threads=1, cache=cache)
    with load(model, engine=engine, precision="fp32", settings=settings) as opened:
        return opened(pictures)


def decide_alike(network: Pretrained, engines: tuple[str, ...], pictures: list[Path], folder: Path) -> None:
    """The network on each engine, its seal there, and its seal where there is no torch."""
    cache = folder / "cache"
    settings = SealSettings(bf16_images=0, engine=EngineSettings(cache=cache))
    made = seal(network, out=folder / "made.signet", settings=settings).path
    found = [answers(network, engine, pictures, cache) for engine in engines]
    sealed = {engine: answers(made, engine, pictures, cache) for engine in engines}
    for other in (*found[1:], *sealed.values()):
        for one, two in zip(found[0], other, strict=True):
            assert agreement.alike(one, two, agreement.FINE)
    decided = [
        len(answer.present if isinstance(answer, SegmentMap) else answer[answer.scores >= 0.25])
        for answer in found[0]
    ]
    assert sum(decided) > len(pictures), "what decides nothing proves nothing"
    for engine, expected in sealed.items():
        command = [sys.executable, "-c", WITHOUT_TORCH, str(made), engine, *map(str, pictures)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == [answer.to_dict() for answer in expected]


@pytest.mark.parametrize(
    ("name", "engines"),
    [
        ("yolox_nano.onnx", ("onnx", "openvino")),
        ("deeplabv3_mnv2_dm05_pascal_quant.tflite", ("openvino",)),
    ],
)
def test_a_real_graph_decides_alike_on_every_engine_that_runs_it(
    name: str, engines: tuple[str, ...], shared: Path, tmp_path: Path
) -> None:
    pictures = sorted((shared / "data" / "coco_tiny").rglob("*.jpg"))[:4]
    decide_alike(resolve(str(shared / "weights" / "files" / name)), engines, pictures, tmp_path)
