"""`AgentTokens`: the ids that the agent drew, by episode, wherever they stand in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmgym.training.batches import Batch

__all__ = ["AgentTokens"]


@dataclass(frozen=True, slots=True, eq=False)
class AgentTokens:
    """The places of the agent's ids: row n holds those of episode n, in the order of drawing.

    Attributes:
        rows: the row of the batch that each id stands in, (N, L) long.
        columns: its column among the targets, (N, L) long.
        mask: True on ids, False on the padding after them, (N, L).
        turns: the number of the agent's turn that it belongs to, counted from 0, (N, L) long.
    """

    rows: Tensor
    columns: Tensor
    mask: Tensor
    turns: Tensor

    @classmethod
    def of(cls, batch: Batch) -> AgentTokens:
        """The agent's ids in a batch whose rows stand in the order of its transcripts."""
        drawn = batch.target_mask > 0  # (B, T - 1)
        rows, columns = drawn.nonzero(as_tuple=True)
        episodes = batch.transcript[rows]
        n = int(batch.transcript.max()) + 1
        lengths = torch.bincount(episodes, minlength=n)
        starts = lengths.cumsum(0) - lengths
        places = torch.arange(len(rows), device=rows.device) - starts[episodes]
        begins = torch.ones_like(rows, dtype=torch.bool)
        begins[1:] = (columns[1:] != columns[:-1] + 1) | (rows[1:] != rows[:-1])
        counted = begins.long().cumsum(0)  # turns of all episodes together, from 1
        first = counted[starts.clamp(max=max(len(rows) - 1, 0))] if len(rows) else starts

        def laid_out(values: Tensor) -> Tensor:
            table = values.new_zeros(n, int(lengths.max()) if n else 0)
            table[episodes, places] = values
            return table

        turns = counted - first[episodes] if len(rows) else counted
        is_id = torch.ones_like(rows, dtype=torch.bool)
        return cls(laid_out(rows), laid_out(columns), laid_out(is_id), laid_out(turns))

    def gather(self, values: Tensor) -> Tensor:
        """Values of the targets, (B, T - 1), episode by episode, (N, L); 0 on padding."""
        return values[self.rows, self.columns].masked_fill(~self.mask, 0.0)

    def scatter(self, values: Tensor, like: Tensor) -> Tensor:
        """Values of the agent's ids, (N, L), at their places among the targets, (B, T - 1)."""
        placed = like.new_zeros(like.shape, dtype=values.dtype)
        placed[self.rows[self.mask], self.columns[self.mask]] = values[self.mask]
        return placed

    def rewards(self, token_rewards: Sequence[NDArray[np.float64]]) -> Tensor:
        """What was paid at each id, one array an episode, as a table of shape (N, L)."""
        table = torch.zeros(self.mask.shape, device=self.mask.device)
        for row, paid in enumerate(token_rewards):
            table[row, : len(paid)] = torch.as_tensor(paid, dtype=table.dtype)
        return table
