import math
import re
from dataclasses import replace

import numpy as np

from signet.errors import BadInput
from signet.images import Image
from signet.metrics.calibration import reliability
from signet.records import Interval, Mistake
from signet.reporting import evaluation_page, render
from signet.reporting.evaluation import (
    MOST_PICTURES,
    details,
    headline,
    meaning,
    mistake,
    picture_of,
    provenance,
    sentence,
)
from signet.reporting.page import (
    ClassBars,
    Comparison,
    Confusion,
    Note,
    Pictures,
    Reliability,
    Row,
    Table,
    Tiles,
)
from signet.reporting.views import confusion_view

from .sample import report


def grey(source: str) -> Image:
    return Image(np.full((40, 60, 3), 99, np.uint8), source=source)


def plain(text):
    return text.replace("\u00a0", " ")


def test_the_result_is_one_sentence_with_its_interval():
    measured = report(count=1000, metrics={"top1": Interval(0.832, 0.808, 0.855)})
    assert plain(headline(measured)) == "Right on 83.2 % of 1,000 test images"
    assert plain(sentence(measured)) == (
        "On 1,000 test images the model was right on 83.2 % (95 % interval 80.8 to 85.5 %)."
    )
    assert "less than about 2 points" in plain(meaning(measured))


def test_a_small_or_unknown_interval_is_told_as_what_it_is():
    close = report(metrics={"top1": Interval(0.832, 0.830, 0.834)})
    assert "less than about 0.2 points" in plain(meaning(close))
    unknown = report(metrics={"top1": Interval(math.nan, math.nan, math.nan)})
    assert meaning(unknown) == ""
    render(evaluation_page(unknown))


def test_images_of_a_cross_validation_are_not_called_test_images():
    nested = report(
        count=160,
        metrics={"top1": Interval(0.881, 0.825, 0.925)},
        provenance={"measured_on": "nested cross-validation (no test images)"},
    )
    assert plain(headline(nested)) == "Right on 88.1 % of 160 images, cross-validated"
    assert plain(sentence(nested)) == (
        "On 160 images, each answered by a model that had not learned from it (nested cross-validation), "
        "the answers were right on 88.1 % (95 % interval 82.5 to 92.5 %)."
    )


def test_the_head_of_a_page_names_no_folder_and_its_foot_the_version():
    made = report(
        provenance={"model": "timm/resnet18", "dataset": "/home/ada/birds", "version signet": "0.1.0"}
    )
    page = evaluation_page(made)
    assert page.kicker == "Evaluation · timm/resnet18 · birds"
    assert page.colophon == "Made by Signet 0.1.0."


def test_versions_are_one_row_of_provenance():
    made = report(provenance={"engine": "onnx", "version signet": "0.1.0", "version torch": "2.9"})
    (table,) = [one for one in provenance(made) if one.title == "How it was made"]
    assert dict(table.rows)["versions"] == "signet 0.1.0, torch 2.9"
    assert [name for name, _ in table.rows] == ["engine", "versions", "time"]


def test_classes_that_share_first_or_last_place_are_counted():
    def words(recalls):
        rows = tuple(
            replace(row, label=label, count=10, recall=Interval(value, 0, 1))
            for row, (label, value) in zip(report(tuple(recalls)).per_class, recalls.items(), strict=True)
        )
        measured = report(tuple(recalls), per_class=rows)
        (bars,) = [one for one in details(measured, read=grey) if isinstance(one, ClassBars)]
        return re.sub("[\u2066-\u2069]", "", plain(bars.lead))

    assert words({"ant": 0.9, "bee": 0.2, "cat": 0.2, "dog": 0.2}) == (
        "Found best: “ant”, 90.0 % of its images. Found worst: “bee” and 2 others, each 20.0 %."
    )
    assert words({"ant": 1.0, "bee": 1.0}) == "Every class was found alike: 100.0 % of its images."


def test_a_model_of_several_labels_has_its_own_sentence():
    measured = report(metrics={"ap": Interval(0.5, 0.4, 0.6)})
    assert plain(headline(measured)) == "Average precision 50.0 % on 300 test images"
    assert "average precision was 50.0 % (95 % interval 40.0 to 60.0 %)" in plain(sentence(measured))


def test_a_page_has_every_part_in_order():
    page = evaluation_page(report(), rows=[Row("probe", Interval(0.5, 0.4, 0.6))], read=grey)
    kinds = [type(section) for section in page.sections]
    assert kinds == [
        Tiles,
        Comparison,
        Note,
        Confusion,
        ClassBars,
        Table,
        Reliability,
        Pictures,
        Table,
        Table,
        Table,
        Table,
    ]
    text = render(page)
    assert text.count("data:image/jpeg;base64,") == min(MOST_PICTURES, len(report().mistakes))
    assert len(text) < 300_000


def test_what_there_is_none_of_has_no_section():
    bare = report(("a", "b"), mistakes=(), unreadable=(), provenance={}, notes=())
    assert [type(section) for section in details(bare)] == [Confusion, ClassBars, Table, Reliability]
    render(evaluation_page(bare))


def test_a_mistake_shows_the_right_label_even_when_it_came_last():
    one = Mistake("a/b.jpg", "cat", "dog", 0.9, 0.001, top=(("dog", 0.9), ("cow", 0.05), ("fox", 0.02)))
    picture = mistake(one, grey)
    assert picture.answers == (("dog", 0.9), ("cow", 0.05), ("cat", 0.001))
    assert picture.source == "b.jpg"
    without = Mistake("b.jpg", "cat", "dog", 0.9, 0.1)
    assert mistake(without, grey).answers == (("dog", 0.9), ("cat", 0.1))


def test_a_picture_that_is_gone_is_no_reason_to_fail(tmp_path):
    def broken(source):
        raise BadInput("x")

    assert picture_of("x", broken) == ""
    assert picture_of(str(tmp_path / "nothing.jpg")) == ""


def test_scores_are_judged_in_words():
    def words(confidence, right):
        measured = report(calibration=reliability(np.full(100, confidence), np.arange(100) < right))
        (section,) = [one for one in details(measured, read=grey) if isinstance(one, Reliability)]
        return plain(section.lead)

    assert words(0.9, 80) == (
        "The mean score is 90.0 %, and 80.0 % of the answers are right: on average the model is 10 points "
        "too sure."
    )
    assert words(0.7, 80).endswith("10 points too modest.")
    assert words(0.8, 80).endswith("the scores are honest.")
    assert words(0.77, 80).endswith("a difference that chance alone can make.")


def test_many_classes_are_shown_by_their_ends_and_worst_pairs():
    many = report(tuple(f"class {number}" for number in range(60)), mistakes=())
    text = render(evaluation_page(many))
    assert "Most often confused" in text
    assert plain("Of 60 classes, the 12 most often confused.") in plain(text)
    assert "classes between" in text
    some = render(evaluation_page(report(tuple(f"class {number}" for number in range(30)), mistakes=())))
    assert 'class="heat"' in some


def test_classes_that_do_not_occur_are_left_out_of_the_picture():
    labels = ("a", "b", *(f"other {number}" for number in range(100)))
    confusion = np.zeros((102, 102), np.int64)
    confusion[:2, :2] = [[5, 1], [0, 4]]
    text = render(evaluation_page(report(("a", "b"), labels=labels, confusion=confusion, mistakes=())))
    assert plain("100 classes without images or answers left out.") in plain(text)
    assert 'class="heat"' in text


def test_single_confusions_are_not_told_as_a_habit():
    def words(confusion):
        measured = report(("a", "b", "c"), confusion=np.array(confusion), mistakes=())
        (section,) = [one for one in details(measured) if isinstance(one, Confusion)]
        return re.sub("[\u2066-\u2069]", "", plain(section.lead))

    assert words([[1, 1, 0], [0, 1, 1], [0, 0, 1]]) == (
        "No class was taken for the same other one more than once."
    )
    assert words([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) == "Most often “a” was called “b”: 1 of its 2 images."
    assert words([[1, 2, 0], [0, 1, 1], [0, 0, 1]]) == "Most often “a” was called “b”: 2 of its 3 images."


def test_nothing_is_said_of_confusions_that_did_not_happen():
    text = render(evaluation_page(report(("a", "b"), confusion=np.diag([3, 4]), mistakes=())))
    assert "No class was taken for another." in text


def test_the_picture_of_many_classes_has_those_of_the_worst_pairs_with_all_their_images():
    counts = np.diag(np.full(40, 7))
    counts[33, 2], counts[5, 33] = 3, 1
    view = confusion_view(Confusion("x", tuple(f"c{number}" for number in range(40)), counts))
    assert view.labels == ("c2", "c5", "c33")
    assert view.counts.tolist() == [[7, 0, 0], [0, 7, 1], [3, 0, 7]]
    assert view.images.tolist() == [7, 8, 10]
    assert [(pair.truth, pair.answer, pair.images, pair.of) for pair in view.pairs] == [
        ("c33", "c2", 3, 10),
        ("c5", "c33", 1, 8),
    ]
    nothing_wrong = Confusion("x", tuple(map(str, range(40))), np.diag(np.full(40, 7)))
    assert confusion_view(nothing_wrong).labels == ()


def test_columns_bear_the_names_of_their_classes():
    text = render(evaluation_page(report(tuple("0123456789"), mistakes=())))
    names = re.search(r'<div class="columns"[^>]*>(.*?)</div>', text, re.DOTALL).group(1)
    assert re.findall(r"<bdi>(.*?)</bdi>", names) == list("0123456789")
    assert '<div class="columns upright"' in render(evaluation_page(report(("heron", "b"), mistakes=())))
