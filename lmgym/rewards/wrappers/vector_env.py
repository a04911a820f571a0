"""A reward source for a batch of environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.paying import PlayRewards, payment_info, without_payment
from lmgym.rewards.wrappers.play import Play, TranscriptOf

__all__ = ["VectorRewardWrapper"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")


class VectorRewardWrapper(VectorWrapper[Obs, Act, Obs, Act, NDArray[Any]]):
    """Pays a reward source in place of the rewards of a batch of environments.

    Equal to a batch of `RewardWrapper`s, with one call of the source a step, for the rows whose
    episode ended (or, for rewards of turns and steps, whose agent acted). The source stays in this
    process where the environments run in others.

    Args:
        env: the batch.
        reward: a name, a source, a function `f(prompts, completions, **columns)`, or None.
        transcript_of: makes a transcript of what an agent saw and did; by default observations
            and actions are texts (`text_transcript`).
        autoreset_mode: of the batch, where its metadata does not say.

    Example:
        >>> import gymnasium as gym
        >>> import lmgym
        >>> envs = gym.make_vec("lmgym/Copy-v0", num_envs=2, level="message", reward=None)
        >>> def length(prompts, completions):
        ...     return [len(completion) for completion in completions]
        >>> envs = VectorRewardWrapper(envs, length)
        >>> _ = envs.reset(seed=0)
        >>> envs.step(("one", "three"))[1]
        array([3., 5.])
    """

    def __init__(
        self,
        env: VectorEnv[Obs, Act, NDArray[Any]],
        reward: Reward,
        transcript_of: TranscriptOf | None = None,
        *,
        autoreset_mode: AutoresetMode | str | None = None,
    ) -> None:
        """Find the source and the autoreset mode."""
        super().__init__(env)
        self._rewards = PlayRewards(reward, transcript_of)
        self._mode = _mode(env.metadata.get("autoreset_mode") or autoreset_mode)
        self._plays = [Play() for _ in range(env.num_envs)]

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start episodes in all rows, or in those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")
        rows = range(self.num_envs) if mask is None else np.flatnonzero(mask).tolist()
        observations, infos = self.env.reset(seed=seed, options=options)
        seen = self._rows_of(observations)
        for row in rows:
            self._begin(row, seen[row], infos)
        return observations, infos

    def step(
        self, actions: Act
    ) -> tuple[Obs, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take a step in each row and pay the source's rewards.

        Raises:
            LmgymError: where a row was never started, or is over and not reset by the batch, or
                an error broke off its last step.
        """
        resets_next = self._mode is AutoresetMode.NEXT_STEP
        acting = [row for row, p in enumerate(self._plays) if not (resets_next and p.is_over)]
        given = list(iterate(self.action_space, actions))
        taken = {row: self._plays[row].admit(given[row]) for row in acting}
        plays = self._plays
        # Until all of the step is done: an error may have come after some rows were stepped.
        self._plays = [Play() for _ in plays]
        observations, env_rewards, terminations, truncations, infos = self.env.step(actions)
        seen = self._rows_of(observations)
        for row in acting:
            play = plays[row]
            play.actions.append(taken[row])
            play.terminated, play.truncated = bool(terminations[row]), bool(truncations[row])
            play.see(infos["final_obs"][row] if self._has_begun(play) else seen[row])
        rewards, told = self._pay({row: plays[row] for row in acting}, env_rewards, infos)
        self._plays = plays
        begun = {row for row in acting if self._has_begun(plays[row])}
        for row in begun | (set(range(self.num_envs)) - set(acting)):
            self._begin(row, seen[row], infos)
        return observations, rewards, terminations, truncations, told

    def _pay(
        self, plays: Mapping[int, Play], env_rewards: NDArray[Any], infos: dict[str, Any]
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Rewards of all rows, and the infos with what is said about them."""
        rewards = np.zeros(self.num_envs, np.float64)
        told = _copied(infos)
        payments = self._rewards.pay(list(plays.values()))
        for (row, play), payment in zip(plays.items(), payments, strict=True):
            rewards[row] = payment.reward
            info = payment_info(play, payment, env_rewards[row])
            told = self._add_info(
                told, {"final_info": info} if self._has_begun(play) else info, row
            )
        return rewards, told

    def _has_begun(self, play: Play) -> bool:
        """Whether the row of a play that has just ended shows its next episode already."""
        return play.is_over and self._mode is AutoresetMode.SAME_STEP

    def _begin(self, row: int, observation: Any, infos: Mapping[str, Any]) -> None:
        self._plays[row] = Play(info=_info_of(infos, row))
        self._plays[row].see(observation)

    def _rows_of(self, observations: Obs) -> list[Any]:
        return list(iterate(self.observation_space, observations))


def _mode(given: AutoresetMode | str | None) -> AutoresetMode:
    modes = {mode.name.lower(): mode for mode in AutoresetMode}
    if isinstance(given, AutoresetMode):
        return given
    if given is None:
        raise LmgymError(
            "the batch does not say in its metadata how it resets rows, and a reward depends on"
            f" it; give autoreset_mode=, one of {', '.join(modes)}"
        )
    if given not in modes:
        raise unknown("autoreset_mode", given, modes)
    return modes[given]


def _info_of(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """What a single environment would have told."""
    found = {}
    for key, value in infos.items():
        mask = infos.get(f"_{key}")
        if mask is not None and mask[row] and not key.startswith("final_"):
            found[key] = _info_of(value, row) if isinstance(value, dict) else value[row]
    return found


def _copied(infos: Mapping[str, Any]) -> dict[str, Any]:
    """The infos with arrays of their own, since entries are added to them."""
    copied: dict[str, Any] = {}
    for key, value in without_payment(infos).items():
        if isinstance(value, dict):
            copied[key] = _copied(value)
        else:
            copied[key] = value.copy() if isinstance(value, np.ndarray) else value
    return copied
