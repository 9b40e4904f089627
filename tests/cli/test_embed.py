"""`signet embed`: vectors with their sources."""

from __future__ import annotations

import json

import numpy as np
import pytest

COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float32)


def sources_of(path):
    return json.loads(path.with_name(path.name + ".sources.json").read_text())


def test_npy_with_sources(signet, classifier, pictures, tmp_path):
    out = tmp_path / "new" / "v.npy"
    ran = signet("embed", classifier, pictures[0].parent, "--out", out)
    assert (ran.code, ran.out) == (0, "")
    assert f"12 vectors of 3 numbers in {out}" in ran.err
    vectors = np.load(out, allow_pickle=False)
    assert vectors.dtype == np.float32
    assert vectors.shape == (12, 3)
    assert np.abs(vectors - COLOURS[np.arange(12) % 4]).max() < 0.02
    assert sources_of(out) == [str(path) for path in pictures]


def test_parquet(signet, classifier, pictures, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "v.parquet"
    assert signet("embed", classifier, *pictures, "--out", out).code == 0
    table = parquet.read_table(out).to_pydict()
    assert table["source"] == [str(path) for path in pictures]
    assert np.abs(np.array(table["vector"]) - COLOURS[np.arange(12) % 4]).max() < 0.02


def test_json_and_what_could_not_be_read(signet, classifier, pictures, tmp_path):
    broken = tmp_path / "broken\n.jpg"
    broken.write_bytes(b"no picture")
    out = tmp_path / "v.npy"
    ran = signet("embed", classifier, pictures[0], broken, pictures[1], "--out", out, "--json")
    assert ran.code == 0
    plain = ran.object
    assert list(plain) == ["out", "count", "width", "sources", "failed", "engine", "precision"]
    assert (plain["out"], plain["count"], plain["width"]) == (str(out), 2, 3)
    assert plain["sources"] == sources_of(out)
    assert [row["source"] for row in plain["failed"]] == [str(broken)]
    assert sources_of(out) == [str(path) for path in pictures[:2]]
    left_out = [line for line in ran.err.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 1
    assert left_out[0].count("broken") == 1


def test_a_list(signet, classifier, pictures, tmp_path):
    (tmp_path / "names").write_text(f"{pictures[3]}\n{pictures[2]}\n")
    out = tmp_path / "v.npy"
    assert signet("embed", classifier, "--list", tmp_path / "names", "--out", out).code == 0
    assert sources_of(out) == [str(pictures[3]), str(pictures[2])]


@pytest.mark.parametrize("there", ["v.npy", "v.npy.sources.json"])
def test_nothing_is_overwritten(signet, classifier, pictures, tmp_path, there):
    (tmp_path / there).write_text("mine")
    words = ["embed", classifier, pictures[0], "--out", tmp_path / "v.npy"]
    ran = signet(*words)
    assert ran.code == 2
    assert there in ran.err
    assert "tests/colours" not in ran.err
    assert (tmp_path / there).read_text() == "mine"
    assert signet(*words, "--overwrite").code == 0
    assert np.load(tmp_path / "v.npy").shape == (1, 3)


def test_none_readable_leaves_nothing_and_is_1(signet, classifier, tmp_path):
    ran = signet("embed", classifier, "nothing.jpg", "--out", tmp_path / "v.npy")
    assert (ran.code, ran.out) == (1, "")
    assert "nothing.jpg" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x.jpg", "--out", "v.txt"], ".npy or .parquet"),
        (["x.jpg"], "--out"),
        (["--out", "v.npy"], "--list FILE"),
        (["x.jpg", "--out", "v.npy", "--pool", "max"], "--pool"),
        (["x.jpg", "--out", "v.npy", "--layer", "poled"], "Did you mean 'pooled'"),
    ],
)
def test_wrong_requests_are_2(signet, classifier, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    ran = signet("embed", classifier, *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert list(tmp_path.iterdir()) == []


def test_the_starter_embeds(signet, pictures, tmp_path):
    out = tmp_path / "v.npy"
    ran = signet("embed", "starter", *pictures[:4], "--out", out, "--json")
    assert (ran.code, ran.object["count"], ran.object["width"]) == (0, 4, 512)
    vectors = np.load(out)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_a_layer_by_a_name_that_show_gives(signet, classifier, pictures, tmp_path):
    shown = signet("show", classifier, "--layers", "--json")
    assert shown.code == 0
    assert "pooled" in shown.object["layers"]
    out = tmp_path / "v.npy"
    assert signet("embed", classifier, *pictures, "--layer", "pooled", "--out", out).code == 0
    vectors = np.load(out, allow_pickle=False)
    assert np.abs(vectors - COLOURS[np.arange(12) % 4]).max() < 0.02
