"""Boxes, instances and segment maps: one type for guess and truth, and what is none is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signet.boxes import Boxes
from signet.errors import BadInput, UnknownName
from signet.instances import Instances
from signet.masks import Mask
from signet.segments import SegmentMap

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def boxes():
    xyxy = [[1.5, 2, 11.5, 7], [0, 0, 4, 4], [3, 3, 3, 9]]
    return Boxes(xyxy, [0.9, 0.25, 0.5], [1, 0, 1], ("dog", "cat", "dog"), (20, 30), source="a.jpg")


def masks(count):
    inside = np.zeros((count, 20, 30), bool)
    for place in range(count):
        inside[place, place : place + 3] = True
    return tuple(Mask.of(one) for one in inside)


def test_boxes_are_chosen_by_score_label_area_and_place(boxes):
    assert boxes[boxes.chosen(min_score=0.4)].labels == ("dog", "dog")
    assert boxes[boxes.chosen(labels={"cat"})].xyxy.tolist() == [[0, 0, 4, 4]]
    assert boxes.chosen(min_area=1, max_area=20).tolist() == [False, True, False]
    part = boxes[np.array([2, 0])]
    assert (part.labels, part.size, part.source) == (("dog", "dog"), (20, 30), "a.jpg")
    assert part.scores.tolist() == [0.5, 0.9]
    assert len(boxes[:0]) == 0


def test_areas_are_those_of_the_boxes_unless_they_are_stated(boxes):
    assert boxes.areas.tolist() == [50, 16, 0]
    truth = Boxes.truth([[0, 0, 4, 4]], [2], NAMES, (20, 30), areas=[7.5], crowd=[True])
    assert (truth.areas.tolist(), truth.crowd.tolist()) == ([7.5], [True])
    assert (truth.labels, truth.scores.tolist()) == (("owl",), [1.0])


def test_they_go_to_json_and_lose_nothing(boxes):
    plain = json.loads(json.dumps(boxes.to_dict()))
    assert plain["kind"] == "boxes"
    assert plain["boxes"][0] == {"xyxy": [1.5, 2.0, 11.5, 7.0], "score": 0.9, "index": 1, "label": "dog"}
    both = Instances(boxes, masks(3))
    plain = json.loads(json.dumps(both.to_dict()))
    assert plain["kind"] == "instances"
    assert Mask.from_coco(plain["boxes"][1]["mask"]) == both.masks[1]
    assert both[np.array([1])].masks == (both.masks[1],)


def test_none_is_an_answer_too():
    none = Boxes(np.zeros((0, 4)), [], [], (), (5, 6))
    assert (len(none), none.to_dict()) == (0, {"kind": "boxes", "boxes": []})
    assert Boxes([], [], [], (), (5, 6)).xyxy.shape == (0, 4)
    assert len(Instances(none, ())) == 0
    assert Boxes.truth([], [], NAMES, (5, 6)).labels == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"xyxy": [[5, 5, 4, 9]]}, "x, y, width, height"),
        ({"xyxy": [[0, 0, np.nan, 9]]}, "finite"),
        ({"xyxy": [[0, 0, 1]]}, "shape"),
        ({"scores": [1.5]}, "0 to 1"),
        ({"scores": [np.nan]}, "0 to 1"),
        ({"indices": [0.5]}, "indices"),
        ({"labels": ("a", "b")}, "1 names"),
        ({"crowd": [True, False]}, "crowd"),
    ],
)
def test_what_is_no_box_is_refused_in_words(change, words):
    given = {"xyxy": [[0, 0, 4, 4]], "scores": [1], "indices": [0], "labels": ("cat",), "size": (5, 6)}
    with pytest.raises(BadInput, match=words):
        Boxes(**given | change)


def test_truth_has_labels_of_the_list():
    with pytest.raises(BadInput, match="0 to 2"):
        Boxes.truth([[0, 0, 1, 1]], [3], NAMES, (5, 6))


def test_instances_have_one_mask_each_of_the_images_size(boxes):
    with pytest.raises(BadInput, match="3 masks"):
        Instances(boxes, masks(2))
    with pytest.raises(BadInput, match=r"size \(20, 30\)"):
        Instances(boxes[:1], (Mask.of(np.ones((3, 3))),))


def test_arrays_cannot_be_changed(boxes):
    with pytest.raises(ValueError, match="read-only"):
        boxes.xyxy[0, 0] = 3


def test_a_segment_map_counts_and_gives_masks():
    indices = np.array([[0, 0, 2], [2, 2, -1]])
    found = SegmentMap(indices, NAMES, background=0, source="b.png")
    assert found.present == (0, 2)
    assert found.counts.tolist() == [2, 0, 3]
    assert found.mask("owl") == found.mask(2) == Mask.of(indices == 2)
    plain = json.loads(json.dumps(found.to_dict()))
    assert [(row["label"], row["pixels"]) for row in plain["segments"]] == [("owl", 3), ("cat", 2)]
    with pytest.raises(UnknownName, match="owll"):
        found.mask("owll")


@pytest.mark.parametrize("indices", [[[3]], [[-2]], [0, 1], np.zeros((0, 4))])
def test_what_is_no_segment_map_is_refused(indices):
    with pytest.raises(BadInput, match="segment map"):
        SegmentMap(indices, NAMES)


def test_they_show_themselves(boxes):
    assert repr(boxes) == "Boxes(3: dog 0.90, cat 0.25, dog 0.50)"
    assert repr(Instances(boxes, masks(3))).startswith("Instances(3: dog")
    assert repr(SegmentMap([[0, 1, 1, 1]], NAMES)) == "SegmentMap(1x4: dog 75%, cat 25%)"
    assert "a.jpg" in boxes._repr_html_()
