"""`signet predict` on videos: lines, counts, drawn films, cut-outs, followed objects, what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.video import Video


@pytest.fixture(scope="session")
def detector(moving, tmp_path_factory):
    """A detector of coloured squares."""
    return moving.make_model(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="session")
def segmenters(moving, tmp_path_factory):
    """An instance segmenter and a semantic one."""
    folder = tmp_path_factory.mktemp("segmenters")
    return {task: moving.make_model(folder, task) for task in ("instances", "segment")}


@pytest.fixture(scope="session")
def clip(moving, tmp_path_factory):
    """Thirty frames; not to be changed."""
    return moving.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def expected(moving, number):
    return {label: 1 for label in moving.LABELS if number in moving.THERE[label]}


def test_one_line_a_frame_with_the_right_counts(signet, detector, clip, moving, tmp_path):
    out = tmp_path / "frames.jsonl"
    ran = signet("predict", detector, clip, "--out", out)
    assert (ran.code, ran.out) == (0, "")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["source"] for row in rows] == [f"{clip}#frame={n}" for n in range(moving.FRAMES)]
    for number, row in enumerate(rows):
        assert list(row) == ["source", "time", "kind", "boxes", "counts"]
        assert row["time"] == pytest.approx(number / 25, abs=1e-6)
        assert row["counts"] == expected(moving, number)
        for box in row["boxes"]:
            top, left = moving.place(box["label"], number)
            assert box["xyxy"] == pytest.approx([left, top, left + 24, top + 24], abs=2)
    for words in (
        "30 frames",
        "red: 30 in 30 frames, at most 1 at once",
        "green: 10 in 10",
        "blue: 20 in 20",
    ):
        assert words in ran.err
    record = json.loads((tmp_path / "frames.jsonl.run.json").read_text())
    assert record["state"] == "done"
    assert record["options"] == {"top": None, "min_score": 0.25, "track": False}
    assert record["counts"] == {"inputs": 30, "failed": 0}


def test_lines_go_to_a_pipe(signet, detector, clip, moving):
    ran = signet("predict", detector, clip, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert [row["counts"] for row in ran.lines] == [expected(moving, n) for n in range(moving.FRAMES)]


def test_the_drawn_film_plays_and_shows_the_boxes(signet, detector, clip, moving, tmp_path):
    ran = signet("predict", detector, clip, "--draw", tmp_path / "drawn")
    (film,) = (tmp_path / "drawn").iterdir()
    assert film.name == "000000_clip.mp4"
    assert f"drawn in {film}" in ran.err
    with Video(film) as video:
        assert video.facts.frames == moving.FRAMES
        assert float(video.facts.rate) == 25
        drawn = list(video)
    assert [frame.error for frame in drawn] == [None] * moving.FRAMES
    assert [frame.seconds for frame in drawn] == pytest.approx([n / 25 for n in range(moving.FRAMES)])
    # The plate of "blue" comes and goes; its colour is that of the third label.
    ground = np.array((0, 158, 115))
    near = [
        bool((np.abs(frame.image.pixels.astype(int) - ground).max(axis=-1) < 30).sum() > 100)
        for frame in drawn
    ]
    assert near == [number in moving.THERE["blue"] for number in range(moving.FRAMES)]


def test_a_segmenters_film_has_frames_of_one_size(signet, segmenters, clip, moving, tmp_path):
    ran = signet("predict", segmenters["segment"], clip, "--draw", tmp_path / "drawn")
    assert ran.code == 0
    assert "counts" not in ran.lines[0]
    assert ran.lines[0]["kind"] == "segments"
    with Video(tmp_path / "drawn" / "000000_clip.mp4") as video:
        sizes = {frame.image.size for frame in video}
    assert len(sizes) == 1
    assert sizes.pop()[0] > moving.SIZE[0]


def test_a_classifiers_film(signet, classifier, clip, moving, tmp_path):
    ran = signet("predict", classifier, clip, "--draw", tmp_path, "--top", "2")
    assert [len(row["top"]) for row in ran.lines] == [2] * moving.FRAMES
    assert list(ran.lines[0]) == ["source", "time", "kind", "top"]
    with Video(tmp_path / "000000_clip.mp4") as video:
        assert len(list(video)) == moving.FRAMES


def test_cutouts_of_a_film_and_of_pictures(signet, segmenters, clip, moving, tmp_path):
    folder = tmp_path / "cut"
    assert signet("predict", segmenters["instances"], clip, "--cutout", folder, "--quiet").code == 0
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == sum(len(there) for there in moving.THERE.values())
    assert "000000_clip_000012_001_green.png" in names
    with PillowImage.open(folder / "000000_clip_000012_001_green.png") as opened:
        pixels = np.asarray(opened)
    assert (opened.mode, pixels[..., 3].max()) == ("RGBA", 255)
    assert np.abs(pixels[12, 12, :3].astype(int) - moving.COLOURS[1]).max() < 12
    picture = tmp_path / "a b.png"
    PillowImage.fromarray(moving.picture(12)).save(picture)
    signet(
        "predict", segmenters["instances"], picture, "--cutout", tmp_path / "two", "--draw", tmp_path / "d"
    )
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "000000_a_b_000_red.png", "000000_a_b_001_green.png", "000000_a_b_002_blue.png",
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["000000_a_b.png"]
    ran = signet("predict", segmenters["instances"], picture, "--cutout", tmp_path / "two")
    assert (ran.code, "--cutout" in ran.err) == (2, True)


def test_followed_objects_keep_their_numbers(signet, detector, clip, moving, tmp_path):
    out = tmp_path / "frames.jsonl"
    ran = signet("predict", detector, clip, "--track", "--out", out, "--json", "--draw", tmp_path / "drawn")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    numbers = {label: set() for label in moving.LABELS}
    for row in rows:
        for box in row["boxes"]:
            numbers[box["label"]].add(box["track"])
    assert numbers["red"] == {1}
    assert len(numbers["blue"] - {None}) == len(numbers["green"] - {None}) == 1
    (video,) = ran.object["videos"]
    assert video["totals"]["blue"] == {"objects": 20, "pictures": 20, "most": 1, "followed": 1}
    assert (video["frames"], video["failed"], video["passed_over"]) == (30, 0, 0)
    assert ran.object["inputs"] == 30
    assert ran.object["frames_per_second"] > 0


def test_a_broken_frame_is_a_line_and_the_others_follow(signet, detector, moving, tmp_path):
    clip = moving.spoil(moving.make_clip(tmp_path / "clip.avi", codec="mjpeg"), 12)
    ran = signet("predict", detector, clip, "--draw", tmp_path / "drawn")
    assert ran.code == 0
    assert len(ran.lines) == moving.FRAMES
    (broken,) = (row for row in ran.lines if "error" in row)
    assert broken["source"] == f"{clip}#frame=12"
    assert list(broken) == ["source", "time", "error"]
    assert "passed over" in broken["error"]["message"]
    others = [number for number in range(moving.FRAMES) if number != 12]
    assert [row["counts"] for row in ran.lines if "error" not in row] == [expected(moving, n) for n in others]
    assert "30 frames, 1 of them without an answer" in ran.err
    with Video(tmp_path / "drawn" / "000000_clip.mp4") as video:
        assert len(list(video)) == moving.FRAMES - 1
    assert signet("predict", detector, clip, "--strict").code == 1


def test_several_films_of_which_one_is_none(signet, detector, clip, tmp_path):
    none = tmp_path / "none.mp4"
    none.write_bytes(b"no film")
    ran = signet("predict", detector, clip, none, clip)
    assert ran.code == 0
    assert len(ran.lines) == 61
    assert ran.lines[30]["source"] == str(none)
    assert "expected a video file that can be opened" in ran.lines[30]["error"]["message"]
    ran = signet("predict", detector, none)
    assert ran.code == 1
    assert ran.err.count(str(none)) == 1


def test_patterns_and_folders_called_like_films(signet, detector, moving, tmp_path):
    for number in (10, 9):
        moving.make_clip(tmp_path / f"clip{number}.mp4", 3)
    ran = signet("predict", detector, tmp_path / "clip*.mp4")
    assert [row["source"].rpartition("/")[2] for row in ran.lines] == [
        f"clip{number}.mp4#frame={frame}" for number in (9, 10) for frame in range(3)
    ]
    assert signet("predict", detector, tmp_path).lines == ran.lines
    (tmp_path / "empty.mp4").mkdir()
    ran = signet("predict", detector, tmp_path / "empty.mp4")
    assert (ran.code, "found none" in ran.err) == (1, True)
    ran = signet("predict", detector, tmp_path / "none*.mp4")
    assert (ran.code, "No such file" in ran.lines[0]["error"]["message"]) == (1, True)


def test_a_film_that_is_cut_off_is_said(signet, detector, moving, tmp_path):
    clip = moving.make_clip(tmp_path / "clip.mkv")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    ran = signet("predict", detector, clip)
    assert 5 < len(ran.lines) < 25
    assert "about 30 frames were expected" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume", "--out", "none.jsonl"], "--resume"),
        (["--json"], "--json with a video needs --out"),
        (["--list", "names"], "--list names pictures"),
        (["picture.png"], "got both"),
        (["--cutout", "{folder}"], "--cutout needs a mask"),
    ],
)
def test_what_a_film_cannot_do_is_said(signet, detector, clip, tmp_path, words, said):
    ran = signet("predict", detector, clip, *(word.format(folder=tmp_path) for word in words))
    assert ran.code == 2
    assert said in ran.err + ran.out
    assert "kind" not in ran.out


def test_a_folder_is_made_for_pictures_only(signet, detector, pictures, tmp_path):
    folder = tmp_path / "new" / "cut"
    ran = signet("predict", detector, pictures[0], "--cutout", folder)
    assert (ran.code, "--cutout needs a mask" in ran.err) == (2, True)
    assert not folder.parent.exists()
    (tmp_path / "file").write_text("")
    ran = signet("predict", detector, pictures[0], "--draw", tmp_path / "file" / "inside")
    assert (ran.code, "--draw: no folder can be made at" in ran.err) == (2, True)


def test_what_only_films_can_do_is_said(signet, detector, classifier, pictures, clip, tmp_path):
    ran = signet("predict", detector, pictures[0], "--track")
    assert (ran.code, "give it a video" in ran.err) == (2, True)
    ran = signet("predict", classifier, clip, "--track")
    assert (ran.code, "--track follows objects" in ran.err) == (2, True)
    signet("predict", detector, clip, "--draw", tmp_path)
    ran = signet("predict", detector, clip, "--draw", tmp_path)
    assert (ran.code, "--overwrite" in ran.err) == (2, True)
    assert signet("predict", detector, clip, "--draw", tmp_path, "--overwrite").code == 0


def test_an_interrupted_run_leaves_whole_files(detector, moving, tmp_path):
    clip = moving.make_clip(tmp_path / "long.mp4", 3000, crf="30")
    out = tmp_path / "frames.jsonl"
    words = [
        sys.executable,
        "-m",
        "signet",
        "predict",
        detector,
        clip,
        "--out",
        out,
        "--draw",
        tmp_path / "d",
    ]
    process = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, env=dict(os.environ))
    until = time.monotonic() + 60
    while time.monotonic() < until and not (out.exists() and out.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"interrupted after" in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 0 < len(rows) < 3000
    assert [row["source"] for row in rows] == [f"{clip}#frame={number}" for number in range(len(rows))]
    with Video(tmp_path / "d" / "000000_long.mp4") as video:
        frames = list(video)
    assert 0 <= len(rows) - len(frames) <= 1
    assert not any(frame.error for frame in frames)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["000000_long.mp4"]
