"""Rewards for a single environment that is not ours."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from lmgym.errors import LmgymError
from lmgym.rewards import RewardLevel
from lmgym.rewards.wrappers import (
    Play,
    RewardWrapper,
    text_transcript,
)
from lmgym.task import Verdict
from lmgym.transcript import Transcript

from .conftest import Counting, Flaky, PickyEnv, WordsEnv


class TestSingle:
    def wrapped(self, reward: Any, longest: int = 1) -> RewardWrapper[str, str]:
        env = RewardWrapper(WordsEnv(longest), reward)
        env.reset(seed=0)
        return env

    def test_the_source_is_paid_and_the_environments_reward_kept(self) -> None:
        source = Counting()
        _, reward, terminated, _, info = self.wrapped(source).step("four")
        assert terminated
        assert reward == 4.0
        assert info["env_reward"] == 0.25
        assert info["reward_parts"] == {"length": 4.0}
        assert info["left"] == 0
        assert "unscored" not in info

    def test_the_transcript_has_the_prompt_the_answer_and_how_it_ended(self) -> None:
        source = Counting()
        self.wrapped(source).step("four")
        ((transcript,),) = source.calls
        assert transcript.prompt_text == "say 1 words"
        assert transcript.completion_text == "four"
        assert transcript.verdict is Verdict.ENDED
        assert transcript.task_id == "words 1"
        assert transcript.columns["wanted"] == 1

    def test_outcomes_wait_for_the_end_and_cost_one_call(self) -> None:
        source = Counting()
        env = RewardWrapper(WordsEnv(3), source)
        env.reset(seed=1)
        env.unwrapped.left = 3  # type: ignore[attr-defined]
        steps = [env.step(word) for word in ("a", "bb", "ccc")]
        assert [step[1] for step in steps] == [0.0, 0.0, 3.0]
        assert [len(call) for call in source.calls] == [1]
        assert [m.content for m in source.calls[0][0].messages[1::2]] == ["a", "bb", "ccc"]
        assert steps[0][4] == {"left": 2, "env_reward": 0.25}

    def test_turns_are_paid_as_they_end(self) -> None:
        env = RewardWrapper(WordsEnv(3), Counting(RewardLevel.TURN))
        env.reset(seed=1)
        env.unwrapped.left = 2  # type: ignore[attr-defined]
        assert env.step("a")[1] == 10.0
        assert env.step("bb")[1] == 22.0  # the turn's 20 and the outcome

    def test_a_limit_leaves_the_episode_unfinished_and_scored(self) -> None:
        source = Counting()
        env = RewardWrapper(WordsEnv(3), source)
        env.reset(seed=1)
        env.unwrapped.left = 3  # type: ignore[attr-defined]
        _, reward, terminated, truncated, _ = env.step("stop")
        assert (reward, terminated, truncated) == (4.0, False, True)
        assert source.calls[0][0].verdict is Verdict.UNFINISHED

    def test_what_cannot_be_scored_is_paid_nothing_and_says_so(self) -> None:
        _, reward, _, _, info = self.wrapped(Counting()).step("?")
        assert reward == 0.0
        assert info["unscored"] is True
        assert info["reward_parts"] == {}

    def test_a_function_gets_the_facts_of_the_reset_by_name(self) -> None:
        def exact(completions: list[str], wanted: list[int]) -> list[float]:
            return [float(len(c) == n) for c, n in zip(completions, wanted, strict=True)]

        assert self.wrapped(exact).step("x")[1] == 1.0
        assert self.wrapped(exact).step("xx")[1] == 0.0

    def test_names_are_sources_and_none_pays_nothing(self) -> None:
        assert self.wrapped("verifier").step("x")[1] == 0.0
        _, reward, _, _, info = self.wrapped(None).step("x")
        assert reward == 0.0
        assert info["env_reward"] == 0.25

    def test_asynchronous_functions_are_awaited(self) -> None:
        async def length(completions: list[str]) -> list[float]:
            return [float(len(text)) for text in completions]

        assert self.wrapped(length).step("four")[1] == 4.0

    def test_wrappers_stack_and_the_outer_one_is_heard(self) -> None:
        inner = RewardWrapper(WordsEnv(1), Counting())
        outer = RewardWrapper(inner, lambda completions: [7.0] * len(completions))
        outer.reset(seed=0)
        _, reward, _, _, info = outer.step("?")
        assert reward == 7.0
        assert info["env_reward"] == 0.0
        assert "unscored" not in info

    def test_gymnasiums_checks_pass(self) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*different from the unwrapped version")
            warnings.filterwarnings("ignore", message=".*not a `.*spec`")
            check_env(RewardWrapper(gym.make("tests/Words-v0"), Counting()), skip_render_check=True)

    def test_it_is_made_again_from_its_spec(self) -> None:
        source = Counting()
        env = RewardWrapper(gym.make("tests/Words-v0", longest=1), source)
        assert env.spec is not None
        again = gym.make(env.spec)
        again.reset(seed=0)
        assert again.step("four")[1] == 4.0
        assert len(source.calls) == 1

    def test_a_callable_makes_the_transcripts_of_other_observations(self) -> None:
        def read(play: Play) -> Transcript:
            actions = " ".join(str(action) for action in play.actions)
            return Transcript.from_strings("walk", actions)  # the verdict is the play's

        source = Counting()
        env = gym.wrappers.TimeLimit(gym.make("CartPole-v1"), 3)
        walk = RewardWrapper(env, source, read)
        walk.reset(seed=0)
        rewards = [walk.step(action)[1] for action in (0, 1, 0)]
        assert source.calls[0][0].completion_text == "0 1 0"
        assert source.calls[0][0].verdict is Verdict.UNFINISHED
        assert rewards == [0.0, 0.0, 5.0]

    def test_a_callable_that_makes_something_else_is_refused(self) -> None:
        env = RewardWrapper(WordsEnv(1), Counting(), lambda play: play.actions[0])
        env.reset(seed=0)
        with pytest.raises(LmgymError, match="returned 'x'; it must make a Transcript"):
            env.step("x")

    def test_observations_are_kept_as_they_were(self) -> None:
        play = Play()
        observation = np.zeros(2)
        play.see(observation)
        observation[:] = 1
        assert play.observations[0].tolist() == [0.0, 0.0]

    def test_what_is_no_text_needs_a_callable(self) -> None:
        env = RewardWrapper(gym.make("CartPole-v1", max_episode_steps=1), Counting())
        env.reset(seed=0)
        with pytest.raises(LmgymError, match=r"array.* is no text; give transcript_of="):
            env.step(0)

    def test_steps_before_a_reset_or_after_the_end_are_refused(self) -> None:
        env = RewardWrapper(WordsEnv(1), Counting())
        with pytest.raises(LmgymError, match=r"call reset\(\)"):
            env.step("x")
        env.reset(seed=0)
        env.step("x")
        with pytest.raises(LmgymError, match="over or was never started"):
            env.step("x")

    def test_a_refused_action_leaves_the_episode_as_it_was(self) -> None:
        source = Counting()
        env = RewardWrapper(PickyEnv(1), source)
        env.reset(seed=0)
        with pytest.raises(ValueError, match="mind your language"):
            env.step("bad")
        assert env.step("good")[1] == 4.0
        assert [m.content for m in source.calls[0][0].messages] == ["say 1 words", "good"]

    def test_an_error_of_the_source_asks_for_a_reset(self) -> None:
        env = RewardWrapper(WordsEnv(3), Flaky(RewardLevel.TURN))
        env.reset(seed=1)
        env.unwrapped.left = 3  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            env.step("a")
        with pytest.raises(LmgymError, match=r"an error broke it off; call reset\(\)"):
            env.step("bb")
        env.reset(seed=0)
        assert env.step("bb")[1] >= 20.0

    def test_actions_are_kept_as_they_were(self) -> None:
        plays: list[Play] = []

        def keep(play: Play) -> Transcript:
            plays.append(play)
            return Transcript.from_strings("swing", "x")

        env = RewardWrapper(gym.make("Pendulum-v1", max_episode_steps=2), Counting(), keep)
        env.reset(seed=0)
        action = np.zeros(1, np.float32)
        for value in (0.5, 1.5):
            action[:] = value  # as fast learners do
            env.step(action)
        action[:] = 9.0
        assert [taken.tolist() for taken in plays[-1].actions] == [[0.5], [1.5]]

    def test_rewards_of_complete_batches_are_refused(self) -> None:
        with pytest.raises(LmgymError, match="needs complete batches"):
            RewardWrapper(WordsEnv(), "shuffled")

    def test_unknown_rewards_are_refused(self) -> None:
        with pytest.raises(LmgymError, match="verifier"):
            RewardWrapper(WordsEnv(), "verifer")


def test_a_conversation_alternates() -> None:
    play = Play(["q", "more", "end"], ["a", "b"], terminated=True)
    assert [(str(m.role), m.content) for m in text_transcript(play).messages] == [
        ("user", "q"),
        ("assistant", "a"),
        ("user", "more"),
        ("assistant", "b"),
    ]
    assert text_transcript(Play(["q"])).verdict is None
