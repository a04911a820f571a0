"""Judges of a debate: they see the claim and what was quoted, and nothing else."""

from __future__ import annotations

from typing import Any, Protocol

from lmgym.errors import LmgymError
from lmgym.rewards.names import as_source
from lmgym.rewards.source import Reward, RewardSource
from lmgym.transcript import Transcript

from .positions import Position

__all__ = ["BayesianJudge", "GroundedJudge", "Judge", "SourceJudge", "find_judge", "question_of"]


class Judge(Protocol):
    """Decides about claims."""

    def accepts(self, position: Position) -> bool:
        """Whether the claim is taken to be true."""
        ...


class GroundedJudge:
    """Believes every quoted sentence that no believed one defeats."""

    def accepts(self, position: Position) -> bool:
        """Whether the claim stands by what was quoted."""
        return position.document.stands(sum([1 << place for place in position.quotes]))


class BayesianJudge:
    """Expects that what was not quoted may defeat what was.

    A sentence is believed with the probability that nothing quoted defeats it, times the chance
    that nothing else does, which is `unseen` less for each sentence that a quote of the other side
    has not answered. It accepts a claim that it believes with at least `threshold`.
    """

    def __init__(self, unseen: float = 0.3, threshold: float = 0.5) -> None:
        self.unseen, self.threshold = unseen, threshold

    def accepts(self, position: Position) -> bool:
        """Whether the claim is believed."""
        return self.belief(position) >= self.threshold

    def belief(self, position: Position) -> float:
        """The probability of the claim."""
        document, quoted = position.document, set(position.quotes)
        left = dict.fromkeys([-1, *quoted], 1.0)
        for place in document.order:
            if place not in quoted:
                continue
            believed = left[place] * (1 - self.unseen)
            for target in document.targets[place]:
                if target in left:
                    left[target] *= 1 - believed
        return left[-1]


class SourceJudge:
    """A reward source that reads the hearing, and scores whether the claim is true.

    Args:
        source: paid more than `threshold`, the claim is accepted.
        threshold: in the source's own units.
    """

    def __init__(self, source: RewardSource, threshold: float = 0.0) -> None:
        self.source, self.threshold = source, threshold

    def accepts(self, position: Position) -> bool:
        """Whether the source's reward exceeds the threshold."""
        batch = self.source.score([Transcript.from_strings(question_of(position), "Yes")])
        score = float(batch.outcome[0])
        if score != score:
            raise LmgymError(f"the judge {self.source!r:.80} has not scored the hearing")
        return score > self.threshold


def question_of(position: Position) -> str:
    """What a reward source is asked; it scores the answer Yes."""
    return f"{position.as_text()}\nIs the claim true?"


def find_judge(judge: str | Judge | Any) -> Judge:
    """A judge by its name, or itself; other names are those of reward sources."""
    if judge == "grounded":
        return GroundedJudge()
    if judge == "bayesian":
        return BayesianJudge()
    if isinstance(judge, str) and judge.startswith("learned:"):
        from .learned_judge import load_judge

        return load_judge(judge.partition(":")[2])
    given: Any = judge
    if hasattr(given, "accepts"):
        found: Judge = given
        return found
    if isinstance(judge, str) or callable(judge) or hasattr(given, "score"):
        source: Reward = given
        return SourceJudge(as_source(source))
    raise LmgymError(
        f"judge={judge!r:.80} is no judge; give grounded, bayesian, learned:DIR, a reward source or"
        " its name"
    )
