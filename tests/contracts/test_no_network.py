"""Importing, listing and loading from a mirror never touch the network, nor do processes that they start.

An audit hook, installed before anything is imported, refuses and notes each use of a socket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image as PillowImage

DENIAL = """
import os, sys
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
def deny(event, arguments):
    if event in EVENTS:
        with open(os.environ["DENIED"], "a") as log:
            log.write(f"{event} {arguments[1:]}\\n")
        raise OSError("the network was asked")
sys.addaudithook(deny)
"""
"""As `sitecustomize`, which every Python of this environment imports first."""

ZOOS = ("timm", "torchvision", "transformers", "open_clip", "signet", "keras", "smp")
LISTING = (
    ["--help"],
    ["--version"],
    ["find", "--task", "classify", "--max-params", "3M"],
    ["find", "resnet", "--json"],
    ["show", "timm/resnet18.a1_in1k"],
    ["show", "torchvision/densenet121", "--json"],
    ["show", "keras/resnet50.imagenet"],
    ["show", "open_clip/RN50.openai"],
    ["show", "signet/densenet264"],
    ["show", "starter"],
    ["predict", "--help"],
)
RUN = """
import json, sys
from signet.cli.main import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    print("CODE", code, *words[:2], flush=True)
"""
LOAD = """
import json, sys
settings, names, picture = json.loads(sys.argv[1])
if settings:
    import open_clip
    open_clip.add_model_config(settings)
from signet.cli.main import main
for name in names:
    verb = "embed" if name.startswith("open_clip") else "predict"
    more = ["--out", f"{picture}.npy", "--overwrite"] if verb == "embed" else []
    code = main([verb, name, picture, "--offline", "--engine", "torch", "--json", *more])
    print("CODE", code, name, flush=True)
"""


@pytest.fixture
def denied(tmp_path: Path) -> dict[str, str]:
    """Surroundings in which the network is refused; what was tried is in the file that DENIED names."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(DENIAL)
    kept = {key: value for key, value in os.environ.items() if key not in ("SIGNET_MIRROR", "HF_HUB_OFFLINE")}
    return {
        **kept,
        "PYTHONPATH": str(tmp_path / "first"),
        "DENIED": str(tmp_path / "denied.txt"),
        "SIGNET_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }


def said(code: str, words: object, surroundings: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("CODE ")]


def tried(surroundings: dict[str, str]) -> str:
    log = Path(surroundings["DENIED"])
    return log.read_text() if log.exists() else ""


def test_importing_and_listing_ask_nobody(denied: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    commands = [*LISTING, ["mirror", "list", str(tmp_path / "mirror")]]
    importing = "import signet\nfor name in signet.__all__:\n    getattr(signet, name)\n"
    codes = said(importing + RUN, commands, denied)
    assert [line.split()[1] for line in codes] == ["0"] * len(commands), codes
    assert not tried(denied)


def test_a_whole_process_asks_nobody(denied: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "signet", "find", "--names", "--max-params", "1M"],
        env=denied,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not tried(denied)


def test_every_zoo_loads_from_the_mirror_and_asks_nobody(
    denied: dict[str, str], tiny_zoos: ModuleType, tmp_path: Path
) -> None:
    mirror, names = tmp_path / "mirror", []
    for zoo in ZOOS:
        names.append(tiny_zoos.ZOOS[zoo](mirror).name)
    settings = mirror / tiny_zoos.OPEN_CLIP_SETTINGS
    PillowImage.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "picture.png")
    words = [str(settings), names, str(tmp_path / "picture.png")]
    codes = said(LOAD, words, {**denied, "SIGNET_MIRROR": str(mirror)})
    assert codes == [f"CODE 0 {name}" for name in names]
    assert not tried(denied)


def test_the_refusal_is_seen_where_the_network_is_needed(denied: dict[str, str]) -> None:
    """Without this, an empty note would prove nothing. Offline, the same is refused without asking."""
    command = ["predict", "timm/resnet18.a1_in1k", __file__]
    offline = said(RUN, [[*command, "--offline"]], denied)
    assert offline == ["CODE 1 predict timm/resnet18.a1_in1k"]
    assert not tried(denied)
    code = RUN.replace("import json, sys\n", "import json, sys\nimport time\ntime.sleep = lambda _: None\n")
    assert said(code, [command], denied) == ["CODE 1 predict timm/resnet18.a1_in1k"]
    assert "socket.getaddrinfo" in tried(denied)
