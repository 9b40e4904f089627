"""Objects over the frames of a video: which box of this frame is the object of the last one.

A detector's boxes with high scores are matched first, with all tracks; those with low scores, often
objects that are half hidden, only keep tracks alive that would be lost otherwise. Between frames a track
moves on with its own speed.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022
(arXiv:2110.06864), algorithm 1 and section 4.1 for the constants that are not explained here. The motion
model is the textbook Kalman filter of constant velocity under white acceleration (Bar-Shalom, Li and
Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section 6.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from signet.arrays import Array, Integers
from signet.boxes import Boxes, Doubles
from signet.errors import BadRequest, MissingExtra

UNTRACKED = -1
"""The number of a box that belongs to no track."""

_MEASURED = 0.05  # a detector's error, as a share of the box's height
_ACCELERATION = 0.02  # how much a speed changes from frame to frame, in heights
_SPEED = 0.2  # how fast a new object may be, in heights a frame


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSettings:
    """When boxes are one object.

    Attributes:
        high: boxes from this score on may begin a track. The paper has 0.6, for people.
        low: boxes below this score are left out.
        iou: least overlap of a box with a high score and a track.
        low_iou: the same for a low score; stricter, since many of these are background.
        keep_frames: how long a track is kept that nothing was matched with.
    """

    high: float = 0.5
    low: float = 0.1
    iou: float = 0.2
    low_iou: float = 0.5
    keep_frames: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise BadRequest(f"tracking: expected 0 <= low <= high <= 1, got {self.low} and {self.high}.")
        if not (0 < self.iou <= 1 and 0 < self.low_iou <= 1):
            raise BadRequest(f"tracking: expected overlaps in (0, 1], got {self.iou} and {self.low_iou}.")
        if self.keep_frames < 0:
            raise BadRequest(f"tracking: expected keep_frames of at least 0, got {self.keep_frames}.")


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """What is followed, after a number of frames.

    Attributes:
        numbers: int64 (T,): of each object, from 1; 0 until a second frame confirms it.
        indices: int64 (T,): its label's position in the label list.
        state: float64 (T, 4, 2): centre x and y, width and height, each with its speed in pixels a frame.
        spread: float64 (T, 4, 2, 2): the covariance of each of these pairs.
        missed: int64 (T,): frames since it was last matched.
        frames: how many frames were seen.
        last: the greatest number given so far.
    """

    numbers: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    indices: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    state: Doubles = field(default_factory=lambda: np.zeros((0, 4, 2)))
    spread: Doubles = field(default_factory=lambda: np.zeros((0, 4, 2, 2)))
    missed: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    frames: int = 0
    last: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def xyxy(self) -> Doubles:
        """Float64 (T, 4): where each object is, as left, top, right, bottom."""
        centre, sides = self.state[:, :2, 0], self.state[:, 2:, 0].clip(0)
        return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)


def follow(tracks: Tracks, boxes: Boxes, settings: TrackSettings | None = None) -> tuple[Tracks, Integers]:
    """One frame further.

    Args:
        tracks: after the frame before; `Tracks()` before the first.
        boxes: of this frame, with scores; only boxes of one label are ever one object.
        settings: thresholds.

    Returns:
        The tracks now, and int64 (K,): the number of each box's object, -1 where it has none (yet).

    Raises:
        MissingExtra: scipy, which solves the assignment, is not installed.

    Example:
        >>> box = Boxes.truth([[0, 0, 9, 9]], [0], ["cat"], (20, 20))
        >>> tracks, numbers = follow(Tracks(), box)
        >>> numbers.tolist()
        [1]
    """
    chosen = settings or TrackSettings()
    now = _moved(tracks)
    overlap = np.where(now.indices[:, None] == boxes.indices, _iou(now.xyxy, boxes.xyxy), 0.0)
    matched = np.full(len(boxes), -1)
    high = boxes.scores >= chosen.high
    low = (boxes.scores >= chosen.low) & ~high
    _match(overlap, np.ones(len(now), bool), high, chosen.iou, matched)
    # A low score may keep an object that was there a frame ago; it brings none back, and confirms none.
    lively = (tracks.missed == 0) & (tracks.numbers > 0)
    lively[matched[matched >= 0]] = False
    _match(overlap, lively, low, chosen.low_iou, matched)
    return _updated(now, boxes, matched, high, chosen)


def _moved(tracks: Tracks) -> Tracks:
    """Each track a frame later, as its speed says."""
    step = np.array([[1.0, 1.0], [0.0, 1.0]])
    noise = (_ACCELERATION * _heights(tracks.state)[..., None]) ** 2
    push = np.array([[0.25, 0.5], [0.5, 1.0]])
    return replace(
        tracks,
        state=tracks.state @ step.T,
        spread=step @ tracks.spread @ step.T + noise * push,
        frames=tracks.frames + 1,
    )


def _match(overlap: Array, rows: Array, columns: Array, least: float, matched: Array) -> None:
    """Pair tracks (rows) with boxes (columns) for the greatest sum of overlaps; fills `matched` (K,)."""
    from_tracks, from_boxes = np.flatnonzero(rows), np.flatnonzero(columns)
    part = overlap[np.ix_(from_tracks, from_boxes)]
    allowed = part >= least
    if not allowed.any():
        return
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingExtra("tracking objects", "video", "scipy") from error
    first, second = linear_sum_assignment(np.where(allowed, part, 0.0), maximize=True)
    for row, column in zip(first, second, strict=True):
        if allowed[row, column]:
            matched[from_boxes[column]] = from_tracks[row]


def _updated(
    now: Tracks, boxes: Boxes, matched: Array, high: Array, settings: TrackSettings
) -> tuple[Tracks, Integers]:
    """Tracks corrected by their boxes, with new ones, without those that were missed for too long."""
    found = np.flatnonzero(matched >= 0)
    rows = matched[found]
    state, spread, numbers = now.state.copy(), now.spread.copy(), now.numbers.copy()
    state[rows], spread[rows] = _corrected(state[rows], spread[rows], _measured(boxes.xyxy[found]))
    missed = now.missed + 1
    missed[rows] = 0
    last = now.last
    for row in rows[numbers[rows] == 0]:
        last += 1
        numbers[row] = last
    new = np.flatnonzero((matched < 0) & high)
    new_numbers = np.zeros(len(new), np.int64)
    if now.frames == 1:
        # Nothing could confirm them: what the first frame shows is there.
        new_numbers = np.arange(1, len(new) + 1)
        last = len(new)
    given = np.full(len(boxes), UNTRACKED, np.int64)
    given[found] = numbers[rows]
    given[new] = np.where(new_numbers > 0, new_numbers, UNTRACKED)
    kept = np.where(numbers > 0, missed <= settings.keep_frames, missed == 0)
    begun_state, begun_spread = _begun(_measured(boxes.xyxy[new]))
    tracks = Tracks(
        np.concatenate([numbers[kept], new_numbers]),
        np.concatenate([now.indices[kept], boxes.indices[new]]),
        np.concatenate([state[kept], begun_state]),
        np.concatenate([spread[kept], begun_spread]),
        np.concatenate([missed[kept], np.zeros(len(new), np.int64)]),
        now.frames,
        last,
    )
    return tracks, given


def _corrected(state: Array, spread: Array, measured: Array) -> tuple[Array, Array]:
    """The Kalman update of (T, 4) pairs by what was measured of their first members."""
    noise = (_MEASURED * _heights(state)[..., 0]) ** 2
    gain = spread[..., 0] / (spread[..., 0, 0] + noise)[..., None]
    better = state + gain * (measured - state[..., 0])[..., None]
    return better, spread - gain[..., None] * spread[..., 0, None, :]


def _begun(measured: Array) -> tuple[Array, Array]:
    state = np.stack([measured, np.zeros_like(measured)], axis=-1)
    heights = _heights(state)[..., 0]
    spread = np.zeros((*measured.shape, 2, 2))
    spread[..., 0, 0] = (_MEASURED * heights) ** 2
    spread[..., 1, 1] = (_SPEED * heights) ** 2
    return state, spread


def _heights(state: Array) -> Array:
    """Float64 (T, 1, 1): heights, at least one pixel, so that no noise is zero."""
    return state[:, 3, 0].clip(1.0)[:, None, None]


def _measured(xyxy: Array) -> Array:
    """Centre x and y, width and height."""
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def _iou(first: Array, second: Array) -> Array:
    """Float64 (T, K): overlap of every box with every other; 0 where both are empty."""
    sides = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    both = sides.clip(0).prod(axis=-1)
    either = (first[:, 2:] - first[:, :2]).prod(axis=-1)[:, None] + (second[:, 2:] - second[:, :2]).prod(-1)
    either = either - both
    shares: Array = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return shares
