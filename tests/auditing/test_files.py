"""Files that are no images, and images that are odd: each planted once among plain ones."""

import shutil

import pytest
from PIL import Image as Pillow

from signet.auditing.annotations import find_noted
from signet.auditing.files import find_broken, find_odd
from signet.auditing.observing import observe
from signet.auditing.resolution import find_low_resolution
from signet.datasets import open_dataset


@pytest.fixture
def folder(photograph, tmp_path):
    """Two classes of twelve photographs."""
    for number in range(24):
        place = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(place)
    return tmp_path / "data"


def odd(folder):
    return {
        found.kind: [source.rsplit("/", 1)[-1] for source in found.sources]
        for found in find_odd(observed(folder))
    }


def observed(folder):
    return observe(open_dataset(folder), threads=2)


def test_plain_photographs_are_not_odd(folder):
    seen = observed(folder)
    assert list(find_broken(seen)) == []
    assert list(find_odd(seen)) == []
    assert list(find_noted(seen.dataset)) == []


def test_broken_files_are_severe_and_say_what_came(folder):
    (folder / "a" / "text.jpg").write_text("no picture")
    (folder / "a" / "empty.png").write_bytes(b"")
    whole = (folder / "b" / "1.png").read_bytes()
    (folder / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (found,) = find_broken(observed(folder))
    assert (found.kind, found.severity) == ("unreadable", "severe")
    assert {source.rsplit("/", 1)[-1] for source in found.sources} == {"text.jpg", "empty.png", "cut.png"}
    assert all("expected" in words or "cut off" in words for words in found.details["errors"].values())


def test_files_that_are_listed_and_not_there_are_missing(folder):
    rows = ["file,label", *(f"{'ab'[n % 2]}/{n}.png,{'ab'[n % 2]}" for n in range(24)), "a/gone.png,a"]
    (folder / "index.csv").write_text("\n".join(rows))
    (found,) = find_broken(observed(folder))
    assert (found.kind, found.severity) == ("missing", "severe")
    assert found.sources == (str(folder / "a" / "gone.png"),)
    assert list(find_noted(open_dataset(folder))) == []


def test_each_odd_image_is_told_as_what_it_is(folder, photograph):
    Pillow.new("RGB", (48, 48), (20, 60, 40)).save(folder / "a" / "blank.png")
    photograph(50, (15, 60)).save(folder / "a" / "narrow.png")
    photograph(51, (200, 40)).save(folder / "a" / "long.png")
    turned = Pillow.Exif()
    turned[0x0112] = 6
    photograph(52).save(folder / "a" / "turned.jpg", exif=turned)
    clear = photograph(53).convert("RGBA")
    clear.putpixel((3, 3), (0, 0, 0, 0))
    clear.save(folder / "b" / "clear.png")
    photograph(54).convert("RGBA").save(folder / "b" / "opaque.png")
    photograph(55).convert("L").save(folder / "b" / "grey.png")
    photograph(56).convert("L").convert("RGB").save(folder / "b" / "grey.jpg", quality=60)
    palette = photograph(57).quantize(16)
    palette.info["transparency"] = 0
    palette.save(folder / "b" / "palette.png", transparency=0)
    assert odd(folder) == {
        "blank": ["blank.png"],
        "tiny": ["narrow.png"],
        "extreme aspect": ["long.png", "narrow.png"],
        "turned": ["turned.jpg"],
        "transparent": ["clear.png", "palette.png"],
        "grey": ["grey.jpg", "grey.png"],
    }


def test_images_that_are_all_long_are_not_odd(folder, photograph):
    shutil.rmtree(folder)
    for number in range(8):
        place = folder / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        photograph(number, (200, 40)).save(place)
    assert odd(folder) == {}


def test_small_images_are_told_where_the_model_wants_large_ones(folder):
    seen = observed(folder)
    assert list(find_low_resolution(seen, "m", (64, 64))) == []
    assert list(find_low_resolution(seen, "m", None)) == []
    (found,) = find_low_resolution(seen, "m", (224, 224))
    assert found.severity == "note"
    assert found.details["median_factor"] == pytest.approx(224 / 48, abs=1e-3)


def test_a_coloured_picture_among_grey_ones_is_odd_too(folder, photograph):
    for path in folder.rglob("*.png"):
        Pillow.open(path).convert("L").save(path)
    photograph(99).save(folder / "a" / "colour.png")
    assert odd(folder) == {"grey": ["colour.png"]}
    (found,) = find_odd(observed(folder))
    assert found.details == {"classes": {"a": 1}}
