"""Rows that begin alike, packed into one: what they share is read once, in training too.

The answers of a group continue one prompt. A packed row holds the prompt and after it all answers;
positions go on from the prompt in each answer, and a mask keeps answers from seeing one another. So
it computes what separate rows would, gradients included, on a fraction of the ids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmgym.policies.merging import base_of

__all__ = ["Pack", "can_pack", "pack_rows", "reach_of"]

_ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
"""Tested: they attend as a given mask says, know places by `position_ids` alone, and their logits
are what the head says of the last hidden states."""
_WORTH_PACKING = 0.8
"""Rows are packed where that leaves at most this share of the ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Rows of a batch, packed.

    Attributes:
        ids: (P, W) long.
        positions: of the ids in the text that each belongs to, (P, W) long.
        parts: 0 for what answers share, then the number of the answer, -1 for padding, (P, W).
        sources: places in the flat (P * W) from which an id is predicted, (n,).
        targets: the predicted ids, (n,).
        places: where their log-probabilities belong in the flat (B * (T - 1)), (n,).
        shape: of the log-probabilities, (B, T - 1).
    """

    ids: Tensor
    positions: Tensor
    parts: Tensor
    sources: Tensor
    targets: Tensor
    places: Tensor
    shape: tuple[int, int]

    def attends(self) -> Tensor:
        """Which id attends to which, (P, 1, W, W)."""
        parts = self.parts
        width = parts.shape[1]
        sees = (parts[:, None, :] == 0) | (parts[:, None, :] == parts[:, :, None])
        causal = torch.ones(width, width, dtype=torch.bool, device=parts.device).tril()
        return (sees & causal)[:, None]

    def attends_as(self, model: Any) -> Tensor:
        """The mask in the form that a model's attention reads: booleans, or what it adds."""
        attends, base = self.attends(), base_of(model)
        if base.config._attn_implementation != "eager":
            return attends
        lowest = torch.finfo(base.dtype).min
        return torch.zeros_like(attends, dtype=base.dtype).masked_fill(~attends, lowest)

    def scattered(self, values: Tensor) -> Tensor:
        """Values of the scored ids, (n,), at their places, (B, T - 1); 0 elsewhere."""
        B, T = self.shape
        return values.new_zeros(B * T).index_copy(0, self.places, values).view(B, T)


def can_pack(model: Any) -> bool:
    """Whether a model computes on packed rows what it computes on separate ones."""
    base = base_of(model)
    config = base.config
    kinds = getattr(config, "layer_types", None) or ()
    slides = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return (
        type(base).__name__ in _ARCHITECTURES
        and type(base).__module__.startswith("transformers.")
        and getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
        and all(kind == "full_attention" for kind in kinds)
        and not slides
    )


def pack_rows(
    ids: Tensor, mask: Tensor, loss_mask: Tensor, pad_id: int, reach: float = math.inf
) -> Pack | None:
    """Rows packed by their common beginnings; None where that saves little.

    Answers of a group see one another's places, if not their content, so attention costs more the
    longer a packed row is. A large group is split into several.

    Args:
        ids: (B, T), padded on the right.
        mask: 1 on ids, (B, T).
        loss_mask: 1 on ids that are scored, (B, T); never on the first of a row.
        pad_id: any id.
        reach: the length of a text at which attention costs as much as all else (`reach_of`).
    """
    table, scored = ids.cpu().numpy(), loss_mask.cpu().numpy() > 0
    lengths = mask.sum(1).tolist()
    groups: dict[bytes, list[int]] = {}
    for row, length in enumerate(lengths):
        drawn = scored[row, :length].nonzero()[0]
        if len(drawn):  # what comes before the first scored id, and nothing after the last
            groups.setdefault(table[row, : drawn[0]].tobytes(), []).append(row)
            lengths[row] = int(drawn[-1]) + 1
    if not groups:
        return None
    rows = [
        members
        for prompt, group in groups.items()
        for members in _split(group, len(prompt) // table.itemsize, lengths, reach)
    ]
    laid = [_laid_out(table, scored, members, lengths) for members in rows]
    width = max(len(row.ids) for row in laid)
    plain = mask.numel() * (1 + mask.shape[1] / reach)
    if len(laid) * width * (1 + width / reach) > _WORTH_PACKING * plain:
        return None
    n_targets = table.shape[1] - 1
    device = ids.device

    def padded(rows: Sequence[NDArray[np.int64]], fill: int) -> Tensor:
        filled = np.full((len(rows), width), fill, np.int64)
        for place, row in enumerate(rows):
            filled[place, : len(row)] = row
        return torch.from_numpy(filled).to(device)

    def flat(rows: Sequence[NDArray[np.int64]]) -> Tensor:
        return torch.from_numpy(np.concatenate(rows)).to(device)

    return Pack(
        padded([row.ids for row in laid], pad_id),
        padded([row.positions for row in laid], 0),
        padded([row.parts for row in laid], -1),
        flat([row.sources + place * width for place, row in enumerate(laid)]),
        flat([row.targets for row in laid]),
        flat([row.rows * n_targets + row.columns - 1 for row in laid]),
        (len(table), n_targets),
    )


def reach_of(model: Any) -> float:
    """The length of a text at which a model's attention costs as much as its other products.

    An id costs about 4 C^2 + 3 C I multiplications a layer, and 2 C for each id that it sees.
    """
    config = base_of(model).config
    return float(2 * config.hidden_size + 1.5 * config.intermediate_size)


def _split(
    group: Sequence[int], n_shared: int, lengths: Sequence[int], reach: float
) -> list[Sequence[int]]:
    """A group in as many rows as cost least.

    With p shared ids, answers of a ids and k of them in a row, an answer costs
    (p / k + a) (1 + (p + k a) / reach), which is least at k = sqrt(p (p + reach)) / a.
    """
    n = len(group)
    answer = max(1.0, sum(lengths[row] for row in group) / n - n_shared)
    best = n * answer / math.sqrt(n_shared * (n_shared + reach))  # rows

    def cost(n_rows: int) -> float:
        width = n_shared + answer * -(-n // n_rows)
        return n_rows * width * (1 + width / reach)

    n_rows = min((min(n, max(1, int(best) + more)) for more in (0, 1)), key=cost)
    size = -(-n // n_rows)
    return [group[start : start + size] for start in range(0, n, size)]


@dataclass(frozen=True, slots=True)
class _Row:
    """One packed row: its ids, and the scored ones among them."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    parts: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def _laid_out(
    table: NDArray[np.int64],
    scored: NDArray[np.bool_],
    members: Sequence[int],
    lengths: Sequence[int],
) -> _Row:
    """Rows with a common beginning, one after the other; nothing follows from a last id."""
    first = int(scored[members[0]].argmax())
    ids, positions = [table[members[0], :first]], [np.arange(first)]
    parts = [np.zeros(first, np.int64)]
    sources, targets, rows, columns = [], [], [], []
    at = first
    for part, row in enumerate(members, 1):
        last = lengths[row] - 1
        wanted = scored[row, : last + 1].nonzero()[0]
        ids.append(table[row, first:last])
        positions.append(np.arange(first, last))
        parts.append(np.full(last - first, part))
        # The first is predicted from the end of what is shared, others from the id before.
        sources.append(np.where(wanted == first, first - 1, at + wanted - first - 1))
        targets.append(table[row, wanted])
        rows.append(np.full(len(wanted), row))
        columns.append(wanted)
        at += last - first
    joined = map(np.concatenate, (ids, positions, parts, sources, targets, rows, columns))
    return _Row(*joined)
