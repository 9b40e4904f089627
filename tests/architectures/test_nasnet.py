"""NASNet-A: counts, the answers of Keras and of timm with the same weights, and Keras' files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signet.errors import BadInput

torch = pytest.importorskip("torch")

from signet.architectures.nasnet import LARGE, MOBILE, NASNet  # noqa: E402
from signet.architectures.nasnet_keras import keras_names, read_keras, to_torch  # noqa: E402
from signet.architectures.renaming import renamed  # noqa: E402

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "architectures" / "nasnet.json").read_text())[
    "cases"
]
SMALL = replace(MOBILE, cells=1, channels=96, stem=8)


@pytest.mark.parametrize(
    ("settings", "size", "learned", "as_keras_counts", "multiply_adds"),
    [(MOBILE, 224, 5_289_978, 5_326_716, 564e6), (LARGE, 331, 88_753_150, 88_949_818, 23.8e9)],
)
def test_counts_are_as_stated(settings, size, learned, as_keras_counts, multiply_adds):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = NASNet(settings, 1000).eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 3, size, size))
    running = sum(value.numel() for name, value in module.named_buffers() if "running" in name)
    parameters = sum(value.numel() for value in module.parameters())
    assert (parameters, parameters + running) == (learned, as_keras_counts)
    assert counter.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.002)


@pytest.mark.parametrize("case", GOLDEN)
def test_the_answers_are_those_of_keras(case, filled, pictures, difference):
    expected = GOLDEN[case]
    module = filled(NASNet(replace(MOBILE, borders="keras"), 1000))
    with torch.no_grad():
        logits = module(pictures(expected["size"], expected["size"]))
    assert difference(logits[0, ::125], expected["logits"]) < 1e-5
    assert logits.argmax(1).tolist() == expected["best"]


def test_the_borders_make_a_difference(filled, pictures, difference):
    with torch.no_grad():
        answers = [
            filled(NASNet(replace(SMALL, borders=borders), 10))(pictures(96, 96))
            for borders in ("tensorflow", "keras", "timm")
        ]
    assert min(difference(answers[a], answers[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 1e-3


def timm_names() -> dict[str, str]:
    """From our modules to those of timm's `nasnetalarge`."""
    names = {"stem.conv": "conv0.conv", "stem.norm": "conv0.bn", "head": "last_linear"}
    cells = ["cell_stem_0", "cell_stem_1", *(f"cell_{number}" for number in range(18))]
    cells.insert(8, "reduction_cell_0")
    cells.insert(15, "reduction_cell_1")
    for number, theirs in enumerate(cells):
        ours = f"cells.{number}"
        names |= {
            f"{ours}.squeeze.conv": f"{theirs}.conv_1x1.conv",
            f"{ours}.squeeze.norm": f"{theirs}.conv_1x1.bn",
        }
        if theirs in ("cell_stem_1", "cell_0", "cell_6", "cell_12"):
            names |= {
                f"{ours}.adjust.even": f"{theirs}.path_1.conv",
                f"{ours}.adjust.odd": f"{theirs}.path_2.conv",
            }
            names[f"{ours}.adjust.norm"] = f"{theirs}.final_path_bn"
        else:
            names[f"{ours}.adjust.conv"] = f"{theirs}.conv_prev_1x1.conv"
            names[f"{ours}.adjust.norm"] = f"{theirs}.conv_prev_1x1.bn"
        for block in range(5):
            for side in ("left", "right"):
                for turn in (1, 2):
                    path, branch = f"{ours}.{side}.{block}", f"{theirs}.comb_iter_{block}_{side}"
                    names[f"{path}.depthwise{turn}"] = f"{branch}.separable_{turn}.depthwise_conv2d"
                    names[f"{path}.pointwise{turn}"] = f"{branch}.separable_{turn}.pointwise_conv2d"
                    names[f"{path}.norm{turn}"] = f"{branch}.bn_sep_{turn}"
    return names


def test_large_gives_the_answers_of_timm(filled, pictures, difference):
    timm = pytest.importorskip("timm")
    theirs = filled(timm.create_model("nasnetalarge"))
    with torch.device("meta"):
        module = NASNet(replace(LARGE, borders="timm"), 1000).eval()
    module.load_state_dict(renamed(theirs.state_dict(), timm_names(), module), strict=True, assign=True)
    images = pictures(107, 107)
    with torch.no_grad():
        assert difference(module(images), theirs(images)) < 1e-5


@pytest.fixture(scope="module")
def keras_arrays(filled):
    """A small NASNet's tensors as Keras names and lays them: {(layer, variable): array}."""
    module = filled(NASNet(SMALL, 10))
    names, arrays = keras_names(SMALL), {}
    for key, tensor in module.state_dict().items():
        if key in names:
            array = tensor.numpy()
            depthwise = names[key].name == "depthwise_kernel"
            axes = {1: (0,), 2: (1, 0), 4: (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)}[array.ndim]
            arrays[names[key].layer, names[key].name] = array.transpose(axes)
    return module, arrays


def write_h5(path, arrays, links=()):
    """As Keras 2 writes weights: a group a layer, the names of its arrays in an attribute."""
    import h5py

    with h5py.File(path, "w") as file:
        layers = list(dict.fromkeys(layer for layer, _ in arrays))
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer)
            own = {name: array for (of, name), array in arrays.items() if of == layer}
            group.attrs["weight_names"] = [f"scope/{layer}/{name}:0".encode() for name in own]
            for name, array in own.items():
                if layer in links:
                    group[f"scope/{layer}/{name}:0"] = h5py.ExternalLink("/etc/hostname", "/x")
                else:
                    group[f"scope/{layer}/{name}:0"] = array


def write_weights_h5(path, arrays):
    """As Keras 3 writes `.weights.h5`: numbered groups, the name of the layer in an attribute."""
    import h5py

    with h5py.File(path, "w") as file:
        for number, layer in enumerate(dict.fromkeys(layer for layer, _ in arrays)):
            variables = file.create_group(f"layers/layer_{number}/vars")
            variables.attrs["name"] = layer
            for place, array in enumerate(array for (of, _), array in arrays.items() if of == layer):
                variables[str(place)] = array


@pytest.mark.parametrize("write", [write_h5, write_weights_h5])
def test_a_file_of_keras_loads_strictly(write, keras_arrays, tmp_path):
    pytest.importorskip("h5py")
    expected, arrays = keras_arrays
    write(tmp_path / "nasnet.h5", arrays)
    module = NASNet(SMALL, 10)
    module.load_state_dict(read_keras(tmp_path / "nasnet.h5", module, SMALL), strict=True)
    for key, tensor in expected.state_dict().items():
        assert torch.equal(module.state_dict()[key], tensor), key


def test_what_is_wrong_with_a_file_is_named(keras_arrays, tmp_path):
    pytest.importorskip("h5py")
    _, arrays = keras_arrays
    module = NASNet(SMALL, 10)

    def refusal(changed, **options):
        write_h5(tmp_path / "changed.h5", changed, **options)
        with pytest.raises(BadInput) as caught:
            read_keras(tmp_path / "changed.h5", module, SMALL)
        return str(caught.value)

    without = {name: array for name, array in arrays.items() if name[0] != "normal_conv_1_3"}
    assert "missing: normal_conv_1_3/kernel" in refusal(without)
    assert "unexpected: other/kernel" in refusal(arrays | {("other", "kernel"): np.zeros((1, 1, 2, 2), "f4")})
    other = arrays | {("predictions", "bias"): np.zeros(1001, "f4")}
    assert "other shape: predictions/bias (1001,)" in refusal(other)
    assert "is a link" in refusal(arrays, links=("stem_conv1",))
    assert "plain array" in refusal(arrays | {("predictions", "bias"): np.array([b"x"] * 10)})
    (tmp_path / "no.h5").write_bytes(b"not HDF5")
    with pytest.raises(BadInput, match="expected an HDF5 file"):
        read_keras(tmp_path / "no.h5", module, SMALL)


def test_kernels_of_keras_lie_otherwise():
    assert to_torch(np.zeros((5, 5, 16, 1)), "depthwise_kernel").shape == (16, 1, 5, 5)
    assert to_torch(np.zeros((1, 1, 16, 8)), "pointwise_kernel").shape == (8, 16, 1, 1)
    assert to_torch(np.zeros((24, 10)), "kernel").shape == (10, 24)


def test_every_parameter_learns_at_the_input_size(pictures):
    torch.manual_seed(0)
    module = NASNet(MOBILE, 10).train()
    module(pictures(224, 224)[:1]).square().mean().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_features_come_without_classes(pictures):
    module = NASNet(SMALL, 0).eval()
    with torch.no_grad():
        assert module(pictures(96, 65)).shape == (2, module.features) == (2, 96)


def test_the_graph_answers_as_the_module(filled, pictures, exported, tmp_path):
    module = filled(NASNet(SMALL, 10))
    assert max(exported(module, pictures(97, 64), "head", tmp_path)) < 1e-4
