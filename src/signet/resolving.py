"""From what a person writes as MODEL to the model itself.

A path is taken as it is: a seal, a pretrained folder, a graph file. A name is looked up in the package,
the cache, the mirror, and last the hub. A folder that happens to bear a model's name, and is no model
itself, does not hide it.

A name is one of the index, `transformers/ORGANISATION/NAME` for any image classifier of that library, or
`hf-hub:ORGANISATION/NAME` for a repository whose `config.json` says of which library it is. Words behind a
colon (`asking`) make a classifier of a CLIP.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet import hub
from signet.architectures.catalogue import ARCHITECTURES
from signet.catalogue import asking, index
from signet.catalogue.asking import Asked
from signet.errors import BadInput, BadRequest, UnknownName
from signet.hub.weights import STANDARD_FILES
from signet.networks import GRAPH_SUFFIXES, ModuleSource, ModuleSpec, Pretrained
from signet.progress import OnProgress
from signet.zoos import by_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from signet.zoos.graph_guess import GraphGuess
    from signet.zoos.state_guess import Guess
    from signet.zoos.yolo_files import YoloGuess

HUB_PREFIX = "hf-hub:"
HUB_FOLDER = "hub"
"""Where in cache and mirror a repository lies that no index lists."""
PROCESSOR_FILE = "preprocessor_config.json"
_ANY_OF_THE_HUB = "transformers"
_TAKE_WORDS = ("open_clip",)
_FILES = {"open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")}


def resolve(
    model: str | Path,
    *,
    offline: bool = False,
    card: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Pretrained:
    """Find a model.

    Args:
        model: a catalogue name, a seal (folder or zip), a pretrained folder, a graph file, or weights.
        offline: never ask the network.
        card: the card of a graph file or of weights, when it does not lie beside it.
        on_progress: told of downloaded bytes.

    Raises:
        UnknownName: no such file, and no such name; carries near misses.
        BadInput: a file or folder that is not a model.
        HubError: the weights could not be had.
    """
    given = os.fspath(model)
    text = given.removeprefix(HUB_PREFIX)
    place = os.path.expanduser(text)  # noqa: PTH111  (a Path would mend "" and "timm//x", which are no names)
    if os.path.exists(place):  # noqa: PTH110  (a name longer than a path may be is only a name)
        path = Path(place)
        if not (path.is_dir() and not _holds_model(path) and _is_known(text)):
            return _from_path(path, card)
    elif _looks_like_path(text):
        raise UnknownName("file or model", text, (), "There is no such file; check the path.")
    wanted = asking.asked(text)
    if text == index.STARTER:
        from signet.zoos import from_package

        return from_package.pretrained()
    zoo, slash, rest = wanted.name.partition("/")
    if zoo == _ANY_OF_THE_HUB and rest:
        return _from_hub(wanted, rest, offline, on_progress)
    if given != text and not _is_known(wanted.name):
        return _from_hub(wanted, wanted.name, offline, on_progress)
    if slash and zoo not in index.ZOOS:
        from importlib.metadata import entry_points

        for point in entry_points(group="signet.zoos"):
            if point.name == zoo:
                found: Pretrained = _plugin(point).pretrained(text, offline=offline, on_progress=on_progress)
                return found
    return _from_name(wanted, offline, on_progress)


def guess(model: str | Path, card: Path | None = None) -> Guess | GraphGuess | YoloGuess | None:
    """What a weight or graph file says of itself where no card says what it is; None for any other model.

    Raises:
        BadInput: the weights cannot be read, or the graph cannot be run.
    """
    from signet.zoos import card_files, from_state, graph_guess

    path = Path(model).expanduser()
    if path.suffix.lower() in GRAPH_SUFFIXES and path.is_file():
        return graph_guess.guess(path) if not (card or card_files.place_of(path)).is_file() else None
    return from_state.guess(path, by_name.zoo, card) if from_state.is_state(path) and path.is_file() else None


def _plugin(point: EntryPoint) -> Any:
    """The module of another package's zoo.

    Raises:
        BadRequest: it cannot be imported, or has no `pretrained`.
    """
    try:
        module = point.load()
    except (ImportError, AttributeError) as error:
        raise BadRequest(
            f"zoo {point.name}: its plug-in {point.value} cannot be imported: {error}"
        ) from error
    if not callable(getattr(module, "pretrained", None)):
        raise BadRequest(
            f"zoo {point.name}: its plug-in {point.value} has no pretrained(name, *, offline, on_progress)."
        )
    return module


def _is_known(text: str) -> bool:
    """Whether the index has this name, or several of which it is the beginning."""
    try:
        return text == index.STARTER or bool(index.full_name(text))
    except UnknownName as error:
        return error.ambiguous


def _holds_model(folder: Path) -> bool:
    from signet.zoos import from_seal

    if from_seal.is_seal(folder) or (folder / "config.json").is_file():
        return True
    from signet.zoos import from_file

    return from_file.is_graph(folder)


def _from_path(path: Path, card: Path | None) -> Pretrained:
    from signet.zoos import from_seal

    if from_seal.is_seal(path):
        # Before the readers of other files are imported: most predictions are those of a seal.
        return from_seal.pretrained(path, module_source)
    from signet.zoos import from_file, from_state

    if from_file.is_graph(path):
        return from_file.pretrained(path, card)
    if path.is_file() and from_state.is_state(path):
        return from_state.pretrained(path, by_name.zoo, card)
    if path.is_dir() and (path / "config.json").is_file():
        found = hub.in_folder(path)
        if found is None or found.config is None:
            raise BadInput(f"{path}: expected config.json and model.safetensors in this folder.")
        return _from_weights(path.resolve().name, found.config, found)
    raise BadInput(
        f"{path}: expected a model: a sealed folder or zip, a folder with config.json and "
        "model.safetensors, or a graph (.onnx, .tflite, .xml, TensorFlow SavedModel or frozen .pb)."
    )


def _from_name(wanted: Asked, offline: bool, on_progress: OnProgress | None) -> Pretrained:
    """Package, cache, mirror, hub; the name may leave out zoo or tag where that leaves one candidate."""
    name = wanted.name
    hub.check_name(name)
    try:
        full = index.full_name(name)
    except UnknownName as error:
        # The index is not all there is: a mirror may hold what no zoo lists, or one of several.
        mirrored = _from_mirror((name, name.partition("/")[2]), wanted)
        if mirrored is not None:
            return mirrored
        if error.ambiguous:
            raise
        zoo, _, architecture = name.partition("/")
        if zoo == "signet" and architecture in ARCHITECTURES:
            # It is built here and comes with no weights; the error says where to put some.
            hub.obtain(name, None, offline=offline)
        built = (f"signet/{one}" for one in ARCHITECTURES)
        known = (*index.names(), *hub.list_mirror(), *built)
        raise UnknownName("model", name, known, "See `signet find`.") from error
    config = index.config(full)
    remote = remote_of(config)
    cached = hub.in_cache(full, remote)
    if cached is not None:
        return _from_weights(full, config, cached, wanted)
    mirrored = _from_mirror((name, full, full.partition("/")[2]), dataclasses.replace(wanted, name=full))
    if mirrored is not None:
        return mirrored
    found = hub.obtain(full, remote, offline=offline, on_progress=on_progress)
    return _from_weights(full, config, found, wanted)


def _from_mirror(candidates: Sequence[str], wanted: Asked) -> Pretrained | None:
    """The first of these names that the mirror has with its config, of the zoo that was asked for."""
    zoo, slash, _ = wanted.name.partition("/")
    for candidate in dict.fromkeys(filter(None, candidates)):
        found = hub.in_mirror(candidate)
        if found is None or found.config is None:
            continue
        # A folder of that name may hold another zoo's model than the one that is asked for.
        if not slash or candidate == wanted.name or _library(found.config) == zoo:
            return _from_weights(candidate, found.config, found, wanted)
    return None


def _from_hub(wanted: Asked, repository: str, offline: bool, on_progress: OnProgress | None) -> Pretrained:
    """A repository that no index lists; its own files say what it is."""
    name = wanted.name if wanted.name.startswith(_ANY_OF_THE_HUB) else f"{HUB_FOLDER}/{repository}"
    remote = hub.Remote(repository=repository, beside=(PROCESSOR_FILE,))
    found = hub.obtain(name, remote, offline=offline, on_progress=on_progress)
    if found.config is None:
        raise BadInput(
            f"{repository}: expected a config.json beside its weights that says what they are; there is none."
        )
    return _from_weights(name, found.config, found, wanted)


def remote_of(config: Mapping[str, Any]) -> hub.Remote:
    """Where an indexed model's weights are."""
    stated = config["pretrained_cfg"]
    if not stated.get("hf_hub_id"):
        return hub.Remote(address=stated["url"], sha256=config.get("file_sha256"))
    if stated.get("hf_hub_filename"):
        return hub.Remote(repository=stated["hf_hub_id"], files=(stated["hf_hub_filename"],))
    files = _FILES.get(_library(config), STANDARD_FILES)
    return hub.Remote(repository=stated["hf_hub_id"], files=files)


def _from_weights(
    name: str, config: Mapping[str, Any], found: hub.WeightFiles, wanted: Asked | None = None
) -> Pretrained:
    library = _library(config)
    zoo = _builder(library, config.get("architecture"))
    if zoo is None:
        raise BadRequest(
            f"{name}: its config.json names the library {library!r}; known: {', '.join(by_name.LIBRARIES)}."
        )
    full = name if name.startswith(f"{library}/") else f"{library}/{name.removeprefix(f'{HUB_FOLDER}/')}"
    if library != _ANY_OF_THE_HUB:
        stated = config.get("pretrained_cfg")
        tag = stated.get("tag") if isinstance(stated, Mapping) else None
        full = f"{library}/{config.get('architecture', name)}{f'.{tag}' if tag else ''}"
    # The name goes into records, files and terminals; a stranger's config does not choose it freely.
    hub.check_name(full)
    labels = None if wanted is None else wanted.labels
    if labels is None:
        pretrained: Pretrained = zoo.pretrained(full, config, found)
        return pretrained
    if library not in _TAKE_WORDS:
        raise BadRequest(
            f"{full}: it has labels of its own; words to choose from are for {', '.join(_TAKE_WORDS)}."
        )
    worded: Pretrained = zoo.pretrained(full, config, found, labels)
    return worded


def _library(config: Mapping[str, Any]) -> str:
    """Of which library a config is: it says so, or has the form that one gives it, or is timm's."""
    if "library" in config:
        return str(config["library"])
    return "transformers" if "model_type" in config and "architectures" in config else "timm"


def module_source(spec: ModuleSpec, weights: Path, digest: str, size: tuple[int, int]) -> ModuleSource | None:
    """The torch module that a seal's weights fill, by the zoo that builds it; None for an unknown zoo.

    A seal can do without: its graph answers on the engines that run graphs.
    """
    zoo = by_name.zoo(spec.zoo, spec.architecture)
    source: ModuleSource | None = zoo and zoo.module_source(spec, weights, digest, size)
    return source


def _builder(library: str, architecture: object) -> Any:
    """The zoo that reads a config of this library, or None. The starter is no config's: it is packaged."""
    if library not in by_name.LIBRARIES or (library == "signet" and architecture not in ARCHITECTURES):
        return None
    return by_name.zoo(library, str(architecture))


def _looks_like_path(text: str) -> bool:
    if text.endswith((".pt", ".pth", ".npz", ".safetensors")):
        return True
    return text.startswith((".", "/", "~", "\\")) or text.endswith(
        (".zip", ".onnx", ".tflite", ".xml", ".pb", ".signet")
    )
