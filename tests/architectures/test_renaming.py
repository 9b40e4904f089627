"""A key map is applied strictly: what is missing, left over or of another shape is named."""

from __future__ import annotations

import pytest

from signet.errors import BadInput

NAMES = {"0": "conv", "1": "bn"}


@pytest.fixture
def module():
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))


@pytest.fixture
def theirs(module):
    return {f"{NAMES[key[0]]}.{key[2:]}": tensor for key, tensor in module.state_dict().items()}


def test_all_tensors_come_under_our_names(module, theirs):
    from signet.architectures.renaming import renamed

    state = renamed(theirs, NAMES, module)
    module.load_state_dict(state, strict=True)
    assert state["0.weight"] is theirs["conv.weight"]


def test_old_files_have_no_counter(module, theirs):
    from signet.architectures.renaming import renamed

    del theirs["bn.num_batches_tracked"]
    assert renamed(theirs, NAMES, module)["1.num_batches_tracked"] == 0


def test_every_difference_is_named(module, theirs):
    from signet.architectures.renaming import renamed

    theirs["extra.weight"] = theirs.pop("conv.weight")
    theirs["bn.bias"] = theirs["bn.bias"][:2]
    with pytest.raises(BadInput) as caught:
        renamed(theirs, NAMES, module)
    message = str(caught.value)
    assert "missing: conv.weight" in message
    assert "unexpected: extra.weight" in message
    assert "other shape: bn.bias (2,) instead of (4,)" in message


def test_a_map_of_another_architecture_is_refused(module, theirs):
    from signet.architectures.renaming import renamed

    with pytest.raises(BadInput, match="no name for '1'"):
        renamed(theirs, {"0": "conv"}, module)
