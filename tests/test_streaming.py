"""Streams keep the order, isolate what is bad, and look only so far ahead."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet.batches import Batch, Outputs
from signet.cards import OutputContract
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, EngineError
from signet.images import Image
from signet.models import Model, load
from signet.streaming import outputs, predictions, settings_for, stream


@pytest.fixture
def model(floor3: ModuleType, tmp_path: Path) -> Iterator[Model[Any]]:
    settings = EngineSettings(threads=2, workers=2, batch=4)
    with load(floor3.graph_model(tmp_path), engine="openvino", settings=settings) as opened:
        yield opened


class Watched:
    """The engine of a model, which counts its runs and may fail on some images."""

    def __init__(
        self, model: Model[Any], bad: Sequence[str] = (), error: type[Exception] = EngineError
    ) -> None:
        self._engine = model.running.engine
        self._bad = set(bad)
        self._error = error
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, batch: Batch) -> Outputs:
        self.sizes.append(len(batch))
        if self._bad & set(batch.sources):
            raise self._error(f"the network refuses {self._bad & set(batch.sources)}")
        return self._engine.run(batch)


def watched(model: Model[Any], **faults: Any) -> tuple[Model[Any], Watched]:
    import dataclasses

    engine = Watched(model, **faults)
    return Model(model.pretrained, dataclasses.replace(model.running, engine=engine)), engine


@pytest.mark.parametrize("count", [0, 1, 4, 5, 37])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_answers_come_in_the_order_of_the_inputs(
    count: int, chunk: int | None, model: Model[Any], floor3: ModuleType
) -> None:
    images = [floor3.picture(seed, (20 + seed % 3, 30)) for seed in range(count)]
    found = list(predictions(model, iter(images), chunk=chunk))
    assert [answer.source for answer in found] == [image.source for image in images]
    assert [answer.size for answer in found] == [image.size for image in images]
    assert not [answer.error for answer in found if answer.error]
    alone = [model(image)[0].scores for image in images]
    for answer, scores in zip(found, alone, strict=True):
        np.testing.assert_allclose(answer.answer.scores, scores, atol=1e-6)


def test_an_image_that_cannot_be_read_harms_no_other(
    model: Model[Any], floor3: ModuleType, tmp_path: Path
) -> None:
    inputs: list[Any] = []
    for seed in range(11):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(b"broken" if seed in (0, 5, 10) else floor3.picture(seed)._repr_png_())
        inputs.append(path if seed % 2 else str(path))
    inputs.insert(3, tmp_path / "missing.png")
    found = list(predictions(model, inputs))
    assert [answer.source for answer in found] == [str(path) for path in inputs]
    failed = [place for place, answer in enumerate(found) if answer.error is not None]
    assert failed == [0, 3, 6, 11]
    for answer in found:
        assert (answer.answer is None) == (answer.error is not None) == (answer.size is None)
        assert answer.error is None or isinstance(answer.error, BadInput)
    whole = [path for place, path in enumerate(inputs) if place not in failed]
    for answer, path in zip((a for a in found if a.answer), whole, strict=True):
        np.testing.assert_allclose(answer.answer.scores, model(path)[0].scores, atol=1e-6)


def test_a_chunk_whose_network_fails_is_tried_one_by_one(model: Model[Any], floor3: ModuleType) -> None:
    failing, engine = watched(model, bad=["picture 2", "picture 9"])
    images = [floor3.picture(seed) for seed in range(12)]
    found = list(predictions(failing, images))
    assert [place for place, answer in enumerate(found) if answer.error] == [2, 9]
    assert all(isinstance(found[place].error, EngineError) for place in (2, 9))
    assert "picture 9" in str(found[9].error)
    assert sorted(engine.sizes) == [1] * 8 + [4] * 3, "two of three chunks were taken apart"


def test_a_finish_that_refuses_one_image_harms_no_other(model: Model[Any], floor3: ModuleType) -> None:
    def finish(raw: Outputs, batch: Batch) -> list[str]:
        if "picture 3" in batch.sources:
            raise BadInput("this one not")
        return list(batch.sources)

    found = list(stream(model, [floor3.picture(seed) for seed in range(6)], finish))
    assert [answer.answer for answer in found] == [None if n == 3 else f"picture {n}" for n in range(6)]


def test_what_is_no_error_of_ours_ends_the_stream(model: Model[Any], floor3: ModuleType) -> None:
    failing, _ = watched(model, bad=["picture 1"], error=ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        list(predictions(failing, [floor3.picture(seed) for seed in range(3)]))


def test_an_endless_input_is_taken_only_as_it_is_needed(model: Model[Any], floor3: ModuleType) -> None:
    taken = itertools.count()
    lock = threading.Lock()
    last = 0

    def endless() -> Iterator[Image]:
        nonlocal last
        while True:
            with lock:
                last = next(taken)
            yield floor3.picture(last)

    answers = predictions(model, endless())
    first = list(itertools.islice(answers, 10))
    assert [answer.source for answer in first] == [f"picture {seed}" for seed in range(10)]
    # 2 workers with chunks of 4 pictures, each at most two chunks ahead of the one that is waited for.
    assert last < 10 + 4 + 2 * 4 * 3
    before = last
    answers.close()
    assert last == before, "nothing more is taken once nobody listens"


def test_an_input_that_raises_is_the_callers_error_after_what_was_answered(
    model: Model[Any], floor3: ModuleType
) -> None:
    def inputs() -> Iterator[Image]:
        yield from (floor3.picture(seed) for seed in range(40))
        raise KeyError("the list ends here")

    answers = predictions(model, inputs())
    got = []
    with pytest.raises(KeyError, match="the list ends here"):
        got.extend(answer.source for answer in answers)
    assert got == [f"picture {seed}" for seed in range(len(got))]


def test_raw_outputs_can_be_streamed(model: Model[Any], floor3: ModuleType) -> None:
    images = [floor3.picture(seed) for seed in range(9)]
    found = list(outputs(model, images, lambda raw: list(raw["features"])))
    vectors = [embedding.vector for embedding in model.embed(images)]
    np.testing.assert_allclose([answer.answer for answer in found], vectors, atol=1e-6)


def test_a_wrong_card_is_an_error_of_each_image(floor3: ModuleType, tmp_path: Path) -> None:
    output = OutputContract(head="softmax", tensor="scores")
    found = floor3.graph_model(tmp_path, output=output, labels=None)
    with load(found, settings=EngineSettings(threads=1, batch=2)) as model:
        answers = list(predictions(model, [floor3.picture(seed) for seed in range(3)]))
    assert all("expected one called 'scores'" in str(answer.error) for answer in answers)


def test_settings_for_one_and_for_many() -> None:
    one = settings_for(many=False, threads=3)
    assert (one.batch, one.workers, one.threads) == (1, 1, 3)
    many = settings_for(many=True, threads=3)
    assert many.workers == 3
    assert many.batch > 1
    assert settings_for(many=True, batch=7).batch == 7
    assert settings_for(many=True, engine="torch").batch > many.batch
    assert settings_for(many=True, device="cuda").batch >= 32
    assert one.cache is not None
