"""`lmgym play`: a person in the agent's place, or a policy to watch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.game_sitting import GameSitting
from lmgym.commands.sitting import Sitting, TerminalPlayer
from lmgym.commands.worlds import DEFAULT_WORLD, find_text_world, world_arguments
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_source, make_task
from lmgym.games.task import GameTask
from lmgym.registry import WORLDS
from lmgym.rendering import Renderer
from lmgym.rewards.schedule import RewardSchedule

__all__ = ["PlayArgs", "play"]


@dataclass(frozen=True)
class PlayArgs:
    """Arguments of play."""

    model: str | None = None
    """Watch this policy instead: embedded, a Hugging Face directory, a hub id, or a .gguf file."""
    split: str = "train"
    """Where problems come from: train, validation or test."""
    task_id: str | None = None
    """Play this problem, once."""
    episodes: int | None = None
    """How many; by default a person plays until an empty line, and a policy 5 times."""
    seed: int | None = None
    """Seed of problems and samples; by default different ones each time."""
    reward: str = "verifier"
    """What episodes are paid: a registered reward, or none."""
    temperature: float = 0.0
    """Of a policy's samples; 0 takes the most likely answer."""
    max_tokens: int | None = None
    """Tokens the player may write in an episode, bytes for a person; by default what the world
    allows."""
    context: int | None = None
    """Positions of an episode; by default what the world needs."""
    device: str = "cpu"
    """Where a policy runs: cpu, cuda, cuda:1, ..."""
    dtype: str = "auto"
    """Type of a policy's weights: auto (float32), float32, bfloat16 or float16."""


def play(argv: Sequence[str]) -> int:
    """Play episodes in the terminal, a message at a time."""
    names, options = split_names(argv, 1, "play [ENV] [--options]")
    env = names[0] if names else DEFAULT_WORLD
    spec = find_text_world(env, "play")
    description = f"Play {spec.id} in the terminal.\n\nWorlds: {', '.join(WORLDS)}, MODULE:ID"
    groups = {"play": PlayArgs, spec.id: spec.task_class.Args}
    args, world_args = parse_options(groups, options, f"play {env}", description)
    _check(args)
    task = make_task(env, **world_arguments(world_args))
    task.check_split(args.split)
    schedule = RewardSchedule(make_source(args.reward))
    player, renderer = (_person, None) if args.model is None else _policy(args)
    episode = episode_of(task, renderer, context=args.context, max_tokens=args.max_tokens)
    sitting = GameSitting if isinstance(task, GameTask) else Sitting
    with closing(task):
        sitting(args, schedule, spec.id).play(episode, player)
    return 0


def _check(args: PlayArgs) -> None:
    for name, least in (("episodes", 1), ("seed", 0), ("temperature", 0)):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise LmgymError(f"--{name} {value} is out of range; at least {least} is needed")


def _person(episode: Episode) -> list[int] | None:
    """Read a message from the terminal."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  (arrow keys at the prompt)
    lines: list[str] = []
    try:
        while not lines or lines[-1].endswith("\\"):
            lines.append(input(". " if lines else "> "))
    except EOFError:
        print()
    if not any(lines):
        return None
    text = "\n".join([*(line.removesuffix("\\") for line in lines[:-1]), lines[-1]])
    return [*episode.renderer.encode(text), episode.renderer.end_id]


def _policy(args: PlayArgs) -> tuple[TerminalPlayer, Renderer]:
    """A policy as a player, and its renderer."""
    import torch

    from lmgym.policies.loading import load_policy

    policy = load_policy(args.model, device=args.device, dtype=args.dtype)
    generator = torch.Generator()
    generator.manual_seed(args.seed) if args.seed is not None else generator.seed()
    is_greedy = args.temperature == 0

    def answer(episode: Episode) -> list[int]:
        samples = policy.sample(
            [episode.ids],
            max_tokens=episode.remaining,
            temperature=1.0 if is_greedy else args.temperature,
            greedy=is_greedy,
            generator=generator,
        )
        return samples.ids[0]

    return answer, policy.renderer
