"""Which engine and precision are taken, and the reason that is given."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType

import pytest

from signet import machine, running, storage
from signet.engines import on_onnx, on_openvino, on_torch
from signet.engines.contract import EngineSettings
from signet.errors import BadRequest, EngineError, UnknownName
from signet.networks import GraphFile, Pretrained, Variant
from signet.running import Evidence, choose_engine, choose_precision, find_evidence, keep_evidence, start


@pytest.fixture
def model(floor3: ModuleType, tmp_path: Path) -> Pretrained:
    return floor3.graph_model(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(threads=2, cache=tmp_path / "cache")


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has bf16, as far as the choice goes."""
    monkeypatch.setattr(on_openvino, "has_bf16", lambda: True)


def test_auto_takes_the_first_engine_that_is_installed(
    model: Pretrained, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_engine(model, "auto", settings) == ("openvino", "the first engine that is installed")
    monkeypatch.setattr(on_openvino, "unavailable", lambda: "openvino cannot be imported (no AVX)")
    assert choose_engine(model, "auto", settings) == ("onnx", "openvino cannot be imported (no AVX)")
    monkeypatch.setattr(on_onnx, "unavailable", lambda: "onnxruntime cannot be imported")
    with pytest.raises(BadRequest) as caught:
        choose_engine(model, "auto", settings)
    for words in (
        "tests/tiny: no engine can run it",
        "no AVX",
        "onnxruntime cannot",
        "no form that engine torch runs",
    ):
        assert words in str(caught.value)


def test_without_a_graph_engine_torch_takes_the_module(
    floor3: ModuleType, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = floor3.module_model()
    assert choose_engine(module, "auto", settings)[0] == "openvino"
    monkeypatch.setattr(on_openvino, "unavailable", lambda: "no openvino")
    monkeypatch.setattr(on_onnx, "unavailable", lambda: "no onnxruntime")
    monkeypatch.setattr(on_torch, "unavailable", lambda: None)
    assert choose_engine(module, "auto", settings) == ("torch", "no openvino; no onnxruntime")


@pytest.mark.parametrize("format", ["tflite", "xml"])
def test_a_form_that_only_one_engine_reads_goes_there(
    format: str, model: Pretrained, settings: EngineSettings
) -> None:
    graph = GraphFile(Path(f"x.{format}"), format, "b" * 64)
    other = dataclasses.replace(model, networks=(graph,))
    assert choose_engine(other, "auto", settings)[0] == "openvino"
    with pytest.raises(BadRequest, match="--engine onnx: tests/tiny has no form that engine onnx runs"):
        running.open_engine(other, "onnx", settings)


def test_a_device_chooses_torch(
    floor3: ModuleType, model: Pretrained, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = dataclasses.replace(settings, device="cuda")
    monkeypatch.setattr(on_torch, "unavailable", lambda: None)
    assert choose_engine(floor3.module_model(), "auto", cuda) == ("torch", "device cuda needs it")
    assert choose_precision(model, "torch", "auto", cuda)[0] == "fp32"
    with pytest.raises(
        BadRequest, match="device 'cuda': only engine torch runs there, and tests/tiny has no"
    ):
        choose_engine(model, "auto", cuda)
    monkeypatch.setattr(on_torch, "unavailable", lambda: "torch is not installed")
    with pytest.raises(BadRequest, match=r"runs there, and torch is not installed\. Use --device cpu"):
        choose_engine(floor3.module_model(), "auto", cuda)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_an_engine_that_knows_no_devices_runs_on_none_but_the_processor(
    engine: str, model: Pretrained, settings: EngineSettings
) -> None:
    """Asked for a GPU, they ran on the processor and said nothing."""
    with pytest.raises(EngineError, match=f"engine {engine} runs on the processor, and device 'cuda:1'"):
        start(model, engine, "fp32", dataclasses.replace(settings, device="cuda:1"))


def test_an_engine_that_is_named_is_taken(model: Pretrained, settings: EngineSettings) -> None:
    for name in ("torch", "openvino", "onnx"):
        assert choose_engine(model, name, settings) == (name, "engine as asked")


def test_an_unknown_engine_is_refused_with_those_that_are_known(
    model: Pretrained, settings: EngineSettings
) -> None:
    with pytest.raises(
        UnknownName, match=r"No engine named 'openvin'\. Did you mean 'openvino'.*auto, openvino, onnx, torch"
    ):
        start(model, "openvin", "auto", settings)


def test_the_engine_that_was_measured_fastest_is_honoured(
    model: Pretrained, settings: EngineSettings
) -> None:
    place = running.measurement_place(model.digest, settings.cache)
    storage.write_json(place, {"fastest": "onnx"})
    assert choose_engine(model, "auto", settings) == ("onnx", "the fastest engine measured here")
    other = dataclasses.replace(model, digest="f" * 64)
    assert choose_engine(other, "auto", settings)[0] == "openvino", "it was measured for one model"
    storage.write_json(place, {"fastest": "torch"}, overwrite=True)
    assert choose_engine(model, "auto", settings)[0] == "openvino", "torch cannot run a graph"
    for broken in ('{"fastest": 5}', "{}", "[1]", "not json", '{"fastest": "abacus"}'):
        place.write_text(broken)
        assert choose_engine(model, "auto", settings)[0] == "openvino"


# --- precision --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bf16")
def test_without_evidence_it_is_fp32_and_undecided(model: Pretrained, settings: EngineSettings) -> None:
    precision, why, undecided = choose_precision(model, "openvino", "auto", settings)
    assert (precision, undecided) == ("fp32", True)
    assert "not yet proven" in why


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize(
    ("compared", "equal", "precision"),
    [
        (200, 200, "bf16"),
        (200, 199, "bf16"),
        (1000, 995, "bf16"),
        (200, 198, "fp32"),
        (1000, 994, "fp32"),
        (199, 199, "fp32"),
        (0, 0, "fp32"),
    ],
)
def test_evidence_decides(
    compared: int, equal: int, precision: str, model: Pretrained, settings: EngineSettings
) -> None:
    keep_evidence(model, settings.cache, Evidence(compared, equal))
    found, why, undecided = choose_precision(model, "openvino", "auto", settings)
    assert (found, undecided) == (precision, False)
    assert f"{equal} of {compared} decisions equal to fp32" in why
    assert ("only" in why) == (precision == "fp32")


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"compared": 300}',
        '{"compared": "many", "equal": 1}',
        '{"compared": null, "equal": 1}',
    ],
)
def test_a_broken_record_is_no_evidence(broken: str, model: Pretrained, settings: EngineSettings) -> None:
    keep_evidence(model, settings.cache, Evidence(500, 500))
    (place,) = (settings.cache / "evidence").iterdir()
    assert find_evidence(model, settings.cache) == Evidence(500, 500)
    place.write_text(broken)
    assert find_evidence(model, settings.cache) is None
    assert choose_precision(model, "openvino", "auto", settings)[0] == "fp32"


@pytest.mark.usefixtures("bf16")
def test_evidence_is_of_one_model_one_program_one_processor_one_version(
    model: Pretrained, settings: EngineSettings, floor3: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_evidence(model, settings.cache, Evidence(500, 500))
    assert find_evidence(model, settings.cache) is not None
    assert find_evidence(dataclasses.replace(model, digest="0" * 64), settings.cache) is None
    program = type(floor3.PROGRAM)(floor3.PROGRAM.steps[:-1])
    assert (
        find_evidence(dataclasses.replace(model, card=floor3.card(program=program)), settings.cache) is None
    )
    assert find_evidence(model, None) is None
    with monkeypatch.context() as patch:
        patch.setattr(machine, "processor", lambda: "another processor")
        assert find_evidence(model, settings.cache) is None
    monkeypatch.setattr(machine, "version_of", {"openvino": "1.0"}.get)
    assert find_evidence(model, settings.cache) is None


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize(
    ("variant", "precision"),
    [
        ({}, "bf16"),
        ({"golden_equal": 3, "equal": 249}, "fp32"),
        ({"golden": 0, "golden_equal": 0}, None),
        ({"processor": "another"}, None),
        ({"version": "1.0"}, None),
        ({"precision": "int8"}, None),
        ({"equal": 200}, "fp32"),
    ],
)
def test_a_seal_brings_evidence_of_its_own(
    variant: dict[str, object], precision: str | None, model: Pretrained, settings: EngineSettings
) -> None:
    whole = {
        "engine": "openvino",
        "version": machine.versions()["openvino"],
        "processor": machine.processor(),
        "precision": "bf16",
        "compared": 250,
        "equal": 250,
        "golden": 4,
        "golden_equal": 4,
    }
    sealed = dataclasses.replace(model, variants=(Variant(**{**whole, **variant}),))
    found, why, undecided = choose_precision(sealed, "openvino", "auto", settings)
    assert found == (precision or "fp32")
    assert undecided == (precision is None)
    assert ("when it was sealed" in why) == (precision is not None)
    keep_evidence(sealed, settings.cache, Evidence(200, 100))
    assert choose_precision(sealed, "openvino", "auto", settings)[0] == "fp32", "what was measured here wins"


def sealed_with(model: Pretrained, *, compared: int, golden_equal: int) -> Pretrained:
    variant = Variant(
        engine="openvino",
        version=machine.versions()["openvino"],
        processor=machine.processor(),
        precision="bf16",
        compared=compared,
        equal=compared - 4 + golden_equal,
        golden=4,
        golden_equal=golden_equal,
    )
    return dataclasses.replace(model, variants=(variant,))


@pytest.mark.usefixtures("bf16")
def test_four_golden_decisions_are_too_few_and_a_long_run_finds_out(
    model: Pretrained, settings: EngineSettings
) -> None:
    sealed = sealed_with(model, compared=4, golden_equal=4)
    precision, why, undecided = choose_precision(sealed, "openvino", "auto", settings)
    assert (precision, undecided) == ("fp32", True)
    assert "too little evidence: 4 of 4 decisions" in why
    keep_evidence(sealed, settings.cache, Evidence(250, 250))
    assert choose_precision(sealed, "openvino", "auto", settings)[0] == "bf16"


@pytest.mark.usefixtures("bf16")
def test_a_golden_flip_is_not_outvoted_by_what_was_measured(
    model: Pretrained, settings: EngineSettings
) -> None:
    sealed = sealed_with(model, compared=250, golden_equal=3)
    keep_evidence(sealed, settings.cache, Evidence(250, 250))
    assert choose_precision(sealed, "openvino", "auto", settings)[0] == "fp32"


def test_other_engines_and_processors_have_fp32(
    model: Pretrained, settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_evidence(model, settings.cache, Evidence(500, 500))
    for engine in ("onnx", "torch"):
        assert choose_precision(model, engine, "auto", settings) == (
            "fp32",
            "fp32 is this engine's precision",
            False,
        )
    monkeypatch.setattr(on_openvino, "has_bf16", lambda: False)
    precision, why, undecided = choose_precision(model, "openvino", "auto", settings)
    assert (precision, undecided) == ("fp32", False)
    assert "no bf16 instructions" in why


def test_a_precision_that_is_named_is_taken(model: Pretrained, settings: EngineSettings) -> None:
    for precision in ("fp32", "bf16", "int8"):
        assert choose_precision(model, "openvino", precision, settings) == (
            precision,
            "precision as asked",
            False,
        )


def test_starting_says_why(model: Pretrained, settings: EngineSettings) -> None:
    started = start(model, "onnx", "auto", dataclasses.replace(settings, batch=3, workers=2))
    assert started.engine.name == "onnx"
    assert (started.settings.batch, started.settings.workers, started.settings.precision) == (3, 2, "fp32")
    assert started.why == "engine as asked; fp32 is this engine's precision"
    started.engine.close()


def test_a_module_without_a_cache_folder_cannot_be_traced(floor3: ModuleType) -> None:
    with pytest.raises(EngineError, match="no cache folder"):
        running.open_engine(floor3.module_model(), "onnx", EngineSettings())


def test_evidence_is_written_for_people_too(model: Pretrained, settings: EngineSettings) -> None:
    keep_evidence(model, settings.cache, Evidence(500, 499))
    (place,) = (settings.cache / "evidence").iterdir()
    row = json.loads(place.read_text())
    assert row["model"] == "tests/tiny"
    assert row["openvino"] == machine.versions()["openvino"]
    keep_evidence(model, None, Evidence(1, 1))  # nowhere to keep it is no failure


def test_settings_have_at_least_one_thread() -> None:
    assert EngineSettings(threads=3).thread_count == 3
    assert EngineSettings().thread_count >= 1
    assert EngineSettings(threads=-2).thread_count == 1
