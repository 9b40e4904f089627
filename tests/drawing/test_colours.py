"""Labels' colours differ for every kind of eye, and stay what they are."""

import numpy as np
import pytest

from signet.drawing import colour_of, palette
from signet.drawing.colours import seen_by


def apart(count):
    """The least distance of two of the first colours, for each of three kinds of eyes."""
    seen = seen_by(np.array(palette(count)))
    distances = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1)
    return distances[:, ~np.eye(count, dtype=bool)].min(axis=1)


def test_twenty_labels_differ_as_much_as_the_seven_of_okabe_and_ito():
    assert apart(20).min() >= apart(7).min()


def test_full_colour_vision_sees_more_than_the_least():
    assert apart(12)[0] >= 0.15
    assert apart(64).min() > 0.03


def test_what_eyes_without_a_cone_confuse():
    red, green, blue = (200, 60, 60), (110, 110, 40), (60, 60, 200)
    seen = seen_by(np.array([red, green, blue]))
    distances = np.linalg.norm(seen[:, 0] - seen[:, 1], axis=-1)
    assert distances[2] < 0.7 * distances[0]  # a deuteranope's red and olive
    blues = np.linalg.norm(seen[:, 0] - seen[:, 2], axis=-1)
    assert (blues > 0.2).all()


def test_oklab_of_known_colours():
    """Source: Ottosson (2020), whose white is (1, 0, 0); the others are those of CSS Color 4's examples."""
    seen = seen_by(np.array([(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 128, 0)]))[0]
    expected = [(1, 0, 0), (0, 0, 0), (0.62796, 0.22486, 0.12585), (0.51975, -0.1403, 0.10768)]
    np.testing.assert_allclose(seen, expected, atol=0.001)


@pytest.mark.parametrize("index", [0, 6, 7, 63, 64, 1000, 10**6])
def test_a_colour_depends_on_the_index_alone(index):
    colour = colour_of(index)
    assert colour == colour_of(index)
    assert all(0 <= value <= 255 for value in colour)


def test_the_first_are_okabe_and_itos():
    assert palette(7)[0] == (0, 114, 178)
    assert len(set(palette(1000))) > 800
