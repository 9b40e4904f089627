"""What `import signet` and the light verbs bring in: nothing that is heavy."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "openvino",
    "onnxruntime",
    "onnx",
    "sklearn",
    "scipy",
    "skimage",
    "PIL",
    "numpy",
    "jinja2",
    "typer",
    "rich",
    "huggingface_hub",
)


def loaded(code: str) -> set[str]:
    """Modules that a fresh Python has after running this."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return set(done.stdout.splitlines())


def test_importing_signet_loads_itself_and_its_version_only() -> None:
    modules = loaded("import signet")
    assert {name for name in modules if name.partition(".")[0] == "signet"} == {"signet", "signet.version"}
    assert not modules & set(HEAVY)


@pytest.mark.parametrize("name", __import__("signet").__all__)
def test_every_public_name_is_bound_on_first_use(name: str) -> None:
    import signet

    if name == "__version__":
        assert signet.__version__.count(".") == 2
        return
    assert name in dir(signet)
    assert getattr(signet, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    import signet

    with pytest.raises(AttributeError, match="has no attribute 'predikt'"):
        _ = signet.predikt


@pytest.mark.parametrize(
    "code",
    [
        "import signet; signet.Classes, signet.Image, signet.Card, signet.Program, signet.errors.BadInput",
        "import signet; signet.find('classify', max_params=5_000_000)",
        "import signet; signet.resolve, signet.load",
        "import signet; signet.EngineSettings()",
        "import signet.streaming, signet.tapping",
        "import signet, sys; signet.watch, signet.Video, signet.cutouts; assert 'av' not in sys.modules",
    ],
)
def test_the_light_verbs_need_no_engine_and_no_torch(code: str) -> None:
    modules = loaded(code)
    assert not modules & {
        "torch",
        "torchvision",
        "timm",
        "openvino",
        "onnxruntime",
        "sklearn",
        "scipy",
        "onnx",
    }


def test_predicting_asks_for_nothing_beyond_the_core() -> None:
    """scipy is of the extra `fit`: a seal of classes predicts and verifies without it."""
    code = (
        "import sys; sys.modules['scipy'] = None; sys.modules['sklearn'] = None; "
        "import signet.predicting, signet.verification, signet.cli.predict, signet.cli.verify"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["signet.seals", "signet.video"])
def test_what_is_bound_on_first_use_is_all_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
