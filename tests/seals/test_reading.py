"""Every file is held to its digest before anything looks into it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest

from signet.errors import BadInput, SealError, Tampered, UnsupportedFormat
from signet.seals import is_seal, open_seal


def test_a_seal_is_read_as_frozen_values(tiny):
    sealed = open_seal(tiny)
    assert sealed.card.labels == ("left | right", "über", "日本")
    assert sealed.graphs["image"].name == "graph.onnx"
    assert sealed.weights is not None
    assert sealed.weights.name == "weights.safetensors"
    assert sealed.manifest.format == (1, 0)
    assert len(sealed.digest) == 64
    assert len(sealed.golden) == 3
    assert all(path.is_file() for path in (*sealed.golden, sealed.expected))
    assert "golden/0.jpg: made by Signet, turned, oblong" in sealed.golden_words()
    with pytest.raises(AttributeError):
        sealed.digest = ""


def test_any_flipped_byte_of_any_file_is_found_and_the_file_named(tiny):
    files = [path for path in sorted(tiny.rglob("*")) if path.is_file()]
    assert len(files) == 9
    generator = random.Random(5)
    for path in files:
        original = path.read_bytes()
        for _ in range(6):
            place = generator.randrange(len(original))
            harmed = bytearray(original)
            harmed[place] ^= 1 << generator.randrange(8)
            path.write_bytes(bytes(harmed))
            with pytest.raises(Tampered) as caught:
                open_seal(tiny)
            assert path.relative_to(tiny).as_posix() in str(caught.value)
        path.write_bytes(original)
    open_seal(tiny)


@pytest.mark.parametrize("least_bytes", [0, 1 << 40])
def test_of_several_harmed_files_the_first_of_the_list_is_named_however_they_are_hashed(
    tiny, monkeypatch, least_bytes
):
    monkeypatch.setattr("signet.seals.reading.PARALLEL_BYTES", least_bytes)
    listed = list(open_seal(tiny).manifest.files)
    assert len(listed) == 7
    for file in reversed(listed):
        path = tiny / file
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        with pytest.raises(Tampered, match=rf"the file '{re.escape(file)}' is not what was sealed"):
            open_seal(tiny)


def test_a_flipped_byte_in_a_label_is_found_in_seal_json(tiny):
    path = tiny / "seal.json"
    data = path.read_bytes()
    path.write_bytes(data.replace("über".encode(), b"ober "))
    with pytest.raises(Tampered, match=r"seal\.json is not what was sealed"):
        open_seal(tiny)


@pytest.mark.parametrize(
    "file",
    ["graph.onnx", "golden/1.png", "golden/expected.safetensors", "seal.json", "seal.sha256", "README.md"],
)
def test_a_missing_file_is_named(tiny, file):
    (tiny / file).unlink()
    with pytest.raises(Tampered, match="missing") as caught:
        open_seal(tiny)
    assert file in str(caught.value)


def test_a_cut_or_grown_file_is_found_by_its_size(tiny):
    path = tiny / "weights.safetensors"
    data = path.read_bytes()
    for other in (data[:-1], data + b"\0", b""):
        path.write_bytes(other)
        with pytest.raises(
            Tampered, match=rf"weights\.safetensors.*expected {len(data)} bytes, got {len(other)}"
        ):
            open_seal(tiny)


@pytest.mark.parametrize(
    "name", ["extra.txt", ".hidden", "golden/extra.jpg", "deep/er/file", "seal.json.bak"]
)
def test_an_unlisted_file_is_refused(tiny, name):
    (tiny / name).parent.mkdir(parents=True, exist_ok=True)
    (tiny / name).write_bytes(b"")
    with pytest.raises(Tampered, match="not listed") as caught:
        open_seal(tiny)
    assert name in str(caught.value)


def test_an_empty_folder_is_refused(tiny):
    (tiny / "empty").mkdir()
    with pytest.raises(Tampered, match="empty"):
        open_seal(tiny)


@pytest.mark.parametrize("name", ["graph.onnx", "golden", "seal.json", "new"])
def test_a_link_is_refused_even_where_it_leads_to_the_same_bytes(tiny, tmp_path, name):
    target = tmp_path / "elsewhere"
    if (tiny / name).exists():
        (tiny / name).rename(target)
    else:
        target.write_bytes(b"")
    (tiny / name).symlink_to(target)
    with pytest.raises(Tampered, match="a link"):
        open_seal(tiny)


def test_a_named_pipe_is_refused_without_waiting(tiny):
    os.mkfifo(tiny / "pipe")
    with pytest.raises(Tampered, match="no plain file"):
        open_seal(tiny)


NAMES = [
    ("../outside", "'..'"),
    ("/etc/passwd", "relative"),
    ("golden/../../outside", "'..'"),
    ("C:evil", "colon"),
    ("a\\b", "backslash"),
    ("golden//1.png", "empty parts"),
    ("./graph.onnx", "'.'"),
    ("nul.txt", "device"),
    ("end.", "dot"),
    ("line\nbreak", "printable"),
    ("esc\x1b[31m", "printable"),
    ("a/b/c/d/e/f/g", "deep"),
    ("x" * 300, "1 to 240"),
    ("", "1 to 240"),
]


@pytest.mark.parametrize(("name", "words"), NAMES)
def test_every_path_trick_in_the_list_is_refused(tiny, forge, name, words):
    (tiny.parent / "outside").write_bytes(b"secret")

    def edit(manifest):
        manifest["files"][name] = manifest["files"]["README.md"]

    forge(tiny, edit)
    with pytest.raises(Tampered) as caught:
        open_seal(tiny)
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["GRAPH.onnx", "Golden/1.PNG", "SEAL.JSON", "graph.onnx/inside"])
def test_names_that_collide_where_case_does_not_count_are_refused(tiny, forge, name):
    def edit(manifest):
        manifest["files"][name] = manifest["files"]["README.md"]

    forge(tiny, edit)
    with pytest.raises(Tampered, match="case"):
        open_seal(tiny)


def test_names_that_collide_in_unicode_are_refused(tiny, forge):
    def edit(manifest):
        manifest["files"]["caf\u00e9"] = manifest["files"]["README.md"]
        manifest["files"]["cafe\u0301"] = manifest["files"]["README.md"]

    forge(tiny, edit)
    with pytest.raises(Tampered, match="one file"):
        open_seal(tiny)


def test_a_higher_major_is_refused_with_the_version_that_reads_it(tiny, forge):
    def edit(manifest):
        manifest["format"]["major"] = 2
        manifest["versions"]["signet"] = "7.1.0"
        manifest["something"] = "new"

    forge(tiny, edit)
    with pytest.raises(UnsupportedFormat, match=r"major 2; this version reads major 1. Signet 7\.1\.0"):
        open_seal(tiny)


def test_unknown_keys_of_a_higher_minor_are_kept_and_ignored(tiny, forge):
    def edit(manifest):
        manifest["format"]["minor"] = 4
        manifest["flavour"] = {"a": 1}
        manifest["golden"]["flavour"] = 2
        manifest["files"]["README.md"]["flavour"] = 3
        for fields in (manifest["card"], manifest["card"]["output"], manifest["card"]["licence"]):
            fields["flavour"] = 4
        manifest["card"]["inputs"][0]["flavour"] = 5

    forge(tiny, edit)
    assert open_seal(tiny).manifest.extra == {"flavour": {"a": 1}}


def test_a_step_that_is_not_known_is_refused_in_every_minor(tiny, forge):
    def edit(manifest):
        manifest["format"]["minor"] = 4
        manifest["card"]["program"][1]["flavour"] = 1

    forge(tiny, edit)
    with pytest.raises(SealError, match="flavour"):
        open_seal(tiny)


@pytest.mark.parametrize("place", [[], ["golden"], ["files", "README.md"], ["golden", "images", 0], ["card"]])
def test_unknown_keys_of_our_minor_are_refused(tiny, forge, place):
    def edit(manifest):
        for key in place:
            manifest = manifest[key]
        manifest["flavour"] = 1

    forge(tiny, edit)
    with pytest.raises(SealError, match="flavour"):
        open_seal(tiny)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.pop("card"),
        lambda m: m.pop("files"),
        lambda m: m.update(format={"major": "1", "minor": 0}),
        lambda m: m.update(format=None),
        lambda m: m["format"].update(major=True),
        lambda m: m["format"].update(minor=False),
        lambda m: m["files"]["README.md"].update(size=10**30),
        lambda m: m["card"].update(task="embed"),
        lambda m: m["card"]["output"].update(head="embedding"),
        lambda m: (m.update(calibration=None), m["card"]["output"].update(temperature=1e-320)),
        lambda m: (m.update(calibration=None), m["card"]["output"].update(temperature=1e308)),
        lambda m: m.update(graphs={"text": "graph.onnx"}),
        lambda m: m.update(graphs={"image": "nothing.onnx"}),
        lambda m: m.update(weights="../../weights"),
        lambda m: m.update(weights="graph.onnx"),
        lambda m: m.update(weights="README.md"),
        lambda m: m["golden"].update(images=[]),
        lambda m: m["golden"].update(images=[m["golden"]["images"][0]] * 2),
        lambda m: m["golden"].update(images=[{"file": 3, "source": "own"}]),
        lambda m: m["golden"]["images"][0].update(source="stolen"),
        lambda m: m["files"]["README.md"].update(size=-1),
        lambda m: m["files"]["README.md"].update(size=True),
        lambda m: m["files"]["README.md"].update(sha256="Z" * 64),
        lambda m: m["files"].update({"README.md": None}),
        lambda m: m["calibration"].update(temperature=3.0),
        lambda m: m["card"].update(labels=["one"]),
        lambda m: m["card"].update(labels=[1, 2, 3]),
        lambda m: m["card"].update(inputs=[]),
        lambda m: m["card"].update(inputs=7),
        lambda m: m["card"].update(name=["a"]),
        lambda m: m["card"].update(lineage=[]),
        lambda m: m["card"]["output"].update(temperature=0),
        lambda m: m["card"]["output"].update(temperature="hot"),
        lambda m: m["card"]["output"].update(tensor=-1),
        lambda m: m["card"]["output"].update(classes="3"),
        lambda m: m["card"]["output"].update(drop_first="yes"),
        lambda m: m["card"]["program"].append({"step": "explode"}),
        lambda m: m["card"]["program"][1].update(flavour=1),
        lambda m: m.update(module={"zoo": "timm"}),
        lambda m: m.update(
            module={"zoo": "timm", "architecture": "resnet18", "arguments": {"checkpoint_path": "x.pth"}}
        ),
        lambda m: m.update(variants=[{"engine": "openvino"}]),
        lambda m: m.update(variants=7),
        lambda m: m.update(versions={"signet": 1}),
        lambda m: m.update(training=[1]),
        lambda m: m.update(feature_statistics={"count": 1, "mean": [1], "std": ["x"]}),
        lambda m: m.update(feature_statistics={"count": 1, "mean": [1], "std": [1, 2]}),
    ],
)
def test_a_manifest_that_is_wrong_in_itself_is_refused_in_words(tiny, forge, edit):
    forge(tiny, edit)
    with pytest.raises(SealError, match=r"seal\.json"):
        open_seal(tiny)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"format": {"major": 1, "minor": 0}, "format": {"major": 1, "minor": 0}}',
        b'{"format": {"major": 1, "minor": 0}, "x": NaN}',
        b"[" * 100_000,
        b'{"format": {"major": 1, "minor": ' + b"9" * 5000 + b"}}",
        b'{"format": {"major": 1, "minor": 0}}\0',
        b'\xef\xbb\xbf{"format": {"major": 1, "minor": 0}}',
    ],
)
def test_json_that_is_none_is_refused(tiny, data):
    (tiny / "seal.json").write_bytes(data)
    (tiny / "seal.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  seal.json\n")
    with pytest.raises(SealError):
        open_seal(tiny)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"1e999", "finite"),
        (b"-1e999", "finite"),
        (b"Infinity", "finite"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"18446744073709551616", "whole numbers"),
        (b"9" * 4000, "whole numbers"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "deep"),
        (b"[" * 500 + b"]" * 500, "deep"),
    ],
)
def test_values_that_two_readers_take_for_two_things_are_refused_wherever_they_are(tiny, forge, value, words):
    forge(tiny, lambda m: m.update(training={"x": "HERE"}))
    data = (tiny / "seal.json").read_bytes().replace(b'"HERE"', value)
    (tiny / "seal.json").write_bytes(data)
    (tiny / "seal.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  seal.json\n")
    with pytest.raises(SealError, match=words):
        open_seal(tiny)


@pytest.mark.parametrize(
    "line", ["", "0" * 64, "0" * 63 + "  seal.json\n", "{digest} *seal.json\n", "{digest}  seal.json"]
)
def test_the_digest_file_has_one_form(tiny, line):
    (tiny / "seal.sha256").write_text(line.replace("{digest}", open_seal(tiny).digest))
    with pytest.raises(Tampered, match=r"seal\.sha256"):
        open_seal(tiny)


def test_what_is_no_seal_at_all(tmp_path, tiny):
    with pytest.raises(BadInput, match="sealed folder"):
        open_seal(tmp_path / "nothing.signet")
    (tmp_path / "file.signet").write_bytes(b"x")
    with pytest.raises(BadInput, match="sealed folder"):
        open_seal(tmp_path / "file.signet")
    (tmp_path / "photos").mkdir()
    assert not is_seal(tmp_path / "photos")
    assert not is_seal(tmp_path / "nothing.zip")
    assert is_seal(tiny)
    (tiny / "seal.json").unlink()
    assert is_seal(tiny)


def test_the_folder_may_have_any_name_and_be_reached_by_a_link(tiny, tmp_path):
    other = Path(shutil.move(tiny, tmp_path / "renamed"))
    link = tmp_path / "link"
    link.symlink_to(other)
    assert open_seal(link).card.name == "signet/tiny.format-1.0"


def test_the_manifest_is_what_it_writes(tiny):
    sealed = open_seal(tiny)
    assert json.loads(sealed.manifest.to_bytes()) == json.loads((tiny / "seal.json").read_bytes())
