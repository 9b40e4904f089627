"""Scikit-learn's handwritten digits as pictures: 1,797 real images of 8x8 pixels.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository (CC BY 4.0), the
part that scikit-learn ships.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signet.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST_OF_EACH = 50


def digits(seed: int = 0) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """The set, with 50 test images of each digit drawn at random.

    Args:
        seed: of the draw.

    Returns:
        (digit, "train" or "test", uint8 (8, 8, 3) RGB with three equal channels), in scikit-learn's order.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra("The demo's digits", "fit", "scikit-learn") from error
    found = load_digits()
    random = np.random.default_rng(seed)
    test: set[int] = set()
    for digit in range(10):
        members = np.flatnonzero(found.target == digit)
        test.update(random.choice(members, TEST_OF_EACH, replace=False).tolist())
    rows = []
    for place, (picture, digit) in enumerate(zip(found.images, found.target, strict=True)):
        # 17 levels, 0 to 16, over the whole range of a byte.
        grey = np.rint(picture * (255 / 16)).astype(np.uint8)
        split = "test" if place in test else "train"
        rows.append((str(digit), split, np.repeat(grey[..., None], 3, axis=2)))
    return rows
