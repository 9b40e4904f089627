"""Rows on disk: found again, mapped, safe against what another process or a bad disk leaves."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from signet.features.kept import KeptRows


def digests(*names):
    return [hashlib.sha256(str(name).encode()).hexdigest() for name in names]


def rows(count, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_rows_are_found_again_by_another_opening(tmp_path):
    names, table = digests(*range(5)), rows(5)
    KeptRows(tmp_path).add(names, table)
    found = KeptRows(tmp_path)
    assert len(found) == 5
    assert names[3] in found
    assert digests("other")[0] not in found
    np.testing.assert_array_equal(found.rows([names[4], names[0]]), table[[4, 0]])


def test_rows_of_several_shards_come_in_the_order_asked(tmp_path):
    kept = KeptRows(tmp_path)
    first, second = digests("a", "b"), digests("c")
    kept.add(first, rows(2, seed=1))
    kept.add(second, rows(1, seed=2))
    assert len(list(tmp_path.glob("*.npy"))) == 2
    asked = KeptRows(tmp_path).rows([*second, *first])
    np.testing.assert_array_equal(asked, np.concatenate([rows(1, seed=2), rows(2, seed=1)]))


def test_a_missing_row_is_an_error(tmp_path):
    kept = KeptRows(tmp_path)
    kept.add(digests("a"), rows(1))
    with pytest.raises(KeyError):
        kept.rows(digests("b"))


def test_without_a_folder_nothing_is_written(tmp_path):
    kept = KeptRows(None)
    kept.add(digests("a"), rows(1))
    np.testing.assert_array_equal(kept.rows(digests("a")), rows(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array at all", b"\x00" * 4096])
def test_a_broken_shard_is_as_if_it_were_not_there(tmp_path, content):
    KeptRows(tmp_path).add(digests("a"), rows(1))
    (tmp_path / "0000.npy").write_bytes(content)
    assert len(KeptRows(tmp_path)) == 1


def test_a_cut_shard_and_one_of_other_arrays_are_not_read(tmp_path):
    KeptRows(tmp_path).add(digests(*range(50)), rows(50))
    (whole,) = tmp_path.glob("*.npy")
    (tmp_path / "cut.npy").write_bytes(whole.read_bytes()[:-7])
    np.save(tmp_path / "plain.npy", rows(4))
    np.save(tmp_path / "wide.npy", np.zeros(2, [("digest", "u1", (32,)), ("features", "f4", (9,))]))
    found = KeptRows(tmp_path)
    np.testing.assert_array_equal(found.rows(digests(*range(50))), rows(50))


def test_pickled_shards_are_never_loaded(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert len(KeptRows(tmp_path)) == 0


def test_two_processes_may_keep_the_same_rows_at_once(tmp_path):
    code = (
        "import hashlib, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from signet.features.kept import KeptRows\n"
        "kept = KeptRows(Path(sys.argv[1]))\n"
        "for start in range(0, 60, 10):\n"
        "    names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(start, start + 10)]\n"
        "    kept.add(names, np.arange(start * 2, start * 2 + 20, dtype=np.float32).reshape(10, 2))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    expected = np.arange(120, dtype=np.float32).reshape(60, 2)
    np.testing.assert_array_equal(KeptRows(tmp_path).rows(digests(*range(60))), expected)
    assert not list(tmp_path.glob(".*part*"))
