"""Several networks as one, whose logits are the mean of theirs.

Shape suffixes: N images, C classes, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from signet.errors import BadRequest


class Ensemble(nn.Module):
    """The members side by side; a tensor of member `i` is named `members.i.NAME`.

    The mean of logits, and not of scores, so that one temperature and one softmax follow as after any
    network: that gives the geometric mean of the members' scores, scaled to the sum 1.

    Source: L. Hansen, P. Salamon, "Neural Network Ensembles", IEEE Transactions on Pattern Analysis and
        Machine Intelligence 12 (1990) 993-1001.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise BadRequest("an ensemble: expected at least one network, got none.")
        self.members = nn.ModuleList(members)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Float32 (N, C)."""
        answers = []
        for member in self.members:
            answer = member(images_NCHW)
            answers.append(answer if isinstance(answer, Tensor) else answer[0])
        return torch.stack(answers).mean(0)
