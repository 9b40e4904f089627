"""How images are shared out among classes and splits."""

import pytest

from signet.auditing.balance import find_imbalance

LABELS = ["a", "b", "c"]


def found_in(on_paper, train, test=None, **more):
    """Findings of a dataset with so many images of each class."""
    classes = [(place,) for place, count in enumerate(train) for _ in range(count)]
    splits = ["train"] * len(classes) if test else None
    for place, count in enumerate(test or ()):
        classes += [(place,)] * count
        splits += ["test"] * count
    labels = more.pop("labels", LABELS[: len(train)])
    return list(find_imbalance(on_paper(classes, splits=splits, labels=labels, **more)))


def summary(findings):
    return [(found.kind, found.severity) for found in findings]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ((20, 20, 20), None, []),
        ((20, 20, 20), (10, 10, 10), []),
        ((59, 20, 20), None, []),
        ((60, 20, 20), None, [("imbalance", "note")]),
        ((200, 20, 20), None, [("imbalance", "warning")]),
        ((12, 9, 12), None, [("tiny class", "warning")]),
        ((2, 1, 2), None, [("tiny class", "severe"), ("tiny class", "warning")]),
        ((20, 20, 0), None, [("empty class", "warning")]),
        ((20, 20, 0), (5, 5, 5), [("unlearned class", "severe")]),
        ((20, 20, 20), (9, 9, 0), [("unmeasured class", "warning")]),
        ((100, 100, 100), (100, 40, 100), [("class mix", "warning")]),
        ((20, 20, 20), (2, 4, 2), []),  # other shares, by chance
    ],
)
def test_each_rule_at_its_edge(on_paper, train, test, expected):
    assert summary(found_in(on_paper, train, test)) == expected


def test_a_class_that_is_not_learned_is_named_with_its_files_and_its_near_miss(on_paper):
    labels = ["zebra", "horse", "zebras"]
    (found,) = found_in(on_paper, (20, 20, 0), (5, 5, 3), labels=labels)
    assert "'zebras' meant to be 'zebra'" in found.message
    assert len(found.sources) == 3
    assert found.details == {"split": "test", "classes": ["zebras"]}


def test_a_table_of_many_names_of_which_few_are_in_use_is_none_of_empty_classes(on_paper):
    assert found_in(on_paper, (20, 20), labels=["a", "b", "c"], indices_given=True) == []


def test_images_without_a_label_are_told(on_paper):
    seen = on_paper([(0,)] * 20 + [(1,)] * 20 + [()] * 3)
    (found,) = find_imbalance(seen)
    assert (found.kind, len(found.sources)) == ("unlabelled", 3)


def test_files_that_cannot_be_read_do_not_count(on_paper):
    from signet.auditing.observing import Look

    look = Look((32, 32), 1, False, False, 100.0, 40.0)
    seen = on_paper([(0,)] * 12 + [(1,)] * 12, looks=[look] * 12 + [None] * 4 + [look] * 8)
    (found,) = find_imbalance(seen)
    assert found.message.startswith("1 classes have fewer than 10 images to learn from: label 1 (8)")
