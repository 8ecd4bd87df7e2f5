import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from liveedit_bench.benchmark.editors.liveedit import losses

OWNER = torch.tensor([0, 0, 0, 1, 2, 2])


def softmax(scores: Tensor) -> list[float]:
    powers = [math.exp(float(score)) for score in scores]
    return [power / sum(powers) for power in powers]


def test_edit_loss_means_over_tokens_then_samples():
    torch.manual_seed(0)
    logits, wanted = torch.randn(6, 9), torch.tensor([1, 4, 0, 8, 2, 2])
    each = [-math.log(softmax(row)[int(token)]) for row, token in zip(logits, wanted, strict=True)]
    expected = (sum(each[:3]) / 3 + each[3] + sum(each[4:]) / 2) / 3
    assert float(losses.edit_loss(logits, wanted, OWNER, 3)) == pytest.approx(expected, rel=1e-5)


def test_locality_loss_is_kl_from_before_to_after():
    torch.manual_seed(1)
    after, before = 2 * torch.randn(6, 9), 2 * torch.randn(6, 9)
    each: list[float] = []
    for new, old in zip(after, before, strict=True):
        each.append(sum(p * math.log(p / q) for p, q in zip(softmax(old), softmax(new), strict=True)))
    expected = (sum(each[:3]) / 3 + each[3] + sum(each[4:]) / 2) / 3
    found = float(losses.locality_loss(after, before, OWNER, 3))
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(float(losses.locality_loss(before, after, OWNER, 3)), rel=1e-2)
    # kl_div(input, target) is KL(target || input): the model before the edit is the target.
    theirs = kl_div(log_softmax(after[3:4], -1), log_softmax(before[3:4], -1), log_target=True, reduction="batchmean")
    assert each[3] == pytest.approx(float(theirs), rel=1e-5)
    assert float(losses.locality_loss(before, before, OWNER, 3)) == pytest.approx(0, abs=1e-6)


def test_soft_losses():
    torch.manual_seed(2)
    scores, own = torch.randn(3, 4), torch.tensor([2, 0, 3])
    relative = [-math.log(softmax(row)[int(mine)]) for row, mine in zip(scores, own, strict=True)]
    assert float(losses.soft_relative_loss(scores, own)) == pytest.approx(sum(relative) / 3, rel=1e-5)
    same, other = torch.randn(5), torch.randn(2)
    pull = [math.log(1 + math.exp(-float(score))) for score in same]
    push = [math.log(1 + math.exp(float(score))) for score in other]
    absolute = float(losses.soft_absolute_loss(same, other))
    assert absolute == pytest.approx(sum(pull) / 5 + sum(push) / 2, rel=1e-5)


def test_hard_losses_have_the_sentinel_as_a_further_class():
    torch.manual_seed(3)
    scores, sentinel, own = torch.randn(3, 4), torch.randn(3), torch.tensor([2, 0, 3])
    classes = [softmax(torch.cat([row, mark[None]])) for row, mark in zip(scores, sentinel, strict=True)]
    inside = [-math.log(row[int(mine)]) for row, mine in zip(classes, own, strict=True)]
    outside = [-math.log(row[-1]) for row in classes]
    assert float(losses.hard_in_scope_loss(scores, sentinel, own)) == pytest.approx(sum(inside) / 3, rel=1e-5)
    assert float(losses.hard_locality_loss(scores, sentinel)) == pytest.approx(sum(outside) / 3, rel=1e-5)


def test_losses_stay_finite_when_routing_is_utterly_wrong():
    scores, own = torch.tensor([[1e4, -1e4]]), torch.tensor([1])
    for value in (
        losses.soft_relative_loss(scores, own),
        losses.soft_absolute_loss(scores[:, 1], scores[:, 0]),
        losses.hard_in_scope_loss(scores, torch.zeros(1), own),
        losses.hard_locality_loss(scores, torch.zeros(1)),
    ):
        assert math.isfinite(float(value))
        assert float(value) > 10
