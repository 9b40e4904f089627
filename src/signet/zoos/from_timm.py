"""timm: pretrained classifiers with the preprocessing of their own `pretrained_cfg`.

Reading a config needs no timm; only building the module does. timm downloads nothing: it builds an
empty network, and the weights that our hub found are loaded into it, strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from signet.cards import DigestTrust
from signet.catalogue import configs
from signet.errors import BadInput, MissingExtra, UnknownName
from signet.networks import ModuleSource, ModuleSpec, Pretrained

ZOO = "timm"


def pretrained(
    name: str, config: Mapping[str, Any], weights: Path, digest: str, trust: DigestTrust, where: str
) -> Pretrained:
    """A model from its config and weight file.

    Raises:
        BadCard: the config has a key or value that is not understood.
    """
    module = configs.spec(ZOO, config)
    card = configs.card(name, config, digest, trust, origin=_origin(config))
    source = module_source(module, weights, configs.digest_of(module, digest), card.input_size or (224, 224))
    return Pretrained(card, (source,), configs.digest_with(source.digest, card), where)


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return ModuleSource(
        build=partial(build, spec, weights),
        digest=digest,
        input_shape=(3, *size),
        spec=spec,
        weights=weights,
        classifier=spec.classifier,
    )


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Raises:
        MissingExtra: timm is not installed.
        UnknownName: timm has no such architecture.
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtra(f"timm/{spec.architecture}", "train", "timm") from error
    if not timm.is_model(spec.architecture):
        raise UnknownName("timm architecture", spec.architecture, timm.list_models())
    module = timm.create_model(
        spec.architecture, pretrained=False, num_classes=spec.classes, **dict(spec.arguments)
    )
    if weights is not None:
        state = timm.models.load_state_dict(str(weights), weights_only=True)
        try:
            module.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise BadInput(
                f"{weights.name}: expected exactly the tensors of timm/{spec.architecture}; {error}"
            ) from error
    return module.eval()


def _origin(config: Mapping[str, Any]) -> str:
    stated = config.get("pretrained_cfg") or {}
    origin = config.get("origin") or {}
    return str(origin.get("repository") or stated.get("hf_hub_id") or stated.get("origin_url") or "")
