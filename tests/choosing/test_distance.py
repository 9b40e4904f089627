"""Whether images are far from what networks know, and the network with random weights."""

import numpy as np
import pytest
from PIL import Image

from signet.choosing.distance import SIDE, pixels_of, random_twin, taken_away
from signet.choosing.evidence import Measured
from signet.models import resolve


def measured(right) -> Measured:
    right = np.asarray(right, float)
    return Measured(right, np.full(3, right.mean()), np.array([10.0, 20, 40]), np.arange(len(right)))


def test_what_is_taken_away_is_a_share_of_the_plain_probes_mistakes():
    plain = measured([1] * 60 + [0] * 40)
    assert taken_away(measured([1] * 90 + [0] * 10), plain) == pytest.approx(1 - 11 / 41)
    assert taken_away(plain, plain) == 0
    assert taken_away(measured([0] * 100), plain) < 0


def test_images_that_features_solve_are_near_whatever_thumbnails_do():
    """Blood cells that thumbnails tell apart too: there is no mistake left that features could take away."""
    solved = measured([1] * 200)
    assert taken_away(solved, solved) == 1
    assert taken_away(measured([1] * 199 + [0]), solved) == 1
    assert taken_away(measured([1] * 99 + [0]), measured([1] * 98 + [0] * 2)) == 1
    assert (
        taken_away(measured([1] * 90 + [0] * 10), measured([1] * 100)) < 0
    )  # solved, and not by the network


def test_thumbnails_are_means_and_what_cannot_be_read_is_zero(tmp_path):
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[:24] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    table = pixels_of([tmp_path / "a.png", tmp_path / "b.png"])
    half = table[0].reshape(SIDE, SIDE, 3)
    assert half[0, 0].tolist() == [1, 0, 0]
    assert half[-1, -1].tolist() == [0, 0, 0]
    assert not table[1].any()


def test_a_graph_has_no_twin(models):
    assert random_twin(resolve(models[0]), 0) is None


def test_the_twin_is_the_same_network_drawn_by_the_seed(shared):
    torch = pytest.importorskip("torch")
    found = resolve(shared / "weights" / "squeezenet1_0.dc_in1k")
    twin = random_twin(found, 3)
    state = torch.random.get_rng_state()
    one, same = twin.networks[0].build(), random_twin(found, 3).networks[0].build()
    other = random_twin(found, 4).networks[0].build()
    assert torch.equal(torch.random.get_rng_state(), state)
    name = "features.0.weight"
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])
    trained = found.networks[0].build().state_dict()
    assert {key: value.shape for key, value in one.state_dict().items()} == {
        key: value.shape for key, value in trained.items()
    }
    assert twin.digest not in (found.digest, random_twin(found, 4).digest)
