"""Real architectures, exported by torch: the features are those that the library itself calls pre-logits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from signet.graphs import with_onnx, with_openvino
from signet.graphs.opening import open_graph


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, which is not under test
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100"])
def test_features_are_timm_s_pre_logits(name, run_onnx, run_openvino, tmp_path):
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    images = torch.randn(2, 3, 64, 64)
    path = tmp_path / f"{name}.onnx"
    axes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    torch.onnx.export(module, (images,), str(path), dynamo=True, dynamic_shapes=axes, verbose=False)
    with torch.no_grad():
        logits = module(images).numpy()
        features = module.forward_head(module.forward_features(images), pre_logits=True).numpy()
    head = module.get_classifier()
    weights, bias = (values.detach().numpy() for values in (head.weight, head.bias))

    graph = open_graph(path)
    for surgeon, ending, runs in (
        (with_onnx, ".onnx", (run_onnx, run_openvino)),
        (with_openvino, ".xml", (run_openvino,)),
    ):
        added = surgeon.add_features(graph, tmp_path / f"added{ending}")
        cut = surgeon.backbone(graph, tmp_path / f"cut{ending}")
        joined = surgeon.join_head(cut, weights, bias, tmp_path / f"joined{ending}")
        for run in runs:
            answers = run(added, images.numpy())
            np.testing.assert_allclose(answers["features"], features, atol=1e-4)
            np.testing.assert_allclose(next(iter(answers.values())), logits, atol=1e-4)
            np.testing.assert_allclose(run(cut, images.numpy())["features"], features, atol=1e-4)
            np.testing.assert_allclose(run(joined, images.numpy())["logits"], logits, atol=1e-4)


def test_importing_the_surgeons_loads_no_library():
    code = (
        "import sys; from signet.graphs import opening, quarantine, with_onnx, with_openvino; "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
