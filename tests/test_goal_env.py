"""Level "goal": one command a step, rewards that follow from goals."""

from __future__ import annotations

import json
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from lmgym.cards import card
from lmgym.errors import LmgymError
from lmgym.factory import make_env, make_episode, make_task, make_vector_env
from lmgym.goal_env import GoalEnv
from lmgym.registry import WORLDS, WorldSpec, register_world
from lmgym.testing.flip_bits import FLIP_BITS, FlipBitsArgs, FlipBitsTask
from lmgym.testing.goal_case import goal_view_of

GOAL = [1, 1, 0, 0]
LOCK = 4


def make(**arguments: Any) -> GoalEnv:
    return goal_view_of(gym.make(FLIP_BITS, **arguments))


def begun(goal: list[int] = GOAL, **arguments: Any) -> GoalEnv:
    env = make(**arguments)
    env.reset(seed=0, options={"goal": goal})
    return env


@pytest.mark.parametrize(
    ("reward", "paid"), [("sparse", [-1.0, 0.0]), ("verifier", [0.0, 1.0]), (None, [0.0, 0.0])]
)
def test_rewards_tell_a_reached_goal(reward: str | None, paid: list[float]) -> None:
    env = begun(reward=reward)
    steps = [env.step(0), env.step(1)]
    assert [step[1] for step in steps] == paid
    assert [step[2] for step in steps] == [False, True]
    assert steps[0][4] == {}
    assert steps[1][4] == {"verdict": "correct", "is_success": True, "n_steps": 2}


def test_spending_the_horizon_truncates() -> None:
    env = begun()
    *steps, last = [env.step(3) for _ in range(env.task.horizon)]
    assert not any(step[2] or step[3] for step in steps)
    assert last[1:] == (
        -1.0,
        False,
        True,
        {"verdict": "unfinished", "is_success": False, "n_steps": 8},
    )


def test_a_goal_reached_with_the_last_command_is_not_truncated() -> None:
    env = begun()
    for action in (2, 2, 2, 2, 2, 2, 0):
        env.step(action)
    assert env.step(1)[1:4] == (0.0, True, False)
    assert env.n_steps == env.task.horizon


def test_a_command_that_does_nothing_costs_a_step_and_says_why() -> None:
    env = begun()
    shown = env.step(LOCK)[0]
    assert shown["action_mask"].tolist() == [0, 1, 1, 1, 1]
    observation, reward, _, _, info = env.step(0)
    assert info == {"last_action_error": "bit 0 is locked"}
    assert reward == -1.0
    assert all(np.array_equal(observation[key], shown[key]) for key in shown)
    assert env.n_steps == 2


def test_goals_are_shown_as_one_hot_vectors_by_default() -> None:
    env = begun()
    observation = env.step(0)[0]
    assert observation["desired_goal"].tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert observation["achieved_goal"].tolist() == [0, 1, 1, 0, 1, 0, 1, 0]
    assert observation["desired_goal"].dtype == np.float32


def test_goals_are_shown_as_places_on_request() -> None:
    env = begun(goals="vector")
    observation = env.step(0)[0]
    assert observation["achieved_goal"].tolist() == [1, 0, 0, 0]
    space: Any = env.observation_space
    assert space["desired_goal"].dtype == np.int16
    assert space["desired_goal"].high.tolist() == [1, 1, 1, 1]


def test_an_instruction_spells_the_desired_goal() -> None:
    env = begun(goal_text=True)
    ids = env.step(0)[0]["instruction"]
    assert ids.dtype == np.int32
    written = bytes(int(i) for i in ids if i != 256).decode()
    assert written == env.task.schema.describe(GOAL)
    assert {*ids[len(written) :].tolist()} <= {256}


@pytest.mark.parametrize("goals", ["one_hot", "vector"])
def test_keys_that_follow_from_goals_are_derived(goals: str) -> None:
    env = make(goals=goals, goal_text=True)
    seen = [env.reset(seed=seed)[0] for seed in (0, 1, 0, 2)]
    derived = env.derive_goal_keys(np.array([each["desired_goal"] for each in seen]))
    assert list(derived) == ["instruction"]
    assert np.array_equal(derived["instruction"], [each["instruction"] for each in seen])


def test_more_goals_than_are_remembered_are_derived() -> None:
    env = make(n=13, goals="vector", goal_text=True)
    numbers = np.arange(1 << 13)
    goals = (numbers[:, None] >> np.arange(13) & 1).astype(np.int16)
    for some in (goals[:5000], goals[5000:], goals, goals[:10]):
        derived = env.derive_goal_keys(some)["instruction"]
        for place in (0, len(some) - 1):
            told = env.goal_view.instruction(some[place])
            assert np.array_equal(derived[place], told)


def test_nothing_is_derived_without_an_instruction() -> None:
    assert make().derive_goal_keys(np.zeros((2, 8))) == {}


def test_one_goal_is_paid_in_python_numbers() -> None:
    env = begun(goals="vector")
    reward, is_over = env.compute_reward(GOAL, GOAL, {}), env.compute_terminated(GOAL, GOAL, {})
    assert (type(reward), reward) == (float, 0.0)
    assert is_over is True
    assert env.compute_truncated(GOAL, GOAL, {}) is False


def test_goals_of_another_view_are_refused() -> None:
    with pytest.raises(LmgymError, match=r"goals of shape \(2, 4\) were given; .* shape \(8,\)"):
        make().compute_reward(np.zeros((2, 8)), np.zeros((2, 4)), {})


@pytest.mark.parametrize("reward", ["gold", "length", lambda completions: [0.0], "sparsee", 1])
def test_rewards_that_goals_cannot_compute_are_refused(reward: Any) -> None:
    for maker in (make_env, make_vector_env):
        with pytest.raises(LmgymError, match="cannot be computed from goals"):
            maker(FLIP_BITS, reward=reward)


@pytest.mark.parametrize("action", [-1, 5, 1.0, None])
def test_actions_that_stand_for_no_command_are_refused(action: Any) -> None:
    env = begun()
    with pytest.raises(LmgymError, match="stands for no command; allowed are 0 to 4"):
        env.step(action)
    assert env.n_steps == 0


def test_no_step_before_a_reset_or_after_the_end() -> None:
    env = make()
    for _ in range(2):
        with pytest.raises(LmgymError, match="call reset"):
            env.step(0)
        env.reset(options={"goal": [1, 0, 0, 0]})
        env.step(0)


def test_nothing_is_told_before_a_reset() -> None:
    env = make(render_mode="ansi")
    for ask in (env.action_masks, env.get_state, env.render):
        with pytest.raises(LmgymError, match="never started; call reset"):
            ask()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"goals": GOAL}, "unknown reset option 'goals'; known: goal, "),
        ({"goal": [1, 2, 0, 0]}, "fact 'bit 1' of the goal is 2"),
        ({"goal": [0, 0, 0, 0]}, "reached already"),
        ({"task_id": "flip/4/16"}, "unknown task_id 'flip/4/16'"),
        ({"split": "dev"}, "unknown split 'dev'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        make().reset(options=options)


@pytest.mark.parametrize("goals", ["one_hot", "vector"])
def test_a_goal_can_be_chosen_in_any_view(goals: str) -> None:
    env = begun(goals=goals)
    assert env.desired.tolist() == GOAL


def test_a_problem_can_be_chosen() -> None:
    _, info = make().reset(options={"task_id": "flip/4/12"})
    assert info == {"task_id": "flip/4/12", "prompt_text": "bit 0=1; bit 1=1; bit 2=0; bit 3=0"}


def test_a_snapshot_of_another_task_is_refused() -> None:
    env = begun()
    with pytest.raises(LmgymError, match="restore it into an environment of the same task"):
        env.set_state(begun([1, 0, 0], n=3).get_state())
    assert env.desired.tolist() == GOAL


def test_a_state_is_shown_as_text() -> None:
    env = begun(render_mode="ansi")
    env.step(0)
    shown = env.render()
    assert shown is not None
    assert shown.splitlines()[1] == "state: bit 0=1; bit 1=0; bit 2=0; bit 3=0"
    env.step(1)
    assert str(env.render()).endswith("\n[correct]")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"tokenizer": "byte"}, "tokenizer='byte': level 'goal' takes commands"),
        ({"context": 9, "mask": "chars:01"}, "context=9, mask='chars:01': level 'goal'"),
        ({"max_tokens": 9}, "max_tokens=9: level 'goal'"),
        ({"alphabet": "chars:01"}, "alphabet='chars:01': level 'goal'"),
        ({"level": "token"}, "unknown level of test/FlipBits-v0 'token'; known: goal"),
        ({"goals": "text"}, "unknown goals 'text'; known: vector, one_hot"),
        ({"render_mode": "human"}, "unknown render_mode 'human'"),
        ({"split": "dev"}, "unknown split 'dev'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], told: str) -> None:
    for maker in (make_env, make_vector_env):
        with pytest.raises(LmgymError, match=told):
            maker(FLIP_BITS, **arguments)


@pytest.mark.parametrize("arguments", [{"goals": "vector"}, {"goal_text": True}])
@pytest.mark.parametrize("level", ["token", "chunk", "message"])
def test_goals_are_of_level_goal(arguments: dict[str, Any], level: str) -> None:
    for maker in (make_env, make_vector_env):
        with pytest.raises(LmgymError, match=f"is for level .goal., and this is level .{level}."):
            maker("lmgym/Copy-v0", level=level, **arguments)


def test_level_goal_needs_a_goal_task() -> None:
    spec = WorldSpec("test/NoGoals-v0", "lmgym.envs.copy_text.task:CopyTask", "", levels=("goal",))
    register_world(spec)
    try:
        with pytest.raises(LmgymError, match="CopyTask is no GoalTask"):
            make_env(spec.id)
    finally:
        WORLDS.pop(spec.id)
        gym.registry.pop(spec.id)


def test_the_level_of_a_world_is_its_first_by_default() -> None:
    assert isinstance(make_env(FLIP_BITS), GoalEnv)
    assert type(make_env("lmgym/Copy-v0")).__name__ == "TokenEnv"


def test_defaults_of_a_world_are_in_its_spec() -> None:
    env = gym.make(FLIP_BITS)
    assert env.spec is not None
    written = json.loads(env.spec.to_json())
    assert written["kwargs"] == {"world": FLIP_BITS, "level": "goal", "reward": "sparse"}
    twin: Any = gym.make(EnvSpec.from_json(env.spec.to_json()), reward="verifier")
    assert twin.unwrapped.goal_view.reward == "verifier"


def test_specs_of_worlds_of_text_are_as_ever() -> None:
    assert gym.spec("lmgym/Copy-v0").kwargs == {"world": "lmgym/Copy-v0"}


def test_there_is_no_episode_of_ids() -> None:
    with pytest.raises(LmgymError, match="takes commands, not messages"):
        make_episode(FLIP_BITS)


def test_a_card_tells_facts_and_commands() -> None:
    text = card(FLIP_BITS)
    assert "| Facts of a goal | 4, 16 combinations of their values |" in text
    assert "| Values of the facts | bit 0: 2, bit 1: 2, bit 2: 2, bit 3: 2 |" in text
    assert "| Commands | 5 |" in text
    assert "| Commands of an episode | 8 |" in text
    assert "Tokens" not in text


@pytest.mark.parametrize("command", ["play", "eval"])
def test_commands_of_text_say_that_a_world_has_none(run_cli: Any, command: str) -> None:
    code, _, errors = run_cli(command, FLIP_BITS)
    assert code != 0
    assert f"lmgym {command} reads and writes messages, and {FLIP_BITS} takes commands" in errors


def test_a_goal_world_is_listed_and_has_a_card(run_cli: Any) -> None:
    assert FLIP_BITS in run_cli("envs")[1]
    assert f"# {FLIP_BITS}" in run_cli("card", FLIP_BITS)[1]


def test_arguments_of_a_world_are_its_own() -> None:
    task = make_task(FLIP_BITS, n=3)
    assert isinstance(task, FlipBitsTask)
    assert task.args == FlipBitsArgs(n=3)
    with pytest.raises(LmgymError, match="n=99 is out of range"):
        gym.make(FLIP_BITS, n=99)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"goals": "vector", "goal_text": True}])
def test_dqn_of_stable_baselines_takes_the_spaces(arguments: dict[str, Any]) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = sb3.DQN("MultiInputPolicy", gym.make(FLIP_BITS, **arguments), learning_starts=8)
        model.learn(32)


@pytest.mark.slow
def test_the_replay_buffer_of_stable_baselines_takes_the_environment() -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    model = sb3.DQN(
        "MultiInputPolicy",
        gym.make(FLIP_BITS),
        replay_buffer_class=sb3.HerReplayBuffer,
        learning_starts=20,
        seed=0,
    )
    model.learn(64)
    batch = model.replay_buffer.sample(64)
    achieved, desired = (
        batch.next_observations[key].numpy() for key in ("achieved_goal", "desired_goal")
    )
    told = goal_view_of(model.env.envs[0]).compute_reward(achieved, desired)
    assert np.array_equal(batch.rewards.numpy().ravel(), told)
