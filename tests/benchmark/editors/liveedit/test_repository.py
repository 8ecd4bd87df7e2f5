from itertools import pairwise

import torch
from safetensors.torch import load, save

from liveedit_bench.benchmark.editors.liveedit.modules import Architecture, Experts
from liveedit_bench.benchmark.editors.liveedit.repository import Repository

SHAPE = Architecture(hidden_size=6, layer=0, sentinel_rows=4, width=5, rank=2, slots=3)
PARTS = ("phi", "psi", "keys", "values")


def repository() -> Repository:
    return Repository(SHAPE, torch.device("cpu"), torch.float32)


def some(count: int, seed: int = 0) -> Experts:
    torch.manual_seed(seed)
    feature, vectors = (count, 3, 5), (count, 2, 6)
    return Experts(torch.randn(feature), torch.randn(feature), torch.randn(vectors), torch.randn(vectors))


def place(kept: Repository) -> int:
    return kept.experts.keys.untyped_storage().data_ptr()


def test_grows_in_place_and_moves_only_when_it_doubles():
    kept, added = repository(), [some(1, seed) for seed in range(300)]
    places: list[int] = []
    rooms: list[int] = []
    for one in added:
        kept.add(one)
        places.append(place(kept))
        rooms.append(kept.experts.keys.untyped_storage().nbytes() // (4 * 2 * 6))
    assert len(kept) == 300
    assert sorted(set(rooms)) == [16, 32, 64, 128, 256, 512]
    assert sum(one != other for one, other in pairwise(places)) <= 5
    for part in PARTS:
        assert torch.equal(getattr(kept.experts, part), torch.cat([getattr(one, part) for one in added]))


def test_many_at_once_fit():
    kept = repository()
    kept.add(some(100))
    kept.add(some(3, 1))
    assert torch.equal(kept.experts.keys, torch.cat([some(100).keys, some(3, 1).keys]))


def test_state_goes_through_safetensors_and_on():
    kept = repository()
    kept.add(some(20))
    assert kept.state_bytes == 20 * 4 * (2 * 3 * 5 + 2 * 2 * 6)
    stored = load(save(kept.state_dict()))
    other = repository()
    other.add(some(3, 5))
    other.load_state_dict(stored)
    kept.add(some(1, 9))
    other.add(some(1, 9))
    assert all(torch.equal(getattr(kept.experts, part), getattr(other.experts, part)) for part in PARTS)
    assert len(stored["phi"]) == 20  # a copy, not a view that grew
    kept.clear()
    assert len(kept) == kept.state_bytes == 0
    other.load_state_dict(kept.state_dict())
    assert len(other) == 0


def test_what_was_added_in_inference_mode_can_be_added_to_outside():
    kept = repository()
    with torch.inference_mode():
        kept.add(some(17))
    kept.add(some(40, 1))
    kept.clear()
    kept.add(some(1))
    assert not kept.experts.keys.is_inference()
