"""The batched environments as a `VecEnv` of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from lmgym.errors import LmgymError
from lmgym.vector import ChoiceVectorEnv, GoalVectorEnv, RowStep, TokenVectorEnv

__all__ = ["as_sb3"]

_Batch = TokenVectorEnv | ChoiceVectorEnv | GoalVectorEnv

_METHODS: dict[str, Callable[[Any], Any]] = {
    "action_masks": lambda env: env.action_masks(),
    "render": lambda env: env.render(),
    "transcript": lambda env: env.transcripts(),
}
"""Methods of a single environment, as the batch has them for all rows."""

_Part = tuple[list[int], dict[str, list[Any]]]
"""Some rows, and for each key of their infos as many values."""

_LAST, _TRUNCATED = "terminal_observation", "TimeLimit.truncated"
"""What Stable-Baselines3 looks for in the infos of rows that are over."""

_UNTOLD = frozenset({"response_ids", "role_ids", "loss_mask"})
"""Of an episode's end: what no algorithm looks at, and the last observation shows."""

_MAKE = "gym.make_vec(ID, num_envs=N, autoreset_mode='same_step')"


def as_sb3(env: VectorEnv[Any, Any, Any]) -> VecEnv:
    """A batched environment for the algorithms of Stable-Baselines3 and sb3-contrib.

    The batch stays whole, and only rows whose turn ended in a step get an info of their own: the
    others share one empty info that cannot be written to. At an episode's end it holds what a
    single environment tells, but for the ids of the response: `terminal_observation` shows them.

    Args:
        env: of level "token", "chunk", "choice" or "goal" and `autoreset_mode="same_step"`, as
            `gymnasium.make_vec` makes it.

    Raises:
        LmgymError: for any other environment; it says how to make one that fits.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> words = {"num_envs": 4, "autoreset_mode": "same_step"}
        >>> vec_env = as_sb3(gym.make_vec("lmgym/Math-v0", **words))
        >>> vec_env.reset()["tokens"].shape
        (4, 128)
    """
    if not isinstance(env, _Batch):
        _refuse(env)
    if env.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise LmgymError(
            f"autoreset_mode is {env.autoreset_mode.name.lower()!r}, but Stable-Baselines3 starts"
            " episodes in the step that ends them; make the environment with"
            " autoreset_mode='same_step'"
        )
    if not env.args.copy:
        raise LmgymError(
            "copy=False: the algorithms of Stable-Baselines3 keep observations while the"
            " environment steps on; make the environment with copy=True"
        )
    if isinstance(env, GoalVectorEnv):
        from lmgym.sb3.goal_vec_env import GoalVecEnv  # extends what is here

        return GoalVecEnv(env)
    return TokenVecEnv(env)


class TokenVecEnv(VecEnv):
    """See `as_sb3`.

    Attributes:
        env: the batched environment.
    """

    _methods: Mapping[str, Callable[[Any], Any]] = _METHODS

    def __init__(self, env: _Batch) -> None:
        self.env = env
        self._actions: Any = None
        self._blanks: list[dict[str, Any]] = [_Blank()] * env.num_envs
        self._truncates = env.args.max_episode_steps is not None
        self._begun: dict[int, _Part] = {}
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Start episodes in all rows, with the seeds and options given since the last time."""
        is_seeded = any(seed is not None for seed in self._seeds)
        names = {name for options in self._options for name in options}
        observations, infos = self.env.reset(
            seed=self._seeds if is_seeded else None,
            options={name: [options.get(name) for options in self._options] for name in names},
        )
        self.reset_infos = _by_row(infos, self.num_envs)  # pyright: ignore[reportIncompatibleVariableOverride]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step."""
        step = self.env.step_rows(self._actions)
        infos = self._blanks.copy()
        if step.ended or step.final_observations:
            self._tell(step, infos)
        dones = step.terminations
        if self._truncates:
            dones = dones | step.truncations
        return step.observations, step.rewards.astype(np.float32), dones, infos

    @property
    def reset_infos(self) -> list[dict[str, Any]]:
        """How the episode of each row began; put together when asked for, since few ask."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row, (rows, columns) in self._begun.items():
            place = rows.index(row)
            infos[row] = {key: values[place] for key, values in columns.items()}
        return infos

    @reset_infos.setter
    def reset_infos(self, infos: list[dict[str, Any]]) -> None:
        columns = [{key: [value] for key, value in info.items()} for info in infos]
        self._begun = {row: ([row], told) for row, told in enumerate(columns)}

    def _tell(self, step: RowStep[Any], infos: list[dict[str, Any]]) -> None:
        """Give infos of their own to the rows whose turn ended, and more where the episode did."""
        parts = [(part.rows.tolist(), part.columns) for part in step.ended]
        parts.append((list(step.final_observations), {_LAST: [*step.final_observations.values()]}))
        blank = self._blanks[0]
        for rows, columns in _joined(parts):
            for row, info in zip(rows, _dicts(len(rows), columns), strict=True):
                infos[row] = info if infos[row] is blank else {**infos[row], **info}
        if self._truncates:
            for row in (step.truncations & ~step.terminations).nonzero()[0].tolist():
                infos[row][_TRUNCATED] = True
        for part in step.begun:
            rows = part.rows.tolist()
            self._begun.update(dict.fromkeys(rows, (rows, part.columns)))

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed row i with `seed + i` at the next reset; None leaves the random states alone."""
        self._seeds = [None if seed is None else seed + row for row in range(self.num_envs)]
        return self._seeds

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the batched environment once a row; `task_id` is each row's own."""
        rows = list(self._get_indices(indices))
        if attr_name == "task_id":
            task_ids = self.env.task_ids
            return [task_ids[row] for row in rows]
        if not hasattr(self.env, attr_name):
            raise MissingAttributeError(f"{type(self.env).__name__} has no attribute {attr_name!r}")
        return [getattr(self.env, attr_name)] * len(rows)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the batched environment, for all rows at once."""
        if indices is not None and set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise LmgymError(
                f"{attr_name!r} belongs to the whole batch; set it without indices, or make one"
                " environment for each value"
            )
        setattr(self.env, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """What a method of a single environment returns, for each row: see `_METHODS`."""
        rows = list(self._get_indices(indices))
        if method_name not in self._methods:
            raise MissingAttributeError(
                f"{method_name!r} is no method of a row; there are {', '.join(self._methods)}, and"
                " the batched environment's own are reached by .env of this one"
            )
        told = self._methods[method_name](self.env, *method_args, **method_kwargs)
        return [None if told is None else told[row] for row in rows]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """No row is: there is nothing to wrap but the batch."""
        del wrapper_class
        return [False for _ in self._get_indices(indices)]


class MissingAttributeError(LmgymError, AttributeError):
    """An attribute that is not there; an AttributeError too, by which Stable-Baselines3 asks."""


class _Blank(dict[str, Any]):
    """The info of all rows of which there is nothing to tell."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise LmgymError(
            "rows of which there is nothing to tell share one info; copy it before you write to"
            " it, as infos[row] = {**infos[row], key: value}"
        )

    __setitem__: Any = _refuse
    __ior__: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse


def _joined(parts: list[_Part]) -> list[_Part]:
    """Parts of the same rows as one: a row's info is then made at once."""
    joined: list[_Part] = []
    for rows, columns in parts:
        if joined and joined[-1][0] == rows:
            joined[-1][1].update(columns)
        else:
            joined.append((rows, columns.copy()))
    return joined


def _dicts(n_rows: int, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """One dictionary a row."""
    told = [name for name in columns if name not in _UNTOLD]
    blank: dict[str, Any] = dict.fromkeys(told)
    if _LAST in columns:
        blank[_TRUNCATED] = False
    infos = [blank.copy() for _ in range(n_rows)]  # of the right size at once
    for key in told:
        for info, value in zip(infos, columns[key], strict=True):
            info[key] = value
    return infos


def _by_row(infos: dict[str, Any], n_rows: int) -> list[dict[str, Any]]:
    """The infos of a reset, one dictionary a row."""
    rows: list[dict[str, Any]] = [{} for _ in range(n_rows)]
    for name, column in infos.items():
        if not name.startswith("_"):
            for row in infos[f"_{name}"].nonzero()[0].tolist():
                rows[row][name] = column[row]
    return rows


def _refuse(env: Any) -> NoReturn:
    """Say what to do with an environment that is no batch of tokens."""
    inner = getattr(env, "unwrapped", env)
    if isinstance(env, VecEnv):
        raise LmgymError(f"{env!r} is a VecEnv already; give it to the algorithm as it is")
    if isinstance(inner, _Batch):
        raise LmgymError(
            f"{type(env).__name__} wraps the batch, and Stable-Baselines3 would not see it; give"
            " the environment without wrappers (env.unwrapped) and wrap the result, as in"
            " VecMonitor(as_sb3(env))"
        )
    if isinstance(inner, VectorEnv) and type(inner).__module__.startswith("lmgym"):
        raise LmgymError(
            "this environment's actions are texts, which no algorithm of Stable-Baselines3 takes;"
            " make it with level='token'"
        )
    raise LmgymError(
        f"{type(env).__name__} is no batched environment of lmgym; make one with {_MAKE} and"
        " without vectorization_mode"
    )
