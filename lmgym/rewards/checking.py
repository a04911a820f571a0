"""What a reward source promises, as a check to run on your own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel, RewardSource
from lmgym.rewards.units import Decode, prefixes
from lmgym.transcript import Transcript

__all__ = ["check_reward"]


def check_reward(
    source: Reward,
    transcripts: Sequence[Transcript],
    *,
    decode: Decode | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Check that a source keeps its promises on some transcripts.

    Shapes, finite numbers, purity and the order of the batch; for causal sources also that what
    a transcript is paid depends neither on the rest of the batch nor, unit by unit, on what comes
    later. Transcripts that are equal count once, as a source may tell them apart by their order.

    Args:
        source: the one to check, or what `reward=` takes for it.
        transcripts: at least two that differ, some of them over (with a verdict).
        decode: ids to text, to check prefixes at level token; without it they are not checked.
        tolerance: how far numbers may differ that should be equal.

    Raises:
        AssertionError: at the first promise that is broken; it says which.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in "123"]
        >>> check_reward("verifier", said)
    """
    if isinstance(source, str) or (callable(source) and not isinstance(source, RewardSource)):
        source = as_source(source)
    name = type(source).__name__
    assert isinstance(source, RewardSource), f"{name} needs level, is_causal and score"
    level, is_causal = source.level, source.is_causal
    assert isinstance(level, RewardLevel), f"{name}.level is {level!r}, no RewardLevel"
    assert isinstance(is_causal, bool), f"{name}.is_causal is {is_causal!r}, no bool"
    different = _different(transcripts)
    assert len(different) > 1, "give at least two transcripts that differ"
    _Check(source, different, decode, tolerance).run()


@dataclass
class _Check:
    """The promises, one after the other."""

    source: RewardSource
    transcripts: list[Transcript]
    decode: Decode | None
    tolerance: float

    def run(self) -> None:
        """Check them all."""
        whole = self._scored(self.transcripts)
        self._same(whole, self._scored(self.transcripts), "scored once more, the same batch")
        self._scored([])
        rows = list(range(len(self.transcripts)))
        backwards = self._scored(self.transcripts[::-1])
        self._same(_rows(whole, rows[::-1]), backwards, "in another order, the batch")
        if self.source.is_causal:
            for row in rows:
                alone = self._scored([self.transcripts[row]])
                self._same(_rows(whole, [row]), alone, f"alone, transcript {row}")
            self._prefixes(whole)

    def _scored(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """What the source returns, its shapes and numbers checked."""
        batch, n = self.source.score(transcripts), len(transcripts)
        columns = {"outcome": batch.outcome, "unscored": batch.unscored, "std": batch.std}
        columns |= {f"parts[{name!r}]": values for name, values in batch.parts.items()}
        for name, values in columns.items():
            shape = None if values is None else np.shape(values)
            assert shape in (None, (n,)), f"{name} has the shape {shape} for {n} transcripts"
        unscored = np.zeros(n, np.bool_) if batch.unscored is None else batch.unscored
        assert unscored.dtype == np.bool_, f"unscored holds {unscored.dtype}, not booleans"
        for name, values in columns.items():
            is_finite = values is None or np.isfinite(values[~unscored]).all()
            assert is_finite, f"{name} is {values}, which is not finite everywhere"
        assert batch.std is None or (batch.std >= 0).all(), f"std is {batch.std}, below 0"
        self._check_dense(batch, transcripts, unscored)
        return batch

    def _check_dense(
        self, batch: RewardBatch, transcripts: Sequence[Transcript], unscored: NDArray[np.bool_]
    ) -> None:
        level, dense = self.source.level, batch.dense
        if dense is None:
            return
        assert level is not RewardLevel.OUTCOME, "a source of level outcome returned dense rewards"
        n = len(transcripts)
        assert len(dense) == n, f"dense has {len(dense)} arrays for {n} transcripts"
        for row, (units, transcript) in enumerate(zip(dense, transcripts, strict=True)):
            expected = (transcript.n_units(level),)
            assert unscored[row] or np.shape(units) == expected, (
                f"dense[{row}] has the shape {np.shape(units)}; the transcript has {expected[0]}"
                f" finished units of level {level}"
            )
            assert unscored[row] or np.isfinite(units).all(), f"dense[{row}] is {units}, not finite"

    def _same(self, expected: RewardBatch, got: RewardBatch, what: str) -> None:
        """Two batches pay the same."""
        for name, first, second in _pairs(expected, got):
            assert np.allclose(first, second, rtol=0, atol=self.tolerance, equal_nan=True), (
                f"{type(self.source).__name__}: {what} is paid otherwise: {name} was {first} and"
                f" is {second}"
            )

    def _prefixes(self, whole: RewardBatch) -> None:
        """A unit is paid when it is finished as it is at the end, but for the episode's last."""
        level = self.source.level
        if whole.dense is None or (level is RewardLevel.TOKEN and self.decode is None):
            return
        for row, transcript in enumerate(self.transcripts):
            states = prefixes(transcript, level, self.decode)
            for n_units, units in enumerate(self._scored(states[:-1]).dense or []):
                paid = whole.dense[row][:n_units]
                assert np.allclose(paid, units, rtol=0, atol=self.tolerance), (
                    f"{type(self.source).__name__} is causal, but unit by unit it paid transcript"
                    f" {row} {units}, and in the end {paid}"
                )


def _different(transcripts: Sequence[Transcript]) -> list[Transcript]:
    return list({repr(transcript): transcript for transcript in transcripts}.values())


def _rows(batch: RewardBatch, rows: Sequence[int]) -> RewardBatch:
    """Some rows of a batch, in their order."""
    unscored, std = batch.unscored, batch.std
    return RewardBatch(
        batch.outcome[rows],
        None if batch.dense is None else [batch.dense[row] for row in rows],
        {name: values[rows] for name, values in batch.parts.items()},
        None if unscored is None else unscored[rows],
        None if std is None else std[rows],
    )


def _pairs(
    first: RewardBatch, second: RewardBatch
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """What two batches should have in common, but for what is unscored in both."""
    n = len(first.outcome)
    none = np.zeros(n, np.bool_)
    missing = [none if b.unscored is None else b.unscored for b in (first, second)]
    yield "unscored", missing[0].astype(np.float64), missing[1].astype(np.float64)
    scored = ~missing[0]
    yield "outcome", first.outcome[scored], second.outcome[scored]
    if first.std is not None and second.std is not None:
        yield "std", first.std[scored], second.std[scored]
    for name in sorted({*first.parts, *second.parts}):
        ours, theirs = (np.asarray(b.parts.get(name, none), np.float64) for b in (first, second))
        yield f"parts[{name!r}]", ours[scored], theirs[scored]
    for row in np.flatnonzero(scored).tolist():
        if first.dense is not None and second.dense is not None:
            yield f"dense[{row}]", first.dense[row], second.dense[row]
