"""A world of words, and sources that count what they are asked, for tests of wrappers."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Text

from lmgym.rewards import RewardBatch, RewardLevel
from lmgym.transcript import Transcript

MakeGame = Callable[[int], Any]

LETTERS = Text(max_length=24, min_length=0, charset="abcdefghijklmnopqrstuvwxyz 0123456789")


class WordsEnv(gym.Env[str, str]):
    """Asks for a few words, one a step; "stop" runs into its limit. Pays 0.25 a step."""

    metadata: dict[str, Any] = {"render_modes": []}
    observation_space = LETTERS
    action_space = LETTERS

    def __init__(self, longest: int = 3) -> None:
        self.longest = longest

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, self.longest + 1))
        return f"say {self.left} words", {"task_id": f"words {self.left}", "wanted": self.left}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        is_over, is_stopped = self.left == 0, action == "stop"
        return f"{self.left} left", 0.25, is_over, is_stopped and not is_over, {"left": self.left}


gym.register("tests/Words-v0", f"{__name__}:WordsEnv")


class Counting:
    """Scores by length and keeps what it was asked for; cannot score "?"."""

    is_causal = True

    def __init__(self, level: RewardLevel = RewardLevel.OUTCOME) -> None:
        self.level = level
        self.calls: list[list[Transcript]] = []

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        self.calls.append(list(transcripts))
        said = [[m.content for m in t.messages[1::2]] for t in transcripts]
        unscored = np.array(["?" in turns for turns in said])
        outcome = np.array([float(len(turns[-1])) for turns in said])
        dense = None
        if self.level is RewardLevel.TURN:
            dense = [np.array([10.0 * len(text) for text in turns]) for turns in said]
        return RewardBatch(outcome, dense, {"length": outcome}, unscored)


class PickyEnv(WordsEnv):
    """Refuses the word "bad"."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action == "bad":
            raise ValueError("mind your language")
        return super().step(action)


class Flaky(Counting):
    """Cannot be reached when it is asked for the first time."""

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        scored = super().score(transcripts)
        if len(self.calls) == 1:
            raise ConnectionError("refused")
        return scored
