"""A pickled whole model gives its tensors; whatever else its pickle asks for is never done."""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.errors import BadInput
from signet.zoos import pickled_tensors, state_files

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Strange(nn.Module):
    """A class that only this file has, with all that a state dict may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.again = self.layers[0]
        self.register_buffer("kept", torch.arange(6.0).view(2, 3).T)
        self.register_buffer("transient", torch.ones(2), persistent=False)
        self.note = {"names": {0: "cat"}, "options": collections.Counter("ab")}


class Runs:
    """Pickles to a call."""

    def __init__(self, call: Any, *given: Any) -> None:
        self.call, self.given = call, given

    def __reduce__(self) -> Any:
        return self.call, self.given


def zipped(pickled: bytes, place: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, data in more.items():
            archive.writestr(f"x/data/{name.removeprefix('n')}", data)
    return place


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_the_tensors_are_those_of_the_state_dict(dtype: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Strange().to(getattr(torch, dtype))
    torch.save(module, tmp_path / "whole.pt")
    found = pickled_tensors.read(tmp_path / "whole.pt").tensors
    assert list(found) == [""]
    expected = module.state_dict()
    assert list(found[""]) == list(expected)
    for name, value in expected.items():
        assert np.array_equal(found[""][name], (value.float() if dtype == "bfloat16" else value).numpy())


def test_a_checkpoint_has_a_set_for_each_of_its_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, average = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save({"model": model, "ema": average, "epoch": 3, "optimizer": None}, tmp_path / "last.pt")
    found = pickled_tensors.read(tmp_path / "last.pt").tensors
    assert list(found) == ["model", "ema"]
    assert np.array_equal(found["ema"]["weight"], average.weight.detach().numpy())
    state = state_files.read(tmp_path / "last.pt", "ema")
    assert state.shapes == {"weight": (2, 3), "bias": (2,)}
    assert "a pickled model" in " ".join(state.remarks)
    from safetensors.torch import load_file

    assert torch.equal(load_file(state.weights())["bias"], average.bias)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["system", "eval", "exec", "getattr", "import"])
def test_a_call_in_the_pickle_is_never_made(name: str, protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w')"
    calls: dict[str, Runs] = {
        "system": Runs(os.system, f"touch {trace}"),
        "eval": Runs(eval, code),
        "exec": Runs(exec, code),
        "getattr": Runs(getattr, Runs(__import__, "os"), "system"),
        "import": Runs(__import__, "antigravity"),
    }
    module = Strange()
    module.note["options"] = calls[name]
    torch.save(module, tmp_path / "evil.pt", pickle_protocol=max(protocol, 2))
    found = pickled_tensors.read(tmp_path / "evil.pt").tensors
    assert found[""].keys() == module.state_dict().keys()
    alone = zipped(pickle.dumps(calls[name], protocol), tmp_path / "alone.pt")
    with pytest.raises(BadInput, match=r"found none in it|cannot be read"):
        pickled_tensors.read(alone)
    assert not trace.exists()


class Storing(pickle.Pickler):
    """Writes views of the numbers "0", four float32, as torch does."""

    def persistent_id(self, thing: Any) -> Any:
        """What torch writes for a storage."""
        return ("storage", torch.FloatStorage, "0", "cpu", 4) if thing == "numbers" else None


def viewed(*arguments: Any) -> bytes:
    module = Runs(collections.OrderedDict)
    buffer = io.BytesIO()
    state = {"_parameters": {"weight": Runs(torch._utils._rebuild_tensor_v2, "numbers", *arguments)}}
    module.__class__ = type("Made", (), {"__reduce__": lambda _: (object, (), state)})  # type: ignore[assignment]
    Storing(buffer, 2).dump(module)
    return buffer.getvalue()


def test_a_view_within_its_numbers_is_read(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype="<f4").tobytes()
    place = zipped(viewed(1, (3,), (1,), False, None), tmp_path / "x.pt", n0=numbers)
    assert pickled_tensors.read(place).tensors[""]["weight"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((2, (3,), (1,)), "beyond its numbers"),
        ((0, (2, 2), (3, 2)), "beyond its numbers"),
        ((-1, (2,), (1,)), "not made of whole numbers"),
        ((0, (2.5,), (1,)), "not made of whole numbers"),
        ((0, (10**6, 10**6), (0, 0)), "more numbers than the file holds"),
        ((0, (2,), (1, 1)), "cannot be read"),
    ],
)
def test_a_view_beyond_its_numbers_is_refused(arguments: Any, words: str, tmp_path: Path) -> None:
    numbers = np.arange(4, dtype="<f4").tobytes()
    place = zipped(viewed(*arguments, False, None), tmp_path / "x.pt", n0=numbers)
    with pytest.raises(BadInput, match=words):
        pickled_tensors.read(place)


def test_modules_that_hold_each_other_are_not_visited_for_ever(tmp_path: Path) -> None:
    inner: Any = nn.Linear(1, 1)
    for _ in range(40):
        outer = nn.Module()
        outer.left = outer.right = inner
        inner = outer
    torch.save(inner, tmp_path / "deep.pt")
    with pytest.raises(BadInput, match="at most 100000 modules"):
        pickled_tensors.read(tmp_path / "deep.pt")


def test_what_is_larger_than_it_may_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(nn.Linear(30, 30), tmp_path / "x.pt")
    monkeypatch.setattr(pickled_tensors, "MOST_BYTES", 1000)
    with pytest.raises(BadInput, match="larger than 1000 bytes"):
        pickled_tensors.read(tmp_path / "x.pt")
    monkeypatch.setattr(pickled_tensors, "MOST_PICKLE_BYTES", 10)
    with pytest.raises(BadInput, match="larger than 10 bytes"):
        pickled_tensors.read(tmp_path / "x.pt")


def test_what_is_no_zip_of_torch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no zip")
    with pytest.raises(BadInput, match=r"expected a zip of torch\.save"):
        pickled_tensors.read(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(BadInput, match=r"expected one data\.pkl in the zip, found 0"):
        pickled_tensors.read(tmp_path / "y.pt")


@given(st.data())
def test_bytes_that_are_damaged_end_in_an_answer_or_a_refusal(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    torch.save(nn.Linear(2, 2), buffer)
    with zipfile.ZipFile(buffer) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith("data.pkl"))
        pickled = bytearray(archive.read(name))
    for _ in range(data.draw(st.integers(1, 4))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    place = Path(os.environ["SIGNET_CACHE"]) / "damaged.pt"
    place.parent.mkdir(parents=True, exist_ok=True)
    zipped(bytes(pickled), place, n0=bytes(16), n1=bytes(8))
    try:
        found = pickled_tensors.read(place).tensors
    except BadInput:
        return
    assert all(isinstance(value, np.ndarray) for tensors in found.values() for value in tensors.values())
