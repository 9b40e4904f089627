"""The memory of a training, shared by all that it keeps: pictures, and what frozen stages make of them."""

from __future__ import annotations

import threading

from signet.arrays import Array


class Room:
    """So many bytes for all that is kept of a task's images; each thing that is kept takes its part of them.

    Maps of frozen stages come first, and pictures make way for them: whether maps are kept decides what is
    computed, and must not depend on which pictures happened to be read before.
    """

    def __init__(self, total: int) -> None:
        """See above.

        Args:
            total: bytes.
        """
        self._total = total
        self._maps = self._pictures = 0
        self._shelves: list[dict[int, Array]] = []
        self._lock = threading.Lock()  # pictures are read by several threads

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._maps + self._pictures

    def shelf(self) -> dict[int, Array]:
        """A new place for pictures by index, which are put there by `keep` alone."""
        shelf: dict[int, Array] = {}
        with self._lock:
            self._shelves.append(shelf)
        return shelf

    def keep(self, shelf: dict[int, Array], index: int, picture: Array) -> None:
        """Put a picture onto a shelf, where there is room for it."""
        with self._lock:
            if index not in shelf and self.used + picture.nbytes <= self._total:
                shelf[index] = picture
                self._pictures += picture.nbytes

    def clear(self, shelf: dict[int, Array]) -> None:
        """Let go of all pictures of a shelf."""
        with self._lock:
            self._pictures -= sum(picture.nbytes for picture in shelf.values())
            shelf.clear()

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes, whatever they are; they are taken for good."""
        with self._lock:
            fits = self.used + size <= self._total
            self._pictures += size if fits else 0
            return fits

    def take_for_maps(self, size: int) -> bool:
        """Whether there is room for so many bytes beside the other maps; they are taken, and pictures go."""
        with self._lock:
            if self._maps + size > self._total:
                return False
            self._maps += size
            # The pictures of training stand on the first shelf: they are needed for longest.
            for shelf in reversed(self._shelves):
                while shelf and self.used > self._total:
                    self._pictures -= shelf.popitem()[1].nbytes
            return True

    def give_back(self, size: int) -> None:
        """Bytes of maps that are no longer kept."""
        with self._lock:
            self._maps -= size
