"""Transcripts as padded tensors, and batches as micro-batches of bounded size.

Shift convention: every tensor of a `Batch` has shape (B, T) and is aligned to its *ids*. A model
that reads `ids` predicts `ids[:, 1:]`, so log-probabilities of a forward pass have shape
(B, T - 1), and what belongs to them is `batch.targets`, `batch.target_mask` and
`batch.target_logprobs`, each the (B, T) tensor without its first column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.transcript import Segment, Transcript

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["Batch", "batch_transcripts", "rows_by_tokens", "split_by_tokens", "target_logprobs"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Segments of transcripts, padded on the right to the longest.

    Attributes:
        ids: (B, T) long.
        attention_mask: (B, T) long, 1 on ids and 0 on padding.
        loss_mask: (B, T) float, 1 on ids that the agent drew.
        logprobs: (B, T) float, log-probability at which each id was drawn; 0 where the loss mask
            is 0 and where the sampler recorded none.
        transcript: (B,) long, the position of each row's transcript among those handed in, so
            that `advantages[batch.transcript]` belongs to the rows.
    """

    ids: Tensor
    attention_mask: Tensor
    loss_mask: Tensor
    logprobs: Tensor
    transcript: Tensor

    def __len__(self) -> int:
        """The number of rows, B."""
        return self.ids.shape[0]

    @property
    def targets(self) -> Tensor:
        """The predicted ids; (B, T - 1)."""
        return self.ids[:, 1:]

    @property
    def target_mask(self) -> Tensor:
        """1 where the predicted id carries loss; (B, T - 1)."""
        return self.loss_mask[:, 1:]

    @property
    def target_logprobs(self) -> Tensor:
        """The sampler's log-probability of each predicted id; (B, T - 1)."""
        return self.logprobs[:, 1:]

    @property
    def lengths(self) -> Tensor:
        """Ids of each row without padding; (B,)."""
        return self.attention_mask.sum(1)

    @property
    def first_loss_position(self) -> int:
        """The first column that carries loss in some row, 1 or more."""
        columns = self.loss_mask.any(0).nonzero()
        return max(1, int(columns[0])) if len(columns) else 1

    @property
    def n_loss_tokens(self) -> int:
        """Ids that carry loss."""
        return int(self.loss_mask.sum())

    def select(self, rows: Sequence[int] | Tensor) -> Batch:
        """The given rows, in this order, cut to the longest of them."""
        index = torch.as_tensor(rows, dtype=torch.long, device=self.ids.device)
        width = int(self.lengths[index].max()) if len(index) else 0
        return Batch(
            ids=self.ids[index, :width],
            attention_mask=self.attention_mask[index, :width],
            loss_mask=self.loss_mask[index, :width],
            logprobs=self.logprobs[index, :width],
            transcript=self.transcript[index],
        )

    def to(self, device: str | torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def batch_transcripts(
    transcripts: Sequence[Transcript],
    pad_id: int,
    device: str | torch.device = "cpu",
    *,
    needs_logprobs: bool = True,
) -> Batch:
    """One row for each segment of each transcript, in order.

    Args:
        transcripts: episodes with ids; `transcript.view(agent)` picks one agent of several.
        pad_id: fills the end of shorter rows; masks never depend on it.
        device: where the tensors lie.
        needs_logprobs: refuse segments without the sampler's log-probabilities; with False their
            columns are 0 (supervised learning doesn't read them).

    Raises:
        LmgymError: for no transcripts, transcripts without ids, missing log-probabilities, or an
            agent's id at the very start of a segment, which nothing predicts.
    """
    rows = [(n, s) for n, t in enumerate(transcripts) for s in t.require_ids()]
    if not rows:
        raise LmgymError("a batch needs at least one transcript; 0 were given")
    for number, segment in rows:
        _check(segment, transcripts[number], needs_logprobs)
    segments = [segment for _, segment in rows]
    width = max(len(segment.ids) for segment in segments)

    def padded(values: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
        filled = [[*row, *[fill] * (width - len(row))] for row in values]
        return torch.tensor(filled, dtype=dtype, device=device)

    return Batch(
        ids=padded([s.ids for s in segments], pad_id, torch.long),
        attention_mask=padded([[1] * len(s.ids) for s in segments], 0, torch.long),
        loss_mask=padded([s.loss_mask for s in segments], 0.0, torch.float32),
        logprobs=padded([s.logprobs or () for s in segments], 0.0, torch.float32),
        transcript=torch.tensor([number for number, _ in rows], device=device),
    )


def rows_by_tokens(
    lengths: Sequence[int], max_tokens: int, groups: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Rows of similar length together, so that rows times longest stays within `max_tokens`.

    The longest come first, so that a budget that doesn't fit in memory fails at once. A row
    longer than the budget comes alone.

    Args:
        lengths: of the rows.
        max_tokens: rows times longest at most.
        groups: rows of one group follow each other, the group of the longest first.

    Example:
        >>> list(rows_by_tokens([3, 9, 4, 2], max_tokens=9))
        [[1], [2, 0], [3]]
    """
    if max_tokens < 1:
        raise LmgymError(f"max_tokens must be at least 1; given {max_tokens}")
    longest: dict[int, int] = {}
    of = list(range(len(lengths))) if groups is None else groups
    for group, length in zip(of, lengths, strict=True):
        longest[group] = max(length, longest.get(group, 0))
    order = sorted(range(len(lengths)), key=lambda row: (-longest[of[row]], of[row], -lengths[row]))
    rows: list[int] = []
    widest = 0
    for row in order:
        if rows and max(widest, lengths[row]) * (len(rows) + 1) > max_tokens:
            yield rows
            rows, widest = [], 0
        rows.append(row)
        widest = max(widest, lengths[row])
    if rows:
        yield rows


def split_by_tokens(batch: Batch, max_tokens: int) -> Iterator[tuple[Tensor, Batch]]:
    """Micro-batches of at most `max_tokens` ids, padding included, sorted by length.

    Rows that share what comes before their first drawn id stay together as far as they fit.

    Yields:
        The rows of `batch` that were taken, (B',), and the micro-batch cut to their longest.
        `tensor[rows, : micro.ids.shape[1] - 1]` picks what belongs to it from a (B, T - 1) tensor.
    """
    lengths = batch.lengths.tolist()
    if len(batch) * max(lengths, default=0) <= max_tokens:  # nothing to split
        yield torch.arange(len(batch), device=batch.ids.device), batch
        return
    for rows in rows_by_tokens(lengths, max_tokens, _prompts(batch)):
        index = torch.tensor(rows, device=batch.ids.device)
        yield index, batch.select(index)


def target_logprobs(policy: LanguagePolicy, batch: Batch, temperature: float = 1.0) -> Tensor:
    """A policy's log-probabilities of `batch.targets`, (B, T - 1), with gradient.

    They are 0 before the first column that carries loss: prompts are not scored. Prompts that
    several rows share are read once where that pays; then they are 0 wherever no loss is carried.
    """
    packed = policy.packed_logprobs(batch.ids, batch.attention_mask, batch.loss_mask, temperature)
    if packed is not None:
        return packed
    return policy.token_logprobs(
        batch.ids, batch.attention_mask, temperature, first=batch.first_loss_position
    )


def _prompts(batch: Batch) -> list[int]:
    """The number of each row's prompt: what comes before its first drawn id."""
    ids, drawn = batch.ids.cpu().numpy(), batch.loss_mask.cpu().numpy() > 0
    numbers: dict[bytes, int] = {}
    firsts = drawn.argmax(1).tolist()
    return [
        numbers.setdefault(row[:first].tobytes(), len(numbers))
        for row, first in zip(ids, firsts, strict=True)
    ]


def _check(segment: Segment, transcript: Transcript, needs_logprobs: bool) -> None:
    name = f"the transcript of {transcript.task_id or transcript.prompt_text!r}"
    if needs_logprobs and segment.logprobs is None:
        raise LmgymError(
            f"{name} has no log-probabilities of its ids, and this learner compares with them;"
            " sample through a LanguagePolicy, which records them"
        )
    columns = [segment.loss_mask, segment.logprobs or segment.loss_mask]
    if any(len(column) != len(segment.ids) for column in columns):
        raise LmgymError(
            f"{name} has {len(segment.ids)} ids, but {len(columns[0])} mask values and"
            f" {len(columns[1])} log-probabilities; give one of each per id"
        )
    if segment.loss_mask[:1] == (1,):
        raise LmgymError(
            f"{name} begins with an id of the agent, which nothing predicts; start the prompt with"
            " at least one id, as Renderer.open does"
        )
