"""A model's answers for a video: frame after frame, in order, with counts and with numbers for objects.

Frames are read when a worker has room for one: a few for each worker are under way, never more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from signet import streaming
from signet.arrays import Integers
from signet.boxes import Boxes
from signet.counting import count
from signet.errors import BadInput, BadRequest
from signet.images import Image
from signet.instances import Instances
from signet.models import Model
from signet.predictions import Prediction
from signet.streaming import Answered
from signet.tracking import Tracks, TrackSettings, follow
from signet.video import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """What is done with the answers.

    Attributes:
        count_score: objects below this score are not counted.
        track: give objects numbers that stay theirs from frame to frame; None to give none.
    """

    count_score: float = 0.25
    track: TrackSettings | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.count_score <= 1:
            raise BadRequest(f"count_score: expected 0 to 1, got {self.count_score}.")


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """One frame and what became of it.

    Attributes:
        frame: as it was read; its image is None where it could not be.
        answered: the answer, or the error of reading or of answering.
        counts: objects by label; None for an answer without objects, and for an error.
        numbers: int64 (K,), of each object, -1 where it has none; None when objects are not followed.
        new: numbers given for the first time, by label; None when objects are not followed.
    """

    frame: Frame
    answered: Answered[Prediction]
    counts: dict[str, int] | None = None
    numbers: Integers | None = None
    new: dict[str, int] | None = None


def watch(
    model: Model[Prediction], frames: Iterable[Frame], settings: WatchSettings | None = None
) -> Generator[Watched, None, None]:
    """The model's answers for the frames of a video, in order.

    Args:
        model: opened for as many workers as are to run.
        frames: such as `Video(source)`; taken as they are needed.
        settings: counting and following.

    Raises:
        SignetError: what `frames` raises, after the answers for the frames before.

    Example:
        >>> with Video("street.mp4") as video:                               # doctest: +SKIP
        ...     for watched in watch(model, video):
        ...         print(watched.frame.number, watched.counts)
    """
    chosen = settings or WatchSettings()
    waiting: deque[Frame] = deque()
    ended: list[BaseException] = []

    def images() -> Iterator[Image]:
        try:
            for frame in frames:
                waiting.append(frame)
                if frame.image is not None:
                    yield frame.image
        except Exception as error:  # noqa: BLE001 - the frames before it are answered first
            ended.append(error)

    tracks = Tracks()
    for answered in streaming.predictions(model, images(), chunk=1):
        yield from _unreadable(waiting)
        frame = waiting.popleft()
        counts = None if answered.answer is None else count(answered.answer, chosen.count_score)
        boxes = _objects(answered.answer)
        if boxes is None or chosen.track is None:
            yield Watched(frame, answered, counts)
            continue
        before = tracks.last
        tracks, numbers = follow(tracks, boxes, chosen.track)
        new = Counter(
            label for label, number in zip(boxes.labels, numbers.tolist(), strict=True) if number > before
        )
        yield Watched(frame, answered, counts, numbers, dict(new))
    yield from _unreadable(waiting)
    if ended:
        raise ended[0]


def _unreadable(waiting: deque[Frame]) -> Iterator[Watched]:
    """The frames that come next and have no image."""
    while waiting and waiting[0].image is None:
        frame = waiting.popleft()
        error = frame.error or BadInput(f"frame {frame.number}: expected an image, got none.")
        yield Watched(frame, Answered(frame.source, None, error))


def _objects(answer: Prediction | None) -> Boxes | None:
    boxes = answer.boxes if isinstance(answer, Instances) else answer
    return boxes if isinstance(boxes, Boxes) else None
