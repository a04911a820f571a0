"""Rewards for a batch of environments that are not ours."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from lmgym.errors import LmgymError
from lmgym.rewards import RewardLevel
from lmgym.rewards.wrappers import (
    Play,
    RewardWrapper,
    VectorRewardWrapper,
    text_transcript,
)
from lmgym.transcript import Transcript

from .conftest import Counting, Flaky, PickyEnv, WordsEnv

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
