"""Any network of timm as the backbone of a detector or segmenter, with the weights of its classifier.

timm builds the same layers with other names when they shall give maps of several sizes, so that a
classifier's weights find their places by rule, and every one of them that a backbone has must be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signet.errors import BadInput, BadRequest, MissingExtra, UnknownName
from signet.naming import shown

REDUCTIONS = (4, 8, 16, 32)
"""Pixels of the picture for one cell of a map, of the maps that feature pyramids are made of."""
_RESERVED = ("checkpoint_path", "features_only", "num_classes", "out_indices", "pretrained", "pretrained_cfg")


def maps_of(architecture: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """An empty timm network whose forward gives a list of maps, one for each of `REDUCTIONS` that it has.

    Args:
        architecture: timm's name.
        arguments: what the weights' own entry passes to it.

    Raises:
        MissingExtra: timm is not installed.
        UnknownName: timm has no such architecture.
        BadRequest: it gives no maps of several sizes.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtra(f"A backbone of timm ({architecture})", "train", "timm") from error
    if not timm.is_model(architecture):
        raise UnknownName("timm architecture", architecture, timm.list_models())
    given = dict(arguments or {})
    refused = sorted(set(given) & set(_RESERVED))
    if refused:
        raise BadRequest(
            f"backbone {architecture}: {', '.join(refused)} cannot be set, only what builds layers."
        )
    try:
        whole = timm.create_model(architecture, pretrained=False, features_only=True, **given)
        places = _places(whole.feature_info.reduction())
        if len(places) == len(whole.feature_info.reduction()):
            return whole
        return timm.create_model(
            architecture, pretrained=False, features_only=True, out_indices=places, **given
        )
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BadRequest(
            f"backbone {architecture}: expected a network with maps of several sizes, as ResNet, "
            f"Inception and MobileNet have; timm gives none of it: {shown(error)}"
        ) from error


def fill(body: Any, classifier: Any, what: str) -> None:
    """Copy the weights of a whole timm network into a backbone of the same architecture.

    Args:
        body: of `maps_of`, or any module of timm with `features_only`.
        classifier: the whole `torch.nn.Module`.
        what: its name, for messages.

    Raises:
        BadInput: the backbone has a tensor that the network lacks, or has in another shape.
    """
    here, there = body.state_dict(), classifier.state_dict()
    names = {_plain(name): name for name in there}
    if len(names) < len(there):
        raise BadInput(f"{what}: two of its tensors have names that cannot be told apart.")
    found, faults = {}, []
    for name, own in here.items():
        # timm wraps some networks whole, under the name `model`.
        source = names.get(_plain(name)) or names.get(_plain(name.removeprefix("model.")))
        if source is None:
            faults.append(f"missing {name}")
        elif there[source].shape != own.shape:
            faults.append(f"{name} {tuple(there[source].shape)} where {tuple(own.shape)} belongs")
        else:
            found[name] = there[source]
    if faults:
        raise BadInput(
            f"{what}: expected the weights of the same network as the backbone; "
            f"{'; '.join(faults[:8])}{' ...' if len(faults) > 8 else ''} ({len(faults)})."
        )
    body.load_state_dict(found, strict=True)


def _places(reductions: Sequence[int]) -> tuple[int, ...]:
    """Of each reduction that pyramids use, the place of the last map."""
    last = {reduction: place for place, reduction in enumerate(reductions) if reduction in REDUCTIONS}
    if len(last) < 2:
        raise ValueError(f"its maps have the reductions {list(reductions)}")
    return tuple(last.values())


def _plain(name: str) -> str:
    """A tensor's name where `stages.0`, a stage by place, and `stages_0`, one by name, are the same."""
    return name.replace(".", "_")
