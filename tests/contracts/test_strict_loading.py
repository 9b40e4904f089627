"""Nothing loads silently wrong: each fault of a weight file is refused in each zoo; the difference is shown.

Every zoo has a tiny model in a mirror, loaded by name; a fault is put into its file or its config. Graph
files are in test_strict_graphs.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from signet.errors import BadCard, BadInput, DigestMismatch, HubError
from signet.resolving import resolve
from signet.zoos import by_name

torch = pytest.importorskip("torch")
REFUSED = (BadCard, BadInput, DigestMismatch, HubError)
ZOOS = ("timm", "torchvision", "transformers", "open_clip", "signet", "keras", "smp")
Mirrored = Any
State = dict[str, Any]


@pytest.fixture
def mirrored(
    request: pytest.FixtureRequest, tiny_zoos: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mirrored:
    monkeypatch.setenv("SIGNET_MIRROR", str(tmp_path / "mirror"))
    return tiny_zoos.ZOOS[request.param](tmp_path / "mirror")


def test_every_zoo_is_here(tiny_zoos: ModuleType) -> None:
    assert tuple(tiny_zoos.ZOOS) == ZOOS
    assert set(ZOOS) == set(by_name.LIBRARIES)


every_zoo = pytest.mark.parametrize("mirrored", ZOOS, indirect=True)
with_classes = pytest.mark.parametrize(
    "mirrored", [name for name in ZOOS if name != "open_clip"], indirect=True
)


def short(name: str) -> str:
    """What of a tensor's name a message must show: Keras's files have each layer's name several times."""
    if name.startswith("vit.encoder"):
        return "mlp.fc2.weight"
    return name.removesuffix(":0").rpartition("/")[0].rpartition("/")[2] if "/" in name else name


def refusal(model: Mirrored) -> str:
    with pytest.raises(REFUSED) as caught:
        model.open()
    return " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@every_zoo
def test_the_whole_model_loads(mirrored: Mirrored) -> None:
    assert len(mirrored.open()) == 1


@every_zoo
def test_a_missing_tensor_is_named(mirrored: Mirrored) -> None:
    mirrored.change(lambda state: state.pop(mirrored.inner))
    message = refusal(mirrored)
    assert short(mirrored.inner) in message
    assert "issing" in message


@every_zoo
def test_a_tensor_too_many_is_named(mirrored: Mirrored) -> None:
    extra = mirrored.inner.replace("weight", "another").replace("kernel", "another")
    mirrored.change(lambda state: state.update({extra: torch.ones(3)}))
    message = refusal(mirrored)
    assert "nother" in message
    assert "nexpected" in message


@every_zoo
def test_another_shape_is_shown_beside_the_expected_one(mirrored: Mirrored) -> None:
    shapes = []

    def wider(state: State) -> None:
        value = state[mirrored.inner]
        shapes.append(tuple(value.shape))
        state[mirrored.inner] = torch.cat([value, value], dim=value.ndim - 1)

    mirrored.change(wider)
    (shape,) = shapes
    message = refusal(mirrored)
    assert short(mirrored.inner) in message
    for axes in (shape, (*shape[:-1], 2 * shape[-1])):
        assert ", ".join(map(str, axes)) in message


def _of_classes(state: State, model: Mirrored, classes: int) -> None:
    """Give the head another number of outputs, with its bias where it has one."""
    for key in (model.head, model.head.replace("weight", "bias").replace("kernel", "bias")):
        if key in state:
            value = state[key]
            axis = value.ndim - 1 if model.file.suffix == ".h5" else 0
            state[key] = torch.ones(
                [classes if place == axis else side for place, side in enumerate(value.shape)]
            )


@with_classes
@pytest.mark.parametrize("classes", [4, 1001])
def test_another_number_of_classes_is_shown(mirrored: Mirrored, classes: int) -> None:
    """1,001: with a background class before the thousand, which only a card can state."""
    mirrored.change(lambda state: _of_classes(state, mirrored, classes))
    message = refusal(mirrored)
    assert short(mirrored.head) in message
    assert str(classes) in message


@every_zoo
def test_bytes_that_were_not_promised_are_refused_with_both_digests(mirrored: Mirrored) -> None:
    promised = hashlib.sha256(mirrored.file.read_bytes()).hexdigest()
    mirrored.config(weights={"file": mirrored.file.name, "sha256": promised})
    assert mirrored.open()
    with mirrored.file.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    message = refusal(mirrored)
    assert promised in message
    assert hashlib.sha256(mirrored.file.read_bytes()).hexdigest() in message


@every_zoo
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(mirrored: Mirrored, part: float) -> None:
    whole = mirrored.file.read_bytes()
    mirrored.file.write_bytes(whole[: int(len(whole) * part)])
    message = refusal(mirrored)
    assert mirrored.file.name in message
    assert "cannot be read" in message


@pytest.mark.parametrize("mirrored", ["timm", "torchvision", "signet"], indirect=True)
def test_a_head_of_1001_has_no_labels_of_a_thousand(mirrored: Mirrored) -> None:
    """Weights and config agree, but which class is which is not said: nothing is labelled by guess."""
    mirrored.change(lambda state: _of_classes(state, mirrored, 1001))
    mirrored.config(num_classes=1001)
    (answer,) = mirrored.open()
    assert len(answer.scores) == 1001
    assert resolve(mirrored.name, offline=True).card.labels is None


@pytest.mark.parametrize("mirrored", ["open_clip"], indirect=True)
def test_vectors_of_another_width_are_refused(mirrored: Mirrored) -> None:
    mirrored.config(embedding_width=512)
    message = refusal(mirrored)
    assert "16" in message
    assert "512" in message
