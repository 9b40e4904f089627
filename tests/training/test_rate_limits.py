"""Rates that are known to destroy a network are refused with the reason; others, and small parts, are not."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from signet.errors import BadRequest
from signet.training import Optimisation, TrainSettings
from signet.training.rate_limits import LIMITS, Limit, kinds_of, refuse_rates


def vit() -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=2, num_classes=3)


def plain() -> nn.Module:
    layers = OrderedDict(body=nn.Conv2d(3, 4, 3), flat=nn.Flatten(), head=nn.Linear(4, 2))
    return nn.Sequential(layers)


def asked(rate: float, optimizer: Any = "adamw", **fields: Any) -> TrainSettings:
    fields = {"classifier": "head", "head_rate": 0.1, **fields}
    return TrainSettings(backbone_rate=rate, optimisation=Optimisation(optimizer=optimizer), **fields)


def learning(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters() if not name.startswith("head")}


def test_kinds_are_told_by_what_decides(tiny: ModuleType) -> None:
    module = tiny.network()
    assert kinds_of(module, asked(1e-4), learning(module)) == {"frozen BatchNorm"}
    assert kinds_of(module, asked(1e-4, batchnorm="batch"), learning(module)) == {"learning BatchNorm"}
    mixed = asked(1e-4, batchnorm="batch", batchnorm_stages=(("stem", "frozen"),))
    assert kinds_of(module, mixed, learning(module)) == {"frozen BatchNorm", "learning BatchNorm"}
    assert kinds_of(vit(), asked(1e-4), learning(vit())) == {"attention"}
    assert kinds_of(plain(), asked(1e-4), {"body.weight", "body.bias"}) == {"no BatchNorm"}


def test_of_several_limits_the_lowest_counts(tiny: ModuleType) -> None:
    mixed = {"batchnorm": "batch", "batchnorm_stages": (("stem", "frozen"),)}
    with pytest.raises(BadRequest, match=r"expected at most 0\.0003 .*with frozen BatchNorm and adamw"):
        refuse_rates(tiny.network(), asked(0.1, **mixed))


def test_what_was_not_measured_says_so_and_names_whose_rate_it_is() -> None:
    for limit in LIMITS:
        assert limit.measured == ("benchmarks/results/rates-2026-11-21.md" in limit.why)
        assert limit.measured or "no pretrained transformer was at hand to measure it" in limit.why


def results() -> dict[tuple[str, str], dict[float, bool]]:
    """Of the published table: (optimizer, BatchNorm) to rate to whether it destroyed the network."""
    page = Path(__file__).parents[2] / "benchmarks" / "results" / "rates-2026-11-21.md"
    found: dict[tuple[str, str], dict[float, bool]] = {}
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 6 and cells[0] in ("adamw", "sgd"):
            found.setdefault((cells[0], cells[1]), {})[float(cells[2])] = cells[5].startswith("yes")
    return found


@pytest.mark.parametrize("limit", [limit for limit in LIMITS if limit.measured])
def test_a_measured_limit_is_the_highest_rate_that_destroyed_nothing(limit: Limit) -> None:
    named = {"frozen BatchNorm": "frozen", "learning BatchNorm": "batch", "no BatchNorm": "none"}
    optimizer = "sgd" if "sgd" in limit.optimizers else "adamw"
    rows = results()[optimizer, named[limit.kind]]
    assert limit.greatest == max(rate for rate, destroyed in rows.items() if not destroyed)
    assert all(destroyed for rate, destroyed in rows.items() if rate > limit.greatest)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_rate_at_the_limit_is_taken_and_one_above_is_refused(limit: Limit, tiny: ModuleType) -> None:
    module = {"attention": vit, "no BatchNorm": plain}.get(limit.kind, tiny.network)()
    policy = {"batchnorm": "batch" if limit.kind == "learning BatchNorm" else "frozen"}
    for optimizer in limit.optimizers:
        refuse_rates(module, asked(limit.greatest, optimizer, **policy))
        with pytest.raises(BadRequest, match=r"expected at most .*insist with --allow-rate") as caught:
            refuse_rates(module, asked(limit.greatest * 1.01, optimizer, **policy))
        assert limit.why in str(caught.value)


def test_what_the_limits_are_not_of_is_taken(tiny: ModuleType) -> None:
    module = tiny.network()
    refuse_rates(module, asked(0.1, "rmsprop"))
    refuse_rates(module, asked(0.1, frozen=("stem", "body")))
    refuse_rates(module, asked(0.0))
    # A head may learn as fast as it likes; a stage with a rate of its own may not.
    refuse_rates(module, asked(1e-4))
    how = Optimisation(stage_rates=(("body", 0.05),))
    with pytest.raises(BadRequest, match=r"backbone_rate 0\.05"):
        refuse_rates(module, TrainSettings(classifier="head", optimisation=how))


def test_half_of_the_backbone_counts_as_all_of_it(tiny: ModuleType) -> None:
    module = tiny.network()
    refuse_rates(module, asked(0.1, frozen=("body",)))  # the stem is the smaller part
    with pytest.raises(BadRequest, match="expected at most"):
        refuse_rates(module, asked(0.1, frozen=("stem",)))
