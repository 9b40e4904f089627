"""`signet find`; `signet show` where it answers for what was found."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from PIL import Image

from signet.cli.find import count, size
from signet.errors import BadRequest

KEYS = [
    "name", "task", "family", "params", "gmacs", "depth", "size_bytes", "input_size", "licence", "status",
    "claims", "domain", "top1", "ap", "mask_ap", "miou", "year", "paper", "good_for",
]  # fmt: skip


def top1(row):
    return -1 if row["top1"] is None else row["top1"]


def test_json_is_one_list_with_the_keys_of_the_contract(signet):
    ran = signet("find", "--json")
    assert ran.code == 0
    rows = ran.object
    assert len(rows) > 1000
    assert all(list(row) == KEYS for row in rows)
    assert {row["status"] for row in rows} <= {"embedded", "mirrored", "downloadable", "no public weights"}
    claims = [claim for row in rows for claim in row["claims"]]
    assert claims
    keys = ["metric", "value", "dataset", "source", "evaluation_size"]
    assert all(list(claim) == keys for claim in claims)


def test_filters_narrow(signet):
    names = signet("find", "resnet50", "--names").out.split()
    assert names
    assert all("resnet50" in name for name in names)
    few = signet("find", "resnet50", "--max-params", "24M", "--json").object
    assert few
    assert all(row["params"] <= 24_000_000 for row in few)
    assert {row["name"] for row in few} < set(names)


def test_every_model_of_a_permissive_search_states_its_licence(signet):
    ran = signet("find", "--licence", "permissive", "--json")
    assert {row["licence"]["verdict"] for row in ran.object} == {"permissive"}
    assert "licence that is inherited or not stated" in ran.err


def test_sorted_by_accuracy_best_first(signet):
    rows = signet("find", "resnet", "--sort", "top1", "--json").object
    best = [top1(row) for row in rows]
    assert best[0] > 0.7
    assert best == sorted(best, reverse=True)


@pytest.mark.parametrize(
    ("task", "key", "title"),
    [("detect", "ap", "AP"), ("instances", "mask_ap", "mask AP"), ("segment", "miou", "mIoU")],
)
def test_a_task_of_boxes_masks_or_pixels_is_sorted_by_its_own_measure(signet, task, key, title):
    rows = signet("find", "--task", task, "--json").object
    figures = [row[key] for row in rows if row[key] is not None]
    assert len(figures) > 1
    assert figures == sorted(figures, reverse=True)
    assert all(row["top1"] is None for row in rows)
    assert signet("find", "--task", task, "--sort", "accuracy", "--json").object == rows
    by_name = signet("find", "--task", task, "--sort", "name", "--json").object
    assert [row["name"] for row in by_name] == sorted(row["name"] for row in rows)
    table = signet("find", "--task", task).out
    assert title in table.splitlines()[0]
    assert "top-1" not in table
    assert f"{100 * figures[0]:.1f} %" in table.splitlines()[1]
    half = (figures[0] + figures[-1]) / 2
    above = signet("find", "--task", task, f"--min-{key.replace('_', '-')}", str(half), "--json").object
    assert [row[key] for row in above] == [figure for figure in figures if figure >= half]


def test_pareto_keeps_what_no_other_beats(signet):
    rows = signet("find", "--pareto", "params,top1", "--sort", "params", "--json").object
    figures = [(row["params"], top1(row)) for row in rows]
    assert len(figures) > 1
    assert all(small[1] < large[1] for small, large in itertools.pairwise(figures))


def test_detectors_without_public_weights_are_listed_and_told(signet):
    ran = signet("find", "--task", "detect", "--json")
    rows = {row["name"]: row for row in ran.object}
    small = rows["signet/yolov8n"]
    assert list(small) == [*KEYS, "nearest"]
    assert (small["params"], small["gmacs"], small["ap"]) == (3_157_184, 4.35, 0.373)
    assert small["nearest"] in rows
    assert (small["input_size"], small["status"]) == ([640, 640], "no public weights")
    assert "12 of them have no public weights: signet show NAME says why" in ran.err
    names = signet("find", "--family", "yolo*", "--max-gmacs", "6", "--names").out.split()
    assert {"signet/yolov9t", "signet/yolov8n-seg", "signet/yolov8n-cls"} < set(names)
    assert "signet/yolov8s" not in names
    assert set(names) < set(signet("find", "--status", "no public weights", "--names").out.split())


def test_what_nobody_published_is_known_with_its_nearest(signet):
    (row,) = signet("find", "coca_2b", "--json").object
    assert list(row) == [*KEYS, "nearest"]
    assert (row["status"], row["top1"]) == ("no public weights", 0.91)
    shown = signet("show", "signet/coca_2b")
    assert shown.code == 0
    assert "no public weights; nearest: open_clip/coca_ViT-L-14.laion2b_s13b_b90k" in shown.out
    assert signet("show", "signet/coca_2b", "--json").object["nearest"] == row["nearest"]


def test_nothing_found_is_an_answer_too(signet):
    ran = signet("find", "nosuchmodelanywhere")
    assert (ran.code, ran.out) == (0, "")
    assert "loosen a filter" in ran.err
    ran = signet("find", "nosuchmodelanywhere", "--json", "--quiet")
    assert (ran.code, ran.object, ran.err) == (0, [], "")


def test_nothing_found_says_which_filter_is_in_the_way(signet):
    ran = signet("find", "resnet18", "--max-params", "3")
    number = len(signet("find", "resnet18", "--names").out.split())
    assert ran.err == f"no model fits; it would be {number:,} without --max-params\n"
    assert "did you mean 'resnet'" in signet("find", "--family", "Resnt").err


def test_every_limit_holds(signet):
    words = ["--min-top1", "0.8", "--max-size", "30MB", "--min-input", "200", "--max-input", "260"]
    rows = signet("find", *words, "--since", "2018", "--max-gmacs", "3", "--json").object
    assert rows
    for row in rows:
        assert row["top1"] >= 0.8
        assert row["size_bytes"] <= 30_000_000
        assert row["year"] >= 2018
        assert row["gmacs"] <= 3
        assert all(200 <= side <= 260 for side in row["input_size"])
    square = signet("find", "--input-size", "224", "--json").object
    assert {tuple(row["input_size"]) for row in square} == {(224, 224)}


def test_models_whose_figure_nobody_knows_are_left_out_and_counted(signet):
    ran = signet("find", "open_clip", "--max-size", "1GB")
    assert "more models could fit, whose size_bytes is not known; left out" in ran.err


@pytest.mark.parametrize(
    "key", ["accuracy", "size", "input", "parameters", "year", "depth", "family", "licence"]
)
def test_sorted_by_any_key(signet, key):
    assert signet("find", "resnet50", "--sort", key, "--names").out


def test_who_is_dominated_is_named_once_at_one_that_beats_it(signet):
    ran = signet("find", "resnet", "--task", "classify", "--pareto", "accuracy,params", "--json")
    front = ran.object
    everyone = {row["name"]: row for row in signet("find", "resnet", "--task", "classify", "--json").object}
    beaten = [name for row in front for name in row["dominates"]]
    assert len(beaten) == len(set(beaten)) > 100
    assert f"{len(beaten):,} models are dominated in accuracy, params" in ran.err
    assert not {row["name"] for row in front} & set(beaten)
    for row in front:
        assert list(row) == [*KEYS, "dominates"]
        for name in row["dominates"]:
            other = everyone[name]
            assert row["top1"] >= other["top1"]
            assert row["params"] <= other["params"]
    table = signet("find", "resnet", "--task", "classify", "--pareto", "accuracy,params").out
    assert "beats" in table.splitlines()[0]


def test_accuracy_against_size_is_drawn(signet, tmp_path):
    file = tmp_path / "plot.png"
    ran = signet("find", "efficientnet", "--plot", file, "--names")
    assert ran.code == 0
    with Image.open(file) as picture:
        assert (picture.format, picture.size) == ("PNG", (1600, 1000))
    assert signet("find", "efficientnet", "--plot", file, "--names").code == 2
    assert signet("find", "efficientnet", "--plot", file, "--names", "--overwrite").code == 0
    assert signet("find", "efficientnet", "--plot", tmp_path / "plot.svg").code == 2


@pytest.mark.parametrize(
    ("task", "words"),
    [("detect", "AP, COCO test-dev, COCO val2017"), ("segment", "mIoU, COCO val2017, the 20 classes of")],
)
def test_the_picture_of_detectors_is_of_their_own_measure(signet, tmp_path, monkeypatch, task, words):
    from signet import charts

    drawn = charts.accuracy_against_size
    seen = []

    def spy(points, source, measure):
        seen.append((len(points), measure))
        return drawn(points, source, measure)

    monkeypatch.setattr(charts, "accuracy_against_size", spy)
    assert signet("find", "--task", task, "--plot", tmp_path / "plot.png").code == 0
    ((count, measure),) = seen
    assert count == len(signet("find", "--task", task, "--json").object)
    assert measure.startswith(words)
    none = signet("find", "--task", "embed", "starter", "--plot", tmp_path / "none.png")
    assert (none.code, "both top-1 and parameters known" in none.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--sort", "parms"],
        ["--status", "here"],
        ["--max-params", "ten"],
        ["--task", "clasify"],
        ["--max-gmacs", "nan"],
        ["--max-gmacs", "-1"],
        ["--min-top1", "80"],
        ["--min-mask-ap", "40"],
        ["--max-size", "heavy"],
    ],
)
def test_wrong_filters_are_2(signet, words):
    ran = signet("find", *words)
    assert (ran.code, ran.out) == (2, "")
    assert words[1] in ran.err


def test_a_wrong_sort_key_has_near_misses(signet):
    assert "Did you mean 'params'" in signet("find", "--sort", "parms").err


def test_a_wrong_task_and_a_mistyped_text_have_near_misses(signet):
    assert "Did you mean 'classify'" in signet("find", "--task", "clasify").err
    assert "did you mean 'mobilenet'" in signet("find", "mobilnet").err


def test_table_holds_every_model_and_counts_them_on_stderr(signet):
    ran = signet("find", "resnet18")
    names = signet("find", "resnet18", "--names").out.split()
    assert all(name in ran.out for name in names)
    assert ran.err.endswith(f"{len(names)} models\n")
    assert len(ran.out.splitlines()) == len(names) + 1


@pytest.mark.parametrize(
    ("text", "value"), [("10M", 10**7), ("1.5k", 1500), ("2B", 2 * 10**9), ("7", 7), ("3g", 3 * 10**9)]
)
def test_counts(text, value):
    assert count(text) == value


@pytest.mark.parametrize("text", ["", "M", "ten", "1e", "-3M", "nan", "inf"])
def test_counts_that_are_none(text):
    with pytest.raises(BadRequest):
        count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("50MB", 5 * 10**7), ("48MiB", 48 * 2**20), ("1.5g", 15 * 10**8), ("700", 700), ("2KB", 2000)],
)
def test_sizes(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "MB", "i", "big", "-1MB", "inf"])
def test_sizes_that_are_none(text):
    with pytest.raises(BadRequest):
        size(text)


QUICK = ["find", "--task", "classify", "--max-params", "10M", "--licence", "permissive", "--sort", "top1"]
OFF_THE_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from signet.cli.main import main
raise SystemExit(main(sys.argv[1:]))
"""


LOADED = """
import contextlib, io, sys
from signet.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_an_answer_loads_no_library_of_arrays_or_networks():
    """What makes an answer quick: nothing is imported that takes longer to load than the answer itself."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *QUICK], capture_output=True, check=True, encoding="utf-8"
    )
    loaded = set(ran.stdout.split())
    assert {"signet", "typer", "pydantic_core"} <= loaded
    heavy = {
        "numpy",
        "scipy",
        "PIL",
        "torch",
        "timm",
        "openvino",
        "onnxruntime",
        "sklearn",
        "rich",
        "pyarrow",
    }
    assert not loaded & heavy


@pytest.mark.parametrize("words", [QUICK, ["show", "resnet50"], ["show", "timm/resnet50.a1_in1k"]])
def test_finding_and_showing_never_ask_the_network(words):
    done = subprocess.run(
        [sys.executable, "-c", OFF_THE_NETWORK, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
