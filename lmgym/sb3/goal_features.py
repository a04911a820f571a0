"""Observations of goal environments as one row of numbers, for small networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from lmgym.errors import LmgymError

__all__ = ["GoalFeatures"]

_GOALS = ("achieved_goal", "desired_goal")


class GoalFeatures(BaseFeaturesExtractor):
    """All keys side by side, but for masks and ids of words, and where the goals differ.

    Args:
        observation_space: of a goal environment.
        leave_out: keys that are no input. A mask says what may be chosen and not what is good;
            ids of words are no quantities.
        compare: add the distance of achieved and desired goal in each place, which a network
            would have to learn from examples.

    Raises:
        LmgymError: for a space that is no Dict of Box and MultiBinary, and where no key is left.

    Example:
        >>> space = spaces.Dict(
        ...     {name: spaces.Box(0, 1, (5,)) for name in ("observation", *_GOALS)}
        ...     | {"action_mask": spaces.Box(0, 1, (3,), dtype="int8")}
        ... )
        >>> GoalFeatures(space).features_dim, GoalFeatures(space, compare=False).features_dim
        (20, 15)
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        leave_out: Sequence[str] = ("action_mask", "instruction"),
        compare: bool = True,
    ) -> None:
        parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
        sizes = {key: _size(key, part) for key, part in parts.items() if key not in leave_out}
        if not sizes:
            raise LmgymError(
                f"{observation_space} has no key for a network when {list(leave_out)} are left out;"
                " give a Dict space, or leave out less"
            )
        achieved, desired = (sizes.get(key) for key in _GOALS)
        compare = compare and achieved is not None and achieved == desired
        super().__init__(observation_space, sum(sizes.values()) + compare * (achieved or 0))
        self.keys = tuple(sizes)
        self.compare = compare

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features, shape (B, features_dim), of observations as they are or made floats."""
        columns = [observations[key].flatten(1).float() for key in self.keys]
        if self.compare:
            achieved, desired = (columns[self.keys.index(key)] for key in _GOALS)
            columns.append((achieved - desired).abs())
        return torch.cat(columns, 1)


def _size(key: str, space: spaces.Space[Any]) -> int:
    if not isinstance(space, spaces.Box | spaces.MultiBinary):
        raise LmgymError(
            f"the key {key!r} is {space}, but only Box and MultiBinary are numbers for a network;"
            f" leave it out with features_extractor_kwargs={{'leave_out': [{key!r}]}}"
        )
    return get_flattened_obs_dim(space)
