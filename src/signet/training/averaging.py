"""The running average of a network's weights: what the last steps agree on, with less of their noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of what learns in a module; of nothing where its decay is 0.

    Buffers are not averaged: a BatchNorm's statistics are running averages already.

    Attributes:
        tensors: by the parameters' names, on their device and in their order of memory.

    Source: B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), for
        averaging; M. Tan, Q. Le, "EfficientNet" (2019), section 5.2, for the exponential kind in training;
        TensorFlow `ExponentialMovingAverage`, `num_updates`, for the first steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._learning = {
            name: parameter
            for name, parameter in module.named_parameters()
            if decay and parameter.requires_grad
        }
        self.tensors = {name: parameter.detach().clone() for name, parameter in self._learning.items()}

    def update(self, steps: int) -> None:
        """Take in the weights after a step.

        Args:
            steps: that are done, from 1. Early on the average is of few: it would else hold on to weights
                that nothing has been learned into yet.
        """
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for name, parameter in self._learning.items():
            self.tensors[name].lerp_(parameter.detach(), 1 - decay)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from the average of an earlier moment."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module with the average as its weights; on leaving, its own weights, to the bit."""
        own = {name: parameter.detach().clone() for name, parameter in self._learning.items()}
        try:
            self._write(self.tensors)
            yield
        finally:
            self._write(own)

    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._learning.items():
                parameter.copy_(tensors[name])
