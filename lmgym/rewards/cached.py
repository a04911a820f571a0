"""A source that remembers."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.rewards.batches import Compound, fingerprint_of, scored_by
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch
from lmgym.transcript import Transcript

__all__ = ["Cached"]


@dataclass(frozen=True, slots=True)
class _Row:
    """What one transcript was paid."""

    outcome: float
    dense: NDArray[np.float64] | None
    parts: Mapping[str, float]
    std: float | None
    is_unscored: bool


class Cached(Compound):
    """A costly source that scores each transcript once.

    Two transcripts are the same where their messages, drafts, ids, verdicts, problems, gold answers
    and columns are, goals and columns as their `repr`; log-probabilities and groups are not looked
    at. What could not be scored is asked for again. The `fingerprint` of the source, and of those
    that it is made of, is a part of the key.

    Args:
        source: a causal source.
        maxsize: transcripts that are remembered; the one used least recently is forgotten first.

    Attributes:
        hits: transcripts that needed no call.
        misses: transcripts that the source was asked for.

    Example:
        >>> source, said = Cached("length:characters"), [Transcript.from_strings("?", "ab")]
        >>> (source.score(said).outcome == source.score(said).outcome).all(), source.hits
        (np.True_, 1)
    """

    def __init__(self, source: Reward, maxsize: int = 65536) -> None:
        """Start with an empty memory."""
        self.source, self.maxsize = as_source(source), maxsize
        self._sources = (self.source,)
        self.level, self.is_causal = self.source.level, self.source.is_causal
        if not self.is_causal:
            raise LmgymError(
                f"{type(self.source).__name__} is not causal: what it pays depends on the batch and"
                " cannot be remembered; cache the source that it is made of"
            )
        if maxsize < 1:
            raise LmgymError(f"maxsize={maxsize} remembers nothing; give 1 or more")
        self.hits = self.misses = 0
        self._rows: OrderedDict[bytes, _Row] = OrderedDict()

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Look up, and score what is new in one call."""
        fingerprint = fingerprint_of(self.source)
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):  # arrays in full
            keys = [_key(fingerprint, transcript) for transcript in transcripts]
        found = {key: self._rows[key] for key in keys if key in self._rows}
        new = {key: row for row, key in enumerate(keys) if key not in found}
        self.hits += len(keys) - len(new)
        self.misses += len(new)
        if new or not keys:
            batch = scored_by(self.source, [transcripts[row] for row in new.values()])
            found |= dict(zip(new, _rows_of(batch), strict=True))
        self._remember(keys, found)
        return _batch_of([found[key] for key in keys])

    def _remember(self, keys: Sequence[bytes], found: Mapping[bytes, _Row]) -> None:
        for key in keys:
            if not found[key].is_unscored:
                self._rows[key] = found[key]
                self._rows.move_to_end(key)
        while len(self._rows) > self.maxsize:
            self._rows.popitem(last=False)


def _key(fingerprint: str, transcript: Transcript) -> bytes:
    t = transcript
    facts = (t.task_id, t.gold, t.goal, t.verdict, t.gold_reward, t.n_opening, t.draft)
    columns = sorted(t.columns.items())
    ids = [(segment.agent, segment.ids, segment.prompt_length) for segment in t.segments]
    written = repr((fingerprint, facts, columns, [tuple(message) for message in t.messages], ids))
    return sha256(written.encode("utf-8", "surrogatepass")).digest()


def _rows_of(batch: RewardBatch) -> list[_Row]:
    n = len(batch.outcome)
    unscored = np.zeros(n, np.bool_) if batch.unscored is None else batch.unscored
    return [
        _Row(
            float(batch.outcome[row]),
            None if batch.dense is None else batch.dense[row],
            {name: float(values[row]) for name, values in batch.parts.items()},
            None if batch.std is None else float(batch.std[row]),
            bool(unscored[row]),
        )
        for row in range(n)
    ]


def _batch_of(rows: Sequence[_Row]) -> RewardBatch:
    dense = [row.dense.copy() for row in rows if row.dense is not None]
    stds = [row.std for row in rows if row.std is not None]
    names = {name: None for row in rows for name in row.parts}
    unscored = np.array([row.is_unscored for row in rows], np.bool_)
    return RewardBatch(
        np.array([row.outcome for row in rows], np.float64),
        dense or None,
        {name: np.array([row.parts.get(name, 0.0) for row in rows]) for name in names},
        unscored if unscored.any() else None,
        np.array(stds) if stds and len(stds) == len(rows) else None,
    )
