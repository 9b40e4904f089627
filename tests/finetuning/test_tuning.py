"""`finetune` from end to end on drawn shapes: with and without torch, twice the same, and nothing leaks."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from signet.datasets import open_dataset
from signet.errors import AlreadyExists, BadDataset, BadRequest, WrongTask
from signet.evaluation import evaluate
from signet.finetuning import Finetuned, RunSettings, finetune, workplace
from signet.models import load
from signet.predictions import Classes
from signet.recipes import Recipe
from signet.records import Interval
from signet.seals import open_seal
from signet.verification import verify

pytest.importorskip("onnx")
pytest.importorskip("imagehash")

PROBE = Recipe(strategy="probe", golden="made", threads=1)
WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "accelerate"):
            raise ImportError(f"{name} is not installed", name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def probed(shapes, tmp_path_factory) -> Finetuned:
    out = tmp_path_factory.mktemp("probed") / "shapes.signet"
    return finetune("starter", open_dataset(shapes), out=out, recipe=PROBE)


def timeless(seal):
    """`seal.json` without times and what follows from them."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(part) for key, part in value.items() if key != "seconds"}
        return [without(part) for part in value] if isinstance(value, list) else value

    return without(json.loads((seal / "seal.json").read_text()))


def test_the_result_is_sealed_and_says_how_good_it_is(probed):
    assert probed.chosen == "probe"
    assert probed.metrics["top1"].value > 0.8
    assert probed.metrics == probed.report.metrics
    assert probed.report.count == 30
    assert "own test split" in probed.plan.measured_on
    assert probed.tuned is None
    assert not list(probed.seal.path.parent.glob(".*run"))


def test_the_seal_is_verified_and_measures_the_same(probed, shapes):
    assert verify(probed.seal.path).ok
    with load(probed.seal.path, Classes, precision="fp32") as model:
        report = evaluate(model, open_dataset(shapes))
    assert report.metrics["top1"].value == probed.metrics["top1"].value
    assert report.metrics["ece"].value == pytest.approx(probed.metrics["ece"].value, abs=1e-4)


def test_every_engine_gives_the_same_answer(probed, shapes):
    paths = open_dataset(shapes).select("test").paths[:6]
    engines = ["openvino", "onnx", *(["torch"] if find_spec("torch") else [])]
    answers = []
    for engine in engines:
        with load(probed.seal.path, Classes, engine=engine, precision="fp32") as model:
            answers.append(np.stack([answer.scores for answer in model(list(paths))]))
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], atol=2e-3)


def test_the_record_tells_how_it_came_about_and_nothing_of_the_machine(probed, shapes):
    manifest = open_seal(probed.seal.path).manifest
    record = manifest.training
    assert record["recipe"] == PROBE.to_dict()
    assert record["metrics"]["top1"]["value"] == pytest.approx(probed.metrics["top1"].value, abs=1e-6)
    assert len(record["data_fingerprint"]) == len(record["split_fingerprint"]) == 64
    assert record["measured_on"] == probed.plan.measured_on
    text = (probed.seal.path / "seal.json").read_text() + (probed.seal.path / "README.md").read_text()
    assert str(shapes.parent) not in text
    assert manifest.feature_statistics.count == 60
    assert manifest.calibration["temperature"] == manifest.card.output.temperature
    assert manifest.card.lineage["finetuned_from"]["name"] == "starter"


def test_no_file_of_the_seal_holds_a_path_of_this_machine(probed):
    """Exporters like to write where the code lies that they came through."""
    from signet import version

    home = str(version.__file__).rsplit("/signet/", 1)[0].encode()
    for path in probed.seal.path.rglob("*"):
        if path.is_file():
            assert home not in path.read_bytes(), path.name


def test_none_of_the_users_images_is_sealed_when_that_was_asked(probed):
    assert {entry.source for entry in probed.seal.manifest.golden} == {"made"}


def test_the_plan_names_the_images_that_are_sealed(shapes, tmp_path):
    told = []
    recipe = PROBE.changed(golden="own")
    done = finetune(
        "starter",
        open_dataset(shapes),
        out=tmp_path / "x.signet",
        recipe=recipe,
        run=RunSettings(on_plan=told.append),
    )
    (plan,) = told
    assert plan == done.plan
    own = [entry for entry in done.seal.manifest.golden if entry.source == "own"]
    assert own
    named = [line for line in plan.golden if str(shapes) in line]
    assert len(named) == len(own)
    assert all("/train/" in line for line in named)
    assert [line for line in plan.words() if line.startswith("in the seal as evidence")]


def keys_of(value):
    """Every key of nested JSON, in order."""
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in keys_of(part))]
    return [key for part in value for key in keys_of(part)] if isinstance(value, list) else []


def test_keys_of_the_json_are_identifiers_and_the_plan_is_prose(probed):
    plain = json.loads(json.dumps(probed.to_dict()))
    assert all(key.isidentifier() for key in keys_of(plain)), keys_of(plain)
    assert plain["plan"]["images"] == {"training": 60, "validation": 0, "test": 30}
    assert set(plain["plan"]["seconds"]) == {"features", "probe", "closing"}
    words = " ".join(probed.plan.words())
    assert "60 to learn from, 30 for the test" in words
    assert "measuring and sealing" in words


def test_what_the_plan_noted_is_not_said_twice(probed):
    assert probed.plan.notes
    said = [*probed.plan.words(), *probed.words()]
    for note in probed.plan.notes:
        assert sum(note in line for line in said) == 1
    later = dataclasses.replace(
        probed, report=dataclasses.replace(probed.report, notes=(*probed.plan.notes, "new"))
    )
    assert "note: new" in later.words()


def test_a_lead_that_may_be_chance_is_called_so(probed):
    close = dataclasses.replace(
        probed,
        tuned=probed.probe,
        gain=Interval(0.0, 0.0, 0.0),
        validation={"probe": 0.6, "fine-tuned": 0.66},
    )
    (line,) = (line for line in close.words() if line.startswith("sealed: "))
    assert "the probe one, which is not beaten by more than one standard error" in line
    assert "fine-tuned 66.0 %" in close.story().decided


def test_a_tie_is_not_called_better(probed):
    tied = dataclasses.replace(
        probed,
        tuned=probed.probe,
        gain=Interval(0.0, 0.0, 0.0),
        validation={"probe": 0.5, "fine-tuned": 0.5},
    )
    assert not any("better" in line for line in tied.words())
    assert tied.to_dict()["validation"] == {"probe": 0.5, "finetuned": 0.5}


def test_same_seed_same_bytes(probed, shapes, tmp_path):
    again = finetune("starter", open_dataset(shapes), out=tmp_path / "shapes.signet", recipe=PROBE)
    assert timeless(again.seal.path) == timeless(probed.seal.path)
    for path in probed.seal.path.rglob("*"):
        if path.is_file() and path.name not in ("seal.json", "seal.sha256"):
            assert path.read_bytes() == (again.seal.path / path.relative_to(probed.seal.path)).read_bytes()


def test_without_a_test_split_nested_folds_estimate_and_are_called_so(unsplit, tmp_path):
    done = finetune("starter", open_dataset(unsplit), out=tmp_path / "x.signet", recipe=PROBE)
    assert "nested" in done.plan.measured_on
    assert done.report.count == 60
    assert "nested" in open_seal(done.seal.path).manifest.training["measured_on"]


def test_copies_among_the_test_images_are_said(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 8, "test": 4})
    source = folder / "train" / "disc" / "000.png"
    (folder / "test" / "disc" / "copy.png").write_bytes(source.read_bytes())
    done = finetune("starter", open_dataset(folder), out=tmp_path / "x.signet", recipe=PROBE)
    assert any(re.match(r"[1-9] of the 13 test images are copies", note) for note in done.report.notes)


def test_unreadable_images_are_counted_and_named_on_both_sides(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 8, "test": 4})
    (folder / "train" / "disc" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "test" / "square" / "bad.jpg").write_bytes(b"")
    done = finetune("starter", open_dataset(folder), out=tmp_path / "x.signet", recipe=PROBE)
    assert sorted(row.source.rsplit("/", 1)[-1] for row in done.report.unreadable) == ["bad.jpg", "bad.png"]
    assert done.report.count == 12
    assert len(done.to_dict()["unreadable"]) == 2


def test_any_graph_file_can_be_taken_this_far(shapes, tmp_path, floor3):
    pretrained = floor3.graph_model(tmp_path / "model")
    done = finetune(pretrained, open_dataset(shapes), out=tmp_path / "x.signet", recipe=PROBE)
    assert done.seal.weights is None
    assert verify(done.seal.path).ok
    with load(done.seal.path, Classes, engine="onnx") as model:
        assert model.card.labels == ("disc", "square", "stripes")


def test_a_seal_can_be_taught_again(probed, make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 6, "test": 3}, start=500)
    for split in ("train", "test"):
        (folder / split / "stripes").rename(folder / split / "zebra")
    done = finetune(probed.seal.path, open_dataset(folder), out=tmp_path / "x.signet", recipe=PROBE)
    assert done.seal.card.labels == ("disc", "square", "zebra")
    assert done.seal.card.lineage["finetuned_from"]["name"] == probed.seal.card.name
    assert verify(done.seal.path).ok


def test_all_of_it_works_without_torch(shapes, tmp_path):
    code = WITHOUT_TORCH + (
        "from signet.datasets import open_dataset\n"
        "from signet.evaluation import evaluate\n"
        "from signet.finetuning import finetune\n"
        "from signet.models import load\n"
        "from signet.recipes import Recipe\n"
        "from signet.verification import verify\n"
        "data, out = open_dataset(sys.argv[1]), sys.argv[2]\n"
        "done = finetune('starter', data, out=out, recipe=Recipe(golden='made', threads=1))\n"
        "assert done.plan.strategy == 'probe' and any('torch' in why for why in done.plan.why)\n"
        "assert verify(out).ok\n"
        "with load(out) as model:\n"
        "    assert evaluate(model, data).metrics['top1'].value > 0.8\n"
        "assert not {'torch', 'torchvision', 'timm'} & set(sys.modules)\n"
    )
    words = [sys.executable, "-c", code, str(shapes), str(tmp_path / "x.signet")]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr


def test_without_torch_a_training_is_refused_with_the_line_that_installs_it(shapes, tmp_path):
    code = WITHOUT_TORCH + (
        "from signet.datasets import open_dataset\n"
        "from signet.errors import MissingExtra\n"
        "from signet.finetuning import finetune\n"
        "from signet.recipes import Recipe\n"
        "try:\n"
        "    recipe = Recipe(strategy='full')\n"
        "    finetune('starter', open_dataset(sys.argv[1]), out=sys.argv[2], recipe=recipe)\n"
        "except MissingExtra as error:\n"
        "    assert \"pip install 'signet[train]'\" in str(error), error\n"
        "else:\n"
        "    raise SystemExit(1)\n"
    )
    words = [sys.executable, "-c", code, str(shapes), str(tmp_path / "x.signet")]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr


def test_nothing_existing_is_overwritten(probed, shapes):
    before = (probed.seal.path / "seal.json").read_bytes()
    with pytest.raises(AlreadyExists):
        finetune("starter", open_dataset(shapes), out=probed.seal.path, recipe=PROBE)
    assert (probed.seal.path / "seal.json").read_bytes() == before


def test_a_graph_has_nothing_to_train(shapes, tmp_path, floor3):
    pretrained = floor3.graph_model(tmp_path / "model")
    with pytest.raises(BadRequest, match="--strategy probe"):
        finetune(
            pretrained,
            open_dataset(shapes),
            out=tmp_path / "x.signet",
            recipe=PROBE.changed(strategy="full"),
        )


def test_a_model_of_another_task_is_refused(shapes, tmp_path, floor3):
    output = dataclasses.replace(floor3.card().output, head="yolox")
    with pytest.raises(WrongTask):
        finetune(
            floor3.graph_model(tmp_path / "model", output=output, labels=None),
            open_dataset(shapes),
            out=tmp_path / "x.signet",
            recipe=PROBE,
        )


def test_a_test_split_that_cannot_be_read_says_so(make_shapes, tmp_path):
    folder = make_shapes(tmp_path / "data", {"train": 6, "test": 1})
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(BadDataset, match="none of the 3 test images"):
        finetune("starter", open_dataset(folder), out=tmp_path / "x.signet", recipe=PROBE)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_killed_between_the_seal_and_the_end_it_is_resumed_to_the_same_seal(shapes, tmp_path, monkeypatch):
    class Killed(BaseException):
        """Ends the run without a word, as SIGKILL does."""

    def die(_):
        raise Killed

    out = tmp_path / "x.signet"
    with monkeypatch.context() as patch:
        patch.setattr(workplace.Workplace, "remove", die)
        patch.setattr(workplace, "_leave", lambda *_: None)
        with pytest.raises(Killed):
            finetune("starter", open_dataset(shapes), out=out, recipe=PROBE)
    before = (out / "seal.json").read_bytes()
    with pytest.raises(AlreadyExists):
        finetune("starter", open_dataset(shapes), out=out, recipe=PROBE)
    finetune("starter", open_dataset(shapes), out=out, recipe=PROBE, run=RunSettings(resume=True))
    assert (out / "seal.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.signet"]
