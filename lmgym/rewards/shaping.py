"""Potential-based shaping: a hint at every unit that changes no best policy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.batches import Compound, common_level, score_due, scored_by
from lmgym.rewards.names import as_source, read_reward
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel, RewardSource
from lmgym.rewards.units import Decode, prefixes
from lmgym.transcript import Transcript

__all__ = ["Potential", "PotentialShaping"]

Potential = Callable[[Sequence[Transcript]], ArrayLike]
"""States to one finite number each."""


class PotentialShaping(Compound):
    """A source, and F = gamma * phi(s') - phi(s) for every unit (Ng, Harada and Russell, 1999).

    States are the transcripts before the first unit, between units and after the last one; they
    show what was written so far and not how it ends. Phi of a finished episode's last state is 0,
    so that a learner that discounts units by `gamma` finds the same policies the best as without
    shaping. With gamma = 1 the sum over an episode is -phi(s0).

    All states are looked at anew whenever the episode is scored, in `step` at each unit; wrap a
    costly source of potentials in `Cached`, which takes no functions of transcripts. At level token
    the work of an episode grows with the cube of its ids in `step`, and with their square in
    rollouts, which score once.

    Args:
        phi: a source or its name, whose outcome is the potential; or a function of transcripts.
        source: what is paid besides; by default nothing.
        gamma: the learner's discount of a unit.
        level: what a unit is: a turn, a step or a token.
        decode: at level token, ids to text, so that phi can read drafts.

    Raises:
        LmgymError: for level outcome, for a source of another dense level, for a gamma outside
            (0, 1], for a phi that is dense or no function of transcripts alone.

    Example:
        >>> def progress(states):
        ...     return [len(state.messages) for state in states]
        >>> from lmgym.task import Verdict
        >>> shaping = PotentialShaping(progress, "verifier")
        >>> said = Transcript.from_strings("1+1=", "2", verdict=Verdict.CORRECT)
        >>> batch = shaping.score([said])
        >>> batch.outcome, batch.dense
        (array([1.]), [array([-1.])])
    """

    def __init__(
        self,
        phi: RewardSource | str | Potential,
        source: Reward = None,
        *,
        gamma: float = 1.0,
        level: RewardLevel | str = RewardLevel.TURN,
        decode: Decode | None = None,
    ) -> None:
        """Check the arguments."""
        dense = [known for known in RewardLevel if known is not RewardLevel.OUTCOME]
        if level not in dense:
            raise unknown("level of shaping", level, dense)
        if not 0 < gamma <= 1:
            raise LmgymError(f"gamma={gamma} is no discount; give a number above 0 and up to 1")
        self.level = RewardLevel(level)
        self.phi, self.source = _read_potential(phi), read_reward(source)
        parts = (self.phi, self.source)
        self._sources = tuple(part for part in parts if isinstance(part, RewardSource))
        self.is_causal = all(source.is_causal for source in self._sources)
        if self.source is not None:
            common_level([self, self.source])
        self.gamma, self.decode = gamma, decode

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Score with the source, and add the differences of the potential."""
        batch = RewardBatch(np.zeros(len(transcripts)))
        if self.source is not None:
            batch = score_due(self.source, transcripts, self.level)
        shaped, unscored = self._differences(transcripts)
        if batch.dense is not None:
            shaped = [units + more for units, more in zip(shaped, batch.dense, strict=True)]
        if batch.unscored is not None:
            unscored |= batch.unscored
        return replace(batch, dense=shaped, unscored=unscored if unscored.any() else None)

    def _differences(
        self, transcripts: Sequence[Transcript]
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
        """F of every unit, and where phi knew none; phi is called once."""
        states = [prefixes(transcript, self.level, self.decode) for transcript in transcripts]
        potentials, unknown_ones = self._potentials([state for path in states for state in path])
        shaped, unscored, start = [], [], 0
        for transcript, path in zip(transcripts, states, strict=True):
            end = start + len(path)
            if transcript.verdict is not None:
                potentials[end - 1], unknown_ones[end - 1] = 0.0, False
            shaped.append(self.gamma * potentials[start + 1 : end] - potentials[start : end - 1])
            unscored.append(unknown_ones[start:end].any())
            start = end
        return shaped, np.array(unscored, np.bool_)

    def _potentials(
        self, states: Sequence[Transcript]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Phi of states and where it is not known, both of shape (n,)."""
        unscored = np.zeros(len(states), np.bool_)
        if isinstance(self.phi, RewardSource):
            batch = scored_by(self.phi, states)
            values: ArrayLike = batch.outcome
            unscored = unscored if batch.unscored is None else batch.unscored.copy()
        else:
            values = self.phi(states)
        potentials = np.array(values, np.float64)
        if potentials.shape != (len(states),) or not np.isfinite(potentials[~unscored]).all():
            raise LmgymError(
                f"phi returned {potentials!r:.80} for {len(states)} states; it must return one"
                " finite number for each"
            )
        return potentials, unscored


def _read_potential(phi: RewardSource | str | Potential) -> RewardSource | Potential:
    """Phi, where it can be one."""
    if isinstance(phi, (str, RewardSource)):
        source = as_source(phi)
        if source.level is RewardLevel.OUTCOME:
            return source
        raise LmgymError(
            f"phi pays at level {source.level}, and a potential is one number for a state; give a"
            " source of level outcome"
        )
    if inspect.iscoroutinefunction(phi) or not _takes_states(phi):
        raise LmgymError(
            f"phi={phi!r:.80} is no potential; give a source, its name, or a function of a list of"
            " transcripts; FunctionReward(f) makes a source of f(prompts, completions),"
            " AsyncReward(f) of a coroutine function"
        )
    return phi


def _takes_states(phi: object) -> bool:
    """Whether phi can be called with one argument."""
    if not callable(phi):
        return False
    try:
        inspect.signature(phi).bind(())
    except TypeError:
        return False
    return True
