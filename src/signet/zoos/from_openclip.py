"""open_clip: CLIP and CoCa. Vectors for pictures, and classification with the user's own words.

Words are made into vectors once, by the text tower, when the module is built; from then on the model is an
ordinary classifier: image tower, normalisation, one linear layer. Its graph needs no text tower and no
open_clip. open_clip downloads nothing: it gets its own architecture's settings and our hub's tensors.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
arXiv:2103.00020, section 3.1; Yu et al., "CoCa", arXiv:2205.01917; Zhai et al., "Sigmoid Loss",
arXiv:2303.15343, section 3.2, for the models with a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signet.catalogue import configs, towers
from signet.errors import BadInput, MissingExtra, UnknownName
from signet.hub import WeightFiles
from signet.naming import shown
from signet.networks import ModuleSource, ModuleSpec, Pretrained
from signet.zoos import modules

ZOO = "open_clip"


def pretrained(
    name: str, config: Mapping[str, Any], found: WeightFiles, labels: Sequence[str] | None = None
) -> Pretrained:
    """A model from its config and weight file.

    Args:
        name: `open_clip/ARCHITECTURE.tag`.
        config: the index entry, or the `config.json` of a mirrored folder.
        found: the weights, their digest checked.
        labels: the words to choose from; None makes a model that gives vectors.

    Raises:
        BadCard: the config has a key or value that is not understood.
        BadRequest: the labels are no list of different words, or this model's words need a tokenizer that
            does not come with open_clip.
    """
    words = None if labels is None else towers.checked_words(name, labels, config)
    spec = spec_of(config, words)
    card = towers.card(name, config, found.digest, found.trust, configs.origin(config), words)
    digest = configs.digest_of(spec, found.digest)
    network = module_source(spec, found.weights, digest, card.input_size or (224, 224))
    where = "file" if found.where == "folder" else found.where
    return Pretrained(card, (network,), configs.digest_with(network.digest, card), where)


def spec_of(config: Mapping[str, Any], words: tuple[str, ...] | None = None) -> ModuleSpec:
    """The module that a config describes, for words or without."""
    stated = config.get("pretrained_cfg") or {}
    arguments: dict[str, Any] = {"quick_gelu": bool(stated.get("quick_gelu", False))}
    if words is not None:
        arguments["labels"] = list(words)
    return ModuleSpec(
        zoo=ZOO,
        architecture=str(config["architecture"]),
        arguments=arguments,
        classes=len(words or ()),
        classifier=None if words is None else "head",
    )


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource:
    """The network as a module that is built when an engine asks for it."""
    return modules.module_source(build, spec, weights, digest, size, spec.classifier)


def build(spec: ModuleSpec, weights: Path | None) -> Any:
    """The torch module in evaluation mode, filled strictly from `weights`; random when that is None.

    Its `forward` takes float32 (N, 3, H, W). With labels it returns logits (N, C), else vectors (N, D), which
    are not normalised.

    Raises:
        MissingExtra: open_clip is not installed.
        UnknownName: open_clip has no such architecture.
        BadInput: a tensor is missing, unexpected, or of another shape.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtra(f"{ZOO}/{spec.architecture}", "clip", "open_clip_torch") from error
    from signet.zoos.image_towers import ImageTower, WordClassifier

    settings = open_clip.get_model_config(spec.architecture)
    if settings is None:
        raise UnknownName("open_clip architecture", spec.architecture, open_clip.list_models())
    labels = spec.arguments.get("labels")

    def make() -> Any:
        module = empty(open_clip, settings, bool(spec.arguments.get("quick_gelu")))
        if weights is not None:
            _fill(module, weights, spec.architecture)
        module.eval()
        if not labels:
            return ImageTower(module.visual)
        length = settings["text_cfg"].get("context_length", 77)
        return WordClassifier.of(module, labels, open_clip.SimpleTokenizer(context_length=length))

    return modules.made(make, spec)


def own_words(settings: Mapping[str, Any]) -> bool:
    """Whether an architecture's words are cut by the tokenizer that comes with open_clip."""
    text = settings["text_cfg"]
    return not any(text.get(key) for key in ("hf_model_name", "hf_tokenizer_name", "tokenizer_kwargs"))


def empty(open_clip: Any, settings: Mapping[str, Any], quick_gelu: bool) -> Any:
    """The module by its own class: `create_model` would set up logging, and look for weights."""
    from open_clip.coca_model import CoCa

    plain = dict(settings)
    custom = plain.pop("custom_text", False)
    if plain["text_cfg"].get("hf_model_name"):
        raise ValueError("its text tower is another library's, whose settings would have to be downloaded")
    plain["quick_gelu"] = quick_gelu
    if plain["vision_cfg"].get("timm_model_name"):
        plain["vision_cfg"] = {**plain["vision_cfg"], "timm_model_pretrained": False}
    if not custom:
        return open_clip.CLIP(**plain)
    return CoCa(**plain) if "multimodal_cfg" in plain else open_clip.CustomTextCLIP(**plain)


def _fill(module: Any, weights: Path, architecture: str) -> None:
    """Load strictly, after the renamings that open_clip does for files of its earlier versions.

    Its own loader would also stretch position embeddings to another size; here that is refused.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    state = convert_state_dict(module, dict(modules.read_state(weights)))
    if "positional_embedding" in state and not hasattr(module, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for key in ("logit_scale", "logit_bias"):
        own = getattr(module, key, None)
        if own is not None and key in state and state[key].numel() == own.numel():
            state[key] = state[key].reshape(own.shape)  # one number, as a scalar or as a list of one
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise BadInput(
            f"{shown(weights.name)}: expected exactly the tensors of {ZOO}/{architecture}; {error}"
        ) from error
