"""Channels cut out of a network: the weakest of each layer, with all that depends on them, until it is light.

What hangs together goes together: the channel of a convolution, its normalisation, the residual sum that it
is part of and every layer that reads it. torch-pruning follows these through the network.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

from signet.errors import BadRequest, MissingExtra

STEP = 0.01
"""Share of all channels that is cut before the multiply-adds are counted again."""
MOST = 0.9
"""Share of a layer's channels that may go; what asks for more is refused."""
MULTIPLE = 4
"""Channels are kept in fours, as processors compute them."""


def require_pruning() -> None:
    """Say what is missing, before any work.

    Raises:
        MissingExtra: torch or torch-pruning is not installed.
    """
    for package in ("torch", "torch_pruning"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtra("--to pruned", "prune", package.replace("_", "-")) from None


def prune(module: Any, classifier: str, size: tuple[int, int], share: float) -> None:
    """Cut channels out of a network, in place, until it has a share of its multiply-adds.

    In each layer those go first whose weights are the smallest, summed over all that belongs to them; every
    layer loses the same share of its channels. The head keeps its classes.

    Args:
        module: a network of float32 (N, 3, H, W).
        classifier: dotted name of its head.
        size: (H, W).
        share: of the multiply-adds that are left at most, 0 to 1.

    Raises:
        BadRequest: the network cannot be followed or cut so, or cannot become so light.

    Source: G. Fang et al., "DepGraph: Towards Any Structural Pruning" (CVPR 2023), arXiv:2301.12900,
        sections 3.2 and 3.3; the magnitude of a group, equation 5 without the learned sparsity.
    """
    import torch
    import torch_pruning

    example = torch.zeros(1, 3, *size)
    training = module.training
    module.eval()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            torch.enable_grad(),  # by whose graph the layers are followed
        ):
            warnings.simplefilter("ignore")  # of modules that it leaves as they are
            before = _macs(module, example)
            pruner = torch_pruning.pruner.BasePruner(
                module,
                example,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=MOST,
                max_pruning_ratio=MOST,
                iterative_steps=round(MOST / STEP),
                ignored_layers=[module.get_submodule(classifier)],
                round_to=MULTIPLE,
            )
            for _ in range(round(MOST / STEP)):
                if _macs(module, example) <= share * before:
                    break
                pruner.step()
            left = _macs(module, example) / before
            with torch.no_grad():
                module(example)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        AssertionError,
    ) as error:
        raise BadRequest(
            f"pruned: this network cannot be cut: {type(error).__name__}: {str(error)[:200]}. Use --to "
            "int8, or --to distilled with a smaller network."
        ) from error
    finally:
        module.train(training)
    if left > share:
        raise BadRequest(
            f"pruned: expected a network that can lose multiply-adds down to a share of {share:g}, got one "
            f"that keeps {left:.2f} when {100 * MOST:.0f} % of all channels that can go are gone. Ask for "
            "more with --macs, or use --to distilled."
        )


def _macs(module: Any, example: Any) -> float:
    import torch_pruning

    macs, _ = torch_pruning.utils.count_ops_and_params(module, example)
    return float(macs)
