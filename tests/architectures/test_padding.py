"""SAME padding: the output is as long as TensorFlow's, and pools see what they are said to see."""

from __future__ import annotations

import math

import pytest


@pytest.mark.parametrize("size", [7, 8, 56, 57])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_output_is_the_size_over_the_stride_rounded_up(size, kernel, stride):
    from signet.architectures.padding import same_padding

    before, after = same_padding(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == math.ceil(size / stride)
    assert 0 <= after - before <= 1


@pytest.mark.parametrize("size", [8, 9])
def test_a_pool_leaves_the_border_out_or_counts_it_as_zero(size):
    import torch

    from signet.architectures.padding import SameAveragePool, SameMaxPool

    below = -torch.ones(1, 2, size, size)
    for stride in (1, 2):
        assert (SameMaxPool(stride)(below) == -1).all()
        assert torch.allclose(SameAveragePool(stride)(below), torch.tensor(-1.0))
        most = SameMaxPool(stride, "zeros")(below)
        mean = SameAveragePool(stride, "zeros")(below)
        assert most[0, 0, -1, -1] == 0
        assert most[0, 0, 1, 1] == -1
        assert mean[0, 0, -1, -1] == pytest.approx(-4 / 9)
        assert mean[0, 0, 1, 1] == pytest.approx(-1)
