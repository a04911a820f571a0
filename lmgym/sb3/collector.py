"""Episodes played by an algorithm of Stable-Baselines3, as transcripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rollouts import RolloutBatch
from lmgym.sb3.generators import seeded_globals
from lmgym.task import Task
from lmgym.token_env import TokenEnv, TokenObservation

__all__ = ["AlgorithmCollector"]


class AlgorithmCollector:
    """Plays episodes, all of them a step at a time; for evaluations, so nothing is paid.

    The counterpart of `RolloutCollector` for whatever Stable-Baselines3 trains: the algorithm
    sees the observations, the actions and the masks that it is trained with.

    Args:
        algorithm: acts.
        task: the world.
        make_env: a token or chunk environment of this task, a new one at each call.

    Example:
        >>> import gymnasium as gym, lmgym, torch
        >>> from stable_baselines3 import PPO
        >>> env = gym.make("lmgym/Copy-v0", alphabet="letters")
        >>> algorithm = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, device="cpu")
        >>> task = env.unwrapped.episode.task
        >>> make_env = lambda: gym.make("lmgym/Copy-v0", alphabet="letters").unwrapped
        >>> collector = AlgorithmCollector(algorithm, task, make_env)
        >>> generator = torch.Generator().manual_seed(0)
        >>> problems = task.task_ids("test", 2)
        >>> batch = collector.collect(np.random.default_rng(0), generator, task_ids=problems)
        >>> [transcript.task_id for transcript in batch.transcripts] == problems
        True
    """

    def __init__(
        self, algorithm: BaseAlgorithm, task: Task[Any], make_env: Callable[[], TokenEnv]
    ) -> None:
        """Make environments as many as a batch needs, when it needs them."""
        self.algorithm = algorithm
        self.task = task
        self._make_env = make_env
        self._pool: list[TokenEnv] = []

    def collect(
        self,
        rng: np.random.Generator,
        generator: torch.Generator | None,
        *,
        group_size: int = 1,
        task_ids: Sequence[str] | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> RolloutBatch:
        """Play `group_size` episodes of each problem.

        Args:
            rng: seeds the worlds' replies.
            generator: draws the seed of the actions; None takes a fresh one of the system's.
            group_size: episodes of each problem.
            task_ids: the problems.
            temperature: must be 1; an algorithm draws as it was trained to.
            greedy: take the likeliest actions.
        """
        if temperature != 1.0:
            raise LmgymError(
                f"temperature={temperature}: an algorithm of Stable-Baselines3 draws its actions"
                " at temperature 1; leave it out, or take greedy answers"
            )
        if generator is None:
            generator = torch.Generator()
            generator.seed()
        if task_ids is None:
            raise LmgymError("which problems are to be played? give task_ids=")
        problems = [problem for problem in task_ids for _ in range(group_size)]
        envs = self._envs(len(problems))
        seeds = rng.integers(1 << 31, size=len(envs)).tolist()
        observations = [
            env.reset(seed=seed, options={"task_id": problem})[0]
            for env, problem, seed in zip(envs, problems, seeds, strict=True)
        ]
        seed = int(torch.randint(1 << 32, (), generator=generator))
        with seeded_globals(seed):
            self._play(envs, observations, greedy)
        transcripts = [env.transcript() for env in envs]
        return RolloutBatch.paid(self.task, transcripts, RewardSchedule(None))

    def _play(
        self, envs: Sequence[TokenEnv], observations: list[TokenObservation], greedy: bool
    ) -> None:
        """Step every episode to its end; those that have ended stay in the batch, unmoved."""
        running = list(range(len(envs)))
        while running:
            actions = self._act(envs, observations, greedy)
            for row in running:
                observations[row] = envs[row].step(actions[row])[0]
            running = [row for row in running if envs[row].episode.verdict is None]

    def _act(
        self, envs: Sequence[TokenEnv], observations: Sequence[TokenObservation], greedy: bool
    ) -> NDArray[Any]:
        batch = {name: np.stack([o[name] for o in observations]) for name in observations[0]}
        words = {"action_masks": np.stack([env.action_masks() for env in envs])}
        algorithm: Any = self.algorithm
        takes = words if _takes_masks(algorithm) else {}
        actions: NDArray[Any] = algorithm.predict(batch, deterministic=greedy, **takes)[0]
        return actions

    def _envs(self, n: int) -> list[TokenEnv]:
        while len(self._pool) < n:
            self._pool.append(self._make_env())
        return self._pool[:n]


def _takes_masks(algorithm: BaseAlgorithm) -> bool:
    from sb3_contrib import MaskablePPO

    return isinstance(algorithm, MaskablePPO)
