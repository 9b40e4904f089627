"""Probes on a subset: right where features tell classes apart, at chance where they do not, and leak-free."""

import numpy as np
import pytest

from signet.choosing import evidence
from signet.choosing.evidence import Rows, final_right, measure
from signet.linear_fits import Problem, ridge_path


def rows_of(targets, groups=None, seed=0) -> Rows:
    count = len(targets)
    places = np.arange(count) if groups is None else groups
    return Rows(targets, places.astype(np.int64), tuple(f"{k:04d}" for k in range(count)), seed)


@pytest.fixture
def blobs():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, 120)
    centres = generator.normal(size=(3, 40)) * 1.2
    return (centres[targets] + generator.normal(size=(120, 40))).astype(np.float32), targets


def test_features_that_tell_classes_apart_are_right_and_noise_is_at_chance(blobs):
    features, targets = blobs
    good = measure(features, rows_of(targets))
    noise = measure(np.random.default_rng(1).normal(size=(120, 40)).astype("f4"), rows_of(targets))
    assert good.right.mean() > 0.95
    assert 0.15 < noise.right.mean() < 0.52  # a third, within three deviations
    assert good.rows[-1] == pytest.approx(96, abs=2)
    assert (np.diff(good.rows) > 0).all()


def test_more_images_help_where_there_is_something_to_learn(blobs):
    features, targets = blobs
    noisy = features + np.random.default_rng(3).normal(size=features.shape).astype("f4") * 2
    curve = measure(noisy, rows_of(targets)).curve
    assert curve[-1] > curve[0]


def test_copies_in_one_group_do_not_leak():
    """Noise whose rows come twice: a fold that parts the copies answers by heart."""
    generator = np.random.default_rng(2)
    features = generator.normal(size=(60, 80)).astype("f4").repeat(2, axis=0)
    targets = generator.integers(0, 2, 60).repeat(2)
    apart = measure(features, rows_of(targets)).right.mean()
    together = measure(features, rows_of(targets, np.arange(60).repeat(2))).right.mean()
    assert apart > 0.75
    assert together < 0.68


def test_the_dual_form_gives_what_the_primal_one_gives(blobs):
    """The same ridge regression by `linear_fits`, on features that are brought to one scale beforehand."""
    features, targets = blobs
    inside, outside = np.arange(90), np.arange(90, 120)
    scaled = (features - features.mean(axis=0)) / np.sqrt(features.std(axis=0))
    kernel = evidence._kernel(features)
    hot = np.eye(3)[targets]
    centred = scaled[inside] - scaled[inside].mean(axis=0)
    unit = (centred**2).sum() / len(inside)
    for strength, scores in zip(
        evidence.STRENGTHS, evidence._fits(kernel, hot, inside, outside), strict=True
    ):
        lifted = strength * unit * np.eye(40)
        weights = np.linalg.solve(
            centred.T @ centred + lifted, centred.T @ (hot[inside] - hot[inside].mean(axis=0))
        )
        wanted = (scaled[outside] - scaled[inside].mean(axis=0)) @ weights + hot[inside].mean(axis=0)
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
    plain = next(ridge_path(Problem(scaled[inside], targets[inside], 3), (unit / 90 * 0.1,), 0.0))
    assert (plain.logits(scaled[outside]).argmax(1) == targets[outside]).mean() > 0.9


def test_the_seed_decides(blobs):
    features, targets = blobs
    noisy = features + np.random.default_rng(3).normal(size=features.shape).astype("f4") * 2
    one, same, other = (measure(noisy, rows_of(targets, seed=seed)).right for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_final_probe_sees_no_image_that_it_answers(blobs):
    features, targets = blobs
    assert final_right(features, rows_of(targets)).mean() > 0.95
    noise = np.random.default_rng(1).normal(size=(120, 40)).astype("f4")
    assert final_right(noise, rows_of(targets)).mean() < 0.55


def test_a_final_probe_that_would_take_minutes_is_a_ridge(blobs, monkeypatch):
    features, targets = blobs
    methods = []
    real = evidence.fit_probe

    def watched(*given, settings, **more):
        methods.append(settings.method)
        return real(*given, settings=settings, **more)

    monkeypatch.setattr(evidence, "fit_probe", watched)
    final_right(features, rows_of(targets))
    monkeypatch.setattr(evidence, "_MOST_CELLS", 1000)
    assert final_right(features, rows_of(targets)).mean() > 0.9
    assert methods == [None, "ridge"]


def test_features_that_never_vary_are_at_the_largest_class():
    targets = np.repeat([0, 1], [40, 20])
    found = measure(np.ones((60, 8), np.float32), rows_of(targets))
    assert found.right.mean() == pytest.approx(2 / 3)
