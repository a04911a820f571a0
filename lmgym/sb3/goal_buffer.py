"""Hindsight experience replay whose relabelled transitions are those of the relabelled task."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.her import HerReplayBuffer
from torch import Tensor

from lmgym.errors import LmgymError, unknown

__all__ = ["GoalReplayBuffer", "GoalStrategy"]

GoalStrategy = Literal["future_change", "future", "final", "episode"]
"""Which outcome of a transition's episode becomes its goal.

`future` is that of any later step, the transition's own included; `future_change` only of those
later steps that changed the achieved goal, and of the last; `final` is that of the last step;
`episode` that of any step.
"""

Cells = NDArray[np.int64]
"""Transitions, as places in the flattened store: step * n_envs + environment; shape (B,)."""
Records = Any
"""Transitions as a structured array, shape (B,): see `_record`."""

_TRIES = 3
"""How often transitions whose goals were reached already are drawn anew."""
_OVER, _USEFUL = 1, 2
"""States of a transition: its episode is over, and a change of the achieved goal follows."""


class GoalReplayBuffer(HerReplayBuffer):
    """A `HerReplayBuffer` that relabels everything that depends on the goal.

    A relabelled transition is what the environment would have shown had its goal been the new one:

    - reward and `done` come from `compute_reward` and `compute_terminated`. The parent keeps the
      `done` of the original goal, so a learner bootstraps past the goals it reached in hindsight.
    - observations that follow from the goal, as an instruction, come from `derive_goal_keys`,
      where the environment has this method. The parent leaves them as they were.
    - a goal that was reached before the step already makes no transition, since the episode would
      have been over. Steps after which nothing changes are not relabelled for this reason, other
      such steps are drawn anew while they are more than a tenth, and real transitions take the
      place of the rest.

    Real transitions are `done` where they terminated; those that a time limit cut off bootstrap.

    Args:
        buffer_size: transitions, of all environments together.
        observation_space: with `observation`, `achieved_goal`, `desired_goal` and maybe more.
        action_space: of the environment.
        env: has `compute_reward` and `compute_terminated` for batches of goals.
        n_envs: rows of `env`.
        n_sampled_goal: relabelled transitions for each real one.
        goal_selection_strategy: see `GoalStrategy`.
        copy_info_dict: keep infos, and give them to `compute_reward` and `compute_terminated`;
            else these get empty ones.
        seed: of the minibatches; by default drawn from torch's generator, which the algorithm
            seeds.

    Raises:
        LmgymError: where the environment lacks a method, for an unknown strategy, and where
            truncated episodes are to count as terminated.

    Example:
        >>> from stable_baselines3.common.envs import BitFlippingEnv
        >>> from stable_baselines3.common.vec_env import DummyVecEnv
        >>> class Bits(BitFlippingEnv):
        ...     def compute_terminated(self, achieved, desired, info):
        ...         return self.compute_reward(achieved, desired, info) == 0
        >>> env = DummyVecEnv([lambda: Bits(n_bits=4)])
        >>> buffer = GoalReplayBuffer(100, env.observation_space, env.action_space, env, seed=0)
        >>> obs = env.reset()
        >>> for _ in range(40):
        ...     action = np.array([env.action_space.sample()])
        ...     new, reward, done, infos = env.step(action)
        ...     last = {key: x[None] for key, x in infos[0].get("terminal_observation", {}).items()}
        ...     buffer.add(obs, last or new, action, reward, done, infos)
        ...     obs = new
        >>> batch = buffer.sample(32)
        >>> reached = batch.next_observations["achieved_goal"] == batch.observations["desired_goal"]
        >>> bool((batch.dones[:, 0].bool() == reached.all(1)).all())
        True
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        env: VecEnv,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        n_sampled_goal: int = 4,
        goal_selection_strategy: GoalStrategy = "future_change",
        copy_info_dict: bool = False,
        seed: int | None = None,
    ) -> None:
        if goal_selection_strategy not in get_args(GoalStrategy):
            known = get_args(GoalStrategy)
            raise unknown("goal_selection_strategy", goal_selection_strategy, known)
        if not handle_timeout_termination:
            raise LmgymError(
                "handle_timeout_termination=False would make a time limit the end of the task for"
                " real transitions but not for relabelled ones; leave it True"
            )
        self._has_derived_keys = _check_methods(env)
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            env,
            device=device,
            n_envs=n_envs,
            optimize_memory_usage=optimize_memory_usage,
            n_sampled_goal=n_sampled_goal,
            copy_info_dict=copy_info_dict,
        )
        self.strategy = goal_selection_strategy
        self._rng = np.random.default_rng(int(torch.randint(1 << 62, ())) if seed is None else seed)
        shape = (self.buffer_size, self.n_envs)
        self._store, self._states = np.zeros(shape, _record(self)), np.zeros(shape, np.int8)
        self._view()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the environment, and the views of the store, which would become copies."""
        return {key: value for key, value in super().__getstate__().items() if key not in _VIEWS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; `set_env` gives the environment."""
        super().__setstate__(state)
        self._view()

    def add(  # type: ignore[override]
        self,
        obs: dict[str, NDArray[Any]],
        next_obs: dict[str, NDArray[Any]],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep one step of every environment; `next_obs` holds last observations where `done`."""
        step = self.pos
        for row in self.ep_length[step].nonzero()[0].tolist():
            self._forget(row)
        self.ep_start[step] = self._current_ep_start
        if self.copy_info_dict:
            self.infos[step] = infos
        for key, kept in self.observations.items():
            kept[step] = obs[key].reshape(kept.shape[1:])
            self.next_observations[key][step] = next_obs[key].reshape(kept.shape[1:])
        self.actions[step] = action.reshape(self.n_envs, self.action_dim)
        self.rewards[step], self.dones[step], self.timeouts[step] = reward, done, 0
        self.pos = (step + 1) % self.buffer_size
        self.full = self.full or self.pos == 0
        for row in done.nonzero()[0].tolist():
            self.timeouts[step, row] = infos[row].get("TimeLimit.truncated", False)
            self._compute_episode_length(row)

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        """Draw transitions of episodes that are over, relabelled ones first.

        Args:
            batch_size: how many.
            env: normalises observations and rewards.

        Raises:
            LmgymError: before the first episode is over.
        """
        records, goals = self._drawn(batch_size)
        records["done"] *= 1 - records["timeout"]
        if len(goals):
            self._relabel(records[: len(goals)], goals)
        rewards: Any = self._normalize_reward(records["reward"][:, None], env)
        now = {key: records[_NOW + key] for key in self.observations}
        then = {key: records[_THEN + key] for key in self.observations}
        return DictReplayBufferSamples(
            observations=self._tensors(self._normalize_obs(now, env)),
            actions=self._tensor(records["action"]),
            next_observations=self._tensors(self._normalize_obs(then, env)),
            dones=self._tensor(records["done"][:, None]),
            rewards=self._tensor(rewards.astype(np.float32, copy=False)),
        )

    def _drawn(self, n: int) -> tuple[Records, NDArray[Any]]:
        """Copies of transitions, shape (n,), and new goals for the first of them."""
        n_virtual = int(self.her_ratio * n)
        cells = self._found(n_virtual, _USEFUL)
        records = self._store.reshape(-1)[np.append(cells, self._found(n - len(cells), _OVER))]
        virtual = records[: len(cells)]
        goals = self._goals(virtual)
        rows = self._already(virtual, goals) if len(cells) else cells
        for _ in range(_TRIES):
            if len(rows) <= n_virtual // 10:
                break
            virtual[rows] = again = self._store.reshape(-1)[self._found(len(rows), _USEFUL)]
            goals[rows] = new = self._goals(again)
            rows = rows[self._already(again, new)]
        if not len(rows):
            return records, goals
        rest = self._store.reshape(-1)[self._found(len(rows), _OVER)]
        return np.append(np.delete(records, rows), rest), np.delete(goals, rows, 0)

    def _found(self, n: int, least: int) -> Cells:
        """Transitions that may be drawn, each as likely as the others; none where there are none.

        Args:
            n: how many.
            least: `_OVER` for any, `_USEFUL` for those with a goal ahead.
        """
        states = self._states.reshape(-1)
        top = self.buffer_size * self.n_envs if self.full else self.pos * self.n_envs
        cells = self._rng.integers(max(top, 1), size=2 * n + 8)
        cells = cells[states[cells] >= least]
        if len(cells) >= n:
            return cells[:n]
        known = (states >= least).nonzero()[0]  # reads the whole store, so only where few are
        if least == _OVER and not known.size:
            raise LmgymError(
                f"the {self.buffer_size * self.n_envs} transitions of the buffer hold no episode"
                " from start to end, so there is nothing to sample; let learning_starts, and"
                " buffer_size more so, exceed the steps of an episode times the number of"
                f" environments ({self.n_envs})"
            )
        return self._rng.choice(known, n) if known.size else known

    def _goals(self, records: Records) -> NDArray[Any]:
        """Goals that were reached in the same episodes, by the strategy."""
        store, first = self._store.reshape(-1), records["first"]
        low, high = records["low"], records["high"]
        places = low + (self._rng.random(len(records)) * (high - low)).astype(np.int64)
        steps = store["choice"][(first + places * self.n_envs) % len(store)]
        goals: NDArray[Any] = store[_THEN + "achieved_goal"][
            (first + steps * self.n_envs) % len(store)
        ]
        return goals

    def _already(self, records: Records, goals: NDArray[Any]) -> Cells:
        """The rows whose goals were reached before the step."""
        achieved = records[_NOW + "achieved_goal"]
        found = self._ask("compute_terminated", achieved, goals, self._told(records))
        return np.asarray(found).nonzero()[0]

    def _relabel(self, records: Records, goals: NDArray[Any]) -> None:
        """Write goals and what follows from them."""
        new = {"desired_goal": goals}
        if self._has_derived_keys:
            new |= self._ask("derive_goal_keys", goals)
        for key, values in new.items():
            records[_NOW + key] = records[_THEN + key] = values
        outcome = (records[_THEN + "achieved_goal"], goals, self._told(records))
        records["reward"] = self._ask("compute_reward", *outcome)
        records["done"] = self._ask("compute_terminated", *outcome)

    def _ask(self, method: str, *args: Any) -> Any:
        """What a method of the environment says of a batch."""
        if self.env is None:
            raise LmgymError("the buffer was loaded and has no environment; call set_env(env)")
        return self.env.env_method(method, *args, indices=[0])[0]

    def _told(self, records: Records) -> list[dict[str, Any]]:
        if not self.copy_info_dict:
            return [{}] * len(records)
        return [dict(info) for info in self.infos.reshape(-1)[records["cell"]]]

    def _forget(self, row: int) -> None:
        """Drop what is left of an old episode whose first step is about to be overwritten."""
        end = self.ep_start[self.pos, row] + self.ep_length[self.pos, row]
        if end < self.pos:
            end += self.buffer_size
        steps = np.arange(self.pos, end) % self.buffer_size
        self.ep_length[steps, row] = self._states[steps, row] = 0

    def _compute_episode_length(self, env_idx: int) -> None:
        """Close an episode: its transitions can be drawn from now on."""
        start = int(self._current_ep_start[env_idx])
        super()._compute_episode_length(env_idx)
        end = self.pos if self.pos > start else self.pos + self.buffer_size
        steps = np.arange(start, end) % self.buffer_size
        episode, places = self._store[steps, env_idx], np.arange(len(steps))
        is_change = episode[_NOW + "achieved_goal"] != episode[_THEN + "achieved_goal"]
        changes = is_change.reshape(len(steps), -1).any(1).nonzero()[0]
        choices = self._choices(places, changes)
        episode["first"] = start * self.n_envs + env_idx
        episode["cell"] = steps * self.n_envs + env_idx
        episode["choice"][: len(choices)] = choices
        episode["high"] = len(choices)
        any_step = self.strategy == "episode"
        episode["low"] = 0 if any_step else np.searchsorted(choices, places)
        self._store[steps, env_idx] = episode
        last = changes[-1] if len(changes) else -1
        is_useful = (places <= last) | (any_step and last >= 0)
        self._states[steps, env_idx] = np.where(is_useful, _USEFUL, _OVER)

    def _choices(self, places: Cells, changes: Cells) -> Cells:
        """The steps of an episode whose outcomes may become goals."""
        if self.strategy == "final":
            return places[-1:]
        return np.union1d(changes, places[-1:]) if self.strategy == "future_change" else places

    def _view(self) -> None:
        """Let the parent's arrays be views of the store."""
        store: Any = self._store
        self.observations = {key: store[_NOW + key] for key in self.obs_shape}
        self.next_observations = {key: store[_THEN + key] for key in self.obs_shape}
        self.actions, self.rewards = store["action"], store["reward"]
        self.dones, self.timeouts = store["done"], store["timeout"]

    def _tensors(self, arrays: Any) -> dict[str, Tensor]:
        return {key: self._tensor(array) for key, array in arrays.items()}

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """The array itself where it may stay on the CPU: it was made for this batch."""
        return torch.from_numpy(array).to(self.device)


_NOW, _THEN = "now.", "then."
"""Before the names of an observation's keys, in a record."""

_VIEWS = {"observations", "next_observations", "actions", "rewards", "dones", "timeouts"}


def _record(buffer: HerReplayBuffer) -> np.dtype[Any]:
    """A transition and all that is asked of it, side by side in memory: one look-up finds it.

    `first` and `cell` are the places of the episode's first step and of this one in the flattened
    store. The steps whose outcomes may become goals are noted in `choice`, the k-th where the
    episode's k-th step lies; this transition may take those from `low` up to `high`.
    """
    fields: list[Any] = [(name, np.int64) for name in ("first", "cell")]
    fields += [(name, np.int32) for name in ("choice", "low", "high")]
    fields += [(name, np.float32) for name in ("reward", "done", "timeout")]
    fields += [("action", buffer.actions.dtype, buffer.actions.shape[2:])]
    for prefix in (_NOW, _THEN):
        for key, kept in buffer.observations.items():
            fields.append((prefix + key, kept.dtype, kept.shape[2:]))
    return np.dtype(fields, align=True)


def _check_methods(env: VecEnv) -> bool:
    """Raise where a method is missing; returns whether goals have derived keys."""
    for method in ("compute_reward", "compute_terminated"):
        if not env.has_attr(method):
            raise LmgymError(
                f"{env!r} has no {method}(achieved_goal, desired_goal, info), by which relabelled"
                " transitions are judged; give an environment with this method"
            )
    return env.has_attr("derive_goal_keys")
