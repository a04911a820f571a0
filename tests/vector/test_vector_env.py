"""What batched environments offer beyond single ones, and what they refuse."""

from __future__ import annotations

import builtins
import pickle
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from lmgym.errors import LmgymError
from lmgym.registry import LEVELS
from lmgym.transcript import Transcript
from lmgym.vector import TokenVectorEnv

from .conftest import DICE, GRADED, TurnReward, make

END = 257


def actions_of(env: Any, text: str) -> list[Any]:
    """The same message in all rows, an id a step."""
    return [np.full(env.num_envs, token) for token in [*text.encode(), END]]


def test_all_rewards_of_a_step_are_one_batch() -> None:
    source = TurnReward()
    env = make(num_envs=6, reward=source)
    env.reset(seed=0)
    for actions in actions_of(env, "12"):
        env.step(actions)
    assert source.batches == [6]


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("reward", ["verifier", None, TurnReward()])
def test_all_episodes_that_end_in_a_step_are_graded_in_one_call(
    mode: AutoresetMode, reward: Any
) -> None:
    env = make(GRADED, num_envs=6, reward=reward, autoreset_mode=mode.name.lower())
    env.reset(seed=0)
    rng, graded = np.random.default_rng(0), env.batch.task.graded
    for _ in range(120):
        _, _, over, _, infos = env.step(rng.choice([49, END], 6))
        assert graded == ([int(over.sum())] if over.any() else [])
        graded.clear()
        told = infos.get("final_info", infos)
        assert np.array_equal(told.get("_gold_reward", np.zeros(6, bool)), over)
        if mode is AutoresetMode.DISABLED and over.any():
            rows = over.nonzero()[0]
            grades = [t.gold_reward for t in env.transcripts(rows)]
            assert grades == infos["gold_reward"][rows].tolist()
            env.reset(options={"reset_mask": over})
            assert not any(t.gold_reward for t in env.transcripts())


def test_sources_read_the_grade() -> None:
    env = make(GRADED, num_envs=2, reward="gold", autoreset_mode="same_step", max_tokens=2)
    env.reset(seed=0)
    env.step(np.full(2, 49))
    _, rewards, over, _, infos = env.step(np.full(2, 49))
    assert over.all()
    assert rewards.tolist() == infos["final_info"]["gold_reward"].tolist()
    assert (rewards > 0).all()


def test_observations_are_fresh_by_default() -> None:
    env = make()
    first, _ = env.reset(seed=0)
    kept = {name: array.copy() for name, array in first.items()}
    env.step(np.full(4, 49))
    assert all((first[name] == kept[name]).all() for name in kept)


def test_views_follow_the_episodes_and_cannot_be_written_to() -> None:
    env = make(copy=False)
    observations, _ = env.reset(seed=0)
    before = int(observations["length"][0, 0])
    after = env.step(np.full(4, 49))[0]
    assert observations["length"][0, 0] == before + 1
    assert np.shares_memory(observations["tokens"], after["tokens"])
    with pytest.raises(ValueError, match="read-only"):
        after["tokens"][0, 0] = 1


@pytest.mark.parametrize("mode", AutoresetMode)
def test_modes_are_known_by_their_names(mode: AutoresetMode) -> None:
    for given in (mode, mode.name.lower(), mode.name, mode.value):
        assert make(autoreset_mode=given).metadata["autoreset_mode"] is mode


def test_rows_of_a_group_play_the_same_problems_in_the_same_order() -> None:
    env = make(num_envs=6, group_size=3, autoreset_mode="same_step")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    played: list[list[str]] = [[task_id] for task_id in env.task_ids]
    for _ in range(200):
        ids = rng.integers(256, size=6)
        ids[rng.random(6) < 1 / 6] = END
        step = env.step_rows(ids)
        for row, info in step.started.items():
            played[row].append(info["task_id"])
    for rows in (played[:3], played[3:]):
        shortest = min(map(len, rows))
        assert shortest > 5
        assert rows[0][:shortest] == rows[1][:shortest] == rows[2][:shortest]
        assert len(set(rows[0])) > 5
    assert played[0][0] != played[3][0]


def test_groups_that_are_reset_together_are_on_the_same_problem() -> None:
    env = make(num_envs=4, group_size=2, autoreset_mode="disabled")
    env.reset(seed=3)
    first = env.task_ids
    env.reset(options={"reset_mask": np.array([True, False, False, False])})
    env.reset()
    second = env.task_ids
    assert first[0] == first[1]
    assert second[0] == second[1] != first[0]
    env.reset(seed=3)
    assert env.task_ids == first


def test_each_row_can_have_a_task_a_split_and_a_prefix_of_its_own() -> None:
    env = make(num_envs=2)
    ids = ["addition/2/0/0", "addition/2/0/7"]
    observations, infos = env.reset(options={"task_id": ids, "prefix_ids": [[49, 50], None]})
    assert infos["task_id"].tolist() == env.task_ids == ids
    lengths = observations["length"][:, 0]
    assert observations["tokens"][0, lengths[0] - 2 : lengths[0]].tolist() == [49, 50]
    assert observations["remaining"][:, 0].tolist() == [14, 16]
    env.step(np.full(2, END))
    env.step(np.full(2, 49))
    assert env.reset(options={"split": ["test", "train"]})[1]["_task_id"].all()


@pytest.mark.parametrize("level", LEVELS)
def test_render_shows_every_conversation(level: str) -> None:
    env = make(num_envs=2, level=level, render_mode="ansi")
    env.reset(options={"task_id": "addition/2/0/0"})
    assert env.render() == ("user: 45+60=\nassistant: \u2581",) * 2
    assert make().render() is None


def without_logprobs(transcript: Transcript) -> Transcript:
    """Environments record none; a single one says so with zeros where nothing was drawn."""
    segments = tuple(replace(s, logprobs=None) for s in transcript.segments)
    return replace(transcript, segments=segments, group_id=0)


def test_transcripts_are_those_of_single_environments() -> None:
    env = make(DICE, num_envs=3, autoreset_mode="disabled")
    single = gym.make(DICE).unwrapped
    env.reset(seed=5)
    rows = env.transcripts()
    for row in range(3):
        single.reset(seed=5 + row)
        assert without_logprobs(rows[row]) == without_logprobs(single.transcript())  # type: ignore[attr-defined]
    for actions in actions_of(env, "8"):
        env.step(actions)
    for row in range(3):
        single.reset(seed=5 + row)
        for token in (56, END):
            single.step(token)
        expected = single.transcript()  # type: ignore[attr-defined]
        assert without_logprobs(env.transcripts([row])[0]) == without_logprobs(expected)


@pytest.mark.parametrize("level", LEVELS)
def test_specs_can_be_written_and_read(level: str) -> None:
    env = make(num_envs=3, level=level, autoreset_mode="same_step", group_size=3)
    spec = EnvSpec.from_json(env.spec.to_json())
    twin = gym.make_vec(spec)
    assert twin.num_envs == 3
    assert twin.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert twin.reset(seed=1)[1]["task_id"].tolist() == env.reset(seed=1)[1]["task_id"].tolist()


def test_specs_of_the_default_mode_make_single_environments_too() -> None:
    env = make(num_envs=1, autoreset_mode="next_step")
    arguments = {k: v for k, v in env.spec.kwargs.items() if k != "vectorization_mode"}
    assert gym.make("lmgym/Math-v0", **arguments).reset(seed=0)[1]["task_id"]


def test_other_modes_are_refused_where_they_would_not_hold() -> None:
    with pytest.raises(
        LmgymError, match=r"'same_step' is of batched environments; .*vector_kwargs"
    ):
        make(vectorization_mode="sync", autoreset_mode="same_step")


def test_a_pickled_copy_goes_on_in_the_same_way() -> None:
    env = make(DICE, num_envs=3)
    env.reset(seed=0)
    env.step(np.full(3, 49))
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301 - written in the same line
    for _ in range(40):
        one, other = env.step(np.full(3, END)), twin.step(np.full(3, END))
        assert one[0]["tokens"].tolist() == other[0]["tokens"].tolist()


def test_gymnasiums_vector_wrappers_fit() -> None:
    env = gym.wrappers.vector.RecordEpisodeStatistics(make(autoreset_mode="same_step"))
    env.reset(seed=0)
    first, last = actions_of(env, "1")
    env.step(first)
    infos = env.step(last)[4]
    assert infos["episode"]["l"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"autoreset_mode": "never"}, "unknown autoreset_mode 'never'.*next_step"),
        ({"autoreset_mode": None}, "unknown autoreset_mode"),
        ({"num_envs": "3"}, "num_envs='3' is out of range"),
        ({"group_size": None}, "group_size=None"),
        ({"max_episode_steps": 2.5}, "max_episode_steps=2.5"),
        ({"num_envs": 0}, "num_envs=0 is out of range"),
        ({"num_envs": 4, "group_size": 3}, "groups of 3"),
        ({"group_size": 0}, "group_size=0"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"render_mode": "human"}, "render_mode"),
        ({"level": "episode"}, "unknown level"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"reward": "shuffled"}, "needs complete batches"),
        ({"difficult": 2}, "unknown argument of lmgym/Math-v0 'difficult'"),
        ({"level": "message", "alphabet": "digits"}, "takes text, not ids"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        gym.make_vec("lmgym/Math-v0", **arguments)


def test_without_numba_compiled_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "lmgym.vector.compiled":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LmgymError, match=r"lmgym\[fast\]"):
        make(compiled=True)


def test_arguments_of_batches_are_refused_by_single_environments() -> None:
    with pytest.raises(
        LmgymError, match=r"make_vec\('lmgym/Math-v0', num_envs=N, group_size=...\)"
    ):
        gym.make("lmgym/Math-v0", group_size=2)


@pytest.mark.parametrize(
    ("level", "actions", "message"),
    [
        ("token", np.zeros(3, int), r"shape \(3,\).*takes whole numbers of shape \(4,\)"),
        ("token", np.zeros((4, 1), int), r"shape \(4, 1\)"),
        ("token", np.zeros(4), "float64"),
        ("token", 5, r"shape \(\)"),
        ("token", [1, 2, 262, 3], "action 262 is outside the vocabulary; allowed are 0 to 261"),
        ("token", [1, -1, 2, 3], "action -1 is outside"),
        ("chunk", np.zeros((4, 3), int), r"shape \(4, 4\)"),
        ("chunk", np.full((4, 4), 263), "action 263 is outside"),
        ("chunk", np.full((4, 4), 262), "action 262 is outside"),
        ("message", "abcd", "are not 4 messages"),
        ("message", ["a"], "are not 4 messages"),
        ("message", ["a", "b", None, "c"], "action None is no text"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(level: str, actions: Any, message: str) -> None:
    env = make(level=level, render_mode="ansi")
    env.reset(seed=0)
    before = env.render()
    with pytest.raises(LmgymError, match=message):
        env.step(actions)
    assert env.render() == before


def test_after_a_reward_that_fails_only_a_reset_goes_on() -> None:
    failing = [True]

    def reward(completions: list[str]) -> list[float]:
        if failing[0]:
            raise RuntimeError("the judge is out")
        return [1.0] * len(completions)

    env = make(reward=reward)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="the judge is out"):
        env.step(np.array([49, END, 49, 49]))
    failing[0] = False
    with pytest.raises(LmgymError, match=r"rows \[0, 1, 2, 3\] .* half way; call reset"):
        env.step(np.full(4, 49))
    env.reset(options={"reset_mask": np.array([False, True, False, False])})
    with pytest.raises(LmgymError, match=r"rows \[0, 2, 3\] .* half way"):
        env.step(np.full(4, 49))
    env.reset()
    assert env.step(np.full(4, END))[1].tolist() == [1.0] * 4


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", ">i4", ">i8", "u8"])
@pytest.mark.parametrize("level", ["token", "chunk"])
def test_whole_numbers_of_any_kind_are_actions(level: str, kind: str, compiled: bool) -> None:
    env = make(num_envs=2, level=level, compiled=compiled)
    env.reset(seed=0)
    ids = np.array([65, 66]) if level == "token" else np.array([[65, 66, 67, 68]] * 2)
    tokens = env.step(ids.astype(kind))[0]["tokens"]
    assert (tokens[0] == 65).sum() == 1
    if not kind.startswith("u"):
        with pytest.raises(LmgymError, match="action -1 is outside"):
            env.step(np.full_like(ids, -1).astype(kind))


def test_messages_that_cannot_be_encoded_leave_all_rows_as_they_were() -> None:
    env = make("lmgym/GuessNumber-v0", num_envs=3, level="message", render_mode="ansi")
    env.reset(seed=0)
    before, encode = env.render(), env.batch.renderer.encode

    def failing(text: str) -> list[int]:
        if text == "?":
            raise TypeError("cannot be encoded")
        ids: list[int] = encode(text)
        return ids

    env.batch.renderer.encode = failing
    with pytest.raises(TypeError, match="cannot be encoded"):
        env.step(["5", "?", "6"])
    assert env.render() == before


@pytest.mark.parametrize("level", LEVELS)
def test_a_step_before_the_first_reset_is_refused(level: str) -> None:
    env = make(level=level)
    with pytest.raises(LmgymError, match="call reset"):
        env.step(env.action_space.sample())
    env.reset(seed=0, options={"reset_mask": np.array([True, False, False, False])})
    with pytest.raises(LmgymError, match="call reset"):
        env.step(env.action_space.sample())


def test_without_autoresets_a_step_of_rows_that_are_over_is_refused() -> None:
    env = make(autoreset_mode="disabled")
    env.reset(seed=0)
    env.step(np.array([49, END, 49, END]))
    with pytest.raises(LmgymError, match=r"rows \[1, 3\] are over.*reset_mask"):
        env.step(np.full(4, 49))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": 1}, "unknown reset option 'goal'"),
        ({"task_id": ["addition/2/0/0"]}, "task_id has 1 values for 4 rows"),
        ({"task_id": "nothing"}, "unknown task_id"),
        ({"split": "dev"}, "unknown split"),
        ({"task_id": 5}, "task_id=5 is no list"),
        ({"task_id": [5] * 4}, "task_id 5 is no text"),
        ({"prefix_ids": 5}, "prefix_ids=5 is no list"),
        ({"prefix_ids": [[49], [50]]}, "prefix_ids has 2 values for 4 rows"),
        ({"prefix_ids": [END]}, "ends the turn"),
        ({"prefix_ids": [49] * 16}, "prefix_ids has 16 tokens"),
        ({"reset_mask": np.zeros(4, bool)}, "at least one True"),
        ({"reset_mask": np.ones(3, bool)}, r"shape \(3,\)"),
        ({"reset_mask": np.ones(4)}, "float64"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(options: dict[str, Any], message: str) -> None:
    env, alone = make(), make()
    for each in (env, alone):
        each.reset(seed=0)
    with pytest.raises(LmgymError, match=message):
        env.reset(seed=5, options=options)
    assert env.task_ids == alone.task_ids
    if "prefix_ids has 16" in message:  # found out by the prompt: rows have to be reset
        return
    for each in (env, alone):  # and no random state has changed
        each.step(np.full(4, END))
        each.step(np.full(4, END))
    assert env.task_ids == alone.task_ids


@pytest.mark.parametrize(
    ("seed", "message"),
    [([1, 2], "seed has 2 values for 4 rows"), ([5, -1, 5, 5], "seed -1"), (1.5, "seed=1.5")],
)
def test_bad_seeds_are_refused_and_change_nothing(seed: Any, message: str) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(LmgymError, match=message):
        env.reset(seed=seed)
    assert env.np_random_seed == (0, 1, 2, 3)


def test_options_that_are_no_dictionary_are_refused() -> None:
    with pytest.raises(LmgymError, match="options='x' is no dictionary"):
        make().reset(options="x")


def test_a_prompt_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LmgymError, match="pass context="):
        make(context=6).reset(seed=0)


def test_wrappers_of_single_environments_are_refused_by_gymnasium() -> None:
    with pytest.raises(gym.error.Error, match="wrappers"):
        make(wrappers=[gym.wrappers.TimeLimit])


def test_worlds_make_batches_of_their_own_class() -> None:
    assert isinstance(make(DICE), TokenVectorEnv)
