"""A film through a model: answers in order, bounded look-ahead, errors in their places, flat memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as PillowImage

from signet.drawing import draw
from signet.engines.contract import EngineSettings
from signet.errors import BadInput, BadRequest
from signet.images import Image
from signet.models import load
from signet.tracking import TrackSettings
from signet.video import Frame, Video, new_video
from signet.watching import WatchSettings, watch


@pytest.fixture(scope="module")
def detector(moving, tmp_path_factory):
    path = moving.make_model(tmp_path_factory.mktemp("detector"))
    with load(path, engine="onnx", settings=EngineSettings(threads=2, workers=2, batch=4)) as opened:
        yield opened


def film(moving, count, broken=()):
    for number in range(count):
        name = f"film#frame={number}"
        if number in broken:
            yield Frame(number, number / 25, None, BadInput(f"{name} is broken"), name)
        else:
            yield Frame(number, number / 25, Image(moving.picture(number), source=name), source=name)


def counted(moving, number):
    return {label: 1 for label in moving.LABELS if number % moving.FRAMES in moving.THERE[label]}


def test_frames_and_answers_stay_together(detector, moving):
    found = list(watch(detector, film(moving, 45)))
    assert [watched.frame.number for watched in found] == list(range(45))
    assert [watched.answered.source for watched in found] == [watched.frame.source for watched in found]
    assert [watched.counts for watched in found] == [counted(moving, number) for number in range(45)]
    assert all(watched.numbers is None and watched.new is None for watched in found)


@pytest.mark.parametrize("broken", [(0,), (44,), (7, 8, 9), tuple(range(45)), (0, 1, 20, 43, 44)])
def test_broken_frames_are_errors_in_their_places(detector, moving, broken):
    found = list(watch(detector, film(moving, 45, broken), WatchSettings(track=TrackSettings())))
    assert [watched.frame.number for watched in found] == list(range(45))
    for watched in found:
        number = watched.frame.number
        assert (watched.answered.error is not None) == (number in broken)
        assert watched.counts == (None if number in broken else counted(moving, number))
        if number in broken:
            assert str(watched.answered.error) == f"film#frame={number} is broken"
            assert watched.answered.source == f"film#frame={number}"


def test_objects_are_followed(detector, moving):
    found = list(watch(detector, film(moving, moving.FRAMES), WatchSettings(track=TrackSettings())))
    numbers: dict[str, set[int]] = {}
    for watched in found:
        for label, number in zip(watched.answered.answer.labels, watched.numbers.tolist(), strict=True):
            numbers.setdefault(label, set()).add(number)
    assert numbers == {"red": {1}, "blue": {-1, 2}, "green": {-1, 3}}
    new = [(watched.frame.number, watched.new) for watched in found if watched.new]
    assert new == [(0, {"red": 1}), (6, {"blue": 1}), (11, {"green": 1})]


def test_never_more_frames_are_under_way_than_the_workers_have_room_for(detector, moving):
    given = 0

    def counting() -> Iterator[Frame]:
        nonlocal given
        for frame in film(moving, 200):
            given += 1
            yield frame

    workers = detector.running.settings.workers
    for done, _ in enumerate(watch(detector, counting()), 1):
        assert given <= done + 3 * workers
    assert given == 200


def kept(watching, found):
    """Put what comes into `found`, also what comes before an error."""
    for watched in watching:
        found.append(watched)
    return ()


def test_what_the_source_raises_comes_after_the_answers_before_it(detector, moving):
    def breaking() -> Iterator[Frame]:
        yield from film(moving, 10)
        raise BadInput("the camera is gone")

    found = []
    watching = watch(detector, breaking())
    with pytest.raises(BadInput, match="the camera is gone"):
        found.extend(kept(watching, found))
    assert [watched.frame.number for watched in found] == list(range(10))


def test_memory_is_flat(detector, moving):
    """Frames of 2 MB each: were they kept, 150 of them would be 300 MB."""
    pixels = np.zeros((720, 1000, 3), np.uint8)

    def large(count: int) -> Iterator[Frame]:
        for number in range(count):
            yield Frame(number, number / 25, Image(pixels + np.uint8(number % 50)), source=f"f{number}")

    for _ in watch(detector, large(20), WatchSettings(track=TrackSettings())):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in watch(detector, large(150), WatchSettings(track=TrackSettings())):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


def test_a_real_film_plays_and_is_drawn_to_its_last_frame(detector, shared, tmp_path):
    folder = shared / "data" / "camvid_small" / "test"
    pictures = [
        np.asarray(PillowImage.open(path).convert("RGB")) for path in sorted(folder.glob("*.jpg"))[:12]
    ]
    with new_video(tmp_path / "street.mp4") as film:
        for pixels in pictures:
            film.write(Image(pixels))
    with (
        Video(tmp_path / "street.mp4") as video,
        new_video(tmp_path / "drawn.mp4", video.facts.rate) as drawn,
    ):
        for watched in watch(detector, video):
            drawn.write(draw(watched.frame.image, watched.answered.answer), watched.frame.seconds)
    with Video(tmp_path / "drawn.mp4") as video:
        found = list(video)
        assert video.facts.frames == len(found) == len(pictures)
    assert not any(frame.error for frame in found)
    for frame, pixels in zip(found, pictures, strict=True):
        assert frame.image.size == pixels.shape[:2]
        assert np.abs(frame.image.pixels.astype(int) - pixels).mean() < 12


def test_wrong_settings_are_refused():
    with pytest.raises(BadRequest, match="count_score: expected 0 to 1, got 25"):
        WatchSettings(count_score=25)
