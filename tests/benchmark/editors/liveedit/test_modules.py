import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from liveedit_bench.benchmark.editors.liveedit.modules import CrossAttention, compact


@pytest.fixture
def attention() -> CrossAttention:
    torch.manual_seed(0)
    return CrossAttention(query_size=12, row_size=20, width=16, out_size=24, heads=4).requires_grad_(False)


def by_hand(attention: CrossAttention, query: Tensor, rows: Tensor) -> Tensor:
    """One query over unmasked rows, head by head."""
    asked, keys, values = attention.query(query), attention.key(rows), attention.value(rows)
    read: list[Tensor] = []
    for head in range(4):
        each, out = slice(4 * head, 4 * head + 4), slice(6 * head, 6 * head + 6)
        scores = [math.exp(float(asked[each] @ key[each]) / 2) for key in keys]
        read.append(sum(score / sum(scores) * value[out] for score, value in zip(scores, values, strict=True)))  # type: ignore[arg-type]
    return torch.cat(read)


@pytest.mark.parametrize("count", [1, 3])
def test_cross_attention_equals_a_loop_and_torch(attention: CrossAttention, count: int):
    queries, rows = torch.randn(count, 5, 12), torch.randn(3, 7, 20)
    mask = torch.rand(3, 7) < 0.6
    mask[:, 2] = True
    found = attention(queries, rows, mask)
    assert found.shape == (3, 5, 24)
    for sample in range(3):
        for index in range(5):
            wanted = by_hand(attention, queries[sample % count, index], rows[sample][mask[sample]])
            assert (found[sample, index] - wanted).abs().max() < 1e-5

    def heads(tensor: Tensor) -> Tensor:
        return tensor.unflatten(2, (4, -1)).transpose(1, 2)

    asked = heads(attention.query(queries)).expand(3, -1, -1, -1)
    theirs = scaled_dot_product_attention(
        asked, heads(attention.key(rows)), heads(attention.value(rows)), attn_mask=mask[:, None, None, :]
    )
    assert (found - theirs.transpose(1, 2).flatten(2)).abs().max() < 1e-5


MASKS = {
    "same rows": [[0, 1, 1, 0, 0]] * 3,
    "same start": [[0, 1, 1, 1, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0]],
    "to the end": [[0, 0, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0]],
    "padded on the left": [[0, 0, 1, 1, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1]],
    "with holes": [[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]],
    "one row empty": [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]],
}


@pytest.mark.parametrize("name", list(MASKS))
def test_compact_brings_the_masked_rows_to_the_front(name: str):
    h, mask = torch.randn(3, 5, 4), torch.tensor(MASKS[name]).bool()
    rows, kept = compact(h, mask)
    assert rows.shape[1] == int(mask.sum(dim=1).max())
    for sample in range(3):
        assert torch.equal(rows[sample][kept[sample]], h[sample][mask[sample]])
        assert kept[sample].tolist() == sorted(kept[sample].tolist(), reverse=True)


def masks(lengths: list[tuple[int, int]], width: int, start: int) -> tuple[Tensor, Tensor, Tensor]:
    """Four image rows from `start`, then prompt and answer rows of the given lengths."""
    image, prompt, answer = (torch.zeros(len(lengths), width, dtype=torch.bool) for _ in range(3))
    for row, (asked, told) in enumerate(lengths):
        image[row, start : start + 4] = True
        prompt[row, start + 4 : start + 4 + asked] = True
        answer[row, start + 4 + asked : start + 4 + asked + told] = True
    return image, prompt, answer


def test_each_feature_reads_its_own_rows(make_modules):
    modules = make_modules()
    h, embeddings = torch.randn(1, 12, 48), torch.randn(1, 12, 48)
    image, prompt, answer = masks([(3, 2)], 12, 1)

    def everything(h: Tensor, embeddings: Tensor) -> dict[str, Tensor]:
        experts, inputs = (
            modules.experts(h, image, prompt, answer, embeddings),
            modules.inputs(h, image, prompt),
        )
        return {f"edit {name}": value for name, value in vars(experts).items()} | dict(vars(inputs))

    before = everything(h, embeddings)
    readers = {
        "image": {"edit phi", "edit keys", "edit values", "phi"},
        "prompt": {"edit phi", "edit psi", "edit keys", "edit values", "phi", "psi", "sentinel"},
        "answer": {"edit keys", "edit values"},
        "embedding": {"edit keys", "edit values"},
        "other": set[str](),
    }
    for part, position in {"image": 2, "prompt": 6, "answer": 8, "other": 0, "embedding": 9}.items():
        # A constant would vanish in the LayerNorm.
        changed = {"h": h.clone(), "embeddings": embeddings.clone()}
        changed["embeddings" if part == "embedding" else "h"][0, position] += torch.randn(48)
        after = everything(**changed)
        assert {name for name in before if not torch.equal(before[name], after[name])} == readers[part]


def test_answer_embeddings_can_be_switched_off(make_modules):
    modules = make_modules(answer_embeddings=False)
    assert not any("embedding" in name for name, _ in modules.named_parameters())
    h, (image, prompt, answer) = torch.randn(1, 12, 48), masks([(3, 2)], 12, 1)
    one = modules.experts(h, image, prompt, answer, torch.randn(1, 12, 48))
    other = modules.experts(h, image, prompt, answer, torch.randn(1, 12, 48))
    assert torch.equal(one.keys, other.keys)
    assert torch.equal(one.values, other.values)


def test_the_scale_multiplies_experts(make_modules):
    h, (image, prompt, answer) = torch.randn(1, 12, 48), masks([(3, 2)], 12, 1)
    one, eight = (make_modules(scale=s).experts(h, image, prompt, answer, h) for s in (1.0, 8.0))
    assert (8 * one.keys - eight.keys).abs().max() < 1e-5
    assert (8 * one.values - eight.values).abs().max() < 1e-5
    assert torch.equal(one.phi, eight.phi)


def test_rows_of_any_length_share_a_batch(make_modules):
    modules = make_modules()
    lengths = [(3, 2), (1, 4), (5, 1)]
    h, embeddings = torch.randn(3, 14, 48), torch.randn(3, 14, 48)
    together = masks(lengths, 14, 2)
    experts, inputs = modules.experts(h, *together, embeddings), modules.inputs(h, together[0], together[1])
    for row, length in enumerate(lengths):
        alone = masks([length], 14, 2)
        one = modules.experts(h[row : row + 1], *alone, embeddings[row : row + 1])
        seen = modules.inputs(h[row : row + 1], alone[0], alone[1])
        for name in ("phi", "psi", "keys", "values"):
            assert (getattr(experts, name)[row] - getattr(one, name)[0]).abs().max() < 1e-4
        for name in ("phi", "psi", "sentinel"):
            assert (getattr(inputs, name)[row] - getattr(seen, name)[0]).abs().max() < 1e-4
