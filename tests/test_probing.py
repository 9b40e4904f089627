"""The probe: chosen by what it did not see, repeatable, and honest about small and odd data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.errors import BadDataset, BadInput, BadRequest
from signet.probing import (
    LONE_STRENGTH,
    PRIOR_DECADES,
    PRIOR_EVENNESS,
    PRIOR_STRENGTH,
    Probe,
    ProbeSettings,
    fit_probe,
    folds_of,
    nested_logits,
    refit,
)
from signet.splitting import judgeable

pytest.importorskip("sklearn")


def data(count=150, width=20, classes=3, seed=0, signal=2.0):
    random = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    rows = random.normal(size=(count, width)) + signal * np.eye(classes, width)[truth]
    return rows.astype(np.float32), truth.astype(np.int64)


def accuracy(logits, truth):
    return float((logits.argmax(axis=1) == truth).mean())


@pytest.mark.parametrize("method", ["logistic", "ridge"])
def test_what_is_learned_holds_on_other_images(method):
    rows, truth = data()
    others, answers = data(seed=1)
    probe = fit_probe(rows, truth, 3, settings=ProbeSettings(method=method))
    assert probe.weights.shape == (3, 20)
    assert probe.bias.shape == (3,)
    assert probe.weights.dtype == probe.bias.dtype == probe.out_of_fold.dtype == np.float32
    assert probe.method == method
    assert accuracy(probe.logits(others), answers) > 0.7
    assert abs(accuracy(probe.out_of_fold, truth) - accuracy(probe.logits(others), answers)) < 0.12


def test_the_standardisation_is_folded_in():
    rows, truth = data()
    moved = rows * np.float32(37) + np.float32(11)
    first, second = fit_probe(rows, truth, 3), fit_probe(moved, truth, 3)
    np.testing.assert_allclose(first.logits(rows), second.logits(moved), atol=0.02)


def test_same_seed_same_result_to_the_bit():
    rows, truth = data()
    one, other = (fit_probe(rows, truth, 3, settings=ProbeSettings(seed=4)) for _ in range(2))
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.out_of_fold, other.out_of_fold)
    assert one.curve == other.curve


def test_the_strength_follows_the_noise():
    rows, truth = data(count=90, width=200, signal=0.8)
    clear, sure = data(count=900, width=10, signal=4)
    assert fit_probe(rows, truth, 3).strength > fit_probe(clear, sure, 3).strength


@pytest.mark.parametrize("count", [12, 120])
def test_the_chosen_one_is_the_likeliest_of_those_tried_and_the_prior_weighs_as_one_image(count):
    rows, truth = data(count=count)
    probe = fit_probe(rows, truth, 3)

    def cost(tried):
        decades = np.log10(tried.strength / PRIOR_STRENGTH) / PRIOR_DECADES
        return count * tried.loss + decades**2 / 2 + PRIOR_EVENNESS * tried.evenness

    best = min(probe.curve, key=cost)
    assert (best.strength, best.evenness) == (probe.strength, probe.evenness)


def test_images_of_one_group_are_in_one_fold_and_do_not_help_themselves():
    """Twenty copies of each image with labels drawn at random: only a leak would be right."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(30, 40)).astype(np.float32).repeat(8, axis=0)
    truth = random.permutation(np.arange(30) % 2).repeat(8)
    groups = np.arange(30).repeat(8)
    folds = folds_of(truth, ProbeSettings(), groups=groups.tolist())
    assert all(len(set(folds[groups == group])) == 1 for group in range(30))
    honest = fit_probe(rows, truth, 2, folds=folds)
    leaking = fit_probe(rows, truth, 2)
    assert accuracy(honest.out_of_fold, truth) < 0.75
    assert accuracy(leaking.out_of_fold, truth) > 0.95


def test_nested_folds_are_not_fooled_by_noise():
    rows, truth = data(count=120, width=60, classes=2, signal=0)
    folds = folds_of(truth, ProbeSettings())
    assert 0.3 < accuracy(nested_logits(rows, truth, 2, folds), truth) < 0.7


def test_nested_folds_find_what_is_there_and_do_not_depend_on_the_order():
    rows, truth = data()
    folds = folds_of(truth, ProbeSettings())
    table = nested_logits(rows, truth, 3, folds)
    assert table.shape == (150, 3)
    assert accuracy(table, truth) > 0.7
    order = np.random.default_rng(0).permutation(150)
    again = nested_logits(rows[order], truth[order], 3, folds[order])
    np.testing.assert_allclose(again, table[order], atol=0.05)


def test_a_class_that_only_one_fold_holds_is_never_answered_without_it():
    rows, truth = data(count=60, classes=2)
    truth[:2] = 2
    folds = np.arange(60) % 3
    folds[:2] = 0
    table = nested_logits(rows, truth, 3, folds)
    assert (table[folds == 0].argmax(axis=1) != 2).all()
    assert np.isfinite(table).all()


def test_with_one_class_left_to_learn_from_that_one_is_answered():
    rows, _ = data(count=4, classes=2)
    truth = np.array([0, 0, 1, 1])
    table = nested_logits(rows, truth, 2, np.array([0, 0, 1, 1]))
    assert accuracy(table, truth) == 0  # not half right by always answering the first class


def test_nested_folds_are_calibrated_without_the_image():
    from signet.metrics.calibration import fit_temperature

    rows, truth = data(count=60, width=200, classes=2, signal=1.0)
    folds = folds_of(truth, ProbeSettings())
    table = nested_logits(rows, truth, 2, folds)
    inside = np.flatnonzero(folds != 0)
    inner = np.unique(folds[inside], return_inverse=True)[1]
    probe = fit_probe(rows[inside], truth[inside], 2, folds=inner)
    temperature = fit_temperature(probe.out_of_fold, truth[inside])
    assert abs(probe.scale - 1) > 0.02
    assert temperature == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(table[folds == 0], probe.logits(rows[folds == 0]) / temperature, rtol=1e-4)


@pytest.mark.parametrize("method", ["logistic", "ridge"])
@pytest.mark.parametrize("strength", [10.0, 1.0, 1e-6])
def test_however_strong_the_regularisation_logits_are_scores(method, strength):
    from signet.metrics.calibration import fit_temperature

    rows, truth = data(count=150, width=60, signal=1.0)
    probe = fit_probe(rows, truth, 3, settings=ProbeSettings(method=method, strengths=(strength,)))
    assert fit_temperature(probe.out_of_fold, truth) == pytest.approx(1, abs=0.1)


def test_a_ridge_that_is_fitted_again_is_no_surer_than_it_was_found_to_be():
    rows, truth = data(count=90, width=60, signal=1.0)
    probe = fit_probe(rows, truth, 3, settings=ProbeSettings(method="ridge"))
    weights, bias = refit(probe, rows, truth, 3)
    np.testing.assert_allclose(weights, probe.weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, probe.bias, rtol=1e-4, atol=1e-6)


def test_a_ridge_holds_one_copy_of_the_images_at_a_time():
    import tracemalloc

    rows, truth = data(count=20_000, width=100)
    folds = folds_of(truth, ProbeSettings())
    tracemalloc.start()
    try:
        fit_probe(rows, truth, 3, folds=folds, settings=ProbeSettings(method="ridge"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * rows.nbytes


def test_two_images_a_class_are_enough_to_go_on():
    rows, truth = data(count=6, classes=3, signal=9)
    probe = fit_probe(rows, truth, 3)
    assert len(np.unique(probe.folds)) > 1
    assert accuracy(probe.logits(rows), truth) == 1


def test_refit_takes_features_of_another_width():
    rows, truth = data()
    probe = fit_probe(rows, truth, 3)
    weights, bias = refit(probe, rows[:, :7], truth, 3)
    assert weights.shape == (3, 7)
    assert accuracy(rows[:, :7] @ weights.T + bias, truth) > 0.7
    same, _ = refit(probe, rows, truth, 3)
    np.testing.assert_allclose(same, probe.weights, atol=0.02)


def test_large_problems_take_the_closed_form():
    from signet import probing

    rows, truth = data()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "_MOST_CELLS", 10)
        assert fit_probe(rows, truth, 3).method == "ridge"


def test_ridge_scores_mean_what_they_say():
    from signet.metrics.calibration import fit_temperature

    rows, truth = data()
    probe = fit_probe(rows, truth, 3, settings=ProbeSettings(method="ridge"))
    assert fit_temperature(probe.out_of_fold, truth) == pytest.approx(1, abs=0.05)


def test_the_threads_of_linear_algebra_are_as_before():
    from threadpoolctl import threadpool_info

    rows, truth = data()
    fit_probe(rows, truth, 3)
    before = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    fit_probe(rows, truth, 3, settings=ProbeSettings(threads=1))
    assert {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()} == before


def test_it_tells_how_far_it_is():
    seen = []
    rows, truth = data()
    probe = fit_probe(rows, truth, 3, on_progress=seen.append)
    assert len(seen) == len(probe.curve)
    assert {moment.stage for moment in seen} == {"fitting the probe"}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda rows, truth: (rows, truth, 1), BadDataset, "at least 2 classes"),
        (lambda rows, truth: (rows, truth, 5), BadDataset, r"none of 2 of them \(class 3, 4\)"),
        (lambda rows, truth: (rows, truth + 1, 3), BadInput, "from 0 to 2"),
        (lambda rows, truth: (rows, truth[:-1], 3), BadInput, "expected shape"),
        (lambda rows, truth: (rows * np.float32(np.nan), truth, 3), BadInput, "finite"),
        (lambda rows, truth: (rows[:0], truth[:0], 3), BadInput, "at least one image"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(change, error, words):
    with pytest.raises(error, match=words):
        fit_probe(*change(*data()))


@pytest.mark.parametrize("wrong", [{"strengths": ()}, {"strengths": (0.0,)}, {"folds": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadRequest, match=next(iter(wrong))):
        ProbeSettings(**wrong)


def test_a_probe_is_its_arrays_and_nothing_else():
    """So that it can be joined to any graph."""
    rows, truth = data()
    probe = fit_probe(rows, truth, 3)
    assert isinstance(probe, Probe)
    np.testing.assert_allclose(probe.logits(rows), rows @ probe.weights.T + probe.bias, atol=1e-5)


def test_one_image_of_each_class_is_fitted_with_the_strength_of_those_that_judge_nothing():
    rows, truth = data(count=6, classes=6, signal=8.0)
    others, answers = data(count=60, classes=6, signal=8.0, seed=1)
    probe = fit_probe(rows, truth, 6)
    assert (probe.strength, probe.evenness) == (LONE_STRENGTH, 0.0)
    assert probe.curve == ()
    assert not probe.judged.any()
    assert accuracy(probe.logits(others), answers) > 0.9


def test_an_image_without_a_second_of_its_class_does_not_decide_the_strength():
    rows, truth = data(count=40, classes=2)
    alone = np.vstack([rows, np.full((1, rows.shape[1]), 50, np.float32)])
    probe = fit_probe(alone, np.append(truth, 2), 3)
    assert probe.judged.sum() == 40
    assert not probe.judged[-1]
    assert all(tried.loss < np.log(2) for tried in probe.curve[:3])


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    seed=st.integers(0, 1000),
)
def test_what_is_judged_has_another_of_its_class_in_another_fold(targets, seed):
    classes = np.array(targets, np.int64)
    folds = np.random.default_rng(seed).integers(0, 3, len(classes))
    for place, judged in enumerate(judgeable(classes, folds)):
        assert judged == bool(((classes == classes[place]) & (folds != folds[place])).any())
