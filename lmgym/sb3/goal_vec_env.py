"""Batched goal worlds as a `VecEnv` of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from lmgym.sb3.vec_env import TokenVecEnv
from lmgym.vector import GoalVectorEnv

__all__ = ["GoalVecEnv"]

_OF_GOALS = ("compute_reward", "compute_terminated", "compute_truncated", "derive_goal_keys")
"""Methods that know goals and no rows: one call answers for all rows."""

_OF_ROWS: dict[str, Callable[[Any], Any]] = {
    "action_masks": lambda env: env.action_masks(),
    "render": lambda env: env.render(),
}


class GoalVecEnv(TokenVecEnv):
    """See `as_sb3`. Replay buffers of hindsight find what they ask for by `env_method`.

    Attributes:
        env: the batched environment.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> from lmgym.sb3 import as_sb3
        >>> from lmgym.testing.flip_bits import FLIP_BITS
        >>> words = {"num_envs": 4, "autoreset_mode": "same_step"}
        >>> vec_env = as_sb3(gym.make_vec(FLIP_BITS, **words))
        >>> goals = vec_env.reset()["desired_goal"]
        >>> vec_env.env_method("compute_reward", goals, goals, indices=[0])
        [array([0., 0., 0., 0.])]
    """

    _methods = _OF_ROWS

    def __init__(self, env: GoalVectorEnv) -> None:
        super().__init__(env)
        self._truncates = True  # the horizon does

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step; `is_success` is told where a limit from outside ends an episode, too."""
        observations, rewards, dones, infos = super().step_wait()
        for row in dones.nonzero()[0].tolist():
            infos[row].setdefault("is_success", False)
        return observations, rewards, dones, infos

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """What a method returns, for each row: those of goals, and those of `_OF_ROWS`."""
        if method_name not in _OF_GOALS:
            return super().env_method(method_name, *method_args, indices=indices, **method_kwargs)
        told = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [told for _ in self._get_indices(indices)]
