"""Every system of the list has a line without an empty cell, the published count, and a network that works.

What is run here is a small part; `make catalogue` runs more, and `make catalogue LARGE=1` the rest.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from dataclasses import astuple
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("torchvision")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import catalogue_checks as checks  # noqa: E402
import catalogue_records as records  # noqa: E402
import catalogue_table as table  # noqa: E402
from signet.catalogue.systems import systems  # noqa: E402

SMALL = {
    "torchvision/alexnet.imagenet1k_v1": 96,
    "torchvision/googlenet.imagenet1k_v1": 128,
    "timm/mobilenetv2_100.ra_in1k": 96,
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k": None,
    "signet/efficientnet_b0": 96,
    "signet/inception_v2": 96,
    "keras/mobilenet.imagenet": 96,
    "signet/yolov8n-cls": 64,
    "signet/yolov8n-seg": 64,
    "signet/yolov7-tiny": 128,
}


def _need(library):
    """Skip where it is not installed; an import here would let Keras choose a backend."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


@pytest.fixture(scope="module")
def found():
    _need("keras")
    _need("open_clip")
    return list(table.lines(run=False))


@pytest.mark.slow
def test_every_cell_has_words_and_every_count_is_the_published_one(found):
    assert [fault for _, faults in found for fault in faults] == []
    assert all(cell.strip() for line, _ in found for cell in astuple(line))
    assert not [line.cards for line, _ in found if "not in the index" in line.built]


@pytest.mark.slow
def test_the_counts_are_to_the_unit(found):
    built = {line.cards: line.built for line, _ in found}
    assert built["torchvision/vgg19.imagenet1k_v1"] == "143,667,240"
    assert built["keras/inceptionv3.imagenet"] == "23,851,784"
    assert built["keras/resnet50.imagenet"] == "25,636,712"
    assert built["signet/densenet264"] == "33,337,704"
    assert built["signet/bit_l_r152x4"] == "936,533,224"
    assert built["signet/efficientnet_l2_mpl"] == "480,309,308"


def test_every_system_of_the_list_has_a_row(shared):
    with (shared / "data" / "systems.csv").open(newline="", encoding="utf-8") as opened:
        wanted = {row["system"] for row in csv.DictReader(opened)}
    assert wanted == {row.system for row in systems()}
    assert len(systems()) >= len(wanted)


@pytest.mark.parametrize("name", SMALL)
def test_it_runs_learns_and_is_frozen_where_asked(name):
    if name.startswith("keras/"):
        _need("keras")
    assert [phase for phase, _ in checks.works(name, 2, SMALL[name])] == list(records.PHASES)


def test_a_wrong_count_is_a_fault(monkeypatch):
    monkeypatch.setattr(table, "count", lambda _: 61_100_841)
    ((_, faults),) = table.lines("alexnet", run=False)
    assert any("61,100,841; published are 61,100,840" in fault for fault in faults)
    assert any("its card says 61,100,840" in fault for fault in faults)


@pytest.mark.slow
def test_a_yolo_is_held_to_its_published_size(monkeypatch):
    for variant in ("YOLOv8n-seg", "YOLOv9-T", "YOLOv7-tiny"):
        ((line, faults),) = (row for row in table.lines(variant, run=False))
        assert faults == []
        assert line.built.endswith("M in inference)")
    assert (line.built, line.forward) == ("6,228,762 (6.2 M in inference)", "run by make catalogue")
    network = dataclasses.replace(table.NETWORKS["yolov7-tiny"], stated=(6.3, 13.7))
    monkeypatch.setitem(table.NETWORKS, "yolov7-tiny", network)
    ((_, faults),) = table.lines("YOLOv7-tiny", run=False)
    assert faults == ["YOLOv7-tiny: signet/yolov7-tiny has 6.22 M in inference; published 6.3"]
    ((line, _),) = table.lines("YOLOv7-W6", run=False)
    assert line.built == "not carried yet"


def test_a_stated_figure_far_from_the_published_one_must_be_explained(monkeypatch):
    (row,) = [row for row in systems() if row.variant == "DenseNet-264"]
    faults: list[str] = []
    assert table._stated(row, faults) == "22 M (explained in show)"
    assert not faults
    table._stated(type(row)(**{**row.to_dict(), "explains": ""}), faults)
    assert "say why" in faults[0]


def _network(**changes):
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 5, 3, 2)]
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(5, 10)]
    module = torch.nn.Sequential(*layers)
    for name, value in changes.items():
        module.register_parameter(name, value)
    return checks.Subject(lambda: module, (16, 16), "5", "test")


def test_a_parameter_without_a_gradient_is_found(monkeypatch):
    monkeypatch.setattr(checks, "subject", lambda _: _network(unused=torch.nn.Parameter(torch.ones(3))))
    with pytest.raises(checks.Failed, match=r"without a gradient: \['unused'\]"):
        list(checks.works("test", 2))


def test_an_object_detector_that_answers_no_numbers_is_found(monkeypatch):
    found = checks.subject("signet/yolov9t")
    build = found.source.build

    def broken():
        module = build()
        with torch.no_grad():
            next(module.parameters()).fill_(float("nan"))
        return module

    source = dataclasses.replace(found.source, build=broken)
    monkeypatch.setattr(checks, "subject", lambda _: dataclasses.replace(found, source=source))
    with pytest.raises(checks.Failed, match=r"predictions is \(1, 84, 84\), finite: False"):
        list(checks.works("test", 1, 64))


def test_frozen_statistics_that_move_are_found(monkeypatch):
    from signet.training import freezing

    monkeypatch.setattr(checks, "subject", lambda _: _network())
    assert dict(checks.works("test", 2))["tune"].startswith("4 tensors moved (0 statistics)")
    monkeypatch.setattr(freezing, "set_learning_mode", lambda module, *_: module.train())
    with pytest.raises(checks.Failed, match=r"moved 3 that are frozen \(\['1.num_batches_tracked'"):
        list(checks.works("test", 2))


def test_numbers_that_are_not_finite_are_found(monkeypatch):
    broken = _network()
    with torch.no_grad():
        broken.build()[0].weight.fill_(float("inf"))
    monkeypatch.setattr(checks, "subject", lambda _: broken)
    assert records.outcome(lambda: checks.works("test", 2))[0].startswith("FAILED: forward gives (2, 10)")


def test_records_are_kept_and_only_failures_run_again(monkeypatch, tmp_path):
    ran: list[str] = []

    def run(name):
        ran.append(name)
        return ("FAILED: x" if name == "b" else "ok", "ok", "ok"), 5

    monkeypatch.setattr(records, "_run", run)
    file = tmp_path / "records.csv"
    records.run_all(["a", "b"], again=False, file=file)
    records.run_all(["a", "b"], again=False, file=file)
    assert ran == ["a", "b", "b"]
    kept = records.read(file)
    assert kept["a"].cells == ("ok", "ok", "ok")
    assert kept["b"].forward == "FAILED: x"


def test_less_is_tried_where_memory_ends_and_what_was_reached_stays(monkeypatch):
    answers = {
        (2, None, False): ({"forward": "at 800"}, 9, "memory"),
        (1, None, False): ({"forward": "at 800, 1"}, 9, "memory"),
        (1, None, True): ({"forward": "at 800, 1"}, 8, "memory"),
        (1, 480, False): ({"forward": "at 480", "backward": "at 480", "tune": "yes"}, 7, ""),
    }
    monkeypatch.setattr(records, "_child", lambda _, *step: answers[step])
    monkeypatch.setattr(checks, "subject", lambda _: checks.Subject(lambda: None, (800, 800), "", ""))
    monkeypatch.setattr(records, "_gigabytes", lambda: 20.0)
    backward = "at 480, since 800 px take more than 20 GB"
    assert records._run("x") == (("at 800", backward, "yes"), 9)
