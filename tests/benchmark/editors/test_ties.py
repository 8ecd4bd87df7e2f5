import torch

from liveedit_bench.benchmark.editors.ties import merged


def by_hand(deltas: torch.Tensor, density: float) -> torch.Tensor:
    count, total = deltas[0].numel(), torch.zeros(deltas[0].numel())
    kept: list[list[float]] = []
    for delta in deltas:
        flat = delta.flatten().tolist()
        largest = sorted(range(count), key=lambda place: -abs(flat[place]))[: max(1, round(density * count))]
        kept.append([value if place in largest else 0.0 for place, value in enumerate(flat)])
    for place in range(count):
        column = [row[place] for row in kept]
        agreeing = [value for value in column if value * sum(column) > 0]
        total[place] = sum(agreeing) / len(agreeing) if agreeing else 0.0
    return total.view_as(deltas[0])


def test_against_loops():
    dice = torch.Generator().manual_seed(1)
    for count, density in ((1, 1.0), (2, 0.5), (5, 0.2), (4, 0.01)):
        deltas = torch.randn(count, 6, 7, generator=dice)
        assert torch.allclose(merged(deltas, density), by_hand(deltas, density), atol=1e-6)


def test_changes_of_different_entries_are_all_kept():
    deltas = torch.zeros(3, 4, 4)
    for index in range(3):
        deltas[index, index] = torch.tensor([1.0, -2.0, 3.0, -4.0]) * (index + 1)
    assert torch.equal(merged(deltas, 1.0), deltas.sum(dim=0))


def test_the_sign_of_more_weight_wins():
    deltas = torch.tensor([[[3.0]], [[-1.0]], [[-1.0]]])
    assert torch.equal(merged(deltas, 1.0), torch.tensor([[3.0]]))
    assert torch.equal(merged(-deltas, 1.0), torch.tensor([[-3.0]]))
