"""What a network of the catalogue is held to: its count, and that it runs, learns, and is frozen where asked.

    python tools/catalogue_checks.py NAME [--batch 2] [--size N] [--bfloat16] [--gigabytes 20]

prints one line of JSON after each phase, so that whoever started it keeps what was reached when memory ends.
Weights are random; nothing is looked up or downloaded. `tools/catalogue_table.py` makes a table of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import catalogue_dense
from catalogue_tensors import CLASSES, Failed, awake, gradients, stepped

WORDS = 8
LEARNING_STAGES = 2
GIGABYTE = 10**9

SAME_NETWORK = {
    "signet/efficientnet_l2_mpl": "signet/efficientnet_l2",
    "signet/bit_l_r152x4": "timm/resnetv2_152x4_bit.goog_in21k_ft_in1k",
}
"""Names without weights, and the name whose network they have."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network that is looked at.

    Attributes:
        build: gives the torch module with random weights.
        size: (height, width) of its input.
        classifier: dotted name of its head; "" when it ends in features.
        network: its architecture and arguments as text: equal ones, equal networks.
        source: the `ModuleSource` that it is of.
    """

    build: Callable[[], Any]
    size: tuple[int, int]
    classifier: str
    network: str
    source: Any = None

    @property
    def is_dense(self) -> bool:
        """Whether it answers with boxes or masks, and has losses of its own."""
        return bool(self.source is not None and self.source.outputs)


def subject(name: str) -> Subject:
    """The network of a name."""
    from signet.untrained import untrained

    found = untrained(SAME_NETWORK.get(name, name))
    (source,) = found.networks
    if not hasattr(source, "build") or source.spec is None:
        raise Failed(f"{name} is no module that can be built.")
    size = found.card.input_size or (source.input_shape[1], source.input_shape[2])
    return Subject(
        source.build,
        size,
        source.classifier or "",
        json.dumps(source.spec.to_dict(), sort_keys=True),
        source,
    )


def built(name: str) -> int:
    """Learned numbers, as the library of the name counts them, built on the meta device.

    Keras also counts the statistics of BatchNorms; a CLIP's text tower counts though its pictures do not need
    it.
    """
    import torch

    zoo, _, rest = name.partition("/")
    if zoo == "keras":
        return _built_by_keras(rest.partition(".")[0])
    with torch.device("meta"):
        if zoo == "open_clip":
            import open_clip

            from signet.zoos import from_openclip

            settings = open_clip.get_model_config(rest.partition(".")[0])
            module = from_openclip.empty(open_clip, settings, quick_gelu=False)
        else:
            module = subject(name).build()
    return sum(value.numel() for value in module.parameters())


def _built_by_keras(architecture: str) -> int:
    import torch

    from signet.zoos import from_keras, keras_import

    kind = from_keras.class_of(architecture)
    if kind == "NASNetMobile":  # not built by Keras on torch; by Signet, whose BatchNorms Keras counts too
        with torch.device("meta"):
            state = subject("signet/nasnet_a_mobile").build().state_dict()
        return sum(value.numel() for value in state.values() if value.is_floating_point())
    keras = keras_import.imported(f"keras/{architecture}")
    with keras_import.building(keras), keras.device("meta"):
        model = getattr(keras.applications, kind)(weights=None, classifier_activation=None)
        return int(model.count_params())


def works(
    name: str, batch: int, size: int | None = None, *, bfloat16: bool = False
) -> Iterator[tuple[str, str]]:
    """(phase, what was seen) of "forward", "backward", "tune", each as soon as it is through.

    Of networks that find objects see `catalogue_dense.works`; of those that give labels:
    forward: finite logits of the right shape, and finite features before the head.
    backward: every parameter that can learn gets a finite gradient, in training mode; in bfloat16 where
        asked, which halves the memory of weights and gradients.
    tune: the head is replaced by one for three classes, all but the last stages are frozen, and one step of
        the optimizer of `signet.training` moves every tensor that may learn, and not one bit of any other.

    Raises:
        Failed: one of it is not so.
    """
    import torch

    found = subject(name)
    height, width = (size, size) if size else found.size
    if found.is_dense:
        yield from catalogue_dense.works(found.source, (height, width), batch, bfloat16=bfloat16)
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        module = awake(found.build())
        images = torch.randn(batch, 3, height, width)
        shape = (
            f"batch {batch} at {height} px" if height == width else f"batch {batch} at {height}x{width} px"
        )
        yield "forward", f"{_forward(module, images, found.classifier)}, {shape}"
        if bfloat16:
            words = _backward(module.bfloat16(), images.bfloat16())
            module.float()  # one step of a rate moves a norm by less than bfloat16 can tell
            yield "backward", f"{words}, {shape}, in bfloat16"
        else:
            yield "backward", f"{_backward(module, images)}, {shape}"
        yield "tune", _tune(module, images, found.classifier)


def _forward(module: Any, images: Any, classifier: str) -> str:
    import torch

    seen: list[Any] = []
    if classifier:
        head = module.get_submodule(classifier)
        handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        answer = module.eval()(images)
    if classifier:
        handle.remove()
    else:
        seen.append(answer)
    if answer.ndim != 2 or len(answer) != len(images) or not answer.isfinite().all():
        raise Failed(f"forward gives {tuple(answer.shape)}, finite: {bool(answer.isfinite().all())}.")
    (features,) = seen
    if not features.isfinite().all():
        raise Failed("the features before the head are not finite.")
    return f"{features.flatten(2).shape[1] if features.ndim > 2 else features.shape[-1]:,} features"


def _loss(module: Any, images: Any) -> Any:
    """Of what it answers; auxiliary heads answer too."""
    import torch

    answers = module(images)
    targets = torch.arange(len(images)) % CLASSES
    rows = [answers] if isinstance(answers, torch.Tensor) else list(answers)
    return sum(torch.nn.functional.cross_entropy(row, targets) for row in rows if row is not None)


def _loss_with_words(module: Any, images: Any) -> Any:
    """Of CoCa: of its labels, of the words that it says, and of how near image and text are."""
    import torch

    captions, features = module.seen(images)
    words = torch.arange(len(images) * WORDS).reshape(len(images), WORDS)
    said = module.text(words[:, :-1], captions)
    _, whole = module.text.alone(words)
    labels = torch.nn.functional.cross_entropy(module.head(features), torch.arange(len(images)) % CLASSES)
    caption = torch.nn.functional.cross_entropy(said.flatten(0, 1), words[:, 1:].flatten())
    return labels + caption + (features * whole).sum(1).square().mean()


def _backward(module: Any, images: Any) -> str:
    loss = (_loss_with_words if hasattr(module, "text") else _loss)(module.train(), images)
    return gradients(module, loss)


def _tune(module: Any, images: Any, classifier: str) -> str:
    from signet.training.freezing import freeze, set_learning_mode
    from signet.training.heads import set_head, with_head
    from signet.training.optimisation import Optimisation
    from signet.training.optimizers import optimizer_of
    from signet.training.schedule import set_rates
    from signet.training.settings import TrainSettings
    from signet.training.stages import all_but_last, frozen_parameters, stages_of

    module, classifier = _headed(module, images, classifier, set_head, with_head)
    stages = stages_of(module, classifier)
    names = all_but_last(stages, min(LEARNING_STAGES, len(stages)))
    frozen = frozen_parameters(module, classifier, names)
    freeze(module, frozen)
    set_learning_mode(module, frozen, "batch")
    _drop_nothing(module)
    steady = Optimisation(schedule="constant", warmup=0.0)
    settings = TrainSettings(classifier=classifier, frozen=names, batchnorm="batch", optimisation=steady)
    optimizer = optimizer_of(module, settings)
    set_rates(optimizer, 0, 1, settings.optimisation)
    return stepped(module, optimizer, frozen, lambda: _loss(module, images))


def _drop_nothing(module: Any) -> None:
    """Chance may leave out a branch for all images of so small a batch, which then learns nothing."""
    for part in module.modules():
        if type(part).__name__ in ("DropPath", "Dropout", "StochasticDepth"):
            part.eval()


def _headed(module: Any, images: Any, classifier: str, set_head: Any, with_head: Any) -> tuple[Any, str]:
    """(the network with a head for three classes, its name)."""
    import torch

    random = np.random.default_rng(5)
    if classifier:
        old = module.get_submodule(classifier).weight
        set_head(module, classifier, _head(random, old.shape[1]), np.zeros(CLASSES, np.float32))
        return module, classifier
    with torch.no_grad():
        width = module.eval()(images[:1]).shape[1]
    headed: tuple[Any, str] = with_head(module, _head(random, width), np.zeros(CLASSES, np.float32))
    return headed


def _head(random: np.random.Generator, width: int) -> Any:
    return random.normal(0, width**-0.5, (CLASSES, width)).astype(np.float32)


def _peak_bytes() -> int:
    """Of this process alone; what `getrusage` says may be its parent's, on Linux."""
    from signet.machine import peak_memory_bytes

    try:
        rows = Path("/proc/self/status").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))
    except (OSError, StopIteration):
        return peak_memory_bytes() or 0


def main() -> None:
    """Check one network, a line of JSON for each phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int)
    parser.add_argument("--bfloat16", action="store_true", help="the backward pass in that")
    parser.add_argument("--gigabytes", type=float, help="refuse to take more memory than this")
    chosen = parser.parse_args()
    if chosen.gigabytes:
        import resource

        most = int(chosen.gigabytes * GIGABYTE)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def say(row: Mapping[str, Any]) -> None:
        print(json.dumps({**row, "peak_bytes": _peak_bytes()}), flush=True)

    try:
        for phase, words in works(chosen.name, chosen.batch, chosen.size, bfloat16=chosen.bfloat16):
            say({"phase": phase, "words": words})
    except Failed as error:
        say({"phase": "failed", "words": str(error)})
    except (MemoryError, RuntimeError) as error:
        if "allocate" not in str(error) and not isinstance(error, MemoryError):
            raise
        say({"phase": "memory", "words": "more memory than was allowed"})


if __name__ == "__main__":
    main()
