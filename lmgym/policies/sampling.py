"""The sampling loop: prompts in, drawn ids and their log-probabilities out.

The loop knows no model. A `Decoder` keeps the cache of keys and values and turns the last ids
into logits; the loop draws, honours budgets and end ids, and drops rows that are finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lmgym.errors import LmgymError

__all__ = ["Decoder", "Drawing", "Drawn", "batches", "generate", "left_padded"]

Drawn = tuple[list[list[int]], list[list[float]]]
"""Ids and log-probabilities, one list a row."""


class Decoder(Protocol):
    """A model with a cache, ready to continue rows of ids.

    Attributes:
        device: where its tensors live.
        drops_rows: whether `keep` is available; known after `prefill`.
    """

    device: torch.device
    drops_rows: bool

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """Read each prompt once and start one row for each entry of `parents`.

        Args:
            prompts: distinct prompts, none of them empty.
            parents: the index of each row's prompt, shape (B,); prompts are numbered as they
                first appear, so as many rows as prompts are the prompts themselves.

        Returns:
            The logits of the first new id, shape (B, V).
        """
        ...

    def step(self, ids: Tensor) -> Tensor:
        """Append one id to each row, shape (B,), and return the next logits, shape (B, V)."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        ...


@dataclass(frozen=True, slots=True)
class Drawing:
    """How an id is drawn from logits.

    Attributes:
        temperature: logits are divided by it; log-probabilities are those of the result.
        greedy: take the most likely id.
        generator: the source of randomness; unused where `greedy`.
        n_ids: ids from here on are not drawn, as if the model lacked them: many models are wider
            than their tokenizer. None draws from all.
    """

    temperature: float = 1.0
    greedy: bool = False
    generator: torch.Generator | None = None
    n_ids: int | None = None

    def uniforms(self, steps: int, rows: int, device: torch.device) -> Tensor:
        """One number in [0, 1) for every id that may be drawn, shape (steps, rows, 1).

        They are drawn beforehand, so that a row's luck depends neither on when other rows end
        nor on the device of the model.
        """
        if self.greedy:
            return torch.empty(steps, rows, 0, device=device)
        source = self.generator.device if self.generator is not None else device
        drawn = torch.rand(
            steps, rows, 1, generator=self.generator, dtype=torch.float64, device=source
        )
        return drawn.to(device)

    def draw(self, logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and their log-probabilities, both of shape (B,), from logits of shape (B, V)."""
        logits = logits[:, : self.n_ids].float()
        if self.temperature != 1.0:
            logits = logits / self.temperature
        logprobs = logits.log_softmax(-1)
        if self.greedy:
            ids = logits.argmax(-1, keepdim=True)
        else:  # the inverse of the cumulative distribution: one random number an id
            cumulated = logprobs.exp().cumsum(-1, dtype=torch.float64)
            ids = torch.searchsorted(cumulated, uniforms * cumulated[:, -1:], right=True)
            ids = ids.clamp_(max=logits.shape[-1] - 1)
        return ids.squeeze(1), logprobs.gather(1, ids).squeeze(1)


def generate(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    budgets: Sequence[int],
    end_ids: frozenset[int],
    drawing: Drawing,
) -> Drawn:
    """Continue each prompt until it draws an end id or has drawn its budget.

    Args:
        decoder: the model; it reads equal prompts once.
        prompts: one for each row.
        budgets: how many ids each row may draw.
        end_ids: ids that end a row; they are part of it.
        drawing: how ids are drawn.
    """
    running = [row for row, budget in enumerate(budgets) if budget > 0]
    if not running:
        return [[] for _ in budgets], [[] for _ in budgets]
    distinct = {tuple(prompts[row]): 0 for row in running}
    for index, prompt in enumerate(distinct):
        distinct[prompt] = index
    parents = torch.tensor([distinct[tuple(prompts[row])] for row in running])
    with torch.inference_mode():
        logits = decoder.prefill(list(distinct), parents.to(decoder.device))
        rows = _Rows(decoder, budgets, running, end_ids, drawing, vocab_size=logits.shape[1])
        while rows.draw(logits):
            logits = decoder.step(rows.last_ids)
        return rows.result()


def batches(prompts: Sequence[Sequence[int]], *, reads_ragged: bool) -> list[list[int]]:
    """The prompts that a model can read together, by index.

    Args:
        prompts: ids.
        reads_ragged: whether prompts of different lengths are read together.
    """
    if reads_ragged:
        return [list(range(len(prompts)))]
    lengths = sorted({len(prompt) for prompt in prompts})
    return [[i for i, p in enumerate(prompts) if len(p) == length] for length in lengths]


def left_padded(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, both of shape (P, T), with the padding on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return ids, (torch.arange(width) >= (width - lengths)[:, None]).long()


_WORTH_DROPPING = 0.75
"""Finished rows are dropped when at most this share of the rows is still running."""


class _Rows:
    """The rows under way: what they have drawn and which of them are finished."""

    def __init__(
        self,
        decoder: Decoder,
        budgets: Sequence[int],
        running: list[int],
        end_ids: frozenset[int],
        drawing: Drawing,
        vocab_size: int,
    ) -> None:
        device = decoder.device
        self.decoder = decoder
        self.drawing = drawing
        self.step = 0
        self.rows = torch.tensor(running, device=device)
        self.budgets = torch.tensor(budgets, device=device)
        self.limits = self.budgets[self.rows]
        self.stops = {budgets[row] for row in running}
        self.steps = max(self.stops)
        self.uniforms = drawing.uniforms(self.steps, len(budgets), device)[:, self.rows]
        self.is_end = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self.is_end[[i for i in end_ids if i < vocab_size]] = True
        self.finished = torch.zeros(len(running), dtype=torch.bool, device=device)
        self.drawn: list[tuple[Tensor, Tensor]] = []
        self.ids = torch.zeros(self.steps, len(budgets), dtype=torch.long, device=device)
        self.logprobs = torch.zeros(self.steps, len(budgets), device=device)
        self.interval = 1 if device.type == "cpu" else 8  # looking at `finished` waits for a GPU

    @property
    def last_ids(self) -> Tensor:
        """The ids drawn last, shape (B,)."""
        return self.drawn[-1][0] if self.drawn else self.ids[self.step - 1, self.rows]

    def draw(self, logits: Tensor) -> bool:
        """Draw one id for each row; whether any row wants another."""
        drawn = self.drawing.draw(logits, self.uniforms[self.step])
        self.drawn.append(drawn)
        self.step += 1
        self.finished |= self.is_end[drawn[0]]
        if self.step in self.stops:
            self.finished |= self.limits == self.step
        if self.step == self.steps:
            return False
        return self.step % self.interval != 0 or self._drop_finished()

    def result(self) -> Drawn:
        """What each row drew, up to and including its end id."""
        self._flush()
        if bool(self.logprobs.isnan().any()):
            raise LmgymError(
                "the model's logits are not numbers: its weights have diverged or are broken;"
                " go back to an earlier checkpoint, or train with a lower learning rate"
            )
        steps = torch.arange(1, self.steps + 1, device=self.ids.device)[:, None]
        ends = torch.where(self.is_end[self.ids], steps, self.steps).amin(0)
        lengths = torch.minimum(ends, self.budgets).tolist()
        ids, logprobs = self.ids.T.tolist(), self.logprobs.T.tolist()
        return (
            [row[:length] for row, length in zip(ids, lengths, strict=True)],
            [row[:length] for row, length in zip(logprobs, lengths, strict=True)],
        )

    def _drop_finished(self) -> bool:
        """Drop finished rows where that pays; whether any row is left."""
        running = len(self.rows) - int(self.finished.sum())
        if running and self.decoder.drops_rows and running <= _WORTH_DROPPING * len(self.rows):
            self._flush()
            kept = (~self.finished).nonzero().squeeze(1)
            self.decoder.keep(kept)
            self.rows, self.limits = self.rows[kept], self.limits[kept]
            self.finished = self.finished[kept]
            self.uniforms = self.uniforms[:, kept]
        return running > 0

    def _flush(self) -> None:
        """Move what was drawn since the last time to the place of its rows."""
        if self.drawn:
            steps = slice(self.step - len(self.drawn), self.step)
            self.ids[steps, self.rows] = torch.stack([ids for ids, _ in self.drawn])
            self.logprobs[steps, self.rows] = torch.stack([logprobs for _, logprobs in self.drawn])
            self.drawn = []
