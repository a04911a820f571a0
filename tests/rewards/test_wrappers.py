import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete, Text
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.test import api_test, parallel_api_test

from lmgym.errors import LmgymError
from lmgym.rewards import RewardBatch, RewardLevel
from lmgym.rewards.wrappers import (
    AECRewardWrapper,
    ParallelRewardWrapper,
    Play,
    RewardWrapper,
    VectorRewardWrapper,
    text_transcript,
)
from lmgym.task import Verdict
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


MODES = list(AutoresetMode)
WORDS = ("a", "bb", "?", "stop", "eeeee")


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    else:
        np.testing.assert_array_equal(left, right)


def play_both(
    left: Any, right: Any, n_steps: int, rng: np.random.Generator
) -> list[tuple[Any, ...]]:
    """Steps two batches alike and holds them equal; returns what the first one said."""
    mode = left.metadata["autoreset_mode"]
    for one, other in zip(left.reset(seed=3), right.reset(seed=3), strict=True):
        assert_same(one, other)
    said = []
    for _ in range(n_steps):
        actions = tuple(rng.choice(WORDS, left.num_envs).tolist())
        said.append(left.step(actions))
        for one, other in zip(said[-1], right.step(actions), strict=True):
            assert_same(one, other)
        over = said[-1][2] | said[-1][3]
        if mode is AutoresetMode.DISABLED and over.any():
            resets = [env.reset(options={"reset_mask": over.copy()}) for env in (left, right)]
            for one, other in zip(*resets, strict=True):
                assert_same(one, other)
    return said


class TestBatch:
    @pytest.mark.parametrize("level", [RewardLevel.OUTCOME, RewardLevel.TURN])
    @pytest.mark.parametrize("mode", MODES)
    def test_it_equals_a_batch_of_single_wrappers(
        self, mode: AutoresetMode, level: RewardLevel
    ) -> None:
        single = [lambda: RewardWrapper(WordsEnv(), Counting(level))] * 4
        right = SyncVectorEnv(single, autoreset_mode=mode)
        left = VectorRewardWrapper(
            SyncVectorEnv([WordsEnv] * 4, autoreset_mode=mode), Counting(level)
        )
        said = play_both(left, right, 40, np.random.default_rng(0))
        assert any(rewards.any() for _, rewards, *_ in said)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_step_is_one_call_for_the_rows_that_ended(self, mode: AutoresetMode) -> None:
        source = Counting()
        envs = VectorRewardWrapper(SyncVectorEnv([WordsEnv] * 4, autoreset_mode=mode), source)
        envs.reset(seed=0)
        n_ended = []
        for _ in range(30):
            n_calls = len(source.calls)
            _, _, terminations, truncations, _ = envs.step(("word",) * 4)
            over = terminations | truncations
            n_ended.append(int(over.sum()))
            assert len(source.calls) - n_calls == int(over.any())
            if mode is AutoresetMode.DISABLED and over.any():
                envs.reset(options={"reset_mask": over})
        assert [len(call) for call in source.calls] == [n for n in n_ended if n]

    @pytest.mark.parametrize("mode", MODES)
    def test_transcripts_are_those_of_the_episode_that_ended(self, mode: AutoresetMode) -> None:
        source = Counting()
        envs = VectorRewardWrapper(SyncVectorEnv([WordsEnv] * 3, autoreset_mode=mode), source)
        envs.reset(seed=0)
        for step in range(30):
            _, _, terminations, _, _ = envs.step(tuple(f"row {row} {step}" for row in range(3)))
            if mode is AutoresetMode.DISABLED and terminations.any():
                envs.reset(options={"reset_mask": terminations})
        played = [transcript for call in source.calls for transcript in call]
        assert len(played) > 20
        for transcript in played:
            said = [m.content.split() for m in transcript.messages[1::2]]
            assert len({row for _, row, _ in said}) == 1  # one row's words only
            numbers = [int(step) for _, _, step in said]
            assert numbers == list(range(numbers[0], numbers[0] + len(said)))
            assert transcript.prompt_text == f"say {len(said)} words"
            assert transcript.task_id == f"words {len(said)}"
            assert transcript.columns["wanted"] == len(said)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_play_ends_with_the_last_observation_of_its_own_episode(
        self, mode: AutoresetMode
    ) -> None:
        plays: list[Play] = []

        def keep(play: Play) -> Transcript:
            plays.append(play)
            return text_transcript(play)

        inner = SyncVectorEnv([WordsEnv] * 3, autoreset_mode=mode)
        envs = VectorRewardWrapper(inner, Counting(), keep)
        envs.reset(seed=0)
        for _ in range(20):
            terminations = envs.step(("word",) * 3)[2]
            if mode is AutoresetMode.DISABLED and terminations.any():
                envs.reset(options={"reset_mask": terminations})
        assert len(plays) > 10
        for play in plays:
            assert play.info.keys() == {"task_id", "wanted"}
            wanted = play.info["wanted"]
            left = [f"{n} left" for n in reversed(range(wanted))]
            assert play.observations == [f"say {wanted} words", *left]

    @pytest.mark.slow
    def test_environments_in_other_processes_share_the_source_of_this_one(self) -> None:
        source = Counting()
        envs = VectorRewardWrapper(AsyncVectorEnv([WordsEnv, WordsEnv], context="spawn"), source)
        try:
            envs.reset(seed=0)
            for _ in range(3):
                envs.step(("x", "y"))
            assert source.calls
        finally:
            envs.close()

    def test_infos_of_the_batch_are_not_written_to(self) -> None:
        mask = np.array([True, False])

        class Shared(SyncVectorEnv):
            def step(self, actions: Any) -> Any:
                *rest, infos = super().step(actions)
                infos["env_reward"] = np.array([9.0, 9.0])
                infos["_env_reward"] = mask
                return *rest, infos

        envs = VectorRewardWrapper(Shared([WordsEnv, WordsEnv]), Counting())
        envs.reset(seed=0)
        infos = envs.step(("x", "y"))[4]
        assert mask.tolist() == [True, False]
        assert infos["env_reward"].tolist() == [0.25, 0.25]

    def test_rows_that_are_over_and_not_reset_are_refused(self) -> None:
        inner = SyncVectorEnv([lambda: WordsEnv(1)] * 2, autoreset_mode=AutoresetMode.DISABLED)
        envs = VectorRewardWrapper(inner, Counting())
        envs.reset(seed=0)
        envs.step(("x", "y"))
        with pytest.raises(LmgymError, match=r"call reset\(\)"):
            envs.step(("x", "y"))

    def test_a_refused_action_asks_for_a_reset_because_other_rows_may_have_moved(self) -> None:
        source = Counting()
        envs = VectorRewardWrapper(SyncVectorEnv([lambda: PickyEnv(1)] * 2), source)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match="mind your language"):
            envs.step(("x", "bad"))
        with pytest.raises(LmgymError, match="an error broke it off"):
            envs.step(("x", "y"))
        envs.reset(seed=0)
        assert envs.step(("xx", "yyy"))[1].tolist() == [2.0, 3.0]
        assert [t.completion_text for t in source.calls[0]] == ["xx", "yyy"]

    def test_a_row_that_is_over_keeps_the_others_from_moving(self) -> None:
        inner = SyncVectorEnv([lambda: WordsEnv(3)] * 2, autoreset_mode=AutoresetMode.DISABLED)
        source = Counting()
        envs = VectorRewardWrapper(inner, source)
        envs.reset(seed=0)
        for env, left in zip(inner.envs, (3, 1), strict=True):
            env.unwrapped.left = left  # type: ignore[attr-defined]
        envs.step(("a", "b"))
        with pytest.raises(LmgymError, match=r"call reset\(\)"):
            envs.step(("c", "d"))
        envs.reset(options={"reset_mask": np.array([False, True])})
        inner.envs[0].unwrapped.left = 1  # type: ignore[attr-defined]
        envs.step(("e", "f"))
        assert [m.content for m in source.calls[-1][0].messages[1::2]] == ["a", "e"]

    def test_an_error_of_the_source_asks_for_a_reset(self) -> None:
        envs = VectorRewardWrapper(SyncVectorEnv([lambda: WordsEnv(1)] * 2), Flaky())
        envs.reset(seed=0)
        with pytest.raises(ConnectionError):
            envs.step(("a", "b"))
        with pytest.raises(LmgymError, match="an error broke it off"):
            envs.step(("a", "b"))
        envs.reset(seed=0)
        assert envs.step(("a", "b"))[1].tolist() == [1.0, 1.0]

    def test_a_batch_that_hides_its_mode_has_to_be_told(self) -> None:
        inner = SyncVectorEnv([WordsEnv])
        inner.metadata = {}
        with pytest.raises(LmgymError, match="autoreset_mode=, one of next_step"):
            VectorRewardWrapper(inner, Counting())
        with pytest.raises(LmgymError, match="unknown autoreset_mode 'never'"):
            VectorRewardWrapper(inner, Counting(), autoreset_mode="never")
        envs = VectorRewardWrapper(inner, Counting(), autoreset_mode="next_step")
        envs.reset(seed=0)
        assert envs.step(("x",))[4]["env_reward"].tolist() == [0.25]


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
