"""A zip is a seal as one file, and a suspect."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile

import pytest

from signet.errors import AlreadyExists, BadRequest, SignetError, Tampered
from signet.seals import is_seal, open_seal, pack
from signet.seals.unpacking import unpacked


def _entries(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, entries, *, info=None, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if info:
                info(entry)
            archive.writestr(entry, data)
    return path


def test_packing_twice_gives_the_same_bytes_whatever_the_times(tiny, tmp_path):
    first = pack(tiny, tmp_path / "a.zip").read_bytes()
    for path in tiny.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert pack(open_seal(tiny), tmp_path / "b.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_packed_seal_is_a_seal(tiny):
    path = pack(tiny)
    assert path.name == "tiny.signet.zip"
    assert is_seal(path)
    assert open_seal(path).digest == open_seal(tiny).digest
    # The second time it lies there already.
    assert open_seal(path).path == open_seal(path).path


def test_packing_overwrites_nothing_and_checks_first(tiny, tmp_path):
    pack(tiny)
    with pytest.raises(AlreadyExists):
        pack(tiny)
    pack(tiny, overwrite=True)
    with pytest.raises(BadRequest, match=r"\.zip"):
        pack(tiny, tmp_path / "x.tar")
    (tiny / "graph.onnx").write_bytes(b"")
    with pytest.raises(Tampered):
        pack(tiny, tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()


def test_a_zip_is_not_packed_into_the_cache_nor_a_seal_into_itself(tiny, tmp_path):
    path = pack(tiny)
    for packed in (path, open_seal(path)):
        with pytest.raises(BadRequest, match="packed already"):
            pack(packed)
        assert pack(packed, tmp_path / "again.zip", overwrite=True).read_bytes() == path.read_bytes()
    for inside in (tiny / "x.zip", tiny / "golden" / "x.zip"):
        with pytest.raises(BadRequest, match="outside the seal"):
            pack(tiny, inside)
    open_seal(tiny)


def test_a_harmed_copy_in_the_cache_is_made_again(tiny):
    path = pack(tiny)
    sealed = open_seal(path)
    (sealed.path / "graph.onnx").write_bytes(b"")
    assert open_seal(path).digest == sealed.digest
    (sealed.path / "seal.json").write_bytes(b"{}")
    assert open_seal(path).digest == sealed.digest


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/outside",
        "a/../../outside",
        "C:\\outside",
        "a\\..\\..\\outside",
        "golden/../x",
        "nul",
        "x\ny",
    ],
)
def test_zip_slip(tmp_path, name):
    path = _write(tmp_path / "slip.zip", [(name, b"x")])
    with pytest.raises(Tampered, match="was expected"):
        open_seal(path)
    assert not (tmp_path / "outside").exists()


def test_a_name_that_is_cut_at_a_nul_is_refused(tmp_path):
    path = _write(tmp_path / "nul.zip", [("seal.jsonX.txt", b"{}")])
    path.write_bytes(path.read_bytes().replace(b"seal.jsonX.txt", b"seal.json\0.txt"))
    with pytest.raises(Tampered):
        open_seal(path)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip(tmp_path, mode):
    def info(entry):
        entry.external_attr = (mode | 0o777) << 16

    path = _write(tmp_path / "link.zip", [("graph.onnx", b"/etc/passwd")], info=info)
    with pytest.raises(Tampered, match="plain file"):
        open_seal(path)


@pytest.mark.parametrize("names", [("graph.onnx", "GRAPH.onnx"), ("a", "a/b")])
def test_colliding_names_in_a_zip(tmp_path, names):
    path = _write(tmp_path / "twice.zip", [(name, b"x") for name in names])
    with pytest.raises(Tampered, match="every file once"):
        open_seal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_in_a_zip(tmp_path):
    path = _write(tmp_path / "twice.zip", [("seal.json", b"{}"), ("seal.json", b"[]")])
    with pytest.raises(Tampered, match="every file once"):
        open_seal(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = _write(tmp_path / "bomb.zip", [("seal.json", bytes(30_000_000))], method=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(Tampered, match="It is not unpacked"):
        open_seal(path)


def test_a_zip_that_lies_about_a_size(tmp_path):
    data = bytes(2_000_000)
    path = _write(tmp_path / "lie.zip", [("seal.json", data)], method=zipfile.ZIP_DEFLATED)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(len(data).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(Tampered):
        open_seal(path)


def test_too_many_files(tmp_path):
    path = _write(tmp_path / "many.zip", [(f"{place}", b"") for place in range(1001)])
    with pytest.raises(Tampered, match="at most 1000"):
        open_seal(path)


def test_other_methods_and_passwords(tmp_path):
    path = _write(tmp_path / "bz.zip", [("seal.json", b"{}")], method=zipfile.ZIP_BZIP2)
    with pytest.raises(Tampered, match="stored or deflated"):
        open_seal(path)
    plain = _write(tmp_path / "p.zip", [("seal.json", b"{}")]).read_bytes()
    locked = plain.replace(b"PK\x03\x04\x14\0\0\0", b"PK\x03\x04\x14\0\x01\0").replace(
        b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\x01\0"
    )
    assert locked != plain
    (tmp_path / "p.zip").write_bytes(locked)
    with pytest.raises(Tampered, match="password"):
        open_seal(tmp_path / "p.zip")


def test_a_deflated_seal_is_read_too(tiny, tmp_path):
    path = _write(tmp_path / "d.zip", _entries(pack(tiny)).items(), method=zipfile.ZIP_DEFLATED)
    assert open_seal(path).digest == open_seal(tiny).digest


def test_a_changed_file_in_a_zip_with_a_right_checksum(tiny, tmp_path):
    entries = _entries(pack(tiny))
    entries["graph.onnx"] = entries["graph.onnx"][:-1] + b"x"
    with pytest.raises(Tampered, match=r"graph\.onnx"):
        open_seal(_write(tmp_path / "t.zip", entries.items()))


def test_any_flipped_byte_of_a_zip_gives_an_error_or_the_same_seal(tiny, tmp_path):
    import random

    whole = pack(tiny).read_bytes()
    digest = open_seal(tiny).digest
    generator = random.Random(2)
    path = tmp_path / "flip.zip"
    found = 0
    for _ in range(60):
        harmed = bytearray(whole)
        harmed[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        path.write_bytes(bytes(harmed))
        try:
            # Some bits of a zip mean nothing: dates, attributes, versions.
            assert open_seal(path).digest == digest
        except SignetError:
            found += 1
    assert found > 50
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(Tampered):
            open_seal(path)


def test_the_cache_holds_nothing_of_a_refused_zip(tmp_path):
    path = _write(tmp_path / "s.zip", [("ok.txt", b"x"), ("../outside", b"x")])
    with pytest.raises(Tampered):
        unpacked(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert not list((tmp_path.parent).rglob(f"{digest}.signet"))
