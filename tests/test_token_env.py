"""Token by token and in chunks: spaces, infos, masks, and what is refused."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_env
from lmgym.rendering import ByteRenderer
from lmgym.rewards import VerifierReward

BYTES = ByteRenderer()
END = BYTES.end_id
PROBLEM = {"task_id": "addition/2/0/0"}


def math(**arguments: Any) -> gym.Env[Any, Any]:
    return gym.make("lmgym/Math-v0", **arguments)


def started(**arguments: Any) -> gym.Env[Any, Any]:
    env = math(**arguments)
    env.reset(seed=0, options=PROBLEM)
    return env


def steps(env: gym.Env[Any, Any], actions: Any) -> list[Any]:
    return [env.step(action) for action in actions]


def test_a_reset_tells_the_problem_and_nothing_else() -> None:
    _, info = math().reset(seed=0, options=PROBLEM)
    assert info == {"task_id": "addition/2/0/0", "prompt_text": "45+60="}


def test_the_observation_is_the_padded_ids_and_what_is_left() -> None:
    observation, _ = math().reset(seed=0, options=PROBLEM)
    length, remaining = int(observation["length"][0]), int(observation["remaining"][0])
    assert observation["tokens"][:length].tolist() == [259, *b"45+60=", END, 260]
    assert set(observation["tokens"][length:].tolist()) == {BYTES.pad_id}
    assert (length, remaining) == (9, 16)
    assert {name: box.dtype for name, box in observation.items()} == dict.fromkeys(
        ("tokens", "length", "remaining"), np.dtype(np.int32)
    )


def test_an_id_that_ends_no_turn_has_an_empty_info() -> None:
    observation, reward, terminated, truncated, info = started().step(49)
    assert (reward, terminated, truncated, info) == (0.0, False, False, {})
    assert (observation["length"][0], observation["remaining"][0]) == (10, 15)


def test_a_right_answer_is_paid_once_at_the_end() -> None:
    taken = steps(started(), [*b"105", END])
    assert [reward for _, reward, *_ in taken] == [0.0, 0.0, 0.0, 1.0]
    _, _, terminated, truncated, info = taken[-1]
    assert (terminated, truncated) == (True, False)
    assert info == {
        "text": "105",
        "n_tokens": 4,
        "response_ids": (*b"105", END),
        "role_ids": (2, 2, 2, 2),
        "loss_mask": (1, 1, 1, 1),
        "verdict": "correct",
        "is_success": True,
        "reward_parts": {"verifier": 1.0},
    }
    assert type(info["verdict"]) is str


def test_a_turns_end_inside_an_episode_tells_the_text() -> None:
    env = gym.make("lmgym/GuessNumber-v0")
    env.reset(options={"task_id": "guess/37"})
    *_, terminated, _, info = steps(env, [*b"50", END])[-1]
    assert not terminated
    assert info == {"text": "50", "n_tokens": 3}


def test_without_a_reward_nothing_is_paid() -> None:
    _, reward, _, _, info = steps(started(reward=None), [*b"105", END])[-1]
    assert (reward, info["reward_parts"], info["is_success"]) == (0.0, {}, True)


def test_an_unscored_episode_says_so() -> None:
    env = started(reward=lambda prompts, completions: [None] * len(prompts))
    _, reward, _, _, info = env.step(END)
    assert (reward, info["unscored"], info["reward_parts"]) == (0.0, True, {})


@pytest.mark.parametrize("prefix", [[49, 48], (49, 48), np.array([49, 48])])
def test_a_prefix_may_be_any_sequence(prefix: Any) -> None:
    env = math()
    observation, _ = env.reset(options={**PROBLEM, "prefix_ids": prefix})
    assert observation["length"][0] == 11
    info = steps(env, [ord("5"), END])[-1][-1]
    assert (info["text"], info["loss_mask"]) == ("105", (0, 0, 1, 1))


def test_a_split_may_be_chosen_at_making_and_at_reset() -> None:
    env = math(split="test")
    drawn = [env.reset(seed=seed)[1]["prompt_text"] for seed in range(30)]
    trained = [env.reset(seed=s, options={"split": "train"})[1]["prompt_text"] for s in range(30)]
    assert not set(drawn) & set(trained)


def test_action_masks_leave_out_padding_and_headers() -> None:
    masks = started().get_wrapper_attr("action_masks")()
    assert masks.shape == (262,)
    assert np.flatnonzero(~masks).tolist() == sorted(BYTES.masked_ids)


def test_chunk_masks_also_allow_stopping() -> None:
    env = started(level="chunk", chunk_size=3)
    masks = env.get_wrapper_attr("action_masks")()
    assert masks.shape == (int(env.action_space.nvec.sum()),)  # type: ignore[attr-defined]
    first, second, third = masks[:262], masks[262:525], masks[525:]
    assert second[262]
    assert third[262]
    assert (second[:262] == first).all()


def test_a_chunk_stops_at_its_end_value_and_at_the_turns_end() -> None:
    env = started(level="chunk", chunk_size=3)
    assert env.step([49, 262, 7])[-1] == {"n_tokens": 1}
    *_, info = env.step([48, 53, 262])
    assert info == {"n_tokens": 2}
    _, reward, terminated, _, info = env.step([END, 49, 49])
    assert (reward, terminated, info["n_tokens"], info["text"]) == (1.0, True, 1, "105")


def test_a_chunk_stops_with_the_budget() -> None:
    env = started(level="chunk", chunk_size=3, max_tokens=2)
    _, _, terminated, _, info = env.step([49, 49, 49])
    assert (terminated, info["n_tokens"], info["verdict"]) == (True, 2, "unfinished")


def test_rendering_shows_the_conversation_and_the_draft() -> None:
    env = started(render_mode="ansi")
    env.step(ord("1"))
    assert env.render() == "user: 45+60=\nassistant: 1\u2581"
    steps(env, [*b"05", END])
    assert env.render() == "user: 45+60=\nassistant: 105\n[correct]"


def test_numpy_integers_are_actions() -> None:
    assert started().step(np.int64(49))[0]["length"] == 10


@pytest.mark.parametrize("action", [-1, 262])
def test_actions_outside_the_vocabulary_are_refused(action: int) -> None:
    with pytest.raises(LmgymError, match=f"action {action} is outside .* allowed are 0 to 261"):
        started().step(action)


@pytest.mark.parametrize("action", [[262, 262], [-1, 262], [263, 0]])
def test_chunks_outside_the_vocabulary_are_refused(action: list[int]) -> None:
    env = started(level="chunk", chunk_size=2)
    with pytest.raises(LmgymError, match="outside the vocabulary"):
        env.step(action)
    assert env.get_wrapper_attr("episode").draft == []


def test_chunks_of_another_size_are_refused() -> None:
    with pytest.raises(LmgymError, match="the action has 2 values; this environment takes 4"):
        started(level="chunk").step([49, 49])


@pytest.mark.parametrize("level", ["token", "chunk"])
def test_a_step_before_reset_is_refused(level: str) -> None:
    env = math(level=level).unwrapped
    with pytest.raises(LmgymError, match=r"call reset\(\) before step\(\)"):
        env.step([49] * 4 if level == "chunk" else 49)


@pytest.mark.parametrize("level", ["token", "chunk"])
def test_a_step_after_the_end_is_refused(level: str) -> None:
    env = started(level=level)
    action = [END] * 4 if level == "chunk" else END
    assert env.step(action)[2]
    with pytest.raises(LmgymError, match=r"call reset\(\) before step\(\)"):
        env.step(action)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"level": "tokens"}, "unknown level of lmgym/Math-v0 'tokens'; known: token, "),
    ({"split": "tset"}, "unknown split 'tset'; known: test, extrapolation, train, validation"),
    ({"reward": "verifer"}, "unknown reward 'verifer'; known: verifier, .*; or a function or"),
    ({"reward": 3}, "reward=3 is no reward; allowed are a name"),
    ({"reward": "shuffled"}, "reward='shuffled' needs complete batches and cannot be paid in step"),
    ({"reward": VerifierReward}, "reward=VerifierReward is a class; pass an instance"),
    ({"dificulty": 2}, "unknown argument of lmgym/Math-v0 'dificulty'; known: difficulty, "),
    ({"problems": "adition"}, "unknown problems 'adition'; known: addition, .*or the path of a"),
    ({"problems": "no/such.jsonl"}, "there is no file 'no/such.jsonl' to read problems from"),
    ({"difficulty": 10}, "difficulty 10 does not exist; 'addition' has the difficulties 1 to 9"),
    ({"context": 0}, "context=0 is out of range"),
    ({"max_tokens": 0}, "max_tokens=0 is out of range"),
    ({"level": "chunk", "chunk_size": 0}, "chunk_size=0 is out of range"),
    ({"render_mode": "human"}, "unknown render_mode 'human'; known: .*ansi"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[str(a) for a, _ in MISTAKES])
@pytest.mark.filterwarnings("ignore:.*render_mode:UserWarning")  # gymnasium's own
def test_mistakes_at_making_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        math(**arguments)


def test_an_unknown_world_is_told_with_the_nearest_first() -> None:
    with pytest.raises(LmgymError, match="environment 'lmgym/Maths-v0'; known: lmgym/Math-v0,"):
        make_env("lmgym/Maths-v0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "x"}, "unknown reset option 'task'; known: task_id, "),
        ({"split": "tests"}, "unknown split 'tests'; known: test, "),
        ({"split": "tests", **PROBLEM}, "unknown split 'tests'"),
        ({"task_id": "addition/2/0"}, "unknown task_id 'addition/2/0'; it has the form family/"),
        ({"task_id": "addition/5/0/0"}, "of those asked for, as 'addition/2/0/"),
        ({"prefix_ids": [END]}, "prefix_ids holds an id that ends the turn"),
        ({"prefix_ids": [999]}, "id 999 is outside the vocabulary"),
        ({"prefix_ids": [49] * 16}, "prefix_ids has 16 tokens and the agent may write 16"),
    ],
)
def test_mistakes_at_reset_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        math().reset(options=options)


def test_a_prompt_that_does_not_fit_is_told_with_the_size_that_does() -> None:
    with pytest.raises(LmgymError, match="pass context=25 or more"):
        started(context=9)
    started(context=25)


def test_stable_baselines3_makes_environments_by_id() -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    assert make_vec_env("lmgym/Copy-v0", 2).num_envs == 2
    assert PPO("MultiInputPolicy", "lmgym/Copy-v0", n_steps=8, batch_size=8).learn(8)
