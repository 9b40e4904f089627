"""The fault suite: what counts as noticed, the consumer of boxes, the table."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIZE = (208, 416)
"""Of the picture, so that the letterbox shows it as it is, with grey below."""


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def part(name: str) -> Any:
    return importlib.import_module(f"faults.{name}")


def fails(watch: Any) -> None:
    raise ValueError("no such\n thing")


def fails_later(watch: Any) -> None:
    watch.using("predicting")
    fails(watch)


def warns(watch: Any) -> None:
    warnings.warn("are you sure?", UserWarning, stacklevel=2)


def is_old(watch: Any) -> None:
    warnings.warn("use the new one", DeprecationWarning, stacklevel=2)
    watch.using("predicting")


@pytest.mark.parametrize(
    ("program", "when", "message"),
    [
        (fails, "before use", "ValueError: no such thing"),
        (fails_later, "at use", "ValueError: no such thing"),
        (warns, "before use", "UserWarning: are you sure?"),
        (is_old, "not", ""),
    ],
)
def test_an_error_or_a_warning_is_a_notice_and_a_deprecation_is_none(program, when, message):
    found = part("noticing").watched("a fault", "a library", program)
    assert (found.when, found.message) == (when, message)


def test_a_record_goes_on_where_it_was(tmp_path):
    noticing = part("noticing")
    record = noticing.Record(tmp_path / "noticed.jsonl")
    assert not record.has("a", "b")
    record.add(noticing.Noticed("a", "b", "not", "predicting"))
    assert noticing.Record(tmp_path / "noticed.jsonl").has("a", "b")
    assert not record.has("a", "c")


def raw(boxes: list[tuple[float, float, float, float, float]]) -> np.ndarray:
    """YOLOX's grid: boxes of class 0 as corners and score, each in a cell of its own on the finest level."""
    table = np.zeros((3549, 85), np.float32)
    for number, (left, top, right, bottom, score) in enumerate(boxes):
        table[number, :4] = (
            (left + right) / 16 - number,
            (top + bottom) / 16,
            *np.log([(right - left) / 8, (bottom - top) / 8]),
        )
        table[number, 4:6] = 1.0, score
    return table[None]


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "picture.png"
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(file)
    return file


def boxer(*boxes: tuple[float, float, float, float, float]) -> Any:
    return part("detectors").Boxer(lambda shown: raw(list(boxes)), [f"kind {place}" for place in range(80)])


def told(one: Any, picture: Path) -> list[list[float]]:
    line, _ = one(picture)
    return [[round(value, 2) for value in row["xyxy"]] for row in line["boxes"]]


def injected(name: str, one: Any) -> Any:
    (fault,) = (each for each in part("detectors").FAULTS if each.name == name)
    return fault.inject(one)


def test_the_consumer_of_boxes_finds_its_way_home(picture):
    assert told(boxer((40, 60, 140, 160, 0.9)), picture) == [[40, 60, 140, 160]]


def test_another_threshold_keeps_fewer_boxes(picture):
    half = boxer((40, 60, 140, 160, 0.9), (70, 60, 170, 160, 0.8))  # they overlap by 70 in 130
    assert len(told(half, picture)) == 2
    assert len(told(injected("another NMS threshold", half), picture)) == 1


def test_sides_in_place_of_corners_and_the_wrong_names_are_told(picture):
    one = boxer((40, 60, 140, 160, 0.9))
    assert told(injected("answers as xywh", one), picture) == [[40, 60, 100, 100]]
    labels = injected("labels by identifier", one).labels
    assert (labels[0], labels[10], labels[11]) == ("kind 0", "kind 10", "")
    assert labels[12] == "kind 11"


def test_a_centred_letterbox_shows_the_picture_lower(picture):
    one = boxer((40, 60, 140, 160, 0.9))
    _, sound = one(picture)
    _, centred = injected("letterbox centred", one)(picture)
    assert (sound["resize"][0, 0] == 0).all()
    assert (centred["resize"][0, 0] == 114).all()


def test_the_table_has_every_mistake_once_and_what_was_not_asked_is_not_silent():
    table = part("table")
    names = list(table.names())
    assert len(names) == len(set(names)) >= 45
    rows = [{"fault": names[0], "system": "signet", "when": "before use", "by": "", "message": ""}]
    costs = {names[0]: {"sound": 0.9, "faulty": 0.75, "count": 125, "figure": "top1"}}
    first = next(
        line for line in table.markdown(rows, costs).splitlines() if line.startswith(f"| {names[0]}")
    )
    assert first.endswith("| ● | ? | ? | ? | ? | ? | 15.0 |")
    assert "| signet | 1 | 0 | 0 | 0 | 0 |" in table.counted(rows)


def test_the_csv_names_no_path_of_the_machine(tmp_path):
    table = part("table")
    name = table.names()[0]
    row = {
        "fault": name,
        "system": "timm",
        "when": "at use",
        "by": "predicting",
        "message": f"OSError: {tmp_path}/planted/one is not sound",
    }
    table.write_csv([row, row | {"fault": "none: predicting"}], {}, tmp_path / "table.csv", tmp_path)
    text = (tmp_path / "table.csv").read_text("utf-8")
    assert "OSError: planted/one is not sound" in text
    assert str(tmp_path) not in text
    assert "none: predicting" not in text


def test_mirrored_pictures_keep_their_boxes_and_corners_are_told_as_sides(tmp_path):
    truths = part("truths")
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :10] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    stated = {
        "images": [{"file_name": "a.png"}],
        "annotations": [{"bbox": [0, 0, 10, 20], "category_id": 7}],
        "categories": [{"id": 3}, {"id": 7}],
    }
    before = json.loads(json.dumps(stated))
    truths.TRUTHS["boxes not flipped with the image"][0](stated, tmp_path)
    assert stated == before
    assert (np.asarray(Image.open(tmp_path / "a.png"))[:, -10:] == 255).all()
    truths.TRUTHS["identifiers remapped wrongly"][0](stated, tmp_path)
    assert stated["annotations"][0]["category_id"] == 1
