"""What labels of images cost, beside torch's own losses and plain sums."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from signet.training.class_losses import class_loss, judged_loss, label_loss, teacher_loss
from signet.training.objective import Objective

ONES = torch.ones(4)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 4.0])


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(6, 4, generator=generator), torch.arange(6) % 4


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(case: tuple[torch.Tensor, torch.Tensor], smoothing: float) -> None:
    logits, labels = case
    found = class_loss(logits, functional.one_hot(labels, 4).float(), Objective(), smoothing, ONES)
    assert float(found) == pytest.approx(
        float(functional.cross_entropy(logits, labels, label_smoothing=smoothing)), rel=1e-5
    )


def test_mixed_targets_are_torchs(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    shares = 0.7 * functional.one_hot(labels, 4) + 0.3 * functional.one_hot(labels.roll(-1), 4)
    found = class_loss(logits, shares, Objective(), 0.1, ONES)
    expected = functional.cross_entropy(logits, shares, label_smoothing=0.1)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_weights_say_how_much_a_class_counts(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    found = class_loss(logits, functional.one_hot(labels, 4).float(), Objective(), 0.0, WEIGHTS)
    each = functional.cross_entropy(logits, labels, reduction="none")
    assert float(found) == pytest.approx(float((each * WEIGHTS[labels]).mean()), rel=1e-5)


def test_focal_is_the_papers_and_without_focusing_cross_entropy(
    case: tuple[torch.Tensor, torch.Tensor],
) -> None:
    logits, labels = case
    hot = functional.one_hot(labels, 4).float()
    shares = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    expected = (-((1 - shares) ** 2) * shares.log()).mean()
    found = class_loss(logits, hot, Objective(loss="focal"), 0.0, ONES)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    plain = class_loss(logits, hot, Objective(loss="focal", focusing=0.0), 0.0, ONES)
    assert float(plain) == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)


def test_focal_cares_less_for_what_is_nearly_right() -> None:
    logits = torch.tensor([[3.0, 0, 0, 0], [0.0, 0, 0, 0]], requires_grad=True)
    hot = functional.one_hot(torch.tensor([0, 0]), 4).float()
    slopes = []
    for objective in (Objective(), Objective(loss="focal")):
        (slope,) = torch.autograd.grad(class_loss(logits, hot, objective, 0.0, ONES), logits)
        slopes.append(float(slope[0].norm() / slope[1].norm()))
    assert slopes[1] < slopes[0] / 3


def test_bce_of_one_label_is_the_sum_over_the_labels(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    hot = functional.one_hot(labels, 4).float()
    found = class_loss(logits, hot, Objective(loss="bce"), 0.0, ONES)
    expected = functional.binary_cross_entropy_with_logits(logits, hot) * 4
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_several_labels_are_questions_of_their_own(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, _ = case
    truth = (torch.arange(24).reshape(6, 4) % 3 == 0).float()
    expected = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    for loss in ("cross-entropy", "bce"):
        found = label_loss(logits, truth, Objective(loss=loss), 0.0, WEIGHTS)
        assert float(found) == pytest.approx(float((expected * WEIGHTS).sum(1).mean()), rel=1e-5)
    shares = torch.where(truth > 0, logits.sigmoid(), 1 - logits.sigmoid())
    focal = ((1 - shares) ** 2 * expected).sum(1).mean()
    found = label_loss(logits, truth, Objective(loss="focal"), 0.0, ONES)
    assert float(found) == pytest.approx(float(focal), rel=1e-5)
    smooth = label_loss(logits, truth, Objective(), 0.2, ONES)
    softer = functional.binary_cross_entropy_with_logits(logits, truth * 0.8 + 0.1) * 4
    assert float(smooth) == pytest.approx(float(softer), rel=1e-5)


def test_validation_is_judged_by_the_plain_log_loss(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    hot = functional.one_hot(labels, 4).float()
    assert judged_loss(logits, hot, exclusive=True) == pytest.approx(
        float(functional.cross_entropy(logits, labels)), rel=1e-5
    )
    assert judged_loss(logits, hot, exclusive=False) == pytest.approx(
        float(functional.binary_cross_entropy_with_logits(logits, hot)) * 4, rel=1e-5
    )


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_learner_that_agrees_with_its_teacher_is_at_no_distance(
    case: tuple[torch.Tensor, torch.Tensor], exclusive: bool
) -> None:
    logits, _ = case
    logits.requires_grad_()
    soft = (logits / 3).softmax(1) if exclusive else (logits / 3).sigmoid()
    distance = teacher_loss(logits, soft.detach(), 3.0, exclusive=exclusive)
    (slope,) = torch.autograd.grad(distance, logits)
    assert float(distance.detach()) == pytest.approx(0, abs=1e-5)
    assert float(slope.abs().max()) < 1e-5
    away = teacher_loss(logits + torch.arange(4.0), soft.detach(), 3.0, exclusive=exclusive)
    assert float(away.detach()) > 0.1


def test_the_distance_is_the_divergence_and_sure_teachers_are_no_trouble(
    case: tuple[torch.Tensor, torch.Tensor],
) -> None:
    logits, labels = case
    teacher = logits.flip(0)
    expected = functional.kl_div((logits / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="batchmean")
    found = teacher_loss(logits, (teacher / 2).softmax(1), 2.0, exclusive=True)
    assert float(found) == pytest.approx(4 * float(expected), rel=1e-4)
    sure = teacher_loss(logits, functional.one_hot(labels, 4).float(), 1.0, exclusive=True)
    assert float(sure) == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)
