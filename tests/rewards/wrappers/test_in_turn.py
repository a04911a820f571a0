"""Rewards for a game whose players act in turn."""

from typing import Any

import pytest
from gymnasium.spaces import Text
from pettingzoo import AECEnv
from pettingzoo.test import api_test

from lmgym.errors import LmgymError
from lmgym.rewards import RewardLevel
from lmgym.rewards.wrappers import (
    AECRewardWrapper,
    Play,
    text_transcript,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

from .conftest import LETTERS, Counting, Flaky, MakeGame


def read_words(play: Play) -> Transcript:
    said = " ".join(play.info["words"][action] for action in play.actions)
    return Transcript.from_strings(play.agent, said, verdict=play.verdict)


class LeavingGame(AECEnv):  # type: ignore[misc]
    """agent_0 may say one word and runs into its limit; agent_1 says two more and is done."""

    metadata: dict[str, Any] = {"name": "leaving", "render_modes": []}
    possible_agents: list[str] = ["agent_0", "agent_1"]

    def observation_space(self, agent: str) -> Text:
        return LETTERS

    action_space = observation_space

    def observe(self, agent: str) -> str:
        return self.said

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.agents = self.possible_agents[:]
        self.said = "go"
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = "agent_0"

    def step(self, action: str | None) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            self.agent_selection = "agent_1"
            return
        if action == "bad":
            raise ValueError("mind your language")
        self.said = f"{self.said} {action}"
        self.truncations["agent_0"] = True
        self.terminations["agent_1"] = self.said.count(" ") == 3
        is_there = "agent_0" in self.agents and agent == "agent_1" and self.said.count(" ") == 3
        self.agent_selection = "agent_0" if is_there else "agent_1"


class TestInTurn:
    """The game of the fixture: two agents say so many words each, and are paid 0.5 for each."""

    def play(
        self, make_game: MakeGame, reward: Any, turns: int = 2, **options: Any
    ) -> list[tuple[str, float, dict[str, Any]]]:
        """What each agent was told at each of its turns, the last of them after the end."""
        env = AECRewardWrapper(make_game(turns), reward, read_words, **options)
        env.reset(seed=0)
        told = []
        for agent in env.agent_iter():
            _, paid, terminated, _, info = env.last()
            told.append((agent, paid, info))
            env.step(None if terminated else len(told) % 4)
        return told

    def test_outcomes_of_all_agents_are_paid_at_the_end_in_one_call(
        self, make_game: MakeGame
    ) -> None:
        source = Counting()
        told = self.play(make_game, source)
        ((first, second),) = source.calls
        assert (first.prompt_text, second.prompt_text) == ("agent_1", "agent_0")  # who acted last
        assert (second.completion_text, first.completion_text) == ("no great", "maybe thanks")
        assert [(agent, paid) for agent, paid, _ in told[-2:]] == [
            ("agent_0", float(len("no great"))),
            ("agent_1", float(len("maybe thanks"))),
        ]
        assert all(paid == 0 for _, paid, _ in told[:-2])

    def test_the_games_own_rewards_are_kept(self, make_game: MakeGame) -> None:
        told = self.play(make_game, Counting())
        assert [info["env_reward"] for _, _, info in told] == [0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
        assert told[-1][2]["reward_parts"] == {"length": float(len("maybe thanks"))}
        assert "reward_parts" not in told[-3][2]

    def test_turns_are_paid_when_their_agent_has_acted(self, make_game: MakeGame) -> None:
        source = Counting(RewardLevel.TURN)
        env = AECRewardWrapper(make_game(1), source, read_words)
        env.reset(seed=0)
        env.step(1)
        assert env.rewards == {"agent_0": 20.0, "agent_1": 0.0}
        env.step(3)
        assert env.rewards == {"agent_0": 2.0, "agent_1": 55.0}  # the last turn, and the outcomes
        assert [len(call) for call in source.calls] == [1, 2]

    def test_what_an_agent_is_told_was_paid_since_its_last_turn(self, make_game: MakeGame) -> None:
        def turn_by_turn(play: Play) -> Transcript:
            words = [play.info["words"][action] for action in play.actions]
            return text_transcript(Play(["?"] * len(words), words))

        env = AECRewardWrapper(make_game(3), Counting(RewardLevel.TURN), turn_by_turn)
        env.reset(seed=0)
        told: list[float] = []
        for agent in env.agent_iter():
            _, paid, terminated, _, _ = env.last()
            told += [paid] if agent == "agent_0" else []
            env.step(None if terminated else len(told))  # no, maybe, great
        assert told == [0.0, 20.0, 50.0, 50.0 + len("great")]

    def test_what_cannot_be_scored_says_so(self, make_game: MakeGame) -> None:
        def unsure(completions: list[str]) -> list[float | None]:
            return [None if "great" in text else 1.0 for text in completions]

        told = self.play(make_game, unsure)
        assert [(paid, info.get("unscored", False)) for _, paid, info in told[-2:]] == [
            (0.0, True),
            (1.0, False),
        ]

    def test_a_zero_sum_game_scores_the_first_and_negates_it(self, make_game: MakeGame) -> None:
        source = Counting()
        told = self.play(make_game, source, zero_sum=True)
        assert [paid for _, paid, _ in told[-2:]] == [8.0, -8.0]
        assert [len(call) for call in source.calls] == [1]

    def test_a_second_game_starts_anew(self, make_game: MakeGame) -> None:
        source = Counting()
        env = AECRewardWrapper(make_game(1), source, read_words)
        for _ in range(2):
            env.reset(seed=0)
            assert env.rewards == {"agent_0": 0.0, "agent_1": 0.0}
            env.step(1)
            env.step(2)
        assert [t.completion_text for t in source.calls[0]] == [
            t.completion_text for t in source.calls[1]
        ]

    @pytest.mark.parametrize("level", [RewardLevel.OUTCOME, RewardLevel.TURN])
    def test_pettingzoos_checks_pass(self, make_game: MakeGame, level: RewardLevel) -> None:
        api_test(AECRewardWrapper(make_game(3), Counting(level), read_words), num_cycles=20)

    def test_agents_that_end_at_different_times_are_paid_once_each(self) -> None:
        source = Counting()
        env = AECRewardWrapper(LeavingGame(), source)
        env.reset(seed=0)
        paid = []
        for word in ("one", "three", "fiver"):
            env.step(word)
            paid.append(dict(env.rewards))
        assert paid == [
            {"agent_0": 3.0, "agent_1": 0.0},
            {"agent_0": 0.0, "agent_1": 0.0},
            {"agent_0": 0.0, "agent_1": 5.0},
        ]
        assert [[t.verdict for t in call] for call in source.calls] == [
            [Verdict.UNFINISHED],
            [Verdict.ENDED],
        ]
        assert [m.content for m in source.calls[1][0].messages[1::2]] == ["three", "fiver"]
        assert env.last()[1] == 3.0  # agent_0 hears of it although it was long over

    def test_a_refused_action_leaves_the_game_as_it_was(self) -> None:
        source = Counting()
        env = AECRewardWrapper(LeavingGame(), source)
        env.reset(seed=0)
        with pytest.raises(ValueError, match="mind your language"):
            env.step("bad")
        env.step("good")
        assert [m.content for m in source.calls[0][0].messages] == ["go", "good"]

    def test_an_error_of_the_source_asks_for_a_reset(self) -> None:
        env = AECRewardWrapper(LeavingGame(), Flaky())
        env.reset(seed=0)
        with pytest.raises(ConnectionError):
            env.step("a")
        with pytest.raises(LmgymError, match="an error broke it off"):
            env.step("b")
        env.reset(seed=0)
        env.step("aa")
        assert env.rewards["agent_0"] == 2.0

    def test_actions_are_kept_as_they_were(self) -> None:
        plays: list[Play] = []

        def keep(play: Play) -> Transcript:
            plays.append(play)
            return Transcript.from_strings("q", "a")

        env = AECRewardWrapper(LeavingGame(), Counting(), keep)
        env.reset(seed=0)
        action: Any = ["one"]
        env.step(action)
        action[0] = "two"
        assert plays[0].actions == [["one"]]
