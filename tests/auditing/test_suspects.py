"""Label suspects: nothing where labels are right, most of what is wrong where they are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.auditing.suspects import find_suspects, fit_noise, judged, suspects_of


def drawn(seed, count=1000, classes=5, sharpness=1.5):
    """Logits that are honest, and labels drawn from them: all of them right."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, sharpness, (count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return logits, labels.clip(0, classes - 1)


def spoilt(labels, share, classes, seed=0):
    """(labels of which a share has another class, which ones)."""
    generator = np.random.default_rng(seed)
    wrong = generator.choice(len(labels), round(share * len(labels)), replace=False)
    told = labels.copy()
    told[wrong] = (labels[wrong] + generator.integers(1, classes, len(wrong))) % classes
    return told, wrong


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.3, 4), st.integers(2, 12), st.floats(0.2, 5))
def test_right_labels_are_hardly_ever_suspected_however_hard_they_are(seed, sharpness, classes, scale):
    logits, labels = drawn(seed, 800, classes, sharpness)
    # The test may err once in a thousand; then it must not be many.
    assert len(suspects_of(logits * scale, labels)) <= 16


def test_chance_speaks_no_more_often_than_it_may():
    assert sum(len(suspects_of(*drawn(seed, 400))) > 0 for seed in range(60)) <= 1


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_share_and_temperature_are_found_together(share, scale):
    logits, labels = drawn(1, 6000, 6, sharpness=3)
    told, wrong = spoilt(labels, share, 6)
    noise = fit_noise(logits * scale, told)
    assert noise.share * 5 / 6 == pytest.approx(share, rel=0.25)
    assert noise.temperature == pytest.approx(scale, rel=0.1)
    found = suspects_of(logits * scale, told)
    hits = np.isin(found.places, wrong)
    # What is said of each is meant: as many are wrong as the probabilities add up to.
    assert hits.sum() == pytest.approx(found.wrong.sum(), rel=0.15)
    assert hits.sum() > 0.3 * len(wrong)
    assert (np.diff(found.wrong) <= 0).all()
    assert (found.own < found.other).all()


def test_classes_that_are_easy_to_tell_hide_no_wrong_label():
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3
    logits = np.eye(3)[labels] * 12 + generator.normal(size=(600, 3)) * 3
    told, wrong = spoilt(labels, 0.03, 3)
    assert set(suspects_of(logits, told).places.tolist()) == set(wrong.tolist())
    assert len(suspects_of(logits, labels)) == 0


def test_the_finding_names_them_and_what_they_are_called_instead(on_paper):
    generator = np.random.default_rng(0)
    classes = np.arange(600) % 3
    features = (np.eye(3)[classes] * 5 + generator.normal(size=(600, 3))).astype(np.float32)
    told = classes.copy()
    told[:18] = (classes[:18] + 1) % 3
    seen = on_paper([(int(one),) for one in told])
    (found,) = find_suspects(seen, features)
    right = {seen.source(place) for place in range(18)}
    assert len(right & set(found.sources)) >= 14
    assert len(found.sources) <= 1.3 * len(right & set(found.sources))
    assert found.severity == "warning"
    assert found.details["share_wrong"] == pytest.approx(0.03, abs=0.012)
    first = found.details["labels"][found.sources[0]]
    assert first["suggested"] != first["label"]
    assert found.exhibits[0].note.startswith("wrong with ")
    assert list(find_suspects(on_paper([(int(one),) for one in classes]), features)) == []


def test_small_classes_and_rows_without_a_label_are_not_judged(on_paper):
    seen = on_paper([(0,)] * 6 + [(1,)] * 4 + [()] * 2 + [(2,)] * 5)
    places, classes = judged(seen)
    assert classes.tolist() == [0, 2]
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16]


def test_a_class_of_which_all_images_are_of_one_patient_is_not_judged(on_paper):
    # The probe that judges the patient has never seen the class, and would call every label wrong.
    groups = [f"patient {n % 6}" for n in range(60)] + ["patient 9"] * 20
    seen = on_paper([(n % 2,) for n in range(60)] + [(2,)] * 20, groups=groups)
    assert judged(seen)[1].tolist() == []  # patients of either class are three
    groups = [f"patient {n // 2 % 6}" for n in range(60)] + ["patient 9"] * 20
    seen = on_paper([(n % 2,) for n in range(60)] + [(2,)] * 20, groups=groups)
    assert judged(seen)[1].tolist() == [0, 1]
