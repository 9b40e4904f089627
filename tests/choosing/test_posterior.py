"""Prior and probe together: what decides when, and that nine of ten intervals hold what they should."""

from dataclasses import replace

import numpy as np
import pytest

from signet.choosing.evidence import PARTS, Measured
from signet.choosing.posterior import RESIDUAL, SLOPE, SLOPE_SPREAD, Prior, Seen, believe
from signet.choosing.published import datasets, on_dataset


def seen_of(right, growth=0.0) -> Seen:
    """Evidence with a straight curve of learning in log odds."""
    right = np.asarray(right, float)
    count = len(right)
    share = (right.sum() + 1) / (count + 2)
    rows = 0.8 * count * np.array(PARTS)
    odds = np.log(share / (1 - share)) + growth * np.log(np.array(PARTS))
    return Seen(Measured(right, 1 / (1 + np.exp(-odds)), rows, np.arange(count)))


def some(share, count, seed=0):
    return (np.random.default_rng(seed).random(count) < share).astype(float)


def test_the_constants_are_those_of_the_published_table():
    """Slope of log odds within each dataset, its spread over datasets, and what is left."""
    slopes, left = [], []
    for dataset in datasets():
        rows = on_dataset(dataset)
        x, y = (
            np.log(share / (1 - share))
            for share in (
                np.array([row.imagenet_top1 for row in rows]),
                np.array([row.fine_tuned for row in rows]),
            )
        )
        slopes.append(((x - x.mean()) @ (y - y.mean()), (x - x.mean()) @ (x - x.mean())))
        left.append((x - x.mean(), y - y.mean()))
    pooled = sum(above for above, _ in slopes) / sum(below for _, below in slopes)
    spread = np.std([above / below for above, below in slopes], ddof=1)
    rest = np.concatenate([y - pooled * x for x, y in left])
    assert pooled == pytest.approx(SLOPE, abs=0.005)
    assert spread == pytest.approx(SLOPE_SPREAD, abs=0.005)
    assert np.sqrt((rest**2).sum() / (len(rest) - 9)) == pytest.approx(RESIDUAL, abs=0.005)


def test_without_evidence_the_published_figure_ranks():
    found = believe([Prior(0.6), Prior(0.8), Prior(None)], [Seen()] * 3, 1000)
    assert found.expected[1] > found.expected[0]
    assert found.regret().argmin() == 1


def test_strong_evidence_overrules_the_published_figure():
    right = some(0.9, 800), some(0.7, 800, 1)
    found = believe([Prior(0.5), Prior(0.85)], [seen_of(one) for one in right], 1000)
    assert found.regret().argmin() == 0
    assert found.regret()[0] < 0.001
    assert found.better(0)[1] < 0.001


def test_more_images_make_the_interval_narrower_and_a_longer_way_to_go_wider():
    few, many = (
        believe([Prior(None)], [seen_of(some(0.7, 80))], 800),
        believe([Prior(None)], [seen_of(some(0.7, 640))], 800),
    )
    longer = believe([Prior(None)], [seen_of(some(0.7, 640))], 80_000)
    widths = [np.subtract(*found.interval()[::-1])[0] for found in (few, many, longer)]
    assert widths[1] < 0.6 * widths[0]
    assert widths[1] < widths[2]


def test_growth_inside_the_subset_goes_on_beyond_it():
    right = some(0.6, 300)
    flat = believe([Prior(None)], [seen_of(right)], 3000).expected[0]
    steep = believe([Prior(None)], [seen_of(right, growth=0.4)], 3000).expected[0]
    assert steep > flat + 0.05


def test_the_same_images_cancel_what_is_common():
    """Two networks that fail on nearly the same images are told apart better than two that do not."""
    base = some(0.7, 400)
    near = base.copy()
    near[np.flatnonzero(base == 1)[:12]] = 0
    apart = np.random.default_rng(5).permutation(near)
    paired = believe([Prior(None)] * 2, [seen_of(base), seen_of(near)], 400)
    crossed = believe([Prior(None)] * 2, [seen_of(base), seen_of(apart)], 400)
    assert paired.better(0)[1] < crossed.better(0)[1]


def test_images_of_one_group_count_as_less():
    right = some(0.7, 40).repeat(10)
    alone = seen_of(right)
    grouped = Seen(Measured(right, alone.measured.curve, alone.measured.rows, np.arange(40).repeat(10)))
    widths = [
        np.subtract(*believe([Prior(None)], [one], 400).interval()[::-1])[0] for one in (alone, grouped)
    ]
    assert widths[1] > 1.5 * widths[0]


def test_nine_of_ten_intervals_hold_the_truth():
    """Accuracies and images drawn from a known source, no growth: the chance of the draw is all there is."""
    held = []
    generator = np.random.default_rng(0)
    for trial in range(60):
        shares = 1 / (1 + np.exp(-generator.normal(1, 0.6, 4)))
        right = [(generator.random(150) < share).astype(float) for share in shares]
        seen = [replace(seen_of(one), final=one) for one in right]
        found = believe([Prior(None)] * 4, seen, 120, seed=trial)
        low, high = found.interval()
        held.extend(((shares >= low) & (shares <= high)).tolist())
    # Independent images: folds that share images would vary more, and the interval allows for that.
    assert 0.9 <= np.mean(held) <= 0.99


def test_perfect_and_hopeless_probes_stay_finite():
    found = believe([Prior(0.7)] * 2, [seen_of(np.ones(50)), seen_of(np.zeros(50))], 500)
    assert np.isfinite(found.draws).all()
    assert found.expected[0] > 0.8
    assert found.expected[1] < 0.2


def test_no_mistake_among_a_few_images_is_no_proof_of_perfection():
    """Near 100 % the interval must hold what 130 images without a mistake leave open: 99.9 %, and 98 %."""
    flawless = replace(seen_of(np.ones(130)), final=np.ones(130))
    low, high = believe([Prior(None)], [flawless], 104).interval()
    assert low[0] < 0.98
    assert high[0] > 0.999
