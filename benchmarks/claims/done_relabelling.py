"""Hindsight replay with the `done` flag of the new goal against that of the original one.

A relabelled transition that reaches its new goal ends the episode. Stable-Baselines3 2.9 copies the
`done` of the original goal instead (its issue 627), so a learner adds what it might still earn from
there. Here that is much: a form has switches and a button that closes it for good, and the goal is
how the switches should be. With reward 1 for the goal and 0 before, a closed form that shows a goal
reaches it again in every step, and its value grows to 1 / (1 - gamma). All values grow with it, to
some twenty times what is right, and the small differences between actions drown. With rewards 0 and
-1 there is nothing to add, and the same buffer learns.

One arm corrects nothing but `done`; `GoalReplayBuffer` also leaves out steps whose goal was reached
before, which are many in closed forms. All learners are Stable-Baselines3's DQN with equal
settings, "future" goals and the same seeds. Settings were found with seeds below 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from stable_baselines3 import DQN
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.her import HerReplayBuffer

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.errors import LmgymError
from lmgym.sb3 import GoalReplayBuffer
from lmgym.training.uncertainty import mean_interval, permutation_test
from measuring import Claim, claimed

ROWS = 8
"""Forms that are filled in at the same time."""
TESTS = 100
"""Episodes that are played greedily after training."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class DoneArgs:
    """Arguments of the benchmark."""

    seeds: int = 5
    """How many, from --seed on."""
    seed: int = 100
    """The first."""
    steps: int = 18_000
    """Steps of training, of all rows together."""
    switches: int = 7
    """Of the form; an episode has twice as many steps."""
    gamma: float = 0.95
    """Discount."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to measure, or nowhere to write."""
        if self.seeds < 2 or self.seed < 0 or self.switches < 2 or self.steps < 1000:
            raise LmgymError(
                f"--seeds {self.seeds} --seed {self.seed} --switches {self.switches} --steps"
                f" {self.steps}: needs 2 seeds, 2 switches and 1000 steps or more"
            )
        if not 0 < self.gamma < 1:
            raise LmgymError(f"--gamma {self.gamma} must lie between 0 and 1")
        if self.out is not None:
            check_file(self.out)


class Arm(NamedTuple):
    """A buffer and the reward before the goal is reached; reaching it pays 1 more."""

    buffer: type[HerReplayBuffer]
    before: float


class DoneOnly(HerReplayBuffer):
    """The parent with `done` corrected, and nothing else."""

    def _get_virtual_samples(
        self, batch_indices: Any, env_indices: Any, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        samples = super()._get_virtual_samples(batch_indices, env_indices, env)
        achieved, desired = (
            samples.next_observations[key].numpy() for key in ("achieved_goal", "desired_goal")
        )
        assert self.env is not None
        judged = self.env.env_method("compute_terminated", achieved, desired, None, indices=[0])
        return samples._replace(dones=torch.as_tensor(judged[0][:, None], dtype=torch.float32))


ARMS = {
    "GoalReplayBuffer, 0/1": Arm(GoalReplayBuffer, 0.0),
    "done corrected, 0/1": Arm(DoneOnly, 0.0),
    "done copied, 0/1": Arm(HerReplayBuffer, 0.0),
    "done copied, -1/0": Arm(HerReplayBuffer, -1.0),
}
OURS, ONLY, THEIRS, OTHER = ARMS


class Outcome(NamedTuple):
    """What came of training: greedy success, and values of the first states."""

    success: float
    value: float
    """Mean of what the network says."""
    true_value: float
    """Mean of what is right, which follows from the steps that are needed."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"benchmark": DoneArgs}, argv, "bench claims/done-relabelling", "")
    seeds = range(args.seed, args.seed + args.seeds)
    found = {name: [learn(args, arm, seed) for seed in seeds] for name, arm in ARMS.items()}
    _show(found)
    success = {name: [outcome.success for outcome in found[name]] for name in ARMS}
    claims = [
        Claim(f"success, {OURS}", success[OURS], unit="", least=0.9),
        Claim(f"success, {ONLY}", success[ONLY], unit="", least=0.7),
        Claim(f"success, {THEIRS}", success[THEIRS], unit="", most=0.3),
        Claim(f"success, {OTHER}", success[OTHER], unit=""),
    ]
    for name in (OURS, ONLY):
        rng = np.random.default_rng(0)
        p = permutation_test(success[name], success[THEIRS], rng, alternative="greater")
        claims.append(Claim(f"p that {name} is no better than copied", [p], unit="", most=0.01))
    for name in (OURS, ONLY, THEIRS):
        times = [outcome.value / outcome.true_value for outcome in found[name]]
        claims.append(Claim(f"value of first states, times what is right, {name}", times))
    outcomes = {name: [outcome._asdict() for outcome in found[name]] for name in ARMS}
    return claimed(claims, args, outcomes=outcomes)


def learn(args: DoneArgs, arm: Arm, seed: int) -> Outcome:
    """Train from one seed, and play greedily."""
    env = DummyVecEnv([lambda: Form(args.switches, arm.before)] * ROWS)
    algorithm = DQN(
        "MultiInputPolicy",
        env,
        learning_rate=1e-3,
        buffer_size=50_000,
        learning_starts=800,
        batch_size=128,
        gamma=args.gamma,
        train_freq=1,
        target_update_interval=250,
        exploration_fraction=0.3,
        replay_buffer_class=arm.buffer,
        replay_buffer_kwargs={"goal_selection_strategy": "future"},
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )
    return tested(algorithm.learn(args.steps), args, arm)


def tested(algorithm: DQN, args: DoneArgs, arm: Arm) -> Outcome:
    """Greedy success on the same forms for all learners, and the values of their first states."""
    env = DummyVecEnv([lambda: Form(args.switches, arm.before)] * TESTS)
    env.seed(0)
    observations: Any = env.reset()
    values = _values(algorithm, observations)
    needed = (observations["observation"][:, :-1] != observations["desired_goal"]).sum(1)
    reached = args.gamma ** (needed - 1)
    # -1 for each step before the last adds up to a geometric series
    right = reached if arm.before == 0 else (reached - 1) / (1 - args.gamma)
    ended: dict[int, bool] = {}
    for _ in range(2 * args.switches):
        actions, _ = algorithm.predict(observations, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        for row in dones.nonzero()[0].tolist():
            ended.setdefault(row, infos[row]["is_success"])
    return Outcome(float(np.mean(list(ended.values()))), float(values.mean()), float(right.mean()))


class Form(gym.Env[Any, Any]):
    """Switches, and a button that closes the form: nothing changes afterwards.

    Example:
        >>> env = Form(3)
        >>> observation, _ = env.reset(seed=0)
        >>> _ = env.step(3)
        >>> env.step(0)[0]["observation"][-1]
        np.float32(1.0)
    """

    def __init__(self, n_switches: int = 7, before: float = 0.0) -> None:
        self.n, self.before = n_switches, before
        goal = spaces.Box(0, 1, (n_switches,), np.float32)
        self.observation_space = spaces.Dict(
            observation=spaces.Box(0, 1, (n_switches + 1,), np.float32),
            achieved_goal=goal,
            desired_goal=goal,
        )
        self.action_space = spaces.Discrete(n_switches + 1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Draw the switches and another state that they should have."""
        super().reset(seed=seed)
        first, differs = self.np_random.integers(2, size=(2, self.n))
        differs[self.np_random.integers(self.n)] = 1
        self._state = np.append(first, 0).astype(np.float32)  # the last is 1 once it is closed
        self._goal = (first ^ differs).astype(np.float32)
        self._n_steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Turn a switch, or close the form."""
        if not self._state[-1]:
            self._state[action] = 1 - self._state[action]
        self._n_steps += 1
        observation = self._observe()
        goals = observation["achieved_goal"], self._goal
        is_over = bool(self.compute_terminated(*goals, {}))
        is_spent = not is_over and self._n_steps >= 2 * self.n
        reward = float(self.compute_reward(*goals, {}))
        return observation, reward, is_over, is_spent, {"is_success": is_over}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> NDArray[np.float64]:
        """Of one pair of goals or of many."""
        return self.before + self.compute_terminated(achieved, desired, info).astype(np.float64)

    def compute_terminated(self, achieved: Any, desired: Any, info: Any) -> NDArray[np.bool_]:
        """Whether goals are reached."""
        del info
        return np.asarray((achieved == desired).all(-1))

    def _observe(self) -> Arrays:
        state = self._state.copy()
        return {
            "observation": state,
            "achieved_goal": state[:-1].copy(),
            "desired_goal": self._goal.copy(),
        }


def _values(algorithm: DQN, observations: Arrays) -> NDArray[Any]:
    tensors = {key: torch.as_tensor(array) for key, array in observations.items()}
    with torch.no_grad():
        values: NDArray[Any] = algorithm.q_net(tensors).amax(1).numpy()
    return values


def _show(found: dict[str, list[Outcome]]) -> None:
    """Means over the seeds, with 95 % intervals."""
    table = Table("buffer, reward", "success", "first value", "right", box=SIMPLE_HEAD)
    for name, outcomes in found.items():
        columns = [mean_interval(column) for column in zip(*outcomes, strict=True)]
        success, value = (f"{c.mean:.2f} ({c.low:.2f} to {c.high:.2f})" for c in columns[:2])
        table.add_row(name, success, value, f"{columns[2].mean:.2f}")
    Console().print(table)
