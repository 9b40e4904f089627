"""Label names: twins, blanks, and the order of indices."""

import pytest

from signet.auditing.names import find_label_trouble, twins_of


def kinds(on_paper, labels, **more):
    seen = on_paper([(place,) for place in range(len(labels))], labels=labels, **more)
    return [(found.kind, found.severity) for found in find_label_trouble(seen.dataset)]


@pytest.mark.parametrize(
    "labels", [("Cat", "cat"), ("fire truck", "fire_truck"), ("fire-truck", "Fire  Truck"), ("é", "e\u0301")]
)
def test_twins_are_told(on_paper, labels):
    assert ("label twins", "warning") in kinds(on_paper, labels)
    assert twins_of(labels) == [labels]


@pytest.mark.parametrize("labels", [("cat", "cats"), ("a1", "a2"), ("cat", "car"), ("-", "_")])
def test_other_names_are_no_twins(labels):
    assert twins_of(labels) == []


@pytest.mark.parametrize("name", ["", " cat", "cat ", "sea  gull", "\t"])
def test_blanks_are_told(on_paper, name):
    assert ("label blanks", "warning") in kinds(on_paper, ("dog", name))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("1", "10", "2"), [("label order", "warning")]),
        (("1", "2", "10"), [("label order", "note")]),
        (("class 1", "class 10", "class 2"), [("label order", "warning")]),
        (("01", "02", "10"), []),
        (("10", "1", "2"), []),  # an order of its own is meant
        (("apple", "Banana", "cherry"), []),
        (("Banana", "apple"), []),
        (("a", "b", "c"), []),
    ],
)
def test_the_order_of_numbers(on_paper, labels, found):
    assert kinds(on_paper, labels) == found
