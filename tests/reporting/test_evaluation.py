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
    assert "less than about 2 points" in meaning(measured)


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
    assert [type(section) for section in details(bare)] == [Confusion, ClassBars, Reliability]
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


def test_many_classes_are_shown_by_their_ends_and_worst_pairs():
    many = report(tuple(f"class {number}" for number in range(60)), mistakes=())
    text = render(evaluation_page(many))
    assert 'class="heat"' not in text
    assert "Most often confused" in text
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


def test_nothing_is_said_of_confusions_that_did_not_happen():
    text = render(evaluation_page(report(("a", "b"), confusion=np.diag([3, 4]), mistakes=())))
    assert "No class was taken for another." in text
