"""Heads that are more than one matrix: a perceptron, or a module of one's own, first taught on features.

Shape suffixes: N images, C classes, D features, H hidden.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from signet.arrays import Array, Floats
from signet.errors import BadGraph, BadInput, BadRequest
from signet.training.exactness import bounded_threads, own_random_states, seed_step

HeadFactory = Callable[[int, int], nn.Module]
"""From (width D of the features, number of classes C) to a module: float32 (N, D) to logits (N, C)."""

_ROLE = 5  # of random numbers: no other part draws from this stream
_STEPS, _BATCH, _RATE, _DECAY = 400, 128, 1e-3, 0.02
_TRIAL = 3


def mlp(width: int, classes: int, hidden: int, dropout: float) -> nn.Module:
    """Linear, GELU, dropout, Linear.

    Its first weights come from torch's own generator.

    Args:
        width: D.
        classes: C.
        hidden: H.
        dropout: share of the hidden values that are zero while it learns, 0 to below 1.
    """
    layers = OrderedDict(
        hidden=nn.Linear(width, hidden),
        activation=nn.GELU(),
        dropout=nn.Dropout(dropout),
        logits=nn.Linear(hidden, classes),
    )
    return nn.Sequential(layers)


def replace_head(module: nn.Module, classifier: str | None, head: nn.Module) -> tuple[nn.Module, str]:
    """(a network with another head, dotted name of the head).

    Args:
        module: the network; changed in place. One that ends in features (N, D) becomes a part of the result.
        classifier: dotted name of its head; None when it has none.
        head: takes what the present head takes.

    Raises:
        BadGraph: there is no such layer.
        BadRequest: the present head is no Linear layer, so another module would not get a row of features.
    """
    if classifier is None:
        return nn.Sequential(OrderedDict(backbone=module, head=head)).eval(), "head"
    try:
        old = module.get_submodule(classifier)
    except AttributeError as error:
        raise BadGraph(
            f"head {classifier!r}: expected a layer of the network, got nothing: {error}."
        ) from error
    if not isinstance(old, nn.Linear):
        raise BadRequest(
            f"head {classifier!r}: expected a Linear layer in whose place another head can be put, got "
            f"{type(old).__name__}, which sees maps and not rows of features. Use --head linear."
        )
    module.set_submodule(classifier, head.train(old.training))
    return module, classifier


def checked_head(factory: HeadFactory, width: int, classes: int) -> nn.Module:
    """A head of a factory, once it is seen to give logits.

    Raises:
        BadInput: what the factory gives is no module, or does not turn (N, D) into finite (N, C).
    """
    head: object = factory(width, classes)
    if not isinstance(head, nn.Module):
        raise BadInput(f"head: expected a torch.nn.Module of the factory, got {type(head).__name__}.")
    with torch.no_grad():
        try:
            answer: object = head.eval()(torch.zeros(_TRIAL, width))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise BadInput(
                f"head: expected a module that takes float32 (N, {width}); it refuses: {error}"
            ) from error
    if not isinstance(answer, Tensor) or answer.shape != (_TRIAL, classes):
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise BadInput(
            f"head: expected logits of shape ({_TRIAL}, {classes}) for features of shape ({_TRIAL}, "
            f"{width}), got {got}."
        )
    if not bool(torch.isfinite(answer).all()):
        raise BadInput("head: expected finite logits for features of zeros, got NaN or infinity.")
    return head


def taught_on_features(head: nn.Module, features: Floats, targets: Array, *, seed: int) -> None:
    """Teach a head on the features of the frozen network, before anything else learns.

    What a probe is to a linear head: without it the first steps of a fine-tuning, whose head knows nothing,
    spoil what is below. AdamW, 400 steps of 128 rows, the rate falling as half a cosine.

    Args:
        head: changed in place; afterwards in evaluation mode.
        features: float32 (N, D).
        targets: int64 (N,), or where several labels can be right bool (N, C).
        seed: of the order, and of dropout.

    Source: A. Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
        Out-of-Distribution" (2022), section 3.
    """
    rows_ND, targets_N = torch.from_numpy(np.array(features, np.float32)), torch.from_numpy(np.array(targets))
    parameters = list(head.parameters())
    if not parameters:
        raise BadInput("head: expected a module with weights to learn, got one without any.")
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    generator = np.random.default_rng([seed, _ROLE])
    batch = min(_BATCH, len(rows_ND))
    cpu = torch.device("cpu")
    with own_random_states(cpu), bounded_threads(1):
        head.train()
        for step in range(_STEPS):
            seed_step(cpu, seed, _ROLE, step)
            chosen = torch.from_numpy(generator.choice(len(rows_ND), batch, replace=False))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + np.cos(np.pi * step / _STEPS))
            loss = _loss(head(rows_ND[chosen]), targets_N[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    head.eval()


def _loss(logits_NC: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of one label an image; of several, that of each label on its own."""
    if targets.ndim == 2:
        return nn.functional.binary_cross_entropy_with_logits(logits_NC, targets.float())
    return nn.functional.cross_entropy(logits_NC, targets)
