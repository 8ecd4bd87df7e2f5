import math

import pytest
import torch
from torch import Tensor

from liveedit_bench.benchmark.editors.liveedit.modules import Experts, InputFeatures
from liveedit_bench.benchmark.editors.liveedit.routing import (
    Route,
    apply_route,
    fusion_weights,
    mean_weights,
    residual,
    sentinel_similarity,
    similarity,
)

INPUTS, EXPERTS, SLOTS, WIDTH, RANK, SIZE, ROWS = 5, 7, 3, 8, 2, 6, 4


def dot(left: Tensor, right: Tensor) -> float:
    """Mean over slots of inner products, divided by sqrt(width)."""
    products = [sum(float(a * b) for a, b in zip(x, y, strict=True)) for x, y in zip(left, right, strict=True)]
    return sum(products) / len(products) / math.sqrt(left.shape[1])


@pytest.fixture
def kept() -> Tensor:
    torch.manual_seed(1)
    kept = torch.rand(INPUTS, EXPERTS) < 0.4
    kept[0], kept[1] = False, True
    return kept


@pytest.fixture
def experts() -> Experts:
    torch.manual_seed(2)
    feature, vectors = (EXPERTS, SLOTS, WIDTH), (EXPERTS, RANK, SIZE)
    return Experts(torch.randn(feature), torch.randn(feature), torch.randn(vectors), torch.randn(vectors))


def test_similarity_of_every_pair():
    left, right = torch.randn(INPUTS, SLOTS, WIDTH), torch.randn(EXPERTS, SLOTS, WIDTH)
    found = similarity(left, right)
    assert found.shape == (INPUTS, EXPERTS)
    for i in range(INPUTS):
        for e in range(EXPERTS):
            assert float(found[i, e]) == pytest.approx(dot(left[i], right[e]), abs=1e-5)


def test_the_threshold_is_the_similarity_to_the_own_sentinel():
    phi, sentinel = torch.randn(INPUTS, SLOTS, WIDTH), torch.randn(INPUTS, SLOTS, WIDTH)
    found = sentinel_similarity(InputFeatures(phi, phi, sentinel))
    for i in range(INPUTS):
        assert float(found[i]) == pytest.approx(dot(phi[i], sentinel[i]), abs=1e-5)
    assert (found - similarity(phi, sentinel).diagonal()).abs().max() < 1e-6


def test_fusion_weights_by_hand(kept: Tensor):
    scores = 3 * torch.randn(INPUTS, EXPERTS)
    found = fusion_weights(scores, kept)
    for i in range(INPUTS):
        total = sum(math.exp(float(scores[i, e])) for e in range(EXPERTS) if kept[i, e])
        for e in range(EXPERTS):
            score = float(scores[i, e])
            wanted = math.exp(score) / total / (1 + math.exp(-score)) if kept[i, e] else 0.0
            assert float(found[i, e]) == pytest.approx(wanted, abs=1e-6)
    assert not found[0].any()


def test_fusion_weights_have_finite_gradients_where_nothing_is_kept(kept: Tensor):
    scores = (3 * torch.randn(INPUTS, EXPERTS)).requires_grad_()
    fusion_weights(scores, kept).square().sum().backward()
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())
    assert not scores.grad[~kept].any()


def test_mean_weights(kept: Tensor):
    found = mean_weights(kept, torch.float32)
    for i in range(INPUTS):
        count = int(kept[i].sum())
        assert found[i].tolist() == pytest.approx([1 / count if each else 0.0 for each in kept[i]])


@pytest.mark.parametrize("somewhere_all", [True, False])
def test_the_residual_by_hand_and_with_kept_experts_only(kept: Tensor, experts: Experts, somewhere_all: bool):
    kept[1, 3] = somewhere_all
    h, normed = torch.randn(INPUTS, ROWS, SIZE), torch.randn(INPUTS, ROWS, SIZE)
    weights = fusion_weights(torch.randn(INPUTS, EXPERTS), kept)
    dense = residual(h, normed, experts, weights)
    sparse = apply_route(h, normed, experts.keys, experts.values, Route.of(weights, kept))
    for i in range(INPUTS):
        for row in range(ROWS):
            wanted = h[i, row].clone()
            for e in range(EXPERTS):
                for key, value in zip(experts.keys[e], experts.values[e], strict=True):
                    wanted += weights[i, e] * max(0.0, float(normed[i, row] @ key)) * value
            assert (dense[i, row] - wanted).abs().max() < 1e-4
    assert (dense - sparse).abs().max() < 1e-5
    assert torch.equal(sparse[0], h[0])  # nothing kept: not a bit changes


def test_a_route_holds_the_kept_experts_and_weighs_its_padding_zero(kept: Tensor):
    weights = torch.rand(INPUTS, EXPERTS) * kept
    route = Route.of(weights, kept)
    assert route.experts.shape == route.weights.shape == (INPUTS, int(kept.sum(dim=1).max()))
    for i in range(INPUTS):
        chosen = [int(e) for e, weight in zip(route.experts[i], route.weights[i], strict=True) if weight]
        assert chosen == kept[i].nonzero()[:, 0].tolist()
        assert sorted(set(route.experts[i].tolist())) == sorted(route.experts[i].tolist())


@pytest.mark.parametrize("experts_in_all", [0, 3])
def test_a_route_of_nothing_changes_nothing(experts_in_all: int):
    h = torch.randn(2, ROWS, SIZE)
    nothing = torch.zeros(2, experts_in_all)
    route = Route.of(nothing, nothing.bool())
    assert route.experts.shape == (2, 0)
    vectors = torch.randn(experts_in_all, RANK, SIZE)
    assert apply_route(h, h, vectors, vectors, route) is h
