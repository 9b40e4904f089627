"""No picture on which the starter's figures are stated was among those that it learned from.

Near duplicates are found by perceptual hash, 64 bits. How far apart may two hashes of one picture be? Each
picture of the pool, squeezed to 32 pixels and coded as JPEG, is at most 4 bits from its original in 99 of
100 cases (the median is 0), which a test below repeats. The nearest pair between the pool and any set of
figures is 6 bits apart: two different aeroplanes, each in front of an empty sky. So the limit is 4.
"""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

imagehash = pytest.importorskip("imagehash")

MOST_BITS = 4


@pytest.fixture(scope="module")
def pool() -> dict:
    return json.loads((resources.files("signet.catalogue") / "starter" / "pool.json").read_text())


@pytest.fixture(scope="module")
def hashes(pool: dict) -> np.ndarray:
    return np.array([int(line.split()[2], 16) for line in pool["images"]], dtype=np.uint64)


def hash_of(image: Image.Image) -> int:
    return int(str(imagehash.phash(image.convert("RGB"))), 16)


def least_bits(hashes: np.ndarray, images: list[Image.Image]) -> int:
    others = np.array([hash_of(image) for image in images], dtype=np.uint64)
    return int(np.bitwise_count(hashes[:, None] ^ others[None]).min())


def test_the_record_is_whole(pool):
    names = [line.split()[0] for line in pool["images"]]
    digests = [line.split()[1] for line in pool["images"]]
    assert len(set(digests)) == len(digests)
    assert {name: names.count(name) for name in set(names)} == {
        name: entry["images"] for name, entry in pool["sets"].items()
    }
    assert all(len(digest) == 64 for digest in digests)


def test_no_set_is_non_commercial(pool):
    assert set(pool["sets"]) == {"imagenet_sample_250", "coco_tiny", "bccd", "nuclei_200"}
    for entry in pool["sets"].values():
        assert entry["non_commercial"] is False
        words = entry["licence"].upper().replace("-", " ").split()
        assert "NC" not in words
        assert "NONCOMMERCIAL" not in words


def test_the_record_is_that_of_the_files(pool, shared):
    import hashlib

    recorded = {line.split()[1] for line in pool["images"]}
    folder = shared / "data" / "imagenet_sample_250"
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.JPEG")}
    assert len(found) == 250
    assert found <= recorded


def test_the_limit_finds_near_duplicates(hashes, shared):
    originals = set(hashes.tolist())
    bits = []
    for path in sorted((shared / "data" / "imagenet_sample_250").glob("*.JPEG")):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        own = hash_of(picture)
        assert own in originals
        buffer = io.BytesIO()
        picture.resize((32, 32), Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=80)
        with Image.open(buffer) as copy:
            bits.append((own ^ hash_of(copy)).bit_count())
    assert np.mean(np.array(bits) <= MOST_BITS) >= 0.98


def test_cifar_is_not_in_the_pool(hashes, shared):
    images = []
    for path in sorted((shared / "data" / "cifar10_small").rglob("*.*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            with Image.open(path) as image:
                images.append(image.convert("RGB"))
    assert len(images) == 5200
    assert least_bits(hashes, images) > MOST_BITS


def test_digits_are_not_in_the_pool(hashes):
    datasets = pytest.importorskip("sklearn.datasets")
    images = [
        Image.fromarray(np.rint(grey * (255 / 16)).astype(np.uint8)) for grey in datasets.load_digits().images
    ]
    assert len(images) == 1797
    assert least_bits(hashes, images) > MOST_BITS


def test_materials_are_not_in_the_pool(hashes):
    pytest.importorskip("skimage")
    from signet.demonstration.materials import MATERIALS, materials

    crops = [Image.fromarray(pixels) for _, _, pixels in materials()]
    assert least_bits(hashes, crops) > MOST_BITS
    folder = Path(str(resources.files("skimage.data")))
    photographs = []
    for material in MATERIALS.values():
        with Image.open(folder / material.file) as image:
            photographs.append(image.convert("RGB"))
    assert least_bits(hashes, photographs) > MOST_BITS
