"""`RewardModel`: what every learned reward can do."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym import __version__
from lmgym.errors import LmgymError
from lmgym.reward_models.storage import DESCRIPTION
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.transcript import Transcript

__all__ = ["DESCRIPTION", "FORMAT_VERSION", "RewardModel"]

Array = NDArray[np.float64]

FORMAT_VERSION = 1


class RewardModel(ABC):
    """A learned reward of finished answers, as a reward source.

    Attributes:
        objective: what it was fitted to: bradley_terry or classification.
        reduce: how one reward is made of its members': mean, wco or uwo.
        coefficient: weight of the variance where `reduce` is "uwo".
        figures: accuracy on validation and the like.
        data_fingerprint: of the training data.
        licence: under which the model may be used, where that is known.
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    objective: str
    reduce: str = "mean"
    coefficient: float = 1.0
    figures: Mapping[str, Any]
    data_fingerprint: str
    licence: str

    @property
    @abstractmethod
    def n_members(self) -> int:
        """How many rewards are made one, K."""

    @abstractmethod
    def member_rewards(self, transcripts: Sequence[Transcript]) -> Array:
        """What each member says, shape (K, n)."""

    @abstractmethod
    def save(self, directory: str | Path) -> None:
        """Write a directory that `load_reward_model` reads, in one step."""

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """One reward a transcript, with the spread of the members where there are several.

        Raises:
            LmgymError: for a reward that is no finite number.
        """
        members = self.member_rewards(transcripts)
        is_wrong = ~np.isfinite(members).all(0)
        if is_wrong.any():
            raise LmgymError(
                f"{is_wrong.sum()} of {len(transcripts)} rewards are not finite, the first that of"
                f" transcript {is_wrong.argmax()}; the weights of the reward model are broken, or"
                " its numbers too coarse for them (dtype)"
            )
        if self.n_members == 1:
            return RewardBatch(members[0], parts={"rm": members[0]})
        from lmgym.rewards.ensembles import reduce_members

        outcome, std = reduce_members(members, self.reduce, self.coefficient)
        return RewardBatch(outcome, parts={"rm": outcome}, std=std)

    def score_texts(self, prompts: Sequence[str], completions: Sequence[str]) -> Array:
        """Rewards of completions, shape (n,)."""
        pairs = zip(prompts, completions, strict=True)
        return self.score([Transcript.from_strings(*pair) for pair in pairs]).outcome

    def _describe(self, directory: Path, **facts: Any) -> None:
        """Write reward_model.json."""
        description = {
            "format_version": FORMAT_VERSION,
            "lmgym": __version__,
            "objective": self.objective,
            "members": self.n_members,
            **facts,
            "figures": dict(self.figures),
            "data_fingerprint": self.data_fingerprint,
            "licence": self.licence,
        }
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (directory / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
