"""Controls: rewards that say nothing, or the opposite, of what was done.

Whatever improves under a reward that says nothing is not due to the reward (Shao et al., 2025,
"Spurious rewards").
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.batches import Compound, changed, scored_by, totals
from lmgym.rewards.chance import checked_seed, digest, draw_normals, draw_uniforms, written_keys
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel
from lmgym.transcript import Transcript

__all__ = ["ConstantReward", "InvertedReward", "RandomReward", "ShuffledReward"]

DISTRIBUTIONS = ("bernoulli", "uniform", "normal")


class ConstantReward:
    """The same for every episode.

    Example:
        >>> ConstantReward(0.5).score([Transcript.from_strings("1+1=", "2")]).outcome
        array([0.5])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, value: float = 1.0) -> None:
        """Keep the value."""
        if not isfinite(value):
            raise LmgymError(f"the constant {value} is not finite; give a number")
        self.value = value

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Pay it."""
        outcome = np.full(len(transcripts), self.value, np.float64)
        return RewardBatch(outcome, parts={"constant": outcome})


class RandomReward:
    """A control: chance.

    The draw follows from the seed and the transcript (`lmgym.rewards.chance`), so scoring is pure
    and yet equal texts of one batch can be paid differently. In rollouts, which record
    log-probabilities, every batch draws anew. In `step` nothing but the text can tell draws apart:
    where few texts are possible, a lucky one stays lucky and can be learned; use "shuffled" there.

    Args:
        distribution: "bernoulli" pays 1 or 0, "uniform" a number in [0, 1), "normal" a standard
            normal one.
        probability: of the 1 of "bernoulli".
        seed: other seeds, other draws.

    Example:
        >>> twice = [Transcript.from_strings("1+1=", "2")] * 6
        >>> RandomReward(seed=1).score(twice).outcome
        array([1., 1., 0., 1., 1., 1.])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(
        self, distribution: str = "bernoulli", *, probability: float = 0.5, seed: int = 0
    ) -> None:
        """Check the distribution."""
        if distribution not in DISTRIBUTIONS:
            raise unknown("distribution", distribution, DISTRIBUTIONS)
        if not 0 <= probability <= 1:
            raise LmgymError(f"probability={probability} is none; give a number from 0 to 1")
        self.distribution, self.probability = distribution, probability
        self.seed = checked_seed(seed)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Draw a number for each."""
        keys = written_keys(transcripts, self.seed)
        outcome = draw_normals(keys) if self.distribution == "normal" else draw_uniforms(keys)
        if self.distribution == "bernoulli":
            outcome = (outcome < self.probability).astype(np.float64)
        return RewardBatch(outcome, parts={"random": outcome})


class InvertedReward(Compound):
    """A source turned upside down: an episode is paid `top` less what the source pays in total.

    By default 1 - r, which pays wrong answers of the verifier; `top=0` pays -r.

    Args:
        source: what is inverted.
        top: the reward of an episode that the source pays nothing.

    Example:
        >>> wrong = Transcript.from_strings("1+1=", "3")
        >>> InvertedReward("verifier").score([wrong]).outcome
        array([1.])
    """

    def __init__(self, source: Reward = "verifier", top: float = 1.0) -> None:
        """Take level and timing from the source."""
        if not isfinite(top):
            raise LmgymError(f"top={top} is not finite; give a number")
        self.source, self.top = as_source(source), top
        self._sources = (self.source,)
        self.level, self.is_causal = self.source.level, self.source.is_causal

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Invert outcomes, and the signs of dense rewards."""
        batch = scored_by(self.source, transcripts)
        return changed(batch, lambda outcome: self.top - outcome, lambda units: -units)


class ShuffledReward:
    """A control: a source's rewards of whole episodes, handed out in a random order.

    Nothing can be learned from it; whatever improves under it is not due to the reward. It needs
    a batch to shuffle, so it works in rollouts and not in `step`. The order follows from what was
    written, so the same batch is always shuffled in the same way.
    """

    level = RewardLevel.OUTCOME
    is_causal = False

    def __init__(self, source: Reward = "verifier") -> None:
        """Shuffle `source`, by default the verifier."""
        self.source = as_source(source)

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Score, then permute over the batch."""
        scored = scored_by(self.source, transcripts)
        order = _order(written_keys(transcripts, 0))
        outcome = totals(scored)[order]
        unscored = None if scored.unscored is None else scored.unscored[order]
        return RewardBatch(outcome, parts={"shuffled": outcome}, unscored=unscored)


def _order(keys: Sequence[bytes]) -> NDArray[np.intp]:
    """A random permutation of rows that are told apart by keys, however they are ordered."""
    by_key = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.intp)
    seed = int.from_bytes(digest(*(keys[row] for row in by_key)), "little")
    order = np.empty(len(keys), np.intp)
    order[by_key] = np.random.default_rng(seed).permutation(by_key)
    return order
