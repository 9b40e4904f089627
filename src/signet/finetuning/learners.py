"""The torch module that learns labels of images: a network with its new head, and adapters where they are.

Torch is imported inside the functions: whoever fits a probe needs none of this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.arrays import Array, Floats
from signet.errors import BadRequest
from signet.finetuning.adaptations import seeded
from signet.networks import ModuleSpec, Pretrained
from signet.recipes import Recipe

MOST_HIDDEN = 1024
"""Hidden values of a perceptron where the recipe leaves them open: as many as features, at most these."""


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A network that is about to learn.

    Attributes:
        module: the network; training changes it.
        classifier: dotted name of its head.
        spec: the network as data, from which a seal can build it again; None where the head is no linear one,
            so that the graph alone holds it.
        adapted: its low-rank adapters, or None.
        factory: of the head; None for a linear one.
    """

    module: Any
    classifier: str
    spec: ModuleSpec | None
    adapted: Any = None
    factory: Callable[[int, int], Any] | None = None

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the parameters that stay beside adapters."""
        return () if self.adapted is None else self.adapted.frozen

    @property
    def head(self) -> Any:
        """The head's module."""
        return self.module.get_submodule(self.classifier)


def learner_of(
    pretrained: Pretrained,
    classes: int,
    recipe: Recipe,
    *,
    adapters: bool = False,
    head: Callable[[int, int], Any] | None = None,
) -> Learner:
    """The network of a model with a new head; a linear one answers zeros until it is told otherwise.

    Args:
        pretrained: a model that torch can build, at its input size.
        classes: C.
        recipe: kind and size of the head, size of adapters, and the seed of what begins at random.
        adapters: whether low-rank adapters learn in place of the network's own weights.
        head: makes the head from (features, classes); what the recipe says when None.

    Raises:
        BadRequest: torch cannot build the model; no such head can be put on it; it takes no adapters.
        BadInput: what `head` makes does not turn features into logits.
        MissingExtra: torch or peft is not installed.
    """
    from signet.training import AdapterSettings, with_adapters

    source = pretrained.module
    if source is None or source.spec is None:
        raise BadRequest(f"{pretrained.card.name}: expected a model that torch can build.")
    module = source.build()
    factory = head or factory_of(recipe)
    with seeded(recipe.seed):
        module, classifier = _with_head(module, source.classifier, pretrained, classes, factory)
        adapted = None
        if adapters:
            size = AdapterSettings(rank=recipe.lora_rank, alpha=recipe.lora_alpha)
            adapted = with_adapters(module, classifier, size)
    spec = None
    if factory is None:
        spec = dataclasses.replace(source.spec, classes=classes, classifier=classifier)
    return Learner(module, classifier, spec, adapted, factory)


def factory_of(recipe: Recipe) -> Callable[[int, int], Any] | None:
    """What makes the head that a recipe names; None for a linear one."""
    if recipe.head != "mlp":
        return None

    def make(width: int, classes: int) -> Any:
        from signet.training import mlp

        return mlp(width, classes, recipe.head_hidden or min(width, MOST_HIDDEN), recipe.head_dropout)

    return make


def begin_head(learner: Learner, arrays: dict[str, Array]) -> None:
    """Give the head what it begins with: a probe's weights and bias, or its own state."""
    import torch

    from signet.training import set_head

    if learner.factory is None:
        set_head(learner.module, learner.classifier, arrays["weights"], arrays["bias"])
    else:
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        learner.head.load_state_dict(state, strict=True)


def taught_head(learner: Learner, features: Floats, targets: Array, seed: int) -> dict[str, Array]:
    """The state of a head that is no linear one, taught on the features of the frozen network."""
    from signet.training import taught_on_features

    taught_on_features(learner.head, features, targets, seed=seed)
    return {name: tensor.detach().numpy().copy() for name, tensor in learner.head.state_dict().items()}


def _with_head(
    module: Any,
    classifier: str | None,
    pretrained: Pretrained,
    classes: int,
    factory: Callable[[int, int], Any] | None,
) -> tuple[Any, str]:
    from signet.training import checked_head, replace_head, set_head, width_of, with_head

    stated = pretrained.card.output.width or 512
    width = stated if classifier is None else width_of(module, classifier)
    if factory is not None:
        own: tuple[Any, str] = replace_head(module, classifier, checked_head(factory, width, classes))
        return own
    weights, bias = np.zeros((classes, width), np.float32), np.zeros(classes, np.float32)
    if classifier is None:
        headed: tuple[Any, str] = with_head(module, weights, bias)
        return headed
    set_head(module, classifier, weights, bias)
    return module, classifier
