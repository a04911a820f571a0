"""The answer that most of a group gives, as the reward."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from lmgym.rewards.groups import group_of
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.transcript import Transcript
from lmgym.verification import last_number

__all__ = ["MajorityVoteReward", "final_answer"]


def final_answer(text: str) -> Hashable | None:
    r"""The number that the verifier reads in a message, else its text; None where it is empty.

    Example:
        >>> final_answer("1 + 1 = 2.0") == final_answer("\\boxed{2}")
        True
    """
    number = last_number(text)
    return (text.strip() or None) if number is None else number


class MajorityVoteReward:
    """1 for the most frequent answer of a group, else 0 (TTRL: Zuo et al., 2025).

    It knows no right answer. A group are the transcripts of a batch with the same `task_id`,
    `group_id` and prompt; where several answers are the most frequent, all of them are paid, so
    that nothing is to be gained where there is no majority. It needs complete groups, so it works
    in rollouts and not in `step`.

    Args:
        extract: the answer of a message, None where it has none; that is never paid.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("2", "so 2", "3", "")]
        >>> MajorityVoteReward().score(said).outcome
        array([1., 1., 0., 0.])
    """

    level = RewardLevel.OUTCOME
    is_causal = False

    def __init__(self, *, extract: Callable[[str], Hashable | None] = final_answer) -> None:
        """Keep how answers are read."""
        self._extract = extract

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Count the answers of each group."""
        answers = [self._extract(t.completion_text) for t in transcripts]
        groups = [group_of(t) for t in transcripts]
        votes: defaultdict[Hashable, Counter[Hashable]] = defaultdict(Counter)
        for group, answer in zip(groups, answers, strict=True):
            if answer is not None:
                votes[group][answer] += 1
        most = {group: max(counts.values()) for group, counts in votes.items()}
        ballots = zip(groups, answers, strict=True)
        won = [a is not None and votes[group][a] == most[group] for group, a in ballots]
        outcome = np.array(won, np.float64)
        return RewardBatch(outcome, parts={"majority": outcome})
