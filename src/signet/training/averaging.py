"""Averages of a network's weights: what many steps or epochs agree on, with less of their noise.

Four ways, of which a run has one: none; the running mean of every step (`Average`); the plain mean of the
last epochs at a constant rate (`EpochAverage`); and the mean of those epochs only that make validation better
(`Soup`). Each is asked the same questions by the loop (`Weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from signet.training.freezing import batchnorm_policies
from signet.training.optimizers import frozen_by
from signet.training.settings import TrainSettings

Found = TypeVar("Found")

_COUNTS = ".epochs"  # beside parameters, whose names never begin with a dot


class Weights(Protocol):
    """Which weights are judged and kept.

    Attributes:
        tensors: what a checkpoint must hold of them, by name.
        mixed: whether `in_place` lends weights that the network has never had in a step, for which
            statistics gathered on the way do not fit.
    """

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """See above."""
        ...

    @property
    def mixed(self) -> bool:
        """See above."""
        ...

    def update(self, steps: int) -> None:
        """Take in the weights after so many steps."""
        ...

    def gather(self, epoch: int) -> None:
        """Take in the weights at the end of an epoch, from 1, before it is judged."""
        ...

    def restart(self, epoch: int) -> None:
        """Go on from an epoch that the network went back to: its weights are what was judged at its end."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what a checkpoint held."""
        ...

    def in_place(self) -> AbstractContextManager[None]:
        """The module with the weights that are judged; on leaving, its own, to the bit."""
        ...


def weights_of(module: nn.Module, settings: TrainSettings) -> Weights:
    """What the settings ask for, over all that learns in a module."""
    if settings.swa_start:
        return EpochAverage(module, first_epoch(settings))
    if settings.soup:
        return Soup(module, settings.soup)
    return Average(module, settings.ema, _followed(module, settings) if settings.ema else ())


def first_epoch(settings: TrainSettings) -> int:
    """The first epoch whose weights go into the plain mean, from 1; `epochs + 1` where there is no mean."""
    if not settings.swa_start:
        return settings.epochs + 1
    return min(settings.epochs, 1 + int(settings.swa_start * settings.epochs))


def _followed(module: nn.Module, settings: TrainSettings) -> tuple[str, ...]:
    """Names of the statistics that follow the weights from batch to batch, and are not computed anew."""
    policies = batchnorm_policies(
        module,
        frozen_by(module, settings),
        settings.batchnorm,
        settings.classifier,
        dict(settings.batchnorm_stages),
    )
    return tuple(
        f"{layer}.{own}"
        for layer, policy in policies.items()
        for own, _ in module.get_submodule(layer).named_buffers(recurse=False)
        if policy == "batch" and own in ("running_mean", "running_var")
    )


class _Learning:
    """The tensors of a module that learn, and the lending of other values to them.

    Attributes:
        parameters: by name; with statistics that go with them, where there are such.
    """

    def __init__(self, module: nn.Module, statistics: Sequence[str] = ()) -> None:
        self.parameters: dict[str, Tensor] = {
            name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad
        }
        self.parameters |= {name: module.get_buffer(name) for name in statistics}

    def copied(self) -> dict[str, Tensor]:
        """Their values, in memory of their own."""
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def write(self, tensors: Mapping[str, Tensor]) -> None:
        """Give them other values."""
        with torch.no_grad():
            for name, tensor in tensors.items():
                self.parameters[name].copy_(tensor)

    @contextmanager
    def lent(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """The module with other values; on leaving, its own, to the bit."""
        own = self.copied()
        try:
            self.write(tensors)
            yield
        finally:
            self.write(own)


class Average:
    """The exponential moving average of what learns in a module; of nothing where its decay is 0.

    A BatchNorm's own statistics are those of the last few batches, under weights that are newer than their
    average by as many steps as it remembers. So the statistics that follow the weights are averaged with
    them, by the same decay: to first order in how far the weights have moved, what comes out of a layer under
    the mean weights is the mean of what came out of it. What counts batches is not averaged.

    Attributes:
        tensors: by their names, on their device and in their order of memory.

    Source: B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), for
        averaging; M. Tan, Q. Le, "EfficientNet" (2019), section 5.2, for the exponential kind in training;
        TensorFlow `ExponentialMovingAverage`, `num_updates`, for the first steps.
    """

    mixed = False

    def __init__(self, module: nn.Module, decay: float, statistics: Sequence[str] = ()) -> None:
        self._decay, self._learning = decay, _Learning(module, statistics)
        self.tensors = self._learning.copied() if decay else {}

    def update(self, steps: int) -> None:
        """Take in the weights after a step.

        Args:
            steps: that are done, from 1. Early on the average is of few: it would else hold on to weights
                that nothing has been learned into yet.
        """
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for name, average in self.tensors.items():
            average.lerp_(self._learning.parameters[name].detach(), 1 - decay)

    def gather(self, epoch: int) -> None:
        """Nothing: every step is in it already."""

    def restart(self, epoch: int) -> None:
        """The average is what the network has now, which was that of the epoch."""
        del epoch
        self.restore(self._learning.parameters)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from the average of an earlier moment."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name].detach())

    def in_place(self) -> AbstractContextManager[None]:
        """The module with the average as its weights."""
        return self._learning.lent(self.tensors) if self.tensors else nullcontext()


class EpochAverage:
    """Stochastic weight averaging: the plain mean of the weights at the end of the last epochs.

    Until its first epoch the network's own weights are judged. The rate is held constant from there on
    (`loop`), so that the weights go around the place whose middle is looked for. Where a run went back, the
    epochs that it left behind have no part in the mean.

    Source: P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (2018),
        algorithm 1, with a cycle of one epoch; section 3.2 for BatchNorm, whose statistics must be computed
        anew for the mean.
    """

    def __init__(self, module: nn.Module, first: int) -> None:
        self._learning, self._first = _Learning(module), first
        self._mean: dict[str, Tensor] = {}
        self._counts = [0]  # epochs that are in the mean: before the first epoch, and after each

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The mean so far, by the parameters' names, and of how many epochs it was after each."""
        return {**self._mean, _COUNTS: torch.tensor(self._counts)}

    @property
    def mixed(self) -> bool:
        """As soon as there is a mean."""
        return bool(self._mean)

    def update(self, steps: int) -> None:
        """Nothing: epochs are averaged, not steps."""

    def gather(self, epoch: int) -> None:
        """Take in the weights at the end of an epoch."""
        count = self._counts[-1] + (epoch >= self._first)
        self._counts.append(count)
        if count == 1:
            self._mean = self._learning.copied()
        for name, average in self._mean.items():
            average.lerp_(self._learning.parameters[name].detach(), 1 / count)

    def restart(self, epoch: int) -> None:
        """The mean is that of the epochs up to the one that the network went back to, as it is there."""
        self._counts[-1] = self._counts[epoch]
        self._mean = self._learning.copied() if self._counts[-1] else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from the mean of an earlier moment."""
        parameters = self._learning.parameters
        self._counts = tensors[_COUNTS].tolist()
        self._mean = {
            name: torch.empty_like(parameters[name]).copy_(tensor)
            for name, tensor in tensors.items()
            if name != _COUNTS
        }

    def in_place(self) -> AbstractContextManager[None]:
        """The module with the mean as its weights."""
        return self._learning.lent(self._mean) if self._mean else nullcontext()


class Soup:
    """The mean of some epochs' weights, each taken in only where validation gets better by it.

    Attributes:
        epochs: whose weights are remembered, the best by validation, in their order of time.

    Source: M. Wortsman et al., "Model soups" (2022), recipe 1 (the greedy soup), with the epochs of one run
        as its ingredients. The authors take an ingredient in where validation gets no worse; here it must get
        better, so that of equal ones the simpler is kept.
    """

    mixed = False

    def __init__(self, module: nn.Module, most: int) -> None:
        self._learning, self._most = _Learning(module), most
        self._weights: dict[int, dict[str, Tensor]] = {}

    @property
    def epochs(self) -> tuple[int, ...]:
        """See above."""
        return tuple(sorted(self._weights))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that is remembered, by epoch and name."""
        return {
            f"{epoch}/{name}": tensor
            for epoch in self.epochs
            for name, tensor in self._weights[epoch].items()
        }

    def update(self, steps: int) -> None:
        """Nothing: epochs are mixed, not steps."""

    def gather(self, epoch: int) -> None:
        """Remember the weights at the end of an epoch."""
        self._weights[epoch] = {name: tensor.cpu() for name, tensor in self._learning.copied().items()}

    def keep(self, ranked: Sequence[int]) -> None:
        """Forget all epochs but the best.

        Args:
            ranked: epochs, the best by validation first.
        """
        known = [epoch for epoch in ranked if epoch in self._weights][: self._most]
        self._weights = {epoch: self._weights[epoch] for epoch in known}

    def restart(self, epoch: int) -> None:
        """Nothing: an epoch that was left behind may be mixed in as well as any other, if it helps."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with what a checkpoint held."""
        self._weights = {}
        for key, tensor in tensors.items():
            epoch, _, name = key.partition("/")
            self._weights.setdefault(int(epoch), {})[name] = tensor

    def in_place(self) -> AbstractContextManager[None]:
        """The network's own weights: epochs are judged as they are."""
        return nullcontext()

    def mix(
        self, ranked: Sequence[int], judge: Callable[[], Found], better: Callable[[Found, Found | None], bool]
    ) -> tuple[Found | None, tuple[int, ...]]:
        """The greedy soup of what is remembered.

        Args:
            ranked: the epochs, the best by validation first: the order in which they are tried.
            judge: measures the network as it is; the weights are lent to it while it is asked.
            better: whether what was found is better than an earlier find, or (with None) than the best epoch.

        Returns:
            (what was found of the soup, the epochs in it); (None, the best epoch) where none helps.
        """
        order = [epoch for epoch in ranked if epoch in self._weights]
        chosen = order[:1]
        found: Found | None = None
        for epoch in order[1:]:
            with self._learning.lent(self._mean([*chosen, epoch])):
                tried = judge()
            if better(tried, found):
                chosen, found = [*chosen, epoch], tried
        return found, tuple(sorted(chosen))

    def _mean(self, epochs: Sequence[int]) -> dict[str, Tensor]:
        return {
            name: torch.stack([self._weights[epoch][name].float() for epoch in epochs]).mean(0)
            for name in self._learning.parameters
        }
