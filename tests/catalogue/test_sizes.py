"""Values and bytes of a model, told from its files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from signet.catalogue.sizes import bytes_of, count_of, parameters_of
from signet.errors import BadInput

BROKEN = [b"", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"[]", b"\x10" + b"\0" * 7 + b'{"a": {"b": 1}}']


@pytest.mark.parametrize("header", BROKEN)
def test_a_file_that_is_no_safetensors_is_not_counted(
    header: bytes, tmp_path: Path, floor3: ModuleType
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(header)
    with pytest.raises(BadInput):
        count_of(path)
    source = dataclasses.replace(floor3.module_source(), weights=path)
    found = dataclasses.replace(floor3.graph_model(tmp_path), networks=(source,))
    assert parameters_of(found) is None


def test_statistics_and_whole_numbers_are_no_parameters(tmp_path: Path) -> None:
    tensors = {
        "a.weight": np.zeros((3, 4), np.float32),
        "a.running_mean": np.zeros(3, np.float32),
        "a.index": np.zeros(9, np.int64),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert count_of(tmp_path / "model.safetensors") == 12


def test_the_smallest_file_counts_and_the_card_is_believed_first(tmp_path: Path, floor3: ModuleType) -> None:
    graph = floor3.graph_model(tmp_path)
    assert bytes_of(graph) == graph.networks[0].path.stat().st_size
    assert parameters_of(graph) == graph.card.parameters is None
    path = tmp_path / "model.safetensors"
    save_file({"a.weight": np.zeros((3, 4), np.float32)}, path)
    source = dataclasses.replace(floor3.module_source(), weights=path)
    both = dataclasses.replace(graph, networks=(*graph.networks, source))
    assert bytes_of(both) == path.stat().st_size < bytes_of(graph)
    assert parameters_of(both) == 12
    stated = dataclasses.replace(both, card=dataclasses.replace(both.card, parameters=77))
    assert parameters_of(stated) == 77
    assert bytes_of(dataclasses.replace(both, networks=(floor3.module_source(),))) is None


def test_a_graph_in_two_files_counts_with_both(tmp_path: Path, floor3: ModuleType) -> None:
    graph = floor3.graph_model(tmp_path)
    for name, size in (("net.xml", 10), ("net.bin", 300)):
        (tmp_path / name).write_bytes(b"0" * size)
    network = dataclasses.replace(graph.networks[0], path=tmp_path / "net.xml", format="xml")
    assert bytes_of(dataclasses.replace(graph, networks=(network,))) == 310
