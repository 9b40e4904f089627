"""Pages of objects and pixels: every part is there, pictures show what they should, names stay put."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.errors import BadInput
from signet.images import Image
from signet.instances import Instances
from signet.masks import Mask
from signet.records import Curve, ImageReport, Interval, LabelReport, Mistake, ObjectError, Report
from signet.reporting import evaluation_page, render
from signet.reporting.evaluation import details, headline, key_figures, main_figure, meaning, sentence
from signet.reporting.figures import heat_map, line_chart
from signet.reporting.page import ClassBars, Confusion, Curves, Line, Panel, Pictures, Scenes, Table
from signet.reporting.scenes import ALARM, LONGEST, MISSED, crop, object_scene, pixel_scene
from signet.segments import SegmentMap

from .sample import HOSTILE
from .test_rendering import outline

SIZE = (120, 200)
FIGURE = Interval(0.4, 0.3, 0.5)


def grey(source):
    return Image(np.full((*SIZE, 3), 99, np.uint8), source=source)


def boxes(rows, names, **more):
    columns = list(zip(*rows, strict=True))
    return Boxes(
        np.asarray(columns[0], float),
        np.asarray(columns[2], float),
        np.asarray(columns[1], np.int64),
        tuple(names[one] for one in columns[1]),
        SIZE,
        **more,
    )


def objects(names=("ant", "bee"), **changes) -> Report:
    """A report on two labels, whatever they are called."""
    count = len(names)
    each = dict.fromkeys(("ap", "ap50", "precision", "recall", "f1"), FIGURE)
    truth = boxes([((10, 10, 60, 60), 0, 1), ((100, 20, 190, 110), 1, 1)], names)
    answer = boxes([((10, 10, 60, 58), 0, 0.9), ((5, 70, 40, 110), 1, 0.8)], names)
    falling = tuple(np.linspace(1, 0, 101).tolist())
    fields = {
        "metrics": {"ap": FIGURE, "ap50": FIGURE, "ap_small": FIGURE},
        "per_class": tuple(LabelReport(name, 3 * place, each) for place, name in enumerate(names, 1)),
        "confusion": np.eye(count + 1, dtype=np.int64),
        "labels": (*names, "background"),
        "calibration": None,
        "count": 7,
        "seconds": 2.0,
        "unreadable": (Mistake(names[0], "", "", 0, 0, error=f"{names[0]}: expected an image."),),
        "notes": (names[0],),
        "task": "detect",
        "score": 0.5,
        "curves": (Curve("", falling), *(Curve(name, falling) for name in names)),
        "errors": (
            ObjectError("missed", names[0], names[1], (100, 20, 190, 110)),
            ObjectError("confused", names[0], names[1], (100, 20, 190, 110), names[0], 0.7),
            ObjectError("false alarm", names[0], names[1], (5, 70, 40, 110), names[1], 0.8),
        ),
        "worst": (ImageReport(names[0], 0.5, truth, answer),),
    }
    return Report(**{**fields, **changes})


def pixels(names=("ant", "bee")) -> Report:
    """A report on two labels of pixels."""
    each = dict.fromkeys(("iou", "dice", "precision", "recall"), FIGURE)
    halves = np.zeros(SIZE, np.int32)
    halves[:, 100:] = 1
    truth, answer = SegmentMap(halves, names), SegmentMap(np.zeros(SIZE, np.int32), names)
    return Report(
        metrics=dict.fromkeys(("miou", "pixel_accuracy", "dice", "boundary_f1"), FIGURE),
        per_class=tuple(LabelReport(name, 7, each) for name in names),
        confusion=np.array([[9_000_000, 10], [20, 5]]),
        labels=tuple(names),
        calibration=None,
        count=7,
        seconds=2.0,
        task="segment",
        worst=(ImageReport(names[0], 0.5, truth, answer),),
    )


def plain(text):
    return text.replace("\u00a0", " ")


def test_the_result_is_one_sentence_with_its_interval():
    assert plain(headline(objects())) == "AP 40.0 % on 7 test images"
    assert plain(sentence(objects())) == (
        "On 7 test images the model's average precision (COCO's, by boxes) was 40.0 % "
        "(95 % interval 30.0 to 50.0 %)."
    )
    masks = objects(task="instances", metrics={"ap": Interval(0.1, 0, 1), "mask_ap": FIGURE})
    assert plain(headline(masks)) == "Mask AP 40.0 % on 7 test images"
    assert plain(headline(pixels())) == "Mean IoU 40.0 % on 7 test images"
    nothing = objects(metrics={}, curves=())
    assert math.isnan(main_figure(nothing).value)
    assert meaning(nothing) == ""
    render(evaluation_page(nothing, read=grey))


def test_a_page_of_objects_has_every_part_in_order():
    kinds = [type(section) for section in details(objects(), read=grey)]
    assert kinds == [Table, Curves, ClassBars, Table, Confusion, Scenes, Pictures, Pictures, Pictures, Table]
    text = render(evaluation_page(objects(), read=grey))
    assert text.count("data:image/jpeg;base64,") == 4
    for words in ("Missed", "Taken for another", "Seen where nothing is", "Precision and recall"):
        assert words in text
    assert "test images of the class" not in text


def test_a_page_of_pixels_has_every_part_in_order():
    kinds = [type(section) for section in details(pixels(), read=grey)]
    assert kinds == [ClassBars, Table, Confusion, Scenes]
    text = render(evaluation_page(pixels(), read=grey))
    assert text.count("data:image/jpeg;base64,") == 3
    for words in ("truth", "answer", "wrong pixels", "Boundary F1"):
        assert words in text


def test_tiles_are_the_figures_that_stand_for_all():
    names = [tile.name for tile in key_figures(objects()).tiles]
    assert names == ["AP", "AP50", "Images", "Time"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("make", [objects, pixels])
def test_no_name_breaks_out_of_its_place(make, name):
    text = render(evaluation_page(make((name, "b")), read=grey))
    hostile, harmless = outline(text), outline(render(evaluation_page(make(("name", "b")), read=grey)))
    assert hostile.tags == harmless.tags
    assert [row[:2] for row in hostile.attributes] == [row[:2] for row in harmless.attributes]
    assert "\u202e" not in text


def test_pictures_that_are_gone_leave_their_place():
    def gone(source):
        raise BadInput(f"{source}: not there")

    for make in (objects, pixels):
        text = render(evaluation_page(make(), read=gone))
        assert "data:image" not in text
        assert "no picture" in text


def colours(image):
    return {tuple(colour) for colour in image.pixels.reshape(-1, 3).tolist()}


def test_a_scene_shows_what_was_missed_and_what_is_wrong():
    report = objects()
    (one,) = report.worst
    drawn = object_scene(grey("x"), one.truth, one.answer)
    assert max(drawn.size) == LONGEST, "a small picture is enlarged"
    assert {MISSED, ALARM} <= colours(drawn)
    assert not {MISSED, ALARM} & colours(object_scene(grey("x"), one.truth, one.truth))
    crowd = dataclasses.replace(one.truth, crowd=np.array([True, True]))
    assert MISSED not in colours(object_scene(grey("x"), crowd, one.answer))


def test_masks_are_tinted_where_they_are_missed_or_wrong():
    (one,) = objects().worst

    def masked(found):
        masks = []
        for left, top, right, bottom in found.xyxy.astype(int).tolist():
            inside = np.zeros(SIZE, np.bool_)
            inside[top:bottom, left:right] = True
            masks.append(Mask.of(inside))
        return Instances(found, tuple(masks))

    drawn = object_scene(grey("x"), masked(one.truth), masked(one.answer)).pixels
    factor = LONGEST / max(SIZE)

    def at(row, column):
        return drawn[round(row * factor), round(column * factor)].tolist()

    assert at(65, 145) == [99 // 2 + part // 2 for part in MISSED]
    assert at(100, 20) == [99 // 2 + part // 2 for part in ALARM]
    assert at(40, 30) == [99, 99, 99], "found"


def test_a_name_at_the_right_edge_stays_in_the_picture():
    rows = [((190, 60, 200, 80), 0, 0.9), ((5, 100, 15, 110), 1, 0.8)]
    answer = boxes(rows, ("a rather long name", "b"))
    truth = dataclasses.replace(answer[:0], labels=())
    drawn = object_scene(grey("x"), truth, answer).pixels
    top, left = (round(side * LONGEST / max(SIZE)) for side in (60, 190))
    assert named_columns(drawn, top).min() < left - 60


def test_a_name_that_all_objects_share_is_left_out():
    both = boxes([((40, 60, 60, 80), 0, 0.9), ((5, 100, 15, 110), 1, 0.8)], ("a rather long name", "b"))
    nothing = dataclasses.replace(both[:0], labels=())
    top = round(60 * LONGEST / max(SIZE))
    alone, beside = (
        named_columns(object_scene(grey("x"), nothing, found).pixels, top) for found in (both[:1], both)
    )
    assert len(alone) < len(beside)


def named_columns(pixels, top):
    """Columns that the name above a box has."""
    return (pixels[top - 16 : top - 4] == ALARM).all(axis=2).any(axis=0).nonzero()[0]


def test_an_unknown_interval_is_explained():
    each = dict.fromkeys(("ap", "ap50", "precision", "recall", "f1"), Interval(0.4, math.nan, math.nan))
    rows = tuple(LabelReport(name, 1, each) for name in ("ant", "bee"))
    (bars,) = [one for one in details(objects(per_class=rows), read=grey) if isinstance(one, ClassBars)]
    assert "only a few images have is unknown" in bars.lead
    render(evaluation_page(objects(per_class=rows), read=grey))


def test_large_pictures_are_shrunk_with_all_that_is_drawn():
    (one,) = objects().worst
    large = Image(np.zeros((1200, 2000, 3), np.uint8), source="x")
    truth = dataclasses.replace(one.truth, xyxy=one.truth.xyxy * 10, size=(1200, 2000))
    drawn = object_scene(large, truth, dataclasses.replace(truth[:0]))
    assert max(drawn.size) == LONGEST
    edge = round(1000 * LONGEST / 2000)
    assert drawn.pixels[200, edge : edge + 2].tolist() == [list(MISSED)] * 2


@pytest.mark.parametrize(
    "box", [(0, 0, 3, 3), (190, 110, 200, 120), (0, 0, 200, 120), (50.4, 50.6, 50.5, 50.7)]
)
def test_a_crop_holds_its_box_wherever_it_is(box):
    assert ALARM in colours(crop(grey("x"), box, True))
    assert MISSED in colours(crop(grey("x"), box, False))


def test_pixels_are_shown_three_times():
    (one,) = pixels().worst
    (_, truth), (_, answer), (_, wrong) = pixel_scene(grey("x"), one.truth, one.answer)
    assert colours(truth) != colours(answer)
    assert wrong.pixels[60, 150].tolist() == list(ALARM)
    assert wrong.pixels[60, 50].tolist() == [49, 49, 49]


def test_cells_of_pixels_are_per_cent_of_their_row():
    drawn = heat_map(np.array([[9_000_000, 1_000_000], [0, 5]]), ("a", "b"), None, True)
    assert ">90<" in drawn
    assert ">10<" in drawn
    assert ">9,000,000<" not in drawn


def test_a_panel_of_the_whole_reaches_from_nought_to_one():
    line = Line("a", (0.4, 0.5))
    assert ">100<" in line_chart(Panel("p", (line,), fraction=True, whole=True), (0.0, 1.0), "recall")
    assert ">100<" not in line_chart(Panel("p", (line,), fraction=True), (0.0, 1.0), "recall")
