"""The public surface is frozen: a change shows here, and is made on purpose or not at all."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
BLOCKER = """
import sys
asked = []
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            asked.append(name)
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
"""
ENGINES = ["torch", "torchvision", "timm", "openvino", "onnxruntime", "onnx", "sklearn", "scipy", "skimage"]
RUN = """
from signet.cli.main import main
code = main(sys.argv[1:])
print(f"code {code} asked {asked}", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def surface() -> ModuleType:
    """The module tests/surface/surface.py."""
    spec = importlib.util.spec_from_file_location("signet_surface", HERE / "surface.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_public_names_and_signatures(surface):
    assert surface.public() == surface.GOLDEN["public.txt"].read_text("utf-8"), surface.HOW


def test_commands_options_and_json_keys(surface):
    assert surface.commands() == surface.GOLDEN["commands.txt"].read_text("utf-8"), surface.HOW


def test_every_option_has_help_and_every_command_the_common_options():
    text = (HERE / "commands.txt").read_text("utf-8")
    assert "no help" not in text
    for command in text.split("\nsignet ")[1:]:
        for option in ("--json", "--quiet -q", "--offline", "--seed", "--threads"):
            assert f"  {option}: " in command, command.partition("\n")[0]


def test_a_change_would_show(surface):
    def before(a: int, b: str = "x") -> None: ...
    def after(a: int, b: str = "y") -> None: ...

    assert surface._signature(before) != surface._signature(after)
    many = {f"parameter_{number}": number for number in range(20)}
    kept = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=own) for name, own in many.items()
    ]
    before.__signature__ = inspect.Signature(kept, return_annotation=int)
    lines = surface._signature(before).splitlines()
    assert lines == ["(", "    *,", *(f"    {name}={own}," for name, own in many.items()), ") -> int"]
    assert surface.shape({"a": [{"b": 1}, {"c": None}]}) == ["a[].b", "a[].c"]
    assert surface.shape({"lineage": {"any": 1}, "x": {"y": 2}}) == ["lineage", "x.y"]
    assert surface.shape([]) == [""]


def blocked(names: list[str], script: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"BLOCKED = {set(names)!r}\n{BLOCKER}\n{script}"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["find", "resnet50"],
        ["find", "--json"],
        ["show", "starter"],
        ["predict", "--help"],
    ],
    ids=" ".join,
)
def test_no_torch_and_no_engine_for_what_needs_none(words, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path))
    done = blocked(ENGINES, RUN, *words)
    assert done.stderr.endswith("code 0 asked []\n"), done.stderr


def test_import_loads_little():
    heavy = [
        "torch",
        "torchvision",
        "timm",
        "openvino",
        "onnxruntime",
        "sklearn",
        "scipy",
        "skimage",
        "typer",
        "rich",
    ]
    done = blocked(heavy, "import signet; print(asked, signet.__version__)")
    assert done.stdout.startswith("[] "), done.stderr


def test_the_blocker_blocks():
    done = blocked(["torch"], "import torch")
    assert done.returncode == 1
    assert "torch is blocked" in done.stderr


def test_a_model_with_a_graph_needs_no_torch(surface, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    tiny = surface._tiny()
    model, seal = tiny.make_classifier(tmp_path), str(tmp_path / "x.signet")
    pictures = [str(path) for path in tiny.make_pictures(tmp_path / "pictures", 4)]
    for words in (
        ["predict", str(model), *pictures],
        ["embed", str(model), *pictures, "--out", str(tmp_path / "v.npy")],
        ["seal", str(model), *pictures, "--out", seal],
        ["verify", seal],
        ["predict", seal, pictures[0]],
        ["embed", "starter", *pictures, "--out", str(tmp_path / "w.npy")],
    ):
        done = blocked(["torch", "torchvision", "timm"], RUN, *words)
        assert "code 0 asked [" in done.stderr, done.stderr
