"""A network that takes channels last, as those of Keras do: through the zoo suite, alike on every engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.cards import InputSpec, Licence
from signet.engines.contract import EngineSettings
from signet.errors import UnknownName
from signet.models import load
from signet.networks import ModuleSource, Pretrained
from signet.programs import Program
from signet.steps import Layout
from signet.testing import check_zoo, made_images

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def _channels_last(floor3: ModuleType) -> Pretrained:
    class ChannelsLast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = floor3.torch_module()

        def forward(self, images: Any) -> Any:
            return self.inner(images.permute(0, 3, 1, 2))

    height, width = floor3.SIZE
    steps = tuple(step for step in floor3.PROGRAM.steps if not isinstance(step, Layout))
    card = floor3.card(
        name="mine/last",
        program=Program(steps),
        inputs=(InputSpec(name="images", shape=(None, height, width, 3)),),
        licence=Licence("mit", stated=True),
    )
    source = ModuleSource(
        lambda: ChannelsLast().eval(), "c" * 64, (height, width, 3), classifier="inner.head"
    )
    return Pretrained(card, (source,), "d" * 64, "cache")


def test_every_engine_gives_the_answers_of_channels_first(floor3: ModuleType, tmp_path: Path) -> None:
    last, first = _channels_last(floor3), floor3.module_model()
    settings = EngineSettings(threads=1, batch=2, cache=tmp_path)
    answers = []
    for found in (first, last):
        for engine in ("torch", "onnx", "openvino"):
            with load(found, engine=engine, precision="fp32", settings=settings) as model:
                batch = model.prepare(made_images(3))
                answers.append(model.run(batch)["logits"])
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], rtol=0, atol=1e-4)


def test_the_zoo_suite_takes_it_and_refuses_a_shape_that_does_not_fit(
    floor3: ModuleType, tmp_path: Path
) -> None:
    found = _channels_last(floor3)

    def zoo(name: str, **_: Any) -> Pretrained:
        if name != "mine/last":
            raise UnknownName("model", name, ["mine/last"])
        return found

    check_zoo(zoo, ["mine/last"], tmp_path, unknown="mine/lost")
    (source,) = found.networks
    wrong = dataclasses.replace(source, input_shape=(3, *floor3.SIZE))
    found = dataclasses.replace(found, networks=(wrong,))
    with pytest.raises(Exception, match=r"the card's input is .* and the module was made for"):
        check_zoo(zoo, ["mine/last"], tmp_path)
