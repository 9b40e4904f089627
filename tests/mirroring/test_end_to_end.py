"""Where there is a network a mirror is pulled, killed, pulled again; where there is none it is used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from .conftest import NAME, OTHER

PREDICT = ("--engine", "torch", "--precision", "fp32", "--quiet")


def picture(folder):
    from PIL import Image

    path = folder / "picture.png"
    Image.linear_gradient("L").resize((180, 170)).convert("RGB").save(path)
    return path


def test_pulled_killed_resumed_verified_and_used_offline(filled, signet_process, tmp_path, weights):
    mirror, image = tmp_path / "mirror", picture(tmp_path)
    online = signet_process("predict", NAME, image, *PREDICT)
    assert online.code == 0, online.err
    before = filled.sent

    # Killed half way through the first download, as a power cut would.
    elsewhere = {"SIGNET_CACHE": str(tmp_path / "another")}
    filled.faults.seconds_a_chunk = 0.05
    words = ["mirror", "pull", NAME, OTHER, "--to", str(mirror), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "signet", *words], env={**os.environ, **elsewhere}
    ) as process:
        filled.wait_for_bytes(before + len(weights[NAME]) // 3)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (mirror / "timm").exists()
    assert not (mirror / "mirror.json").exists()
    (part,) = mirror.rglob("model.safetensors.part")
    come = part.stat().st_size
    assert 0 < come < len(weights[NAME])

    # The same command goes on with what has come.
    filled.faults.seconds_a_chunk, asked = 0.0, len(filled.bytes_requests())
    ran = signet_process(*words, **elsewhere)
    assert ran.code == 0, ran.err
    assert [model["status"] for model in ran.object["models"]] == ["pulled", "pulled"]
    first = filled.bytes_requests()[asked]
    assert first.headers["range"] == f"bytes={come}-"
    sizes = [file["size"] for model in ran.object["models"] for file in model["files"]]
    assert ran.object["bytes"] == sum(sizes) > sum(map(len, weights.values()))
    assert not list(mirror.rglob("*.part"))

    assert signet_process("mirror", "verify", mirror, "--json").object["ok"]

    # Carried to where nobody answers and nothing is cached.
    alone = {
        "SIGNET_MIRROR": str(mirror),
        "SIGNET_CACHE": str(tmp_path / "alone"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    offline = signet_process("predict", NAME, image, "--offline", *PREDICT, **alone)
    assert offline.code == 0, offline.err
    assert json.loads(offline.out) == json.loads(online.out)
    partial = NAME.removeprefix("timm/")
    assert signet_process("show", partial, "--offline", "--json", **alone).object["status"] == "mirror"
    found = signet_process("find", "--status", "mirrored", "--names", **alone)
    assert found.out.split() == [NAME, OTHER]
    listed = signet_process("mirror", "list", "--json", **alone)
    assert [row["name"] for row in listed.object["models"]] == [NAME, OTHER]

    # A flipped byte is seen by both.
    path = mirror / NAME / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    ran = signet_process("mirror", "verify", mirror)
    assert ran.code == 1
    assert f"{NAME}: model.safetensors: has the sha256" in ran.out
    ran = signet_process("predict", NAME, image, "--offline", *PREDICT, **alone)
    assert ran.code == 1
    assert "not the bytes that were promised" in ran.err


def test_names_come_through_a_pipe_and_two_processes_share_the_work(filled, signet_process, tmp_path):
    names = signet_process("find", "test_efficientnet.r160_in1k", "--names").out
    assert names.strip() == NAME
    filled.faults.seconds_a_chunk = 0.02
    words = [
        sys.executable,
        "-m",
        "signet",
        "mirror",
        "pull",
        "-",
        OTHER,
        "--to",
        str(tmp_path / "m"),
        "--json",
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(words, **pipes) for _ in range(2)]
    for process in both:
        process.stdin.write(names)
        process.stdin.close()
        process.stdin = None
    answers = []
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answers.append({model["name"]: model["status"] for model in json.loads(out)["models"]})
    for name in (NAME, OTHER):
        assert sorted(answer[name] for answer in answers) == ["pulled", "there"]
    assert signet_process("mirror", "verify", tmp_path / "m").code == 0


def test_an_interrupted_pull_is_130_and_says_how_to_go_on(simple, tmp_path):
    simple.faults.seconds_a_chunk = 0.2
    words = [sys.executable, "-m", "signet", "mirror", "pull", NAME, "--to", str(tmp_path / "m")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        simple.wait_for_bytes(1)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in err
