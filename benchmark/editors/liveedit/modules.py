"""The trained parts of LiveEdit: expert generator, routing features and the vision sentinel.

LiveEdit (CVPR 2025, arXiv 2411.15432), sections 4.1 to 4.3. h is the output of decoder layer l_e, [B, T, d]; its image,
prompt and answer rows are told apart by masks, so that rows of any length share a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Architecture:
    """Sizes of the trained modules; stored with their weights.

    hidden_size: d, width of the decoder. layer: l_e, the decoder block whose output is edited. sentinel_rows: N_v.
    width: d_m of the paper. rank: r, neurons of an expert. slots: k, vectors per routing feature.
    scale: factor on experts (the released code's 1 / (5 sqrt(r)) becomes 1: a small decoder needs louder experts).
    answer_embeddings: departure; see `ExpertGenerator`.
    """

    hidden_size: int
    layer: int
    sentinel_rows: int
    width: int = 128
    heads: int = 8
    rank: int = 8
    slots: int = 4
    scale: float = 1.0
    answer_embeddings: bool = True


class CrossAttention(nn.Module):
    """CA(x, y): multi-head attention of queries over rows, linear maps with bias, no output map."""

    def __init__(self, query_size: int, row_size: int, width: int, out_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query_size, width)
        self.key = nn.Linear(row_size, width)
        self.value = nn.Linear(row_size, out_size)

    def forward(self, queries: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Queries [B or 1, Q, *], rows [B, T, *], mask [B, T] true where a row may be read -> [B, Q, out_size]."""
        count, length = rows.shape[0], rows.shape[1]
        asked = self.query(queries).view(queries.shape[0], queries.shape[1], self.heads, -1).transpose(1, 2)
        keys = self.key(rows).view(count, length, self.heads, -1).transpose(1, 2)
        values = self.value(rows).view(count, length, self.heads, -1).transpose(1, 2)
        scores = asked @ keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        read = torch.softmax(scores, dim=-1) @ values
        return read.transpose(1, 2).flatten(2)


class FeatureExtractor(nn.Module):
    """Routing features of an edit or of an input (the paper keeps one set of weights for each).

    psi = CA(q_psi, h_p), what is asked; phi = CA(CA(q_phi, h_p), h_v), what the question looks at in the picture.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        size, width, heads = shape.hidden_size, shape.width, shape.heads
        self.vision_queries = nn.Parameter(torch.randn(1, shape.slots, width))
        self.prompt_queries = nn.Parameter(torch.randn(1, shape.slots, width))
        # Trainable norms before each attention: in the released code, not in the paper.
        self.vision_norm = nn.LayerNorm(size)
        self.prompt_norm = nn.LayerNorm(size)
        self.read_prompt = CrossAttention(width, size, width, width, heads)
        self.read_vision = CrossAttention(width, size, width, width, heads)
        self.read_question = CrossAttention(width, size, width, width, heads)

    def questions(self, h: Tensor, prompt: Tensor) -> Tensor:
        """psi, [B, k, d_m]."""
        return self.read_question(self.prompt_queries, self.prompt_norm(h), prompt)

    def gaze(self, h: Tensor, prompt: Tensor) -> Tensor:
        """What the prompt looks for in a picture, [B, k, d_m]."""
        return self.read_prompt(self.vision_queries, self.vision_norm(h), prompt)

    def sight(self, gaze: Tensor, rows: Tensor, image: Tensor) -> Tensor:
        """phi: what a gaze finds in rows [B, T, d] of a picture, [B, k, d_m]."""
        return self.read_vision(gaze, self.vision_norm(rows), image)


class ExpertGenerator(nn.Module):
    """U_e or V_e = CA(Q, h_v (+) h_p (+) h_o), r vectors of size d.

    Departure (`answer_embeddings`): the token embeddings of the answer stand as further rows beside h_o. The deep state
    of an answer's last token needs to know only that the answer ends, so a small decoder drops which token it was.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        size = shape.hidden_size
        self.queries = nn.Parameter(torch.randn(1, shape.rank, shape.width))
        self.norm = nn.LayerNorm(size)
        self.read = CrossAttention(shape.width, size, shape.width, size, shape.heads)
        self.embedding_norm = nn.LayerNorm(size) if shape.answer_embeddings else None
        self.scale = shape.scale

    def forward(self, h: Tensor, rows: Tensor, embeddings: Tensor, answer: Tensor) -> Tensor:
        """From h, embeddings [B, T, d] and the masks rows (image, prompt, answer) and answer [B, T] to [B, r, d]."""
        read, mask = self.norm(h), rows
        if self.embedding_norm is not None:
            read = torch.cat([read, self.embedding_norm(embeddings)], dim=1)
            mask = torch.cat([mask, answer], dim=1)
        return self.scale * self.read(self.queries, read, mask)


@dataclass(frozen=True)
class Experts:
    """What edits leave behind, one row per edit: routing features [E, k, d_m] and expert vectors [E, r, d]."""

    phi: Tensor
    psi: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class InputFeatures:
    """Routing features of inputs, [B, k, d_m] each, and of the sentinel seen through each input's prompt."""

    phi: Tensor
    psi: Tensor
    sentinel: Tensor

    def __getitem__(self, chosen: slice) -> InputFeatures:
        return InputFeatures(self.phi[chosen], self.psi[chosen], self.sentinel[chosen])


class LiveEditModules(nn.Module):
    """Everything of LiveEdit that is trained."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.edit_features = FeatureExtractor(shape)
        self.input_features = FeatureExtractor(shape)
        self.key_generator = ExpertGenerator(shape)  # U
        self.value_generator = ExpertGenerator(shape)  # V
        self.sentinel = nn.Parameter(torch.randn(1, shape.sentinel_rows, shape.hidden_size))
        self.expert_norm = nn.LayerNorm(shape.hidden_size)

    def experts(self, h: Tensor, image: Tensor, prompt: Tensor, answer: Tensor, embeddings: Tensor) -> Experts:
        """Experts of edits from their rows; masks are [B, T]."""
        rows = image | prompt | answer
        phi, psi = self.edit_routing(h, image, prompt)
        return Experts(
            phi=phi,
            psi=psi,
            keys=self.key_generator(h, rows, embeddings, answer),
            values=self.value_generator(h, rows, embeddings, answer),
        )

    def edit_routing(self, h: Tensor, image: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Features phi and psi of edits."""
        extractor, (seen, seen_mask), (asked, asked_mask) = self.edit_features, compact(h, image), compact(h, prompt)
        gaze = extractor.gaze(asked, asked_mask)
        return extractor.sight(gaze, seen, seen_mask), extractor.questions(asked, asked_mask)

    def inputs(self, h: Tensor, image: Tensor, prompt: Tensor) -> InputFeatures:
        """Routing features of inputs; rows of answers are never read."""
        extractor, (seen, seen_mask), (asked, asked_mask) = self.input_features, compact(h, image), compact(h, prompt)
        gaze = extractor.gaze(asked, asked_mask)
        everywhere = torch.ones(1, self.sentinel.shape[1], dtype=torch.bool, device=h.device)
        return InputFeatures(
            phi=extractor.sight(gaze, seen, seen_mask),
            psi=extractor.questions(asked, asked_mask),
            sentinel=extractor.sight(gaze, self.sentinel, everywhere),
        )


def compact(h: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The masked rows of h [B, T, d] moved to the front: [B, most, d] with their mask [B, most]."""
    counts = mask.sum(dim=1)
    most, start = int(counts.max()), int(mask.int().argmax(dim=1)[0])
    filled = torch.arange(most, device=h.device) < counts[:, None]
    if start + most <= mask.shape[1] and torch.equal(mask[:, start : start + most], filled):
        return h[:, start : start + most], filled  # one block that begins at the same row everywhere: nothing to move
    order = mask.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    return h.gather(1, order[:, :, None].expand(-1, -1, h.shape[2])), filled
