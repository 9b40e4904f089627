"""A weight file of the user's own: what matches, what is refused and how, and that answers are the zoo's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signet.catalogue import index
from signet.engines.contract import EngineSettings
from signet.errors import BadCard, BadInput, BadRequest, MissingExtra, SignetError
from signet.models import load
from signet.networks import ModuleSource, Pretrained
from signet.resolving import resolve
from signet.sealing import SealSettings, seal
from signet.testing import made_images
from signet.zoos import state_files

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

TINY = "test_resnet"
LIKE = "timm/test_resnet.r160_in1k"
LABELS = ["a", "b", "c"]
CARD = {"like": LIKE, "labels": LABELS}
PAIR = ("mobilenetv3_small_075", "tf_mobilenetv3_small_075")
"""Equal tensors, another padding."""


def made(architecture: str = TINY, classes: int = 3) -> Any:
    torch.manual_seed(1)
    module = timm.create_model(architecture, pretrained=False, num_classes=classes).eval()
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return module


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    return dict(made().state_dict())


def saved(state: Any, place: Path, card: Any = CARD) -> Path:
    """The file, with the card beside it where there is one."""
    if place.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, place)
    else:
        torch.save(state, place)
    if card is not None:
        place.with_name(f"{place.name}.card.json").write_text(json.dumps(card))
    return place


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def source(found: Pretrained) -> ModuleSource:
    (network,) = found.networks
    assert isinstance(network, ModuleSource)
    return network


def architecture(found: Pretrained) -> str:
    spec = source(found).spec
    assert spec is not None
    return spec.architecture


def same(found: Pretrained, state: dict[str, Any]) -> bool:
    filled = source(found).build().state_dict()
    return filled.keys() == state.keys() and all(torch.equal(filled[name], state[name]) for name in state)


# --- what matches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("like", "make"),
    [
        (LIKE, lambda: made(classes=7)),
        ("timm/test_vit.r160_in1k", lambda: made("test_vit", 7)),
        ("timm/test_efficientnet.r160_in1k", lambda: made("test_efficientnet", 7)),
        ("torchvision/squeezenet1_1.imagenet1k_v1", None),
        ("torchvision/shufflenet_v2_x0_5.imagenet1k_v1", None),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_answers_are_those_of_the_zoos_own_module(
    like: str, make: Callable[[], Any] | None, suffix: str, tmp_path: Path
) -> None:
    if make is None:
        models = pytest.importorskip("torchvision").models
        torch.manual_seed(2)
        module = models.get_model(
            like.partition("/")[2].partition(".")[0], weights=None, num_classes=7
        ).eval()
    else:
        module = make()
    place = saved(module.state_dict(), tmp_path / f"mine{suffix}", {"like": like, "labels": None})
    found = resolve(place)
    assert (found.where, found.card.name, found.card.origin) == ("file", "file/mine", place.name)
    assert (found.card.output.classes, found.card.labels) == (7, None)
    assert found.card.licence.verdict == "unknown"
    with load(found, engine="torch", settings=EngineSettings(threads=2)) as model:
        batch = model.prepare(made_images(2))
        outputs = model.run(batch)
        assert model.embed(made_images(1))
    with torch.inference_mode():
        expected = module(torch.from_numpy(np.asarray(batch.arrays))).numpy()
    # One summation order for two threads, another for one.
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-5, atol=1e-5)


WAYS = {
    "plain.pt": lambda state: state,
    "plain.bin": lambda state: state,
    "wrapped.pth": lambda state: {"state_dict": state, "epoch": 3, "arch": "resnet"},
    "named.pth": lambda state: {"model": state},
    "training.pt": lambda state: {"model_state_dict": state, "optimizer": {"state": {}, "param_groups": [1]}},
    "average.pt": lambda state: {"ema": {"module": state, "decay": 0.999}},
    "parallel.pt": lambda state: prefixed(state, "module."),
    "lightning.pt": lambda state: {"state_dict": prefixed(state, "model."), "loops": {"a": 1}},
    "compiled.pt": lambda state: prefixed(state, "_orig_mod.module."),
    "backbone.safetensors": lambda state: prefixed(state, "backbone."),
    "plain.safetensors": lambda state: state,
    "uncounted.pt": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("way", WAYS)
def test_wrappers_and_prefixes_are_undone_and_said_so(
    way: str, state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(WAYS[way](state), tmp_path / way)
    found = resolve(place)
    if not way.startswith("uncounted"):
        assert same(found, state)
    assert found.card.labels == tuple(LABELS)
    assert bool(found.card.lineage.get("read")) == (not way.startswith(("plain", "uncounted")))
    weights = source(found).weights
    assert weights is not None
    # Whoever trains on or seals reads the file by itself: its names are those of the module.
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        assert load_file(weights).keys() == state.keys()


def test_a_file_with_other_names_can_be_sealed_with_its_weights(
    state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(prefixed(state, "module."), tmp_path / "mine.safetensors")
    sealed = seal(resolve(place), out=tmp_path / "mine.signet", settings=SealSettings())
    assert same(Pretrained(sealed.card, resolve(sealed.path).networks[1:], "", "seal"), state)
    assert sealed.card.lineage["read"] == ["the prefix 'module.' of every name is left out"]


def test_several_sets_of_tensors_are_not_chosen_from(state: dict[str, Any], tmp_path: Path) -> None:
    other = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    place = saved({"model": state, "model_ema": other}, tmp_path / "mine.pt")
    with pytest.raises(BadRequest, match=r'several sets .*: model, model_ema\. .*"tensors": "model"'):
        resolve(place)
    found = {}
    for name, expected in (("model", state), ("model_ema", other)):
        found[name] = resolve(saved({"model": state, "model_ema": other}, place, {**CARD, "tensors": name}))
        assert same(found[name], expected)
    assert found["model"].digest != found["model_ema"].digest
    saved({"model": state}, place, {**CARD, "tensors": "ema"})
    with pytest.raises(BadRequest, match="no set of tensors is named 'ema'; there are: 'model'"):
        resolve(place)


def test_weights_without_a_head_give_vectors(tmp_path: Path) -> None:
    module = made(classes=0)
    place = saved(module.state_dict(), tmp_path / "features.pt", {"like": LIKE, "labels": None})
    found = resolve(place)
    assert (found.card.task, found.card.output.head) == ("embed", "embedding")
    assert same(found, module.state_dict())


def test_labels_are_the_entrys_own_only_when_asked_for_and_as_many(tmp_path: Path) -> None:
    place = saved(made(classes=1000).state_dict(), tmp_path / "mine.pt", {"like": LIKE, "labels": "like"})
    assert (resolve(place).card.labels or ())[0] == "tench"
    saved(made().state_dict(), place, {"like": LIKE, "labels": "like"})
    with pytest.raises(BadCard, match="those of 1000 classes; the head of these weights has 3"):
        resolve(place)


def test_a_label_file_may_begin_with_a_background(state: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("background\na\nb\n")
    place = tmp_path / "mine.pt"
    saved(state, place, {"like": LIKE, "labels": {"file": "names.txt", "drop_first": True}})
    card = resolve(place).card
    assert (card.labels, card.output.drop_first, card.output.classes) == (("a", "b"), True, 3)


# --- what does not ----------------------------------------------------------------------------------------


def test_without_a_card_nothing_is_predicted_and_what_to_write_is_said(
    state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(state, tmp_path / "mine.pt", None)
    with pytest.raises(
        BadRequest, match=r"exactly the .* tensors of timm/test_resnet, with a head of 3"
    ) as e:
        resolve(place)
    assert "\n" not in str(e.value)
    notes = e.value.__notes__
    card = json.loads(next(note for note in notes if note.startswith("{")))
    assert card == {"like": LIKE, "labels": {"file": "NAMES.txt"}}
    (tmp_path / "NAMES.txt").write_text("a\nb\nc\n")
    saved(state, place, card)
    assert resolve(place).card.labels == tuple(LABELS)


def test_architectures_that_compute_different_things_are_told_apart_by_the_card(tmp_path: Path) -> None:
    module = made(PAIR[1])
    place = saved(module.state_dict(), tmp_path / "mine.pt", None)
    with pytest.raises(BadRequest, match=f"2 architectures .*: timm/{PAIR[0]}; timm/{PAIR[1]}"):
        resolve(place)
    likes = [name for name in index.names() if name.startswith(f"timm/{PAIR[1]}.")]
    saved(module.state_dict(), place, {"like": likes[0], "labels": LABELS})
    assert architecture(resolve(place)) == PAIR[1]
    card = {**resolve(place).card.to_dict(), "architecture": "", "weights_digest": None, "lineage": {}}
    card.pop("weights_digest")
    saved(module.state_dict(), place, card)
    with pytest.raises(BadCard, match='State which: "architecture": "timm/'):
        resolve(place)
    saved(module.state_dict(), place, {**card, "architecture": PAIR[0]})
    assert architecture(resolve(place)) == PAIR[0]


def test_weights_of_another_architecture_are_refused_until_it_is_named(
    state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(state, tmp_path / "mine.pt", {"like": "timm/test_vit.r160_in1k", "labels": LABELS})
    with pytest.raises(
        BadCard, match=r'not of timm/test_vit: .* missing .*unexpected.*"architecture": "timm/test_resnet"'
    ):
        resolve(place)
    like = {"like": "timm/test_vit.r160_in1k", "labels": LABELS, "architecture": "timm/test_resnet"}
    found = resolve(saved(state, place, like))
    assert same(found, state)
    assert found.card.lineage["like"] == "timm/test_vit.r160_in1k"


CHANGES = {
    "missing": (lambda s: s.pop("conv1.0.weight"), r"1 missing \(conv1\.0\.weight\)"),
    "unexpected": (lambda s: s.update(extra=torch.ones(2)), r"1 unexpected \(extra\)"),
    "shape": (
        lambda s: s.update({"layer1.0.bn1.weight": torch.ones(5)}),
        r"1 of another shape \(layer1\.0\.bn1\.weight 5 where it has",
    ),
    "width of head": (lambda s: s.update({"fc.weight": torch.ones(3, 5)}), "fc.weight 3x5 where it has anyx"),
    "uneven head": (lambda s: s.update({"fc.bias": torch.ones(4)}), r"of another shape \(fc\.bias 4 where"),
}


@pytest.mark.parametrize("card", [CARD, None])
@pytest.mark.parametrize("change", CHANGES)
def test_a_near_miss_is_refused_with_the_difference(
    change: str, card: Any, state: dict[str, Any], tmp_path: Path
) -> None:
    act, words = CHANGES[change]
    changed = dict(state)
    act(changed)
    with pytest.raises(BadInput, match=f"timm/test_resnet: .*{words}") as caught:
        resolve(saved(changed, tmp_path / "mine.pt", card))
    assert any("Nearest: timm/test_resnet" in note for note in caught.value.__notes__)


def test_what_resembles_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no architecture of timm or torchvision"):
        resolve(saved({"mine": torch.ones(3)}, tmp_path / "mine.pt", None))


BROKEN = {
    "unknown field": ({**CARD, "label": []}, "Did you mean 'labels'"),
    "no labels": ({"like": LIKE}, "expected 'labels'"),
    "too few labels": ({"like": LIKE, "labels": ["a"]}, "expected 3 labels"),
    "labels that are no names": ({"like": LIKE, "labels": [1, 2, 3]}, "list of names"),
    "labels as a word": ({"like": LIKE, "labels": "abc"}, "list of names"),
    "like of another kind": ({**CARD, "like": 3}, "'like' to be a name"),
    "unknown like": ({**CARD, "like": "timm/test_resnett.r160_in1k"}, "Did you mean"),
    "like a tower": ({**CARD, "like": "open_clip/ViT-B-32.openai"}, "an entry of timm or torchvision"),
    "unknown architecture": ({**CARD, "architecture": "timm/resnet5"}, "No architecture named"),
    "arguments of another kind": ({**CARD, "arguments": []}, "'arguments' to be an object"),
    "tensors of another kind": ({**CARD, "tensors": 1}, "'tensors' to be a name"),
    "label file elsewhere": ({**CARD, "labels": {"file": "../../names.txt"}}, "outside"),
    "a list": ([CARD], "JSON object"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_short_card_is_read_strictly(fault: str, state: dict[str, Any], tmp_path: Path) -> None:
    card, words = BROKEN[fault]
    with pytest.raises(SignetError, match=words):
        resolve(saved(state, tmp_path / "mine.pt", card))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_digest": "0" * 64}, "it is the card of weights with the sha256 0000"),
        ({"output": {"head": "softmax", "classes": 4}, "labels": None}, "4 classes, but the head .* has 3"),
        ({"architecture": "resnet18"}, "architecture 'resnet18', but it has exactly"),
        ({"task": "embed", "output": {"head": "embedding"}, "labels": None}, "'embed' does not fit"),
        ({"labels": ["a"]}, "3 labels"),
    ],
)
def test_a_whole_card_is_held_to_the_weights(
    change: dict[str, Any], words: str, state: dict[str, Any], tmp_path: Path
) -> None:
    place = saved(state, tmp_path / "mine.pt")
    whole = resolve(place).card.to_dict()
    place.with_name("mine.pt.card.json").write_text(json.dumps(whole))
    assert same(resolve(place), state)
    place.with_name("mine.pt.card.json").write_text(json.dumps({**whole, **change}))
    with pytest.raises(BadCard, match=words):
        resolve(place)


def test_two_forms_with_equal_tensors_are_told_apart_by_an_argument(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision").models
    module = models.get_model("googlenet", weights=None, num_classes=3, init_weights=False)
    card = {"like": "torchvision/googlenet.imagenet1k_v1", "labels": LABELS}
    place = saved(module.state_dict(), tmp_path / "mine.pt", card)
    with pytest.raises(BadCard, match=r'"arguments": \{"transform_input": true\}'):
        resolve(place)
    for value in (True, False):
        saved(module.state_dict(), place, {**card, "arguments": {"transform_input": value}})
        assert source(resolve(place)).build().transform_input is value
    # So does torchvision give its pretrained one.
    module = models.get_model("googlenet", weights=None, num_classes=3, init_weights=False, aux_logits=False)
    saved(module.state_dict(), place, {**card, "arguments": {"transform_input": True}})
    assert same(resolve(place), module.state_dict())


def test_reading_needs_the_library_only_where_it_must_compare(
    state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The architecture of a file is found without timm; that a near miss is one is not."""
    import sys

    place = saved(state, tmp_path / "mine.safetensors")
    odd = saved({"conv1.0.weight": state["conv1.0.weight"]}, tmp_path / "odd.safetensors")
    monkeypatch.setitem(sys.modules, "timm", None)
    assert resolve(place).card.output.classes == 3
    with pytest.raises(MissingExtra, match="timm is not installed"):
        resolve(odd)


def test_the_copy_in_the_cache_is_written_once(state: dict[str, Any], tmp_path: Path) -> None:
    place = saved(prefixed(state, "module."), tmp_path / "mine.pt")
    first = source(resolve(place)).weights
    assert first is not None
    assert first != place
    stamp = first.stat().st_mtime_ns
    assert source(resolve(place)).weights == first
    assert first.stat().st_mtime_ns == stamp
    assert not state_files.read(place).plain


def test_real_weights_with_their_whole_card_answer_as_by_name(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "squeezenet1_0.dc_in1k"
    monkeypatch.setenv("SIGNET_MIRROR", str(shared / "weights"))
    named = resolve(f"torchvision/{name}", offline=True)
    place = tmp_path / "mine.safetensors"
    place.write_bytes((shared / "weights" / name / "model.safetensors").read_bytes())
    place.with_name(f"{place.name}.card.json").write_text(json.dumps(named.card.to_dict()))
    answers = []
    for found in (named, resolve(place)):
        with load(found, engine="torch", settings=EngineSettings(threads=1)) as model:
            picture = model.read(sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG"))[0])
            answers.append(model.run(model.prepare([picture]))["logits"])
    np.testing.assert_array_equal(*answers)
