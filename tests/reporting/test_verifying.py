"""The page of a verdict: pictures of the first stage that differs, answers, the layer, and flips."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from signet.errors import BadInput
from signet.exhibits import Exhibit
from signet.flips import Cost, Flip, Flips
from signet.images import Image
from signet.records import Interval, LayerCheck, StageCheck, Verdict
from signet.reporting import render, verdict_page
from signet.reporting.page import Pictures, Scenes

HOSTILE = "<script>alert(1)</script>"


def _verdict(stage: str | None, **changes) -> Verdict:
    names = ("integrity", "read", "resize", "normalise", "network", "decision")
    stages = tuple(StageCheck(name, name != stage, 0.0 if name != stage else 66.0, 0.0) for name in names)
    plain = Verdict(stage is None, "a" * 64, stages, stage, 1, 2, "onnx", "fp32", "said in words")
    return dataclasses.replace(plain, **changes)


def _read(source: str) -> Image:
    if "gone" in source:
        raise BadInput("it is gone")
    return Image(np.full((20, 30, 3), 90, np.uint8), source)


def _exhibits(dtype=np.uint8) -> list[Exhibit]:
    before = np.zeros((12, 16, 3), dtype)
    after = before.copy()
    after[3, 4] = 40
    top = ((HOSTILE, 0.7), ("bee", 0.2))
    return [
        Exhibit(Path("golden/0.jpg"), before, after, top, top),
        Exhibit(Path("golden/gone.jpg"), before, before, top, (("bee", 0.6),)),
    ]


def test_a_stage_of_pictures_is_shown_as_sealed_now_and_apart():
    page = verdict_page(_verdict("resize"), _exhibits(), name="birds.signet", read=_read)
    (scenes,) = [section for section in page.sections if isinstance(section, Scenes)]
    first, second = scenes.scenes
    assert [caption for caption, _ in first.pictures] == [
        "as sealed", "now", "difference, up to 40 levels of 255",
    ]  # fmt: skip
    assert all(data.startswith("data:image/") for _, data in first.pictures)
    assert first.note.endswith("of the pixels differ")
    assert second.note == "no difference"
    assert page.title == "It first differs at 'resize': the resized picture"


def test_channels_first_and_numbers_are_pictures_too_and_other_sizes_are_told():
    exhibit = _exhibits(np.float32)[0]
    turned = dataclasses.replace(
        exhibit, expected=exhibit.expected.transpose(2, 0, 1), found=exhibit.found.transpose(2, 0, 1)
    )
    smaller = dataclasses.replace(exhibit, found=exhibit.found[:6])
    missing = dataclasses.replace(exhibit, found=None)
    page = verdict_page(_verdict("normalise"), [turned, smaller, missing], name="x", read=_read)
    (scenes,) = [section for section in page.sections if isinstance(section, Scenes)]
    assert [len(scene.pictures) for scene in scenes.scenes] == [3, 2]
    assert scenes.scenes[0].pictures[2][0] == "difference, up to 40"
    assert scenes.scenes[1].note == "sizes differ: 16 x 12 and 16 x 6 pixels"


def test_a_clean_verdict_needs_no_pictures():
    page = verdict_page(_verdict(None), (), name="birds.signet")
    assert page.title == "It answers as it did"
    html = render(page)
    assert "said in words" in html
    assert "Content-Security-Policy" in html


def test_the_layer_the_answers_and_the_flips_are_on_the_page_and_escaped():
    layer = LayerCheck("blocks.2/Clip", "Clip", 1.11, 0.006, "blocks.2/Conv", 0, "Relu in place of Clip")
    share = Interval(0.5, 0.2, 0.8)
    flips = Flips(
        reference="onnx in fp32",
        judged="mine.onnx",
        images=10,
        unanswered=1,
        per_thousand=Interval(200.0, 50.0, 500.0),
        flips=(
            Flip("a/one.jpg", HOSTILE, 0.6, "bee", 0.5, "ant"),
            Flip("a/gone.jpg", "2 objects", None, "3 objects", None, "", "bee 0.9 at 1, 2, 3, 4"),
        ),
        cost=Cost(10, share, share, Interval(-0.1, -0.3, 0.1), 2, 1, 1.0),
        notes=("a note",),
    )
    verdict = _verdict("network", layer=layer, flips=flips)
    page = verdict_page(verdict, _exhibits(), name=HOSTILE, read=_read)
    html = render(page)
    assert HOSTILE not in html
    assert "blocks.2/Conv" in html
    assert "Relu in place of Clip" in html
    assert "2 and 1" in html
    grids = [section for section in page.sections if isinstance(section, Pictures)]
    assert [len(grid.pictures) for grid in grids] == [2, 2]
    assert [picture.note for picture in grids[0].pictures] == ["the same decision", "another decision"]
    assert grids[1].pictures[0].names == ("reference", "now")
    assert grids[1].pictures[1].data == ""


@pytest.mark.parametrize("stage", ["integrity", "signature"])
def test_a_seal_that_is_not_whole_has_a_page_without_pictures(stage):
    html = render(verdict_page(_verdict(stage), (), name="birds.signet"))
    assert "It first differs at" in html
