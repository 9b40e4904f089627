"""The same decision as the zoo's own transform and forward, on every one of 250 real images, on every engine.

The accuracies are those that the shared README states for timm's and torchvision's own evaluation.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet import running
from signet.engines import on_openvino
from signet.engines.contract import EngineSettings
from signet.models import load
from signet.networks import Pretrained
from signet.resolving import resolve
from signet.running import Evidence
from signet.streaming import predictions

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")

MODELS = {
    "mobilenetv2_100.coral_in1k": ("timm", 0.908, 0.972),
    "squeezenet1_0.dc_in1k": ("torchvision", 0.660, 0.844),
}


@dataclass(frozen=True)
class Facts:
    """One model, and what its own library makes of the images.

    Attributes:
        pretrained: the model, as Signet finds it in the mirror.
        paths: of the images.
        truth: int (250,), class of each.
        logits: float32 (250, 1000) by the library itself.
        cache: of the engines.
        top1: as stated.
        top5: as stated.
    """

    pretrained: Pretrained
    paths: list[Path]
    truth: np.ndarray
    logits: np.ndarray
    cache: Path
    top1: float
    top5: float

    def scores(self, engine: str, precision: str) -> np.ndarray:
        """Float32 (250, 1000) by Signet."""
        settings = EngineSettings(threads=2, workers=2, batch=8, cache=self.cache)
        with load(self.pretrained, engine=engine, precision=precision, settings=settings) as model:
            assert (model.engine.name, model.engine.precision) == (engine, precision)
            answered = list(predictions(model, self.paths))
        assert not [answer.error for answer in answered if answer.error]
        return np.stack([answer.answer.scores for answer in answered])


def library(zoo: str, folder: Path) -> tuple[Callable[[Any], Any], Any]:
    """(transform, module) by the zoo's own means, without Signet."""
    from safetensors.torch import load_file

    state = load_file(folder / "model.safetensors")
    if zoo == "timm":
        timm = pytest.importorskip("timm")
        module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        wanted = timm.data.resolve_data_config(pretrained_cfg=module.pretrained_cfg, use_test_size=True)
        return timm.data.create_transform(**wanted), module
    from torchvision import models, transforms

    module = models.squeezenet1_0(weights=None)
    module.load_state_dict(state)
    mean = (0.4823529411764706, 0.4588235294117647, 0.40784313725490196)
    steps = [
        transforms.Resize((256, 256)),
        transforms.CenterCrop(227),
        transforms.ToTensor(),
        transforms.Normalize(mean, (1 / 255,) * 3),
    ]
    return transforms.Compose(steps), module.eval()


@pytest.fixture(scope="module", params=MODELS)
def facts(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    zoo, top1, top5 = MODELS[request.param]
    images = shared / "data" / "imagenet_sample_250"
    rows = list(csv.DictReader((images / "index.csv").read_text("utf-8").splitlines()))
    paths = [images / row["file"] for row in rows]
    transform, module = library(zoo, shared / "weights" / request.param)
    with torch.inference_mode(), ThreadPoolExecutor(2) as pool:
        tensors = pool.map(lambda path: transform(PillowImage.open(path).convert("RGB"))[None], paths)
        logits = [module(tensor).numpy() for tensor in tensors]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNET_MIRROR", str(shared / "weights"))
        pretrained = resolve(request.param, offline=True)
    return Facts(
        pretrained,
        paths,
        np.array([int(row["class_index"]) for row in rows]),
        np.concatenate(logits),
        tmp_path_factory.mktemp("cache"),
        top1,
        top5,
    )


def test_the_library_itself_has_the_accuracy_that_is_stated(facts: Facts) -> None:
    assert len(facts.paths) == 250
    assert np.mean(facts.logits.argmax(1) == facts.truth) == facts.top1
    best = np.argsort(-facts.logits, axis=1)[:, :5]
    assert np.mean((best == facts.truth[:, None]).any(axis=1)) == facts.top5


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnx"])
def test_every_decision_in_fp32_is_the_librarys(facts: Facts, engine: str) -> None:
    scores = facts.scores(engine, "fp32")
    assert np.array_equal(scores.argmax(1), facts.logits.argmax(1))
    assert np.mean(scores.argmax(1) == facts.truth) == facts.top1
    powers = np.exp(facts.logits.astype(np.float64) - facts.logits.max(1, keepdims=True))
    assert np.abs(scores - powers / powers.sum(1, keepdims=True)).max() < 2e-3


def test_bf16_decides_like_the_library_or_auto_stays_with_fp32(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not on_openvino.has_bf16():
        pytest.skip("this processor has no bf16 instructions")
    equal = int((facts.scores("openvino", "bf16").argmax(1) == facts.logits.argmax(1)).sum())
    if "mobilenetv2" in facts.pretrained.card.name:
        assert equal >= 247
    evidence = Evidence(len(facts.paths), equal)
    running.keep_evidence(facts.pretrained, facts.cache, evidence)
    settings = EngineSettings(cache=facts.cache)
    started = running.start(facts.pretrained, "openvino", "auto", settings)
    started.engine.close()
    assert started.engine.precision == ("bf16" if equal >= 249 else "fp32")
    assert f"{equal} of 250 decisions" in started.why
    assert not started.undecided


def test_another_program_would_be_noticed(facts: Facts) -> None:
    """The figures above depend on the preprocessing: the usual ImageNet statistics give other answers."""
    from signet.programs import Program
    from signet.steps import Normalise

    usual = Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    steps = (usual if isinstance(step, Normalise) else step for step in facts.pretrained.card.program.steps)
    card = dataclasses.replace(facts.pretrained.card, program=Program(tuple(steps)))
    changed = dataclasses.replace(facts, pretrained=dataclasses.replace(facts.pretrained, card=card))
    scores = changed.scores("openvino", "fp32")
    assert np.mean(scores.argmax(1) == facts.truth) < facts.top1 - 0.01
