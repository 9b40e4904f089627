"""`prune`: what hangs together is cut together, until the network is as light as asked."""

import pytest

pytest.importorskip("torch_pruning")
torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from signet.compression.pruning import prune  # noqa: E402
from signet.errors import BadRequest  # noqa: E402

SIZE = (16, 16)


class Residual(nn.Module):
    """Two blocks of a residual network under a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.one, self.two = self.block(), self.block()
        self.head = nn.Linear(16, 5)

    @staticmethod
    def block() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(16, 24, 3, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem(images)
        maps = torch.relu(maps + self.one(maps))
        return self.head(torch.relu(maps + self.two(maps)).mean((2, 3)))


def macs(module: nn.Module) -> int:
    """By hooks: values of each result times what is summed for one."""
    counted = []

    def count(layer: nn.Module, _: object, result: torch.Tensor) -> None:
        counted.append(result.numel() * layer.weight[0].numel())

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, *SIZE))
    for hook in hooks:
        hook.remove()
    return sum(counted)


@pytest.mark.parametrize("share", [0.7, 0.4])
def test_that_it_becomes_as_light_as_asked_and_answers_still(share: float) -> None:
    torch.manual_seed(0)
    module = Residual()
    whole = macs(module)
    prune(module, "head", SIZE, share)
    assert 0.5 * share * whole < macs(module) <= 1.02 * share * whole  # the counts differ in the norms
    assert module.head.out_features == 5
    widths = {module.stem[0].out_channels, module.one[3].out_channels, module.two[3].out_channels}
    assert widths == {module.head.in_features}
    assert module.one[0].out_channels % 4 == 0
    images = torch.randn(2, 3, *SIZE)
    module.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_that_the_weakest_channels_go() -> None:
    """Channels that are all zero change nothing when they are gone."""
    torch.manual_seed(1)
    module = Residual().eval()
    with torch.no_grad():
        for block in (module.one, module.two):
            block[0].weight[::2] = 0
            block[1].weight[::2], block[1].bias[::2] = 0, 0
            block[3].weight[:, ::2] = 0
        module.stem[0].weight[8:], module.stem[1].weight[8:], module.stem[1].bias[8:] = 0, 0, 0
        for block in (module.one, module.two):
            block[3].weight[8:], block[4].weight[8:], block[4].bias[8:], block[0].weight[:, 8:] = 0, 0, 0, 0
        module.head.weight[:, 8:] = 0
        images = torch.randn(4, 3, *SIZE)
        before = module(images)
        prune(module, "head", SIZE, 0.6)
        assert module.head.in_features < 16
        torch.testing.assert_close(module(images), before, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_so_light_is_refused() -> None:
    with pytest.raises(BadRequest, match="Ask for more with --macs"):
        prune(Residual(), "head", SIZE, 0.001)


def test_what_cannot_be_followed_is_refused() -> None:
    class Stubborn(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.head.in_features < 16:
                raise ValueError("sixteen are needed")
            return super().forward(images)

    with pytest.raises(BadRequest, match="cannot be cut: ValueError: sixteen are needed"):
        prune(Stubborn(), "head", SIZE, 0.7)
