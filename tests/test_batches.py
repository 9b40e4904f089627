"""Batches, outputs, specs and progress: what travels with the data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from signet.batches import Batch, Outputs
from signet.errors import BadInput
from signet.geometry import Geometry
from signet.networks import ModuleSpec
from signet.progress import Progress, silent


def test_a_batch_has_one_geometry_and_one_source_for_each_array() -> None:
    place = Geometry.of((2, 2))
    assert len(Batch(np.zeros((1, 2, 2, 3)), (place,), ("a",))) == 1
    with pytest.raises(BadInput, match="got 2, 1 and 1"):
        Batch(np.zeros((2, 2, 2, 3)), (place,), ("a",))
    with pytest.raises(BadInput, match="got 1, 1 and 2"):
        Batch([np.zeros((2, 2, 3))], (place,), ("a", "b"))


def test_outputs_keep_their_order_and_cannot_be_changed() -> None:
    outputs = Outputs({"b": np.zeros(1), "a": np.ones(1)})
    assert list(outputs) == ["b", "a"]
    assert len(outputs) == 2
    with pytest.raises(TypeError):
        outputs.arrays["c"] = np.zeros(1)


def test_a_module_spec_survives_json() -> None:
    spec = ModuleSpec("timm", "resnet18", {"pad_type": "same"}, 10, "fc")
    assert ModuleSpec(**json.loads(json.dumps(spec.to_dict()))) == spec


def test_progress_has_a_total_or_none() -> None:
    assert Progress("reading", 1).total is None
    silent(Progress("reading", 1, 2))
