"""Loops of steps that benchmarks of batched environments time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from lmgym.factory import make_episode
from lmgym.vector import VectorArgs
from measuring import cpu_seconds

__all__ = ["COPY", "EnvLoop", "KernelLoop", "copies", "ids_of", "make_sync", "make_vec"]

COPY, TASK_ID = "lmgym/Copy-v0", "copy/4/17"
"""The world of the kernel's benchmarks, and the problem that its rows are fixed to."""

_NEAR = 1 << 16
"""Different ids of a loop's actions."""

Actions = Sequence[NDArray[np.int64]]
"""The ids of each step, each of shape (N,)."""


def ids_of(steps: int, rows: int, end_share: float, seed: int) -> Actions:
    """Ids of each step, drawn uniformly; this share of them is the end of the text.

    The same 65,536 ids come again and again, so that they are as near to the processor as those of
    a policy that has just drawn them.
    """
    renderer = make_episode(COPY).renderer
    (end,) = renderer.end_ids
    rng = np.random.default_rng(seed)
    different = min(steps, max(1, _NEAR // rows))
    ids = rng.integers(renderer.vocab_size - 1, size=(different, rows))
    ids += ids >= end  # no end of the text by itself
    ids[rng.random(ids.shape) < end_share] = end
    return list(islice(cycle(ids), steps))


class KernelLoop:
    """`TokenBuffers` alone: ids are written, rows that end start again, observations are taken.

    All rows start at one prompt, and nobody looks at texts: no verdicts, rewards or infos.

    Args:
        rows: N.
        context: positions of a row; the budget of an episode is what the prompt leaves of it.
        actions: the ids of each step.
        compiled: whether the arrays are numba's.
        copy: whether observations are copies.
    """

    def __init__(
        self,
        rows: int,
        context: int,
        actions: Actions,
        *,
        compiled: bool = False,
        copy: bool = True,
    ) -> None:
        """Start all rows."""
        episode = make_episode(COPY)
        renderer = episode.renderer
        opening = episode.task.reset(np.random.default_rng(0), task_id=TASK_ID)
        ids = renderer.open(opening.messages)[0]
        prompts = np.array([ids] * rows, np.int32)
        lengths = np.full(rows, len(ids))
        self.starts = [(prompts[:n], lengths[:n]) for n in range(rows + 1)]
        self.buffers = VectorArgs(compiled=compiled, copy=copy).buffers(
            rows,
            context=context,
            max_tokens=context,
            vocab_size=renderer.vocab_size,
            pad_id=renderer.pad_id,
            end_ids=renderer.end_ids,
        )
        self.buffers.start(np.arange(rows), *self.starts[rows])
        self.rows, self.actions, self.copy = rows, actions, copy

    def __call__(self) -> float:
        """Nanoseconds of CPU time an environment step."""
        return cpu_seconds(self._play) * 1e9 / (len(self.actions) * self.rows)

    def _play(self) -> None:
        buffers, observation = self.buffers, None
        for ids in self.actions:
            ended = buffers.append(ids)
            if len(ended):
                buffers.start(ended, *self.starts[len(ended)])
            observation = buffers.observe(copy=self.copy)
        del observation


class EnvLoop:
    """A batched environment over actions, from where the last time ended.

    Args:
        env: takes the actions; it is reset once.
        actions: the ids of each step.
        seed: of the environment.
    """

    def __init__(self, env: Any, actions: Actions, seed: int = 0) -> None:
        """Reset."""
        self.env, self.actions, self.rows = env, actions, int(env.num_envs)
        env.reset(seed=seed)

    def __call__(self) -> float:
        """Nanoseconds of CPU time an environment step."""
        return cpu_seconds(self._play) * 1e9 / (len(self.actions) * self.rows)

    def _play(self) -> None:
        step: Any = None
        for ids in self.actions:
            step = self.env.step(ids)  # the last one stays alive meanwhile
        del step


class FixedProblem(gym.Wrapper[Any, Any, Any, Any]):
    """Every episode starts at the same problem."""

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """Start it."""
        return self.env.reset(options={"task_id": TASK_ID})


def make_vec(world: str, rows: int, **arguments: Any) -> Any:
    """The batched environment of a world."""
    make: Any = gym.make_vec  # its arguments are those of the environment as well
    return make(world, rows, **arguments)


def make_sync(
    world: str, rows: int, mode: str, *, wrappers: Sequence[Any] = (), **arguments: Any
) -> Any:
    """Gymnasium's `SyncVectorEnv` over single environments of a world."""
    return make_vec(
        world,
        rows,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode[mode.upper()]},
        wrappers=wrappers,
        **arguments,
    )


def copies(loop: KernelLoop, times: int) -> float:
    """Nanoseconds a row that copying a batch of observations takes; the last one stays alive."""
    buffers = loop.buffers

    def act() -> None:
        observation: Any = None
        for _ in range(times):
            observation = {
                "tokens": buffers.tokens.copy(),
                "length": buffers.lengths.copy(),
                "remaining": buffers.remaining.copy(),
            }
        del observation

    return cpu_seconds(act) * 1e9 / (times * loop.rows)
