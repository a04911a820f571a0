"""Tasks, reward sources, episodes and environments from their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv

from lmgym.errors import LmgymError, unknown
from lmgym.registry import find_world

if TYPE_CHECKING:
    from lmgym.episode import Episode
    from lmgym.goals import GoalTask
    from lmgym.rendering import Renderer
    from lmgym.rewards.schedule import RewardSchedule
    from lmgym.rewards.source import Reward, RewardSource
    from lmgym.task import Task

__all__ = [
    "ENV_ARGUMENTS",
    "LEVEL_OF",
    "VECTOR_ARGUMENTS",
    "episode_of",
    "make_env",
    "make_episode",
    "make_source",
    "make_task",
    "make_vector_env",
]

ENV_ARGUMENTS = (
    "level",
    "reward",
    "tokenizer",
    "split",
    "context",
    "max_tokens",
    "chunk_size",
    "alphabet",
    "mask",
    "encoder",
    "goals",
    "goal_text",
    "render_mode",
)
VECTOR_ARGUMENTS = (
    "autoreset_mode",
    "copy",
    "group_size",
    "compiled",
    "max_episode_steps",
)

LEVEL_OF = {"chunk_size": "chunk", "encoder": "choice", "goals": "goal", "goal_text": "goal"}
"""Arguments that one level alone has."""

_DEFAULTS: dict[str, Any] = {
    "chunk_size": 4,
    "encoder": "auto",
    "goals": "one_hot",
    "goal_text": False,
}
"""What they are where nobody says."""


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
            raise _unknown_argument(spec.id, name, known)
    return task_class(task_class.Args(**task_args))


def _unknown_argument(world: str, name: str, known: Sequence[str]) -> LmgymError:
    if name in VECTOR_ARGUMENTS:
        return LmgymError(
            f"{name}= is an argument of batched environments; use gymnasium.make_vec({world!r},"
            f" num_envs=N, {name}=...)"
        )
    return unknown(f"argument of {world}", name, [*known, *ENV_ARGUMENTS, *VECTOR_ARGUMENTS])


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
    from lmgym.goals import GoalTask
    from lmgym.rendering import ByteRenderer

    if isinstance(task, GoalTask) and not task.reads_messages:
        raise LmgymError(
            f"{type(task).__name__} takes commands, not messages, so it has no level of ids or"
            " text; make its environment with level='goal'"
        )
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
    level: str | None = None,
    reward: Reward = "verifier",
    tokenizer: Renderer | str | None = None,
    split: str = "train",
    context: int | None = None,
    max_tokens: int | None = None,
    chunk_size: int | None = None,
    alphabet: str | None = None,
    mask: str | None = None,
    encoder: str | None = None,
    goals: str | None = None,
    goal_text: bool | None = None,
    render_mode: str | None = None,
    autoreset_mode: str | None = None,
    **task_args: Any,
) -> gym.Env[Any, Any]:
    """The environment behind `gymnasium.make` for every world.

    Args:
        world: the id.
        level: "token", "chunk", "message", where the world lists answers "choice", or, where it
            takes commands, "goal"; by default the world's first.
        reward: a registered name, a function, a source, or None.
        tokenizer: a name or a `Renderer`; by default the embedded byte-level one.
        split: where `reset` draws problems from unless its options say otherwise.
        context: positions of the token buffer.
        max_tokens: ids the agent may write in one episode.
        chunk_size: ids a step at level "chunk", by default 4.
        alphabet: the only ids that actions stand for, by a name the world gives, or as
            "chars:0123456789"; by default the whole vocabulary. For levels of ids.
        mask: an alphabet that `action_masks` lets through, while actions stay ids.
        encoder: what makes the observations of level "choice", as `make_encoder` takes it; by
            default the world's own features, or "hashing" where it has none.
        goals: how level "goal" shows goals, "one_hot" (default) or "vector".
        goal_text: whether it shows the desired goal as text, too, as byte ids.
        render_mode: "ansi" or None.
        autoreset_mode: of batched environments; "next_step", their default, is taken here so that
            the spec of a batch makes a single environment too.
        task_args: arguments of the world.

    Raises:
        LmgymError: for a name, level or value that does not exist; it says which do.
    """
    if autoreset_mode not in (None, "next_step"):
        raise LmgymError(
            f"autoreset_mode={autoreset_mode!r} is of batched environments; use"
            f" gymnasium.make_vec({world!r}, num_envs=N, autoreset_mode=...), or, with"
            " vectorization_mode='sync', vector_kwargs={'autoreset_mode': ...}"
        )
    from lmgym.choice_env import ChoiceEnv
    from lmgym.goal_env import GoalEnv
    from lmgym.message_env import MessageEnv
    from lmgym.token_env import ChunkEnv, TokenEnv

    given = {"chunk_size": chunk_size, "encoder": encoder, "goals": goals, "goal_text": goal_text}
    level, own = _checked_level(world, level, given)
    sizes = {"context": context, "max_tokens": max_tokens}
    common: dict[str, Any] = {"split": split, "render_mode": render_mode}
    if level == "goal":
        _check_no_tokens({"tokenizer": tokenizer, **sizes, "alphabet": alphabet, "mask": mask})
        return GoalEnv(_goal_task(world, task_args), reward=reward, **own, **common)
    episode, schedule = _parts(world, reward, tokenizer, **sizes, **task_args)
    if level in ("message", "choice"):
        _check_no_ids(level, alphabet, mask)
        if level == "choice":
            return ChoiceEnv(episode, schedule, **own, **common)
        return MessageEnv(episode, schedule, **common)
    common |= {"alphabet": alphabet, "mask": mask}
    if level == "chunk":
        return ChunkEnv(episode, schedule, **own, **common)
    return TokenEnv(episode, schedule, **common)


def make_vector_env(
    world: str,
    num_envs: int = 1,
    *,
    level: str | None = None,
    reward: Reward = "verifier",
    tokenizer: Renderer | str | None = None,
    split: str = "train",
    context: int | None = None,
    max_tokens: int | None = None,
    chunk_size: int | None = None,
    alphabet: str | None = None,
    mask: str | None = None,
    encoder: str | None = None,
    goals: str | None = None,
    goal_text: bool | None = None,
    render_mode: str | None = None,
    autoreset_mode: str | AutoresetMode = "next_step",
    copy: bool = True,
    group_size: int = 1,
    compiled: bool = False,
    max_episode_steps: int | None = None,
    **task_args: Any,
) -> VectorEnv[Any, Any, Any]:
    """The batched environment behind `gymnasium.make_vec` for every world.

    Arguments that `make_env` has too mean the same.

    Args:
        world: the id.
        num_envs: rows of the batch.
        level: "token", "chunk", "message", where the world lists answers "choice", or, where it
            takes commands, "goal"; by default the world's first.
        reward: a registered name, a function, a source, or None.
        tokenizer: a name or a `Renderer`.
        split: where problems are drawn from unless the options of `reset` say otherwise.
        context: positions of the token buffer.
        max_tokens: ids the agent may write in one episode.
        chunk_size: ids a step at level "chunk", by default 4.
        alphabet: the only ids that actions stand for.
        mask: an alphabet that `action_masks` lets through.
        encoder: what makes the observations of level "choice".
        goals: how level "goal" shows goals.
        goal_text: whether it shows the desired goal as text, too.
        render_mode: "ansi" or None.
        autoreset_mode: "next_step", "same_step" or "disabled".
        copy: whether observations are fresh arrays; False returns read-only views that the next
            step changes.
        group_size: so many rows, one after the other, play the same problems in the same order.
        compiled: whether numba compiles the hot path; the results are the same.
        max_episode_steps: steps after which an episode is truncated.
        task_args: arguments of the world.

    Raises:
        LmgymError: for a name, level or value that does not exist; it says which do.
    """
    from lmgym.vector import (
        ChoiceVectorEnv,
        ChunkVectorEnv,
        GoalVectorEnv,
        MessageVectorEnv,
        TokenVectorEnv,
        VectorArgs,
    )

    args = VectorArgs(
        num_envs=num_envs,
        split=split,
        autoreset_mode=autoreset_mode,
        copy=copy,
        group_size=group_size,
        compiled=compiled,
        max_episode_steps=max_episode_steps,
        render_mode=render_mode,
    )
    given = {"chunk_size": chunk_size, "encoder": encoder, "goals": goals, "goal_text": goal_text}
    level, own = _checked_level(world, level, given)
    sizes = {"context": context, "max_tokens": max_tokens}
    if level == "goal":
        _check_no_tokens({"tokenizer": tokenizer, **sizes, "alphabet": alphabet, "mask": mask})
        return GoalVectorEnv(_goal_task(world, task_args), args, reward=reward, **own)
    episode, schedule = _parts(world, reward, tokenizer, **sizes, **task_args)
    if level in ("message", "choice"):
        _check_no_ids(level, alphabet, mask)
        if level == "choice":
            return ChoiceVectorEnv(episode, schedule, args, **own)
        return MessageVectorEnv(episode, schedule, args)
    choices: dict[str, Any] = {"alphabet": alphabet, "mask": mask}
    if level == "chunk":
        return ChunkVectorEnv(episode, schedule, args, **own, **choices)
    return TokenVectorEnv(episode, schedule, args, **choices)


def _checked_level(
    world: str, level: str | None, own: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A level that the world offers, by default its first, and the arguments that it alone has.

    Args:
        world: the id.
        level: its name, or None.
        own: what was given for `LEVEL_OF`; None where nothing was.
    """
    spec = find_world(world)
    level = spec.levels[0] if level is None else level
    if level not in spec.levels:
        raise unknown(f"level of {spec.id}", level, spec.levels)
    for name, value in own.items():
        if value is not None and level != LEVEL_OF[name]:
            raise LmgymError(
                f"{name}={value!r:.60} is for level {LEVEL_OF[name]!r}, and this is level"
                f" {level!r}; leave it out, or choose level={LEVEL_OF[name]!r} in a world that"
                " offers it"
            )
    given = {name: value for name, value in own.items() if level == LEVEL_OF[name]}
    return level, {name: _DEFAULTS[name] if v is None else v for name, v in given.items()}


def _goal_task(world: str, task_args: dict[str, Any]) -> GoalTask[Any]:
    """The task behind level "goal"."""
    from lmgym.goals import GoalTask

    task = make_task(world, **task_args)
    if not isinstance(task, GoalTask):
        raise LmgymError(
            f"{type(task).__name__} is no GoalTask, as level 'goal' needs; choose another of"
            f" {', '.join(find_world(world).levels)}"
        )
    return task


def _check_no_tokens(given: dict[str, Any]) -> None:
    """Raise where level "goal" is given arguments of tokens."""
    told = {name: value for name, value in given.items() if value is not None}
    if told:
        listed = ", ".join(f"{name}={value!r:.60}" for name, value in told.items())
        raise LmgymError(f"{listed}: level 'goal' takes commands and has no tokens; leave them out")


def _parts(
    world: str,
    reward: Reward,
    tokenizer: Renderer | str | None,
    **sizes_and_task_args: Any,
) -> tuple[Episode, RewardSchedule]:
    """What every view of an episode of ids is made of."""
    from lmgym.rewards.schedule import RewardSchedule

    source = make_source(reward)
    if source is not None and not source.is_causal:
        raise LmgymError(
            f"reward={reward!r} needs complete batches and cannot be paid in step(); use it in a"
            " learner's rollouts, or choose a causal reward such as 'verifier'"
        )
    return make_episode(world, renderer=tokenizer, **sizes_and_task_args), RewardSchedule(source)


def _check_no_ids(level: str, alphabet: str | None, mask: str | None) -> None:
    if alphabet is not None or mask is not None:
        taken = "text" if level == "message" else "places in a list of answers"
        raise LmgymError(
            f"alphabet={alphabet!r}, mask={mask!r}: level {level!r} takes {taken}, not ids; leave"
            " them out, or choose level='token' or level='chunk'"
        )


def make_source(reward: Reward) -> RewardSource | None:
    """The source that `reward` stands for; None for the reward that pays nothing.

    Example:
        >>> make_source("verifier - 0.001*length:characters").level
        <RewardLevel.OUTCOME: 'outcome'>
    """
    from lmgym.rewards.names import read_reward

    return read_reward(reward)
