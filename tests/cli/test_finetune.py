"""`signet finetune` with the probe: keys, exit codes, the plan, and a seal that stands on its own."""

from __future__ import annotations

import json
import shutil

import pytest

KEYS = {"seal", "plan", "metrics", "probe", "seconds"}


@pytest.fixture(scope="module")
def dataset(tiny, tmp_path_factory):
    """A folder of four classes of colour, twelve pictures each, and one that is none; not to be changed."""
    folder = tmp_path_factory.mktemp("dataset")
    for number, path in enumerate(tiny.make_pictures(folder / "all", 48)):
        place = folder / "data" / f"{tiny.answer(number)} things" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    (folder / "data" / "red things" / "broken.png").write_bytes(b"no picture")
    return folder / "data"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture
def tuned(signet, dataset, kept):
    """A finished run, made once: (its object, its seal)."""
    out, place = kept / "x.signet", kept / "ran.json"
    if not place.exists():
        words = ["--strategy", "probe", "--golden", "made", "--seed", "1"]
        ran = signet("finetune", "starter", dataset, "--out", out, *words, "--json")
        assert ran.code == 0, ran.err
        place.write_text(json.dumps({"object": ran.object, "err": ran.err}))
    return json.loads(place.read_text()), out


def test_json_has_the_keys_of_the_contract(tuned):
    ran, out = tuned
    assert ran["object"].keys() >= KEYS
    assert ran["object"]["seal"] == str(out)
    assert ran["object"]["metrics"]["top1"]["value"] > 0.9  # four plain colours
    assert ran["object"]["metrics"]["top1"]["low"] < ran["object"]["metrics"]["top1"]["high"]


def test_the_plan_is_said_before_the_end(tuned):
    ran, _ = tuned
    assert "plan\n" in ran["err"]
    assert "folder, 49 images, 4 labels" in ran["err"]


def test_what_could_not_be_read_is_named(tuned):
    ran, _ = tuned
    assert "broken.png" in json.dumps(ran["object"]) + ran["err"]


def test_the_seal_verifies_and_predicts(signet, tuned, dataset, tiny):
    _, out = tuned
    assert signet("verify", out).code == 0
    rows = signet("predict", out, dataset / "blue things", dataset / "green things", "--top", "1").lines
    assert [row["top"][0]["label"] for row in rows] == ["blue things"] * 12 + ["green things"] * 12


def test_same_seed_same_seal(signet, tuned, dataset, tmp_path):
    _, first = tuned
    second = tmp_path / "again.signet"
    words = ["--strategy", "probe", "--golden", "made", "--seed", "1"]
    assert signet("finetune", "starter", dataset, "--out", second, *words).code == 0
    for path in first.rglob("*"):
        if path.suffix in (".onnx", ".safetensors"):
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_for_a_person(signet, classifier, dataset, tmp_path):
    out = tmp_path / "x.signet"
    words = ["--strategy", "probe", "--golden", "made"]
    ran = signet("finetune", classifier, dataset, "--out", out, *words)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split()[:3] == ["sealed", "model", "value"]
    assert ran.out.splitlines()[-1] == f"sealed: {out}"
    assert f"signet verify {out}" in ran.err


def test_nothing_is_overwritten_and_nothing_slow_is_done_before_that_is_said(signet, tuned, dataset):
    _, out = tuned
    before = (out / "seal.json").read_bytes()
    ran = signet("finetune", "starter", dataset, "--out", out, "--strategy", "probe")
    assert (ran.code, ran.out) == (2, "")
    assert f"{out} exists already" in ran.err
    assert "--overwrite" in ran.err
    assert (out / "seal.json").read_bytes() == before


def test_another_report_is_not_overwritten(signet, dataset, tmp_path):
    report = tmp_path / "x.report.html"
    report.write_text("mine")
    ran = signet("finetune", "starter", dataset, "--out", tmp_path / "x.signet", "--strategy", "probe")
    assert (ran.code, ran.out) == (2, "")
    assert "x.report.html" in ran.err
    assert report.read_text() == "mine"


def test_the_report_stands_beside_the_seal(tuned):
    ran, out = tuned
    report = out.with_name("x.report.html")
    assert ran["object"]["report"] == str(report)
    assert report.read_text("utf-8").lstrip().lower().startswith("<!doctype html>")


def test_a_recipe_file(signet, dataset, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('strategy = "probe"\ngolden = "made"\nseed = 3\n')
    ran = signet("finetune", "starter", dataset, "--out", tmp_path / "x.signet", "--recipe", recipe)
    assert ran.code == 0, ran.err
    recipe.write_text('strategy = "probe"\nsead = 3\n')
    ran = signet("finetune", "starter", dataset, "--out", tmp_path / "y.signet", "--recipe", recipe, "--json")
    assert ran.code == 2
    assert "seed" in ran.object["error"]["message"]
    assert not (tmp_path / "y.signet").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--strategy", "lore"], 2), (["--golden", "fools"], 2), (["--recipe", "nothing.toml"], 1)],
)
def test_wrong_requests(signet, dataset, tmp_path, words, code):
    ran = signet("finetune", "starter", dataset, "--out", tmp_path / "x.signet", *words)
    assert ran.code == code
    assert ran.out == ""
    assert words[1] in ran.err
    assert list(tmp_path.iterdir()) == []


def test_datasets_that_cannot_be_learned(signet, dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copytree(dataset / "red things", tmp_path / "one" / "red")
    for name in ("nothing", "empty", "one"):
        out = tmp_path / "x.signet"
        ran = signet("finetune", "starter", tmp_path / name, "--out", out, "--strategy", "probe")
        assert ran.code == 1, name
        assert name in ran.err
        assert not out.exists()


def test_a_preset_and_no_audit(signet, dataset, tmp_path):
    few = tmp_path / "few"
    for folder in sorted(path for path in dataset.iterdir() if path.is_dir()):
        (few / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:4]:
            shutil.copy(path, few / folder.name)
    words = ["--preset", "few-shot", "--no-audit", "--golden", "made"]
    ran = signet("finetune", "starter", few, "--out", tmp_path / "x.signet", *words, "--json")
    assert ran.code == 0, ran.err
    assert ran.object["plan"]["why"][0] == "preset few-shot: strategy = probe"
    assert ran.object["search"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "probe", "--search", "60"], "strength is searched anyway"),
        (["--strategy", "probe", "--head", "mlp"], "a probe is linear"),
        (["--search", "0"], "search_seconds"),
        (["--preset", "few"], "few-shot"),
        (["--adaptation", "coral"], "got no target"),
        (["--target", "x", "--adaptation", "coral", "--head", "mlp"], "expected a linear head"),
    ],
)
def test_options_that_do_not_go_together(signet, dataset, tmp_path, words, said):
    ran = signet("finetune", "starter", dataset, "--out", tmp_path / "x.signet", *words)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


@pytest.mark.slow
def test_rates_are_tried_and_nothing_is_sealed(signet, dataset, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "x.signet"
    words = ["--strategy", "full", "--set", "input_size=64", "--set", "batch=16", "--threads", "1"]
    ran = signet("finetune", "starter", dataset, "--out", out, *words, "--find-rate", "--json")
    assert ran.code in (0, 1), ran.err
    assert ran.object.keys() == {"head_rate", "backbone_rate", "steps", "page"}
    assert (ran.code == 1) == (ran.object["head_rate"] is None)
    assert "Learning rates, tried" in (tmp_path / "x.rates.html").read_text()
    assert not out.exists()
    again = signet("finetune", "starter", dataset, "--out", out, *words, "--find-rate")
    assert again.code == 2
    assert "x.rates.html" in again.err


def test_a_stage_that_is_none_and_a_setting_that_is_none_are_asked_wrongly(signet, dataset, tmp_path):
    out = tmp_path / "x.signet"
    ran = signet("finetune", "starter", dataset, "--out", out, "--set", "optimiser=sgd")
    assert ran.code == 2
    assert "Did you mean 'optimizer'" in ran.err
    ran = signet("finetune", "starter", dataset, "--out", out, "--strategy", "head", "--freeze", "stem")
    assert ran.code == 2
    assert "got 'head', which leaves all of them as they are" in ran.err
