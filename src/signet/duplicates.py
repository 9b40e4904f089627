"""Which images are copies of one another: exactly, or so nearly that a split must not part them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from signet.arrays import Array, Bytes, Integers
from signet.errors import MissingExtra

Hashes = NDArray[np.uint64]

THUMBNAIL = 16
"""Rows and columns of the grey thumbnail by which candidates are verified."""

DISTANCE = 8
"""Largest Hamming distance of two 64-bit hashes for a candidate pair.

Measured with `correlation >= CORRELATION` as the second condition: on photographs (500 x 375) and on 32 x 32
pictures it finds 97 to 100 % of copies saved as JPEG of quality 10 to 50, at half size, squashed, 20 %
brighter, of 30 % less contrast, in grey or with noise, and 79 to 98 % of copies cropped by 2 %; crops of 5 %
and more are not found. Of 31,000 pairs of different photographs none was taken for a copy (their smallest
distance was 16), of 13.5 million pairs of 32 x 32 pictures 7. The hash holds 32 ones and 32 zeros, so
distances are even.
"""

CORRELATION = 0.95
"""Smallest correlation of two thumbnails for a pair to be copies."""

STRICT_DISTANCE, STRICT_CORRELATION = 4, 0.98
"""The thresholds inside a group that is too large to be copies of one picture; see `duplicate_groups`."""

_SUSPICIOUS_SHARE, _SUSPICIOUS_SIZE = 0.05, 20

FLAT = 1.0
"""Standard deviation, in grey levels, below which a thumbnail shows nothing that could be compared."""

_CANDIDATES_AT_ONCE, _PAIRS_AT_ONCE = 1 << 21, 1 << 16


def perceptual_hash(pixels: Bytes) -> np.uint64:
    """The 64-bit DCT hash of an image, uint8 (H, W, 3) RGB, as imagehash makes it; first bit highest.

    Source: imagehash's `phash` (32 x 32 grey, two-dimensional DCT, the lowest 8 x 8 coefficients, one bit
    each: above their median), after "Looks Like It", N. Krawetz, 2011.

    Raises:
        MissingExtra: imagehash is not installed.
    """
    try:
        import imagehash
    except ImportError as error:
        raise MissingExtra("Finding near duplicates", "fit", "imagehash") from error
    bits = imagehash.phash(PillowImage.fromarray(pixels)).hash
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def grey_thumbnail(pixels: Bytes) -> Bytes:
    """A small grey picture, uint8 (16, 16), of an image, uint8 (H, W, 3) RGB; its shape is not kept."""
    grey = PillowImage.fromarray(pixels).convert("L")
    return np.array(grey.resize((THUMBNAIL, THUMBNAIL), PillowImage.Resampling.BILINEAR))


def duplicate_groups(digests: Sequence[str], hashes: Hashes, thumbnails: Bytes) -> Integers:
    """Put copies into groups: equal files always, and images that look the same.

    Two images look the same when their hashes differ in at most `DISTANCE` bits and their thumbnails
    correlate by at least `CORRELATION`; what is joined by a chain of such pairs is one group. Thumbnails
    without contrast (below `FLAT`) take no part: all flat pictures resemble each other. A group of more
    than 5 % of the images (and of more than 20) is rarely one picture but many that are alike (digits,
    icons): it is taken apart and joined again with the strict thresholds.

    The cost grows with the number of pairs of hashes that nearly agree, not with all pairs.

    Args:
        digests: for each of N images the digest of its file, "" for one that could not be read.
        hashes: uint64 (N,), see `perceptual_hash`.
        thumbnails: uint8 (N, 16, 16), see `grey_thumbnail`.

    Returns:
        int64 (N,): the position of the first image of each one's group; its own when it has no copy.
    """
    count = len(digests)
    readable = np.array([bool(digest) for digest in digests], bool)
    exact = _equal_pairs(digests)
    vectors = _normalised(thumbnails)
    comparable = np.flatnonzero(readable & np.any(vectors != 0, axis=1)) if count else np.zeros(0, np.int64)
    # Of equal files the first stands for all: thousands of one picture would be millions of pairs.
    comparable = np.setdiff1d(comparable, exact[:, 1], assume_unique=True)
    pairs, strict = _verified(hashes, vectors, comparable)
    groups = _joined(count, np.concatenate([exact, pairs]))
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    suspicious = sizes[group_of] > max(_SUSPICIOUS_SIZE, _SUSPICIOUS_SHARE * count)
    if not suspicious.any():
        return groups
    kept = ~suspicious[pairs[:, 0]] | strict
    return _joined(count, np.concatenate([exact, pairs[kept]]))


def near_pairs(hashes: Hashes, distance: int = DISTANCE) -> Integers:
    """All pairs of 64-bit hashes that differ in at most `distance` bits.

    The hash is cut into distance // 2 + 1 bands. Were every band of a pair off by two bits or more, the pair
    would be off by more than `distance`; so some band agrees but for one bit, and only hashes that share such
    a band are compared.

    Source: M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing",
    CVPR 2012.

    Args:
        hashes: uint64 (N,).
        distance: 0 to 31.

    Returns:
        int64 (M, 2): positions, the smaller first, sorted, each pair once.
    """
    found = [np.zeros((0, 2), np.int64), *_near(hashes, distance)]
    return np.unique(np.concatenate(found), axis=0)


def _near(hashes: Hashes, distance: int) -> Iterator[Integers]:
    """The same pairs, a bounded number at a time, some more than once."""
    bands = distance // 2 + 1
    edges = [64 * band // bands for band in range(bands + 1)]
    for low, high in pairwise(edges):
        mask = np.uint64((1 << (high - low)) - 1)
        keys = (hashes >> np.uint64(low)) & mask
        order = np.argsort(keys, kind="stable")
        flips = [0, *(1 << bit for bit in range(high - low))]
        for flip in flips:
            for left, place in _candidates(keys[order], keys ^ np.uint64(flip)):
                right = order[place]
                near = (left < right) & (np.bitwise_count(hashes[left] ^ hashes[right]) <= distance)
                yield np.stack([left[near], right[near]], axis=1)


def _candidates(sorted_keys: Array, wanted: Array) -> Iterator[tuple[Integers, Integers]]:
    """Positions (in `wanted`, in `sorted_keys`) of all equal keys, a bounded number at a time."""
    first = np.searchsorted(sorted_keys, wanted, "left")
    counts = np.searchsorted(sorted_keys, wanted, "right") - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(wanted):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CANDIDATES_AT_ONCE, "right")))
        some = counts[start:stop]
        left = np.repeat(np.arange(start, stop), some)
        within = np.arange(len(left)) - np.repeat(np.cumsum(some) - some, some)
        yield left, first[left] + within
        start = stop


def _equal_pairs(digests: Sequence[str]) -> Integers:
    """int64 (M, 2): for each repeated digest its first position and the other one."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(digest, place), place) for place, digest in enumerate(digests) if digest]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _normalised(thumbnails: Bytes) -> NDArray[np.float32]:
    """float32 (N, 256): without mean, of length 1; zero where there is no contrast."""
    vectors = thumbnails.reshape(len(thumbnails), THUMBNAIL * THUMBNAIL).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = lengths < FLAT * THUMBNAIL
    return np.where(flat, 0, vectors / np.where(flat, 1, lengths)).astype(np.float32)


def _verified(
    hashes: Hashes, vectors: NDArray[np.float32], comparable: Integers
) -> tuple[Integers, NDArray[np.bool_]]:
    """Pairs that look the same, and which of them do so strictly: as many as join what all would join."""
    found, flags, waiting = [np.zeros((0, 2), np.int64)], [np.zeros(0, bool)], 0
    joined = np.arange(len(vectors))
    for near in _near(hashes[comparable], DISTANCE):
        pairs = comparable[near]
        pairs = pairs[joined[pairs[:, 0]] != joined[pairs[:, 1]]]  # the others have nothing to add
        correlations = np.concatenate(
            [np.zeros(0, np.float32)]
            + [
                np.einsum("ij,ij->i", vectors[some[:, 0]], vectors[some[:, 1]])
                for some in np.array_split(pairs, len(pairs) // _PAIRS_AT_ONCE + 1)
            ]
        )
        alike = correlations >= CORRELATION
        pairs, correlations = pairs[alike], correlations[alike]
        distances = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
        found.append(pairs)
        flags.append((distances <= STRICT_DISTANCE) & (correlations >= STRICT_CORRELATION))
        waiting += len(pairs)
        if waiting > _CANDIDATES_AT_ONCE:
            forest = _forest(len(vectors), np.concatenate(found), np.concatenate(flags))
            found, flags, waiting = [forest[0]], [forest[1]], 0
            joined = _joined(len(vectors), forest[0][forest[1]])
    return _forest(len(vectors), np.concatenate(found), np.concatenate(flags))


def _forest(count: int, pairs: Integers, strict: NDArray[np.bool_]) -> tuple[Integers, NDArray[np.bool_]]:
    """At most `count` of the pairs that join what all of them join, and by strict pairs what those join.

    Source: J. Kruskal, Proceedings of the AMS 7 (1956) 48-50: a tree that takes the light edges first spans
        with them whatever they can span.
    """
    if not len(pairs):
        return pairs, strict
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    _, first = np.unique(pairs[:, 0] * count + pairs[:, 1], return_index=True)
    weights = np.where(strict[first], 1.0, 2.0)
    graph = csr_matrix((weights, (pairs[first, 0], pairs[first, 1])), shape=(count, count))
    tree = minimum_spanning_tree(graph).tocoo()
    return np.stack([tree.row, tree.col], axis=1).astype(np.int64), tree.data == 1


def _joined(count: int, pairs: Integers) -> Integers:
    """int64 (N,): the smallest position that a chain of pairs leads to."""
    smallest = np.arange(count)
    while True:
        # Labels fall to the smallest neighbour, then along their own chain, until nothing moves.
        before = smallest.copy()
        np.minimum.at(smallest, pairs[:, 0], before[pairs[:, 1]])
        np.minimum.at(smallest, pairs[:, 1], before[pairs[:, 0]])
        smallest = smallest[smallest]
        if np.array_equal(before, smallest):
            return smallest
