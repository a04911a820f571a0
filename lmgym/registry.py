"""Names of worlds, agents and rewards, without importing what they name.

Entries are strings `module:attribute`, loaded on first use, so the kernel can name what stands
above it and `import lmgym` stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from lmgym.errors import LmgymError, unknown

if TYPE_CHECKING:
    from lmgym.episode import Episode
    from lmgym.rendering import Renderer
    from lmgym.rewards.source import Reward
    from lmgym.task import Task

__all__ = [
    "AGENTS",
    "LEVELS",
    "REWARDS",
    "WORLDS",
    "WorldSpec",
    "episode_of",
    "find_world",
    "load",
    "make_env",
    "make_episode",
    "make_task",
    "register_world",
]

LEVELS = ("token", "chunk", "message")
"""The levels at which a world can be seen."""

REWARDS: dict[str, str] = {
    "verifier": "lmgym.rewards.rules:VerifierReward",
    "shuffled": "lmgym.rewards.rules:ShuffledReward",
}
"""Reward sources by name."""

AGENTS: dict[str, str] = {
    "grpo": "lmgym.agents.grpo:GRPOArgs",
    "sft": "lmgym.agents.sft:SFTArgs",
    "embedded": "lmgym.agents.embedded:EmbeddedArgs",
}
"""Learners by name: their arguments, whose module has `train(args, ...)`."""


@dataclass(frozen=True)
class WorldSpec:
    """What a world offers.

    Attributes:
        id: as in `gymnasium.make`.
        task: the `Task` class, or where to find it, as "module:Class".
        summary: one line.
        levels: the levels it can be seen at.
        has_gold: whether its problems have a right answer that earns the verifier's reward.
        baselines: measured success by name, for the card.
    """

    id: str
    task: str | type[Task[Any]]
    summary: str
    levels: tuple[str, ...] = LEVELS
    has_gold: bool = True
    baselines: Mapping[str, str] = field(default_factory=dict)

    @property
    def task_class(self) -> type[Task[Any]]:
        """The task's class, imported on first use."""
        task: type[Task[Any]] = load(self.task) if isinstance(self.task, str) else self.task
        return task

    @property
    def address(self) -> str:
        """What finds the world in any process: its id, after "module:" unless it is one of ours."""
        task = self.task
        module = task.partition(":")[0] if isinstance(task, str) else task.__module__
        return self.id if module.startswith("lmgym.") else f"{module}:{self.id}"


WORLDS: dict[str, WorldSpec] = {}
"""The registered worlds by id."""


def register_world(spec: WorldSpec) -> None:
    """Make a world known here and to gymnasium.

    Example:
        >>> register_world(WorldSpec("doc/Copy-v0", "lmgym.envs.copy_text.task:CopyTask", "Copy."))
        >>> gym.make("doc/Copy-v0").reset(seed=0)[1]["task_id"][:7]
        'copy/4/'
    """
    WORLDS[spec.id] = spec
    gym.register(spec.id, "lmgym.registry:make_env", kwargs={"world": spec.address})


def find_world(world: str) -> WorldSpec:
    """The spec of a world; "module:id" imports the module that registers it."""
    module, _, world_id = world.rpartition(":")
    if module and world_id not in WORLDS:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise LmgymError(
                f"cannot import {module!r} to find the world {world!r}: {error}"
            ) from None
    if world_id not in WORLDS:
        hint = "your own world: MODULE:ID, where importing MODULE registers it"
        raise unknown("environment", world_id, WORLDS, hint)
    return WORLDS[world_id]


def load(entry: str) -> Any:
    """What a "module:attribute" entry names."""
    module, _, attribute = entry.partition(":")
    return getattr(importlib.import_module(module), attribute)


def make_task(world: str, **task_args: Any) -> Task[Any]:
    """The task of a world.

    Example:
        >>> make_task("lmgym/Math-v0", problems="modular").task_ids("test", 1)[0][:10]
        'modular/2/'
    """
    spec = find_world(world)
    task_class = spec.task_class
    known = [field.name for field in fields(task_class.Args)]
    for name in task_args:
        if name not in known:
            raise unknown(f"argument of {spec.id}", name, [*known, *_ENV_ARGUMENTS])
    return task_class(task_class.Args(**task_args))


def make_episode(
    world: str,
    *,
    renderer: Renderer | str | None = None,
    context: int | None = None,
    max_tokens: int | None = None,
    **task_args: Any,
) -> Episode:
    """An episode of a world, to be driven directly.

    Args:
        world: its id.
        renderer: a `Renderer`, or the name of a tokenizer; by default the embedded one.
        context: positions; by default what the task needs, or 2048 with another tokenizer.
        max_tokens: of the agent; by default the task's, or 512 with another tokenizer.
        task_args: arguments of the world.
    """
    task = make_task(world, **task_args)
    return episode_of(task, renderer, context=context, max_tokens=max_tokens)


def episode_of(
    task: Task[Any],
    renderer: Renderer | str | None = None,
    *,
    context: int | None = None,
    max_tokens: int | None = None,
) -> Episode:
    """An episode of a task that is already made; arguments as for `make_episode`."""
    from lmgym.episode import Episode
    from lmgym.rendering import ByteRenderer

    if renderer is None or renderer == "byte":
        renderer = ByteRenderer()
    elif isinstance(renderer, str):
        from lmgym.policies.loading import load_renderer

        renderer = load_renderer(renderer)
    is_byte = renderer.name == "byte"
    default_context = task.context if is_byte else max(task.context, 2048)
    default_max_tokens = task.max_tokens if is_byte else max(task.max_tokens, 512)
    return Episode(
        task,
        renderer,
        context=default_context if context is None else context,
        max_tokens=default_max_tokens if max_tokens is None else max_tokens,
    )


def make_env(
    world: str,
    *,
    level: str = "token",
    reward: Reward = "verifier",
    tokenizer: Renderer | str | None = None,
    split: str = "train",
    context: int | None = None,
    max_tokens: int | None = None,
    chunk_size: int = 4,
    render_mode: str | None = None,
    **task_args: Any,
) -> gym.Env[Any, Any]:
    """The environment behind `gymnasium.make` for every world.

    Args:
        world: the id.
        level: "token", "chunk" or "message".
        reward: a registered name, a function, a source, or None.
        tokenizer: a name or a `Renderer`; by default the embedded byte-level one.
        split: where `reset` draws problems from unless its options say otherwise.
        context: positions of the token buffer.
        max_tokens: ids the agent may write in one episode.
        chunk_size: ids a step at level "chunk".
        render_mode: "ansi" or None.
        task_args: arguments of the world.

    Raises:
        LmgymError: for a name, level or value that does not exist; it says which do.
    """
    from lmgym.message_env import MessageEnv
    from lmgym.rewards.schedule import RewardSchedule
    from lmgym.rewards.source import make_source
    from lmgym.token_env import ChunkEnv, TokenEnv

    spec = find_world(world)
    if level not in spec.levels:
        raise unknown(f"level of {spec.id}", level, spec.levels)
    source = make_source(reward)
    if source is not None and not source.is_causal:
        raise LmgymError(
            f"reward={reward!r} needs complete batches and cannot be paid in step(); use it in a"
            " learner's rollouts, or choose a causal reward such as 'verifier'"
        )
    episode = make_episode(
        world, renderer=tokenizer, context=context, max_tokens=max_tokens, **task_args
    )
    common: dict[str, Any] = {"split": split, "render_mode": render_mode}
    schedule = RewardSchedule(source)
    if level == "message":
        return MessageEnv(episode, schedule, **common)
    if level == "chunk":
        return ChunkEnv(episode, schedule, chunk_size=chunk_size, **common)
    return TokenEnv(episode, schedule, **common)


_ENV_ARGUMENTS = (
    "level",
    "reward",
    "tokenizer",
    "split",
    "context",
    "max_tokens",
    "chunk_size",
    "render_mode",
)
