"""Rewards for a game whose players act at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv
from pettingzoo.test import parallel_api_test

from lmgym.errors import LmgymError
from lmgym.rewards import RewardBatch, RewardLevel
from lmgym.rewards.wrappers import (
    ParallelRewardWrapper,
    Play,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

from .conftest import Counting, Flaky


class CallsEnv(ParallelEnv):  # type: ignore[misc]
    """Two agents call a number each at the same time, for a few rounds."""

    metadata: dict[str, Any] = {"name": "calls", "render_modes": []}
    possible_agents: list[str] = ["agent_0", "agent_1"]
    spaces = {"agent_0": Discrete(5), "agent_1": Discrete(5)}

    def __init__(self, rounds: int = 2) -> None:
        self.rounds = rounds

    def observation_space(self, agent: str) -> Discrete[Any]:
        return self.spaces[agent]

    action_space = observation_space

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.agents = self.possible_agents[:]
        self.left = self.rounds
        return dict.fromkeys(self.agents, 0), {agent: {"wanted": 3} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        self.left -= 1
        acted = list(self.agents)
        is_over = dict.fromkeys(acted, self.left == 0)
        if self.left == 0:
            self.agents = []
        own = dict.fromkeys(acted, 0.5)
        return actions, own, is_over, dict.fromkeys(acted, False), {agent: {} for agent in acted}


class LimitedCallsEnv(CallsEnv):
    """Its rounds are a limit."""

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        seen, own, is_over, is_stopped, infos = super().step(actions)
        return seen, own, is_stopped, is_over, infos


class PickyCallsEnv(CallsEnv):
    """Refuses numbers it does not know."""

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        if max(actions.values()) >= 5:
            raise ValueError("numbers below 5")
        return super().step(actions)


def read_calls(play: Play) -> Transcript:
    said = " ".join("x" * action for action in play.actions)
    return Transcript.from_strings(play.agent, said, verdict=play.verdict, columns=play.info)


class TestSimultaneous:
    def play(self, reward: Any, **options: Any) -> tuple[dict[str, float], dict[str, Any]]:
        env = ParallelRewardWrapper(CallsEnv(), reward, read_calls, **options)
        env.reset(seed=0)
        assert env.step({"agent_0": 1, "agent_1": 2})[1] == {"agent_0": 0.0, "agent_1": 0.0}
        _, rewards, _, _, infos = env.step({"agent_0": 3, "agent_1": 4})
        return rewards, infos

    def test_a_round_is_one_call_for_all_agents(self) -> None:
        source = Counting()
        rewards, infos = self.play(source)
        assert [[t.prompt_text for t in call] for call in source.calls] == [["agent_0", "agent_1"]]
        assert rewards == {"agent_0": 5.0, "agent_1": 7.0}
        assert infos["agent_0"] == {"env_reward": 0.5, "reward_parts": {"length": 5.0}}

    def test_agents_may_have_sources_of_their_own_or_none(self) -> None:
        first, second = Counting(), Counting()
        assert self.play({"agent_0": first, "agent_1": second})[0]["agent_1"] == 7.0
        assert [len(call) for call in first.calls + second.calls] == [1, 1]
        assert self.play({"agent_1": Counting()})[0] == {"agent_0": 0.0, "agent_1": 7.0}

    def test_a_source_given_twice_is_called_once(self) -> None:
        source = Counting()
        self.play({"agent_0": source, "agent_1": source})
        assert [len(call) for call in source.calls] == [2]

    def test_in_a_zero_sum_game_the_second_is_paid_the_negation(self) -> None:
        source = Counting()
        rewards, infos = self.play(source, zero_sum=True)
        assert rewards == {"agent_0": 5.0, "agent_1": -5.0}
        assert infos["agent_1"]["reward_parts"] == {"length": -5.0}
        assert [len(call) for call in source.calls] == [1]
        assert self.play({"agent_0": Counting()}, zero_sum=True)[0]["agent_1"] == -5.0

    def test_pettingzoos_checks_pass(self) -> None:
        env = ParallelRewardWrapper(CallsEnv(), Counting(), read_calls)
        parallel_api_test(env, num_cycles=20)

    def test_a_second_reward_in_a_zero_sum_game_is_refused(self) -> None:
        with pytest.raises(LmgymError, match="only 'agent_0' is scored"):
            self.play({"agent_0": Counting(), "agent_1": Counting()}, zero_sum=True)

    def test_what_cannot_be_scored_is_unscored_for_both_sides_of_a_zero_sum_game(self) -> None:
        class Speechless(Counting):
            def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
                n = len(transcripts)
                return RewardBatch(np.zeros(n), unscored=np.ones(n, np.bool_))

        rewards, infos = self.play(Speechless(), zero_sum=True)
        assert rewards == {"agent_0": 0.0, "agent_1": 0.0}
        assert [infos[agent].get("unscored") for agent in rewards] == [True, True]

    def test_a_limit_leaves_the_game_unfinished_and_scored(self) -> None:
        source = Counting()
        env = ParallelRewardWrapper(LimitedCallsEnv(2), source, read_calls)
        env.reset(seed=0)
        env.step({"agent_0": 1, "agent_1": 2})
        _, rewards, _, truncations, infos = env.step({"agent_0": 3, "agent_1": 4})
        assert all(truncations.values())
        assert rewards == {"agent_0": 5.0, "agent_1": 7.0}
        assert infos["agent_1"]["reward_parts"] == {"length": 7.0}
        assert {t.verdict for t in source.calls[0]} == {Verdict.UNFINISHED}

    def test_refused_actions_leave_the_game_as_it_was(self) -> None:
        source = Counting()
        env = ParallelRewardWrapper(PickyCallsEnv(1), source, read_calls)
        env.reset(seed=0)
        with pytest.raises(ValueError, match="below 5"):
            env.step({"agent_0": 1, "agent_1": 7})
        env.step({"agent_0": 1, "agent_1": 2})
        assert [t.completion_text for t in source.calls[0]] == ["x", "xx"]

    def test_an_error_of_a_source_asks_for_a_reset(self) -> None:
        rewards = {"agent_0": Counting(RewardLevel.TURN), "agent_1": Flaky(RewardLevel.TURN)}
        env = ParallelRewardWrapper(CallsEnv(3), rewards, read_calls)
        env.reset(seed=0)
        with pytest.raises(ConnectionError):
            env.step({"agent_0": 1, "agent_1": 2})
        with pytest.raises(LmgymError, match="an error broke it off"):
            env.step({"agent_0": 1})
        env.reset(seed=0)
        assert env.step({"agent_0": 1, "agent_1": 2})[1] == {"agent_0": 10.0, "agent_1": 20.0}

    def test_unknown_agents_are_refused(self) -> None:
        with pytest.raises(LmgymError, match="unknown agent 'agent_2'"):
            self.play({"agent_2": Counting()})
