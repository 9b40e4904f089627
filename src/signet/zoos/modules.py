"""What every zoo of torch modules does alike: from a config to a model, from a weight file into a module.

A zoo that is read from another library's weight entries brings two things of its own: `build`, which makes
the empty module, and the name of the layer that is the head. The rest is here, once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from signet.catalogue import configs
from signet.errors import BadInput
from signet.hub import WeightFiles
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained

Build = Callable[[ModuleSpec, Path | None], Any]
"""From a spec and a weight file to the module in evaluation mode; random when the file is None."""

_SIZE = (224, 224)
WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts keep the tensors in a checkpoint. Source: timm `load_state_dict`."""


def pretrained(
    name: str,
    config: Mapping[str, Any],
    found: WeightFiles,
    spec: ModuleSpec,
    source: Callable[[ModuleSpec, Path, str, tuple[int, int]], ModuleSource],
) -> Pretrained:
    """A model from its config and weight file.

    Args:
        name: `zoo/architecture.tag`.
        config: the parsed `config.json` or index entry.
        found: the weights, their digest checked.
        spec: what `configs.spec` made of the config.
        source: the zoo's own `module_source`.

    Raises:
        BadCard: the config has a key or value that is not understood.
    """
    card = configs.card(name, config, found.digest, found.trust, origin=configs.origin(config))
    digest = configs.digest_of(spec, found.digest)
    network = source(spec, found.weights, digest, card.input_size or _SIZE)
    where = "file" if found.where == "folder" else found.where
    return Pretrained(card, (network,), configs.digest_with(network.digest, card), where)


def module_source(
    build: Build, spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int], classifier: str | None
) -> ModuleSource:
    """The network as a module that is built when an engine asks for it.

    Args:
        build: of the zoo.
        spec: what to build.
        weights: what to fill it with.
        digest: sha256 hex over both.
        size: (height, width) of its input.
        classifier: dotted name of the layer that is the head, or None.
    """
    return ModuleSource(
        build=partial(build, spec, weights),
        digest=digest,
        input_shape=(3, *size),
        spec=spec,
        weights=weights,
        classifier=classifier,
    )


def made(make: Callable[[], Any], spec: ModuleSpec, reserved: Collection[str] = ()) -> Any:
    """The empty module that a spec describes, in evaluation mode.

    Args:
        make: calls the library.
        spec: what to build; its arguments may come from a stranger's config or seal.
        reserved: arguments that are the library's own switches (where to load from), never a network's.

    Raises:
        BadInput: an argument is reserved, or the library refuses them.
    """
    what = shown(f"{spec.zoo}/{spec.architecture}")
    refused = sorted(set(spec.arguments) & set(reserved))
    if refused:
        raise BadInput(
            f"{what}: its config passes {', '.join(refused)} to {spec.zoo}, which says where to load from, "
            "not what to build. Take it out of 'model_args'."
        )
    try:
        module = make()
    except (
        ArithmeticError,
        AssertionError,
        LookupError,
        NameError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BadInput(
            f"{what} cannot be built with the arguments {shown(dict(spec.arguments))}: {shown(error)}"
        ) from error
    return module.eval()


def fill(module: Any, weights: Path, what: str, rename: Callable[[str], str] | None = None) -> None:
    """Load a weight file into a module, strictly: exactly its tensors, each of its shape.

    Args:
        module: a `torch.nn.Module`; values are converted to the dtypes that it has.
        weights: `.safetensors`, or a pickle that holds nothing but tensors (`weights_only`).
        what: it is, for messages: `zoo/architecture`.
        rename: from the names in the file to those of the module, where they are different.

    Raises:
        BadInput: the file cannot be read or holds something else than tensors; a tensor is missing,
            unexpected, or of another shape.
    """
    state = read_state(weights)
    if rename is not None:
        state = _renamed(state, rename, weights, what)
    try:
        module.load_state_dict(_of_this_version(state, module), strict=True)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(f"{shown(weights.name)}: expected exactly the tensors of {what}; {error}") from error


def _of_this_version(state: Mapping[str, Any], module: Any) -> Mapping[str, Any]:
    """The tensors of a file that notes no versions, as those of the version that is installed.

    torch.save notes for each module which version of its class wrote it; safetensors has no place for that,
    and some classes (MNASNet) load nothing without. What an older version wrote has other shapes.
    """
    if hasattr(state, "_metadata"):
        return state
    noted = OrderedDict(state)
    whole = getattr(module.state_dict(), "_metadata", {}).get("", {})
    noted._metadata = {"": whole}  # type: ignore[attr-defined]
    return noted


def _renamed(
    state: Mapping[str, Any], rename: Callable[[str], str], weights: Path, what: str
) -> Mapping[str, Any]:
    names = [rename(key) for key in state]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise BadInput(
            f"{shown(weights.name)}: expected exactly the tensors of {what}; it has "
            f"{', '.join(map(shown, twice[:8]))} under two names."
        )
    return dict(zip(names, state.values(), strict=True))


def read_state(weights: Path) -> Mapping[str, Any]:
    """The tensors of a weight file by name, on the CPU; nothing in the file is ever executed.

    Raises:
        BadInput: the file cannot be read, is cut short, or holds something else than tensors.
    """
    import torch

    state = read_file(weights)
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInput(
            f"{shown(weights.name)}: expected tensors by name, got something else. "
            "Save module.state_dict() and nothing more."
        )
    return state


def read_file(weights: Path) -> Any:
    """What a weight file holds, tensors on the CPU; nothing in the file is ever executed.

    Raises:
        BadInput: the file cannot be read, or is cut short; a pickle with more in it than values.
    """
    import torch

    try:
        if weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(weights)
        return torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle and zip each have their own kinds
        pickled = None if weights.suffix == ".safetensors" else _pickled_model(weights)
        if pickled is None:
            raise unreadable(weights, error) from error
        return pickled


class Pickled(dict[str, Any]):
    """Tensors by name of a model that was pickled whole, or of several by the keys of their checkpoint.

    Attributes:
        stated: what those models and the checkpoint state in words and numbers (`pickled_tensors.Contents`).
    """

    stated: Mapping[str, Mapping[str, Any]]


def _pickled_model(weights: Path) -> Pickled | None:
    """The tensors of a model that was pickled whole; None where there are none."""
    import torch

    from signet.zoos import pickled_tensors

    try:
        contents = pickled_tensors.read(weights)
    except BadInput:
        return None
    found = {
        key: {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
        for key, tensors in contents.tensors.items()
    }
    pickled = Pickled(found[""] if list(found) == [""] else found)
    pickled.stated = contents.stated
    return pickled


def unreadable(weights: Path, error: Exception) -> BadInput:
    """The error for a weight file that its library refuses."""
    return BadInput(
        f"{shown(weights.name)}: expected safetensors, or a file of torch.save that holds tensors only; "
        f"it cannot be read: {first_line(error)} What a pickle asks for can be code and is never run: "
        "where it was trained, save module.state_dict() instead."
    )


def first_line(error: Exception) -> str:
    """What a library says, as one sentence."""
    lines = str(error).strip().splitlines()
    return f"{shown(lines[0] if lines else type(error).__name__).rstrip('.')}."
