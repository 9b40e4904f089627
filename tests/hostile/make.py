"""Writes a folder of broken and odd images, each with what reading it must give.

The picture is four coloured quadrants, so that a turned, mirrored, channel-swapped or inverted result
shows in its corners. Nothing here uses Signet: expectations are independent of what is tested.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

# The tests are no package; this folder is where the other half of this module lies.
sys.path.insert(0, str(Path(__file__).parent))
from builders import (  # type: ignore[import-not-found]
    BLACK,
    BLUE,
    GREEN,
    GREY_QUADRANTS,
    GREYS,
    HEIGHT,
    ORIENTED,
    QUADRANTS,
    RED,
    WHITE,
    WIDTH,
    Colour,
    chunk,
    deep,
    encoded,
    exif,
    png,
    quadrants,
    tiff,
    with_exif,
)

sys.path.pop(0)


@dataclass(frozen=True)
class Case:
    """One file and what reading it must give.

    Attributes:
        root: the folder that all cases lie in.
        path: the file.
        kind: what is odd about it.
        expectation: "ok", "error", or "either" (decoders may differ, but nothing else may escape).
        size: (height, width) of the upright result.
        corners: colours near the top left, top right, bottom left, bottom right corner.
        tolerance: how far a channel may be off (0 for lossless files).
        says: what the error's message must hold.
        listed: whether walking the folder must find it (by its extension and name).
        needs_unprivileged: only an error for a user who is not root.
    """

    root: Path
    path: Path
    kind: str
    expectation: str = "ok"
    size: tuple[int, int] | None = (HEIGHT, WIDTH)
    corners: tuple[Colour, ...] | None = QUADRANTS
    tolerance: int = 0
    says: str = ""
    listed: bool = True
    needs_unprivileged: bool = False


def check(case: Case, pixels: np.ndarray) -> None:
    """That uint8 (H, W, 3) pixels are what a case of expectation "ok" must give."""
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*case.size, 3), f"{case.kind}: {pixels.shape}"
    height, width = case.size
    y, x = min(3, height - 1), min(3, width - 1)
    found = [pixels[y, x], pixels[y, -1 - x], pixels[-1 - y, x], pixels[-1 - y, -1 - x]]
    worst = np.abs(np.array(found, int) - np.array(case.corners, int)).max()
    assert worst <= case.tolerance, f"{case.kind}: corners {found}, expected {case.corners}"


def make(folder: Path) -> list[Case]:
    """Write every case below a folder and say what each must give."""
    cases: list[Case] = []

    def put(name: str, data: bytes, kind: str, **expected: object) -> None:
        path = folder / name
        path.write_bytes(data)
        cases.append(Case(root=folder, path=path, kind=kind, **expected))

    def fail(name: str, data: bytes, kind: str, says: str = "") -> None:
        put(name, data, kind, expectation="error", says=says or "expected")

    _jpegs(put, fail)
    _orientations(put)
    _pngs(put, fail)
    _tiffs(put, fail)
    _others(put, fail)
    _impostors(put, fail)
    _names(put)
    cases.extend(_not_files(folder))
    return cases


Put = Callable[..., None]


def _jpegs(put: Put, fail: Put) -> None:
    whole = encoded(quadrants(), "JPEG")
    near = {"tolerance": 6}
    put("plain.jpg", whole, "plain JPEG", **near)
    put("progressive.jpg", encoded(quadrants(), "JPEG", progressive=True), "progressive JPEG", **near)
    put("subsampled.jpg", encoded(quadrants(), "JPEG", subsampling=2), "4:2:0 JPEG", tolerance=12)
    put("rgb.jpg", encoded(quadrants(), "JPEG", keep_rgb=True), "JPEG stored as RGB", **near)
    grey = quadrants(GREYS, "L")
    put("grey.jpg", encoded(grey, "JPEG"), "grey JPEG", corners=GREY_QUADRANTS, **near)
    inks = ((0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 0))
    cmyk = quadrants(inks, "CMYK")
    put("cmyk.jpg", encoded(cmyk, "JPEG"), "CMYK JPEG, inverted as Adobe has it", **near)
    put("cmyk_progressive.jpg", encoded(cmyk, "JPEG", progressive=True), "progressive CMYK JPEG", **near)
    inverted = np.ascontiguousarray(255 - np.asarray(cmyk))
    ycck = simplejpeg.encode_jpeg(inverted, quality=95, colorspace="CMYK", colorsubsampling="444")
    put("ycck.jpg", ycck, "YCCK JPEG", **near)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    put("icc.jpg", encoded(quadrants(), "JPEG", icc_profile=profile), "JPEG with a colour profile", **near)
    put("garbage.jpg", whole + b"trailing garbage " * 500, "JPEG with trailing garbage", **near)
    put("zeros_after.jpg", whole + bytes(4096), "JPEG padded with zero bytes after its end", **near)
    second = quadrants((BLACK,) * 4)
    mpo = encoded(quadrants(), "MPO", save_all=True, append_images=[second], quality=95, subsampling=0)
    put("mpo.jpg", mpo, "multi-picture JPEG", **near)
    put("broken_exif.jpg", with_exif(whole, exif(6)[:20]), "JPEG with EXIF cut off", **near)
    put(
        "wild_exif.jpg",
        with_exif(whole, b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"),
        "EXIF pointing nowhere",
        **near,
    )
    put("orientation_0.jpg", with_exif(whole, exif(0)), "JPEG with EXIF orientation 0", **near)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    noisy = encoded(Image.fromarray(noise), "JPEG")
    for length in (2, 3, 20, 200, len(noisy) // 2, len(noisy) - 2):
        fail(f"cut_{length}.jpg", noisy[:length], f"JPEG cut off after {length} bytes")
    half = len(noisy) // 2
    fail("half_zero.jpg", noisy[:half] + bytes(half), "JPEG whose second half is zero bytes", "zero")
    progressive = encoded(Image.fromarray(noise), "JPEG", progressive=True)
    fail("cut_progressive.jpg", progressive[: len(progressive) // 2], "progressive JPEG cut off", "cut off")
    damaged = bytearray(noisy)
    damaged[half : half + 16] = bytes(range(16))
    put("damaged.jpg", bytes(damaged), "JPEG with damaged codes", expectation="either", size=None)
    frame = whole.index(b"\xff\xc0")
    bomb = whole[: frame + 5] + struct.pack(">HH", 65000, 65000) + whole[frame + 9 :]
    fail("bomb.jpg", bomb, "JPEG that claims 65,000 x 65,000", "pixels")
    put(
        "one.jpg",
        encoded(Image.new("RGB", (1, 1), RED), "JPEG"),
        "1 x 1",
        size=(1, 1),
        corners=(RED,) * 4,
        **near,
    )
    wide = encoded(Image.new("RGB", (10000, 1), BLUE), "JPEG")
    put("wide.jpg", wide, "10,000 x 1", size=(1, 10000), corners=(BLUE,) * 4, **near)
    tall = encoded(Image.new("RGB", (1, 10000), BLUE), "JPEG")
    put("tall.jpg", tall, "1 x 10,000", size=(10000, 1), corners=(BLUE,) * 4, **near)


def _orientations(put: Put) -> None:
    for orientation in range(1, 9):
        stored = quadrants()
        if orientation > 1:
            stored = stored.transpose(ORIENTED[orientation])
        order = "<" if orientation % 2 else ">"
        data = with_exif(encoded(stored, "JPEG"), exif(orientation, order))
        put(f"exif_{orientation}.jpg", data, f"JPEG of EXIF orientation {orientation}", tolerance=6)
        block = exif(orientation)
        for kind, extension, options in (
            ("PNG", "png", {"exif": block[6:]}),
            ("WEBP", "webp", {"exif": block, "lossless": True}),
            ("TIFF", "tif", {"tiffinfo": {274: orientation}, "compression": "tiff_lzw"}),
        ):
            name = f"exif_{orientation}.{extension}"
            put(name, encoded(stored, kind, **options), f"{kind} of EXIF orientation {orientation}")
    stored = quadrants().transpose(ORIENTED[6])
    plain = encoded(stored, "TIFF", tiffinfo={274: 6})
    put("exif_6_plain.tif", plain, "TIFF of EXIF orientation 6 without compression")
    cmyk = encoded(stored.convert("CMYK"), "JPEG")
    put("exif_6_cmyk.jpg", with_exif(cmyk, exif(6)), "CMYK JPEG of EXIF orientation 6", tolerance=6)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='1' tiff:Orientation=\"6\"/>"
    put("xmp_6.jpg", with_exif(encoded(stored, "JPEG"), xmp), "JPEG of XMP orientation 6", tolerance=6)


def _pngs(put: Put, fail: Put) -> None:
    whole = encoded(quadrants(), "PNG")
    size = (HEIGHT, WIDTH)
    greys = {"corners": GREY_QUADRANTS}
    put("plain.png", whole, "plain PNG")
    put("grey_16.png", png(16, 0, deep(GREYS).astype(">u2").tobytes(), size=size), "16-bit grey PNG", **greys)
    put("rgb_16.png", png(16, 2, deep(QUADRANTS).astype(">u2").tobytes(), size=size), "16-bit RGB PNG")
    rgba = tuple((*colour, 65535 // 257) for colour in QUADRANTS)
    put("rgba_16.png", png(16, 6, deep(rgba).astype(">u2").tobytes(), size=size), "16-bit RGBA PNG")
    clear = chunk(b"tRNS", struct.pack(">H", 85 * 257))
    keyed = png(16, 0, deep(GREYS).astype(">u2").tobytes(), size=size, extra=clear)
    through = (GREY_QUADRANTS[0], WHITE, *GREY_QUADRANTS[2:])
    put("grey_16_key.png", keyed, "16-bit grey PNG with a transparent grey", corners=through)
    clear = chunk(b"tRNS", struct.pack(">HHH", 65535, 0, 0))
    keyed = png(16, 2, deep(QUADRANTS).astype(">u2").tobytes(), size=size, extra=clear)
    through = (WHITE, GREEN, BLUE, WHITE)
    put("rgb_16_key.png", keyed, "16-bit RGB PNG with a transparent colour", corners=through)
    put(
        "rgb_key.png", encoded(quadrants(), "PNG", transparency=RED), "PNG with a key colour", corners=through
    )
    palette = quadrants().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    put("palette.png", encoded(palette, "PNG"), "palette PNG")
    opacities = bytes(0 if tuple(palette.getpalette()[3 * i : 3 * i + 3]) == RED else 255 for i in range(4))
    clear = encoded(palette, "PNG", transparency=opacities)
    put("palette_alpha.png", clear, "palette PNG with transparency", corners=through)
    half = quadrants(((*RED, 128), (*GREEN, 255), (*BLUE, 0), (*WHITE, 255)), "RGBA")
    blended = ((255, 127, 127), GREEN, WHITE, WHITE)
    put("rgba.png", encoded(half, "PNG"), "RGBA PNG", corners=blended)
    grey = quadrants(((0, 128), (85, 255), (170, 0), (255, 255)), "LA")
    put("la.png", encoded(grey, "PNG"), "grey PNG with alpha", corners=((127,) * 3, (85,) * 3, WHITE, WHITE))
    put(
        "bilevel.png",
        encoded(quadrants((0, 1, 1, 0), "1"), "PNG"),
        "1-bit PNG",
        corners=(BLACK, WHITE, WHITE, BLACK),
    )
    frames = {"save_all": True, "append_images": [quadrants((BLACK,) * 4)], "duration": 100}
    put("animated.png", encoded(quadrants(), "PNG", **frames), "animated PNG")
    fail("bad_crc.png", whole[:29] + b"\0\0\0\0" + whole[33:], "PNG whose header has a wrong checksum", "PNG")
    fail("cut.png", whole[: len(whole) - 40], "PNG cut off", "PNG")
    big = struct.pack(">IIBBBBB", 50000, 50000, 1, 0, 0, 0, 0)
    bomb = whole[:8] + chunk(b"IHDR", big) + chunk(b"IDAT", zlib.compress(bytes(100_000)))
    fail("bomb.png", bomb, "PNG that claims 50,000 x 50,000", "pixels")
    put("wrong_extension.jpg", whole, "PNG named .jpg")
    put("NO_EXTENSION", whole, "image without an extension", listed=False)
    put("UPPER.PNG", whole, "upper-case extension")


def _tiffs(put: Put, fail: Put) -> None:
    size = (HEIGHT, WIDTH)
    greys = {"corners": GREY_QUADRANTS}
    whole = encoded(quadrants(), "TIFF")
    put("plain.tif", whole, "plain TIFF")
    put(
        "jpeg.tiff",
        encoded(quadrants(), "TIFF", compression="jpeg", quality=95),
        "TIFF of JPEG strips",
        tolerance=30,
    )
    pages = {"save_all": True, "append_images": [quadrants((BLACK,) * 4)]}
    put("pages.tif", encoded(quadrants(), "TIFF", **pages), "TIFF of two pages")
    put("cmyk.tif", encoded(quadrants().convert("CMYK"), "TIFF"), "CMYK TIFF")
    put("palette.tif", encoded(quadrants().convert("P", palette=1, colors=4), "TIFF"), "palette TIFF")
    sixteen = deep(GREYS)[..., 0]
    put("grey_16.tif", tiff(sixteen.tobytes(), 16, size=size), "16-bit grey TIFF", **greys)
    inverse = (65535 - sixteen).tobytes()
    put(
        "white_is_zero_16.tif",
        tiff(inverse, 16, size=size, photometric=0),
        "16-bit TIFF, white is zero",
        **greys,
    )
    twelve = (sixteen >> 4).reshape(-1, 2).astype(np.uint32)
    packed = np.stack(
        [twelve[:, 0] >> 4, (twelve[:, 0] & 15) << 4 | twelve[:, 1] >> 8, twelve[:, 1] & 255], 1
    )
    put("grey_12.tif", tiff(packed.astype(np.uint8).tobytes(), 12, size=size), "12-bit grey TIFF", **greys)
    unit = (sixteen / 65535).astype("<f4")
    put("float.tif", tiff(unit.tobytes(), 32, size=size, form=3), "float TIFF, 0 to 1", **greys)
    put("float_255.tif", tiff((unit * 255).tobytes(), 32, size=size, form=3), "float TIFF, 0 to 255", **greys)
    fail(
        "float_wild.tif",
        tiff((unit * 9e4).tobytes(), 32, size=size, form=3),
        "float TIFF, 0 to 90,000",
        "0 to 1",
    )
    fail(
        "float_nan.tif", tiff((unit * np.nan).tobytes(), 32, size=size, form=3), "float TIFF of NaN", "0 to 1"
    )
    wide = sixteen.astype("<u4")
    put("int_32.tif", tiff(wide.tobytes(), 32, size=size), "32-bit TIFF of 16-bit values", **greys)
    fail("cut.tif", whole[:-1000], "TIFF cut off")
    fail("bomb.tif", tiff(b"\0", 8, size=(50000, 50000)), "TIFF that claims 50,000 x 50,000", "pixels")


def _others(put: Put, fail: Put) -> None:
    palette = quadrants().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    frames = {"save_all": True, "append_images": [quadrants((BLACK,) * 4)], "duration": 100}
    put("plain.gif", encoded(palette, "GIF"), "GIF")
    put("animated.gif", encoded(quadrants(), "GIF", **frames), "animated GIF")
    clear = palette.copy()
    clear_index = palette.getpixel((0, 0))
    through = (WHITE, GREEN, BLUE, WHITE)
    put(
        "clear.gif", encoded(clear, "GIF", transparency=clear_index), "GIF with transparency", corners=through
    )
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    gif = encoded(noise, "GIF")
    fail("cut.gif", gif[: len(gif) // 2], "GIF cut off")
    fail("bomb.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "GIF that claims 65,535 x 65,535", "pixels")
    put("plain.bmp", encoded(quadrants(), "BMP"), "BMP")
    put("palette.bmp", encoded(palette, "BMP"), "palette BMP")
    bmp = encoded(quadrants(), "BMP")
    fail("cut.bmp", bmp[: len(bmp) // 2], "BMP cut off")
    fail(
        "bomb.bmp",
        bmp[:18] + struct.pack("<ii", 50000, 50000) + bmp[26:],
        "BMP that claims 50,000 x 50,000",
        "pixels",
    )
    put("lossless.webp", encoded(quadrants(), "WEBP", lossless=True), "WebP")
    put("animated.webp", encoded(quadrants(), "WEBP", lossless=True, **frames), "animated WebP")
    half = quadrants(((*RED, 128), (*GREEN, 255), (*BLUE, 0), (*WHITE, 255)), "RGBA")
    blended = ((255, 127, 127), GREEN, WHITE, WHITE)
    put("rgba.webp", encoded(half, "WEBP", lossless=True), "WebP with alpha", corners=blended)
    webp = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), "WEBP")
    fail("cut.webp", webp[: len(webp) // 2], "WebP cut off")


def _impostors(put: Put, fail: Put) -> None:
    fail("empty.jpg", b"", "zero bytes", "empty")
    fail("zeros.jpg", bytes(1000), "a thousand zero bytes", "zero bytes")
    fail("text.jpg", b"this is a note, not a picture\n" * 20, "text named .jpg", "text")
    fail(
        "page.jpg",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "web page named .jpg",
        "web page",
    )
    fail("vector.png", b'<?xml version="1.0"?><svg width="10" height="10"/>', "SVG named .png", "SVG")
    fail("document.png", b"%PDF-1.7\n" + bytes(100), "PDF named .png", "PDF")
    fail("phone.jpg", b"\0\0\0\x18ftypheic" + bytes(100), "HEIC named .jpg", "HEIC")
    fail("random.jpg", np.random.default_rng(1).bytes(5000), "random bytes", "unknown data")
    fail("text_bm.bmp", b"BMW is a maker of cars\n" * 9, "text that begins like a BMP")


def _names(put: Put) -> None:
    whole = encoded(quadrants(), "PNG")
    put("spaced name (1).png", whole, "spaces in the name")
    put("日本語 ñ 🐦.png", whole, "unicode name")
    put("two\nlines.png", whole, "line end in the name")
    put("\x1b[31mred\x1b[0m\x07.png", whole, "terminal codes in the name")
    put("gnp.\u202etxt.png", whole, "text-direction mark in the name")
    put("<b>&'\"; $(x) `y`.png", whole, "markup and shell signs in the name")
    put("[bold]%s {0}*?.png", whole, "pattern and format signs in the name")
    put("-rf.png", whole, "name like an option")
    put("long_" + "x" * 246 + ".png", whole, "name of 255 bytes")
    put(os.fsdecode(b"latin_\xe9.png"), whole, "name that is not UTF-8")


def _not_files(folder: Path) -> list[Case]:
    """Links, folders, pipes and files that may not be read."""
    cases = []

    def odd(name: str, kind: str, says: str, *, listed: bool = True, guarded: bool = False) -> Path:
        path = folder / name
        expected = {"expectation": "error", "says": says, "listed": listed, "needs_unprivileged": guarded}
        cases.append(Case(root=folder, path=path, kind=kind, **expected))
        return path

    odd("dangling.jpg", "link that leads nowhere", "no such file").symlink_to(folder / "nothing.jpg")
    first = odd("circle_a.jpg", "link that leads back to itself", "symbolic link")
    second = odd("circle_b.jpg", "link that leads back to itself", "symbolic link")
    first.symlink_to(second)
    second.symlink_to(first)
    odd("folder.jpg", "folder named .jpg", "a folder", listed=False).mkdir()
    os.mkfifo(odd("pipe.jpg", "named pipe", "named pipe"))
    odd("missing.jpg", "file that is not there", "no such file", listed=False)
    odd("x" * 300 + ".jpg", "name that no disk takes", "too long", listed=False)
    sparse = odd("vast.jpg", "sparse file of 4 GB that begins like a JPEG", "bytes")
    with sparse.open("wb") as stream:
        stream.write(b"\xff\xd8\xff\xe0")
        stream.truncate(4 << 30)
    locked = odd("locked.png", "file without permission", "permission", guarded=True)
    locked.write_bytes(encoded(quadrants(), "PNG"))
    locked.chmod(0)
    link = folder / "link.png"
    link.symlink_to(folder / "plain.png")
    cases.append(Case(root=folder, path=link, kind="link to an image"))
    below = folder / "below"
    below.mkdir()
    (below / "again").symlink_to(folder, target_is_directory=True)
    (below / "inside.png").write_bytes(encoded(quadrants(), "PNG"))
    cases.append(
        Case(root=folder, path=below / "inside.png", kind="image in a folder with a link to its parent")
    )
    return cases
