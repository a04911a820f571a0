"""Which algorithm takes which actions, known before anything is built."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

from lmgym.errors import LmgymError

__all__ = ["check_algorithm"]

_CONTINUOUS, _INTEGERS = (spaces.Box,), (spaces.Discrete, spaces.MultiDiscrete)
_TAKES: dict[str, tuple[type[spaces.Space[Any]], ...]] = {
    "A2C": _INTEGERS,
    "ARS": (spaces.Discrete,),
    "CrossQ": _CONTINUOUS,
    "DDPG": _CONTINUOUS,
    "DQN": (spaces.Discrete,),
    "MaskablePPO": _INTEGERS,
    "PPO": _INTEGERS,
    "QRDQN": (spaces.Discrete,),
    "RecurrentPPO": _INTEGERS,
    "SAC": _CONTINUOUS,
    "TD3": _CONTINUOUS,
    "TQC": _CONTINUOUS,
    "TRPO": _INTEGERS,
}
"""What the algorithms of Stable-Baselines3 and sb3-contrib take, of the spaces of ours."""


def check_algorithm(algorithm_class: type[Any], env: Any) -> None:
    """Raise where an algorithm cannot take the actions of an environment.

    Args:
        algorithm_class: of Stable-Baselines3, sb3-contrib, or derived from one of theirs; others
            are not judged.
        env: an environment, a batch of them or a `VecEnv`.

    Raises:
        LmgymError: it says which level or algorithm to take.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> from stable_baselines3 import DQN
        >>> check_algorithm(DQN, gym.make("lmgym/Math-v0", level="chunk"))
        Traceback (most recent call last):
            ...
        lmgym.errors.LmgymError: DQN takes one choice a step, not MultiDiscrete([262 263 263 263]);\
 make the environment with level='token', or choose PPO, A2C or MaskablePPO
    """
    is_batch = hasattr(env, "single_action_space")
    space = env.single_action_space if is_batch else env.action_space
    name = next((c.__name__ for c in algorithm_class.__mro__ if c.__name__ in _TAKES), None)
    if not isinstance(space, _INTEGERS):
        raise LmgymError(
            f"the actions are {space}, which no algorithm of Stable-Baselines3 takes as it is;"
            " make the environment with level='token'"
        )
    if name is None or isinstance(space, _TAKES[name]):
        return
    if _TAKES[name] is _CONTINUOUS:
        raise LmgymError(
            f"{name} acts in continuous spaces, and tokens are chosen from {space}; choose PPO,"
            " A2C, MaskablePPO or DQN"
        )
    raise LmgymError(
        f"{name} takes one choice a step, not {space}; make the environment with level='token',"
        " or choose PPO, A2C or MaskablePPO"
    )
