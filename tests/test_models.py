"""Loading and calling a model: every kind of MODEL, one picture or many, and the end of it."""

from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signet import models
from signet.cards import OutputContract
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, EngineError, UnknownName, WrongTask
from signet.images import Image
from signet.models import Model, check_kind, default_cache, load, resolve
from signet.predictions import Classes, Embedding
from signet.preprocessing import prepare
from signet.testing import TinyNetwork

ONE = EngineSettings(threads=1)


@pytest.fixture
def file(floor3: ModuleType, tmp_path: Path) -> Path:
    """A graph file with a card beside it."""
    path = floor3.graph_model(tmp_path / "model").networks[0].path
    path.with_name(path.name + ".card.json").write_text(json.dumps(floor3.card().to_dict()))
    return path


def expected(images: list[Image], floor3: ModuleType) -> dict[str, np.ndarray]:
    return TinyNetwork.made().answer(np.asarray(prepare(images, floor3.PROGRAM).arrays))


def test_one_picture_or_several_and_paths_too(floor3: ModuleType, tmp_path: Path) -> None:
    images = [floor3.picture(seed) for seed in range(3)]
    path = tmp_path / "picture.png"
    path.write_bytes(images[1]._repr_png_())
    with load(floor3.graph_model(tmp_path), settings=ONE) as model:
        (alone,) = model(images[0])
        several = model(images)
        (from_path,) = model(path)
        (from_text,) = model(str(path))
        assert model([]) == []
        assert model(tuple(images))[2].best == several[2].best
    assert isinstance(alone, Classes)
    assert alone.labels == floor3.LABELS
    assert alone.source == "picture 0"
    np.testing.assert_allclose(alone.scores, several[0].scores, atol=1e-6)
    logits = expected(images, floor3)["logits"]
    assert [answer.labels[int(answer.scores.argmax())] for answer in several] == [
        floor3.LABELS[index] for index in logits.argmax(axis=1)
    ]
    np.testing.assert_allclose(from_path.scores, several[1].scores, atol=1e-6)
    np.testing.assert_allclose(from_text.scores, several[1].scores, atol=1e-6)
    assert from_path.source == str(path)


def test_the_stages_of_a_call_are_public(floor3: ModuleType, tmp_path: Path) -> None:
    images = [floor3.picture(seed) for seed in range(2)]
    for engine in ("openvino", "onnx"):
        with load(floor3.graph_model(tmp_path), engine=engine, settings=ONE) as model:
            batch = model.prepare(images)
            assert bool(batch.pending) == model.engine.fuses
            outputs = model.run(batch)
            answers = model.answer(outputs, batch)
            np.testing.assert_allclose(outputs["logits"], expected(images, floor3)["logits"], atol=1e-4)
            np.testing.assert_array_equal(answers[1].scores, model(images)[1].scores)


def test_features_are_embeddings(floor3: ModuleType, tmp_path: Path) -> None:
    images = [floor3.picture(seed) for seed in range(2)]
    with load(floor3.graph_model(tmp_path), settings=ONE) as model:
        vectors = model.embed(images)
        assert model.embed([]) == []
        assert len(model.embed(images[0])) == 1
    np.testing.assert_allclose(
        [one.vector for one in vectors], expected(images, floor3)["features"], atol=1e-4
    )
    assert vectors[1].source == "picture 1"


def test_a_model_of_vectors_answers_with_vectors(floor3: ModuleType, tmp_path: Path) -> None:
    output = OutputContract(head="embedding", tensor="features", features="features")
    found = floor3.graph_model(tmp_path, task="embed", output=output, labels=None)
    with load(found, Embedding, settings=ONE) as model:
        (vector,) = model(floor3.picture())
        np.testing.assert_array_equal(vector.vector, model.embed(floor3.picture())[0].vector)
    with pytest.raises(WrongTask, match=r"gives Embedding \(task 'embed'\), expected Classes"):
        load(found, Classes)


def test_the_expected_kind_is_checked_before_an_engine_is_opened(
    floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = floor3.graph_model(tmp_path)
    monkeypatch.setattr("signet.models.start", lambda *_: pytest.fail("an engine was opened"))
    with pytest.raises(WrongTask, match=r"tests/tiny gives Classes \(task 'classify'\), expected Embedding"):
        load(found, Embedding)
    check_kind(found, None)
    check_kind(found, Classes)


def test_no_features_is_said_in_words(floor3: ModuleType, tmp_path: Path) -> None:
    output = OutputContract(head="softmax", tensor="logits", classes=5)
    model = load(floor3.graph_model(tmp_path, output=output), settings=ONE)
    with model, pytest.raises(WrongTask, match="no output for features"):
        model.embed(floor3.picture())


def test_a_closed_model_refuses_and_leaving_the_context_closes_it(floor3: ModuleType, tmp_path: Path) -> None:
    with load(floor3.graph_model(tmp_path), settings=ONE) as model:
        model(floor3.picture())
    with pytest.raises(EngineError, match="closed"):
        model(floor3.picture())
    model.close()
    with pytest.raises(RuntimeError, match="boom"), load(floor3.graph_model(tmp_path), settings=ONE) as other:
        raise RuntimeError("boom")
    with pytest.raises(EngineError, match="closed"):
        other(floor3.picture())


def test_closing_while_others_run_leaves_nobody_waiting(floor3: ModuleType, tmp_path: Path) -> None:
    for engine in ("openvino", "onnx"):
        model = load(floor3.graph_model(tmp_path), engine=engine, settings=ONE)
        begun = threading.Event()

        def work(model: Model[Any] = model, begun: threading.Event = begun) -> str:
            for _ in range(100_000):
                begun.set()
                try:
                    model(floor3.picture())
                except EngineError as error:
                    return str(error)
            return "never refused"

        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(work) for _ in range(4)]
            begun.wait()
            model.close()
            assert all("closed" in future.result(timeout=60) for future in waiting)


def test_another_precision_is_another_engine(floor3: ModuleType, tmp_path: Path) -> None:
    with load(floor3.graph_model(tmp_path), engine="openvino", precision="fp32", settings=ONE) as model:
        with model.in_precision("fp32") as again:
            assert again.engine is not model.engine
            assert again.card is model.card
            assert again.running.settings == model.running.settings
        assert model(floor3.picture()), "the first one is still open"


def test_a_graph_file_is_loaded_with_its_card(file: Path, floor3: ModuleType) -> None:
    for name in (file, str(file)):
        with load(name, Classes, settings=ONE) as model:
            assert model.card == floor3.card()
            assert model.pretrained.where == "file"
            assert model(floor3.picture())[0].labels == floor3.LABELS
    elsewhere = file.parent.parent / "other.json"
    (file.parent / "tiny.onnx.card.json").rename(elsewhere)
    with load(resolve(file, card=elsewhere), settings=ONE) as model:
        assert model.card.name == "tests/tiny"


def test_a_pretrained_folder_is_loaded(shared: Path) -> None:
    pytest.importorskip("timm")
    with load(shared / "weights" / "mobilenetv2_100.coral_in1k", engine="torch", settings=ONE) as model:
        assert model.card.name == "timm/mobilenetv2_100.coral_in1k"
        assert model.card.output.classes == 1000
        assert model.pretrained.where == "file"
        assert "torch" in repr(model)
        assert "fp32" in repr(model)
        assert "<bdi>fp32 (" in model._repr_html_()


def test_a_tflite_file_is_loaded_without_its_background(shared: Path) -> None:
    file = shared / "weights" / "files" / "mobilenet_v1_0.25_128_quant.tflite"
    image = sorted((shared / "data" / "imagenet_sample_250").glob("*goldfish*")) or sorted(
        (shared / "data" / "imagenet_sample_250").glob("*.JPEG")
    )
    with load(file, Classes, settings=ONE) as model:
        (answer,) = model(image[0])
    assert len(answer) == 1000
    assert "background" not in answer.labels


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for name, kind, words in (
        ("resnet5", UnknownName, "Did you mean"),
        (str(tmp_path), BadInput, "expected a model"),
        (str(tmp_path / "no.onnx"), UnknownName, "no such file"),
    ):
        with pytest.raises(kind, match=words):
            load(name)


def test_a_picture_that_cannot_be_read_is_bad_input(floor3: ModuleType, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with (
        load(floor3.graph_model(tmp_path), settings=ONE) as model,
        pytest.raises(BadInput, match=r"bad\.jpg"),
    ):
        model([floor3.picture(), bad])


def test_the_default_cache_lies_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here" / "engines"


@pytest.mark.parametrize(("precision", "exact"), [("fp32", True), ("int8", True), ("bf16", False)])
def test_the_quick_resize_is_for_bf16_alone(
    precision: str, exact: bool, floor3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only bf16 is held to evidence that was gathered with the quick resize in place."""
    asked: list[bool] = []
    monkeypatch.setattr(models, "prepare", lambda *_, exact, **__: asked.append(exact))
    with load(floor3.graph_model(tmp_path), engine="onnx") as model:
        engine = type("Other", (), {"fuses": False, "precision": precision, "close": lambda _: None})()
        running = dataclasses.replace(model.running, engine=engine)
        models.Model(model.pretrained, running).prepare([floor3.picture()])
    assert asked == [exact]
