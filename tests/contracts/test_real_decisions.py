"""A real detector, a real semantic segmenter and an own instance segmenter that has learned a little.

Every engine decides alike, and so does the seal, on every engine and where there is no torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet import agreement
from signet.boxes import Boxes
from signet.cards import Card, InputSpec, OutputContract
from signet.engines.contract import EngineSettings
from signet.instances import Instances
from signet.models import load
from signet.networks import ModuleSpec, Pretrained
from signet.predictions import Prediction
from signet.programs import Program
from signet.resolving import resolve
from signet.sealing import SealSettings, seal
from signet.segments import SegmentMap
from signet.storage import digest_of

WITHOUT_TORCH = """
import json, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} was asked for")

sys.meta_path.insert(0, Refusing())
import signet
from signet.engines.contract import EngineSettings

seal, engines, *pictures = sys.argv[1:]
found = {}
for engine in engines.split(","):
    with signet.load(seal, engine=engine, precision="fp32", settings=EngineSettings(threads=1)) as model:
        found[engine] = [answer.to_dict() for answer in model(pictures)]
print(json.dumps(found))
"""


def answers(model: Pretrained | Path, engine: str, pictures: list[Path], cache: Path) -> list[Prediction]:
    settings = EngineSettings(threads=1, cache=cache)
    with load(model, engine=engine, precision="fp32", settings=settings) as opened:
        return opened(pictures)


def decided(answer: Prediction) -> int:
    """How many labels a map has, or how many boxes are shown where nothing else is asked for."""
    match answer:
        case SegmentMap():
            return len(answer.present)
        case Instances():
            return decided(answer.boxes)
        case Boxes():
            return int((answer.scores >= agreement.DOOR_SCORE).sum())
    raise AssertionError(f"no answer of these tasks: {answer!r}")


def decide_alike(network: Pretrained, engines: tuple[str, ...], pictures: list[Path], folder: Path) -> None:
    """The network on each engine, its seal there, and its seal where there is no torch."""
    cache = folder / "cache"
    settings = SealSettings(bf16_images=0, engine=EngineSettings(threads=1, cache=cache))
    made = seal(network, out=folder / "made.signet", settings=settings).path
    found = [answers(network, engine, pictures, cache) for engine in engines]
    sealed = {engine: answers(made, engine, pictures, cache) for engine in engines}
    for other in (*found[1:], *sealed.values()):
        for one, two in zip(found[0], other, strict=True):
            assert agreement.alike(one, two, agreement.FINE)
    assert sum(map(decided, found[0])) > len(pictures), "what decides nothing proves nothing"
    expected = {
        engine: [answer.to_dict() for answer in answered]
        for engine, answered in sealed.items()
        if engine != "torch"
    }
    command = [sys.executable, "-c", WITHOUT_TORCH, str(made), ",".join(expected), *map(str, pictures)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == json.loads(json.dumps(expected))


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


@pytest.fixture(scope="module")
def scenes(module_at: Callable[[str, Path], ModuleType]) -> ModuleType:
    """Two drawn pictures with five objects, and how they are learned."""
    pytest.importorskip("torch")
    file = Path(__file__).resolve().parents[1] / "architectures" / "scenes.py"
    return module_at("architecture_scenes", file)


@pytest.fixture(scope="module")
def learned(scenes: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """Our one-stage segmenter over a backbone of timm, taught the two pictures.

    Random weights decide nothing: of hundreds of boxes with nearly one score a rounding picks which remain,
    and so every engine has its own.
    """
    torch = pytest.importorskip("torch")
    for package in ("timm", "onnxscript"):
        pytest.importorskip(package)
    from safetensors.torch import save_file

    from signet.zoos import from_architectures

    spec = ModuleSpec("signet", "yolo", {"backbone": "test_resnet", "instances": True}, len(scenes.LABELS))
    torch.manual_seed(0)
    module = from_architectures.build(spec, None)
    scenes.learned(module, 80)
    weights = tmp_path_factory.mktemp("learned") / "model.safetensors"
    save_file(module.state_dict(), weights)
    size = (scenes.SIDE, scenes.SIDE)
    source = from_architectures.module_source(spec, weights, digest_of(weights), size)
    rows = [
        {"step": "read"},
        {"step": "resize", "size": list(size), "fit": "stretch"},
        {"step": "type"},
        {"step": "range", "scale": 1 / 255},
        {"step": "layout"},
    ]
    stated = {"nms": {"iou": 0.5, "class_wise": True}, "outputs": {"prototypes": "prototypes"}}
    card = Card(
        name="tests/learned",
        task="instances",
        program=Program.from_list(rows),
        output=OutputContract("yolov8", "predictions", classes=len(scenes.LABELS), extra=stated),
        inputs=(InputSpec(name="images", shape=(None, 3, *size)),),
        labels=scenes.LABELS,
    )
    return Pretrained(card, (source,), source.digest, "cache")


def test_an_own_instance_segmenter_decides_alike_on_every_engine(
    learned: Pretrained, scenes: ModuleType, tmp_path: Path
) -> None:
    """Its seal holds its weights too, so that torch is one of the engines there."""
    pictures = []
    for place, image in enumerate(scenes.pictures()[0].numpy()):
        pixels = (255 * image).round().astype(np.uint8).transpose(1, 2, 0)
        # One of another size and shape: masks and boxes have a way home.
        large = PillowImage.fromarray(pixels).resize((150 + 42 * place, 192))
        pictures.append(tmp_path / f"{place}.png")
        large.save(pictures[-1])
    decide_alike(learned, ("torch", "onnx", "openvino"), pictures, tmp_path)
    with load(learned, Instances, engine="torch") as model:
        found = model(pictures)
    assert all(mask.area for one in found for mask in one[one.boxes.scores >= agreement.DOOR_SCORE].masks)
