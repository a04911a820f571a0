"""`lmgym play`: a person in the agent's place, or a policy to watch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count

import numpy as np
from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.worlds import DEFAULT_WORLD, find_text_world, world_arguments
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_source, make_task
from lmgym.registry import WORLDS
from lmgym.rendering import Renderer
from lmgym.rewards.schedule import RewardSchedule
from lmgym.task import Message, Role, Verdict
from lmgym.training.progress import visible
from lmgym.transcript import with_gold_rewards

__all__ = ["PlayArgs", "play"]

_STYLES = {Verdict.CORRECT: "bold green", Verdict.ENDED: "bold"}
_LINE_CHARACTERS = 10_000
_WATCHED_EPISODES = 5

_Player = Callable[[Episode], list[int] | None]
"""Ids of the agent's next message; None where the player has had enough."""


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
    with closing(task):
        _Sitting(args, schedule, spec.id).play(episode, player)
    return 0


def _check(args: PlayArgs) -> None:
    for name, least in (("episodes", 1), ("seed", 0), ("temperature", 0)):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise LmgymError(f"--{name} {value} is out of range; at least {least} is needed")


class _Sitting:
    """Where episodes are played, shown and counted."""

    def __init__(self, args: PlayArgs, schedule: RewardSchedule, world: str) -> None:
        self._args = args
        self._world = world
        self._schedule = schedule
        self._console = Console(highlight=False)
        self._rng = np.random.default_rng(args.seed)
        self._n_played = self._n_right = 0
        self._reward = 0.0

    def play(self, episode: Episode, player: _Player) -> None:
        """Play until the player or the number of episodes says stop."""
        args = self._args
        for n in count(1):
            episode.reset(self._rng, split=args.split, task_id=args.task_id)
            if n == 1 and args.model is None:
                self._explain(episode)
            if not self._play_episode(episode, player) or n == _n_episodes(args):
                break
        if self._n_played:
            self._print(f"{self._n_right} of {self._n_played} right, total reward {self._reward:g}")

    def _play_episode(self, episode: Episode, player: _Player) -> bool:
        """One episode; False where the player stopped before its end."""
        self._print("")
        n_shown = 0
        while episode.verdict is None:
            self._show(episode.messages[n_shown:])
            n_shown = len(episode.messages) + 1  # the player's own message is not repeated
            ids = player(episode)
            if ids is None:
                return False
            episode.write(ids)
            if self._args.model is not None:
                self._print(f"> {_lines(episode.turns[-1].text)}", "cyan")
        ended = with_gold_rewards(episode.task, [episode.transcript()])
        reward = self._schedule.pay(ended)[0].reward
        self._n_played += 1
        self._n_right += episode.verdict is Verdict.CORRECT
        self._reward += reward
        self._print(f"{_ending(episode)}, reward {reward:g}", _STYLES.get(episode.verdict, "red"))
        self._print(f"problem {visible(episode.opening.task_id)}", "dim")  # it may name the answer
        return True

    def _explain(self, episode: Episode) -> None:
        """What a person should know before the first problem."""
        self._print(
            f"{self._world}, {self._args.split} split. Write your message and press Enter; you may"
            f" use {episode.max_tokens} bytes in an episode. A \\ at the end of a line goes on in"
            " the next one; an empty line or Ctrl-D stops.",
            "dim",
        )

    def _show(self, messages: Sequence[Message]) -> None:
        for message in messages:
            speaker = "" if message.role is Role.USER else f"{message.role}: "
            self._print(speaker + _lines(message.content))

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)


def _n_episodes(args: PlayArgs) -> int | None:
    """How many episodes to play; None for as many as the player likes."""
    if args.episodes is not None or args.task_id is not None:
        return args.episodes or 1
    return None if args.model is None else _WATCHED_EPISODES


def _ending(episode: Episode) -> str:
    """How the episode ended, and what would have been right."""
    gold = episode.opening.gold
    if episode.verdict is Verdict.UNFINISHED:
        return f"unfinished: {_limit_of(episode)}"
    if episode.verdict is Verdict.INCORRECT and gold is not None:
        return f"incorrect: the answer is {_lines(gold)}"
    return str(episode.verdict)


def _limit_of(episode: Episode) -> str:
    """What ended an unfinished episode."""
    spent = sum(turn.n_tokens for turn in episode.turns)
    if spent >= episode.max_tokens:
        return f"the {episode.max_tokens} tokens are spent; --max-tokens allows more"
    # A message that was cut off is no message too many: something ran out in the midst of it.
    if episode.turns[-1].is_finished and len(episode.turns) >= episode.task.max_turns:
        return f"the {episode.task.max_turns} messages are used up"
    return f"the {episode.context} positions are full; --context allows more"


def _lines(text: str) -> str:
    """The text with its line breaks; whatever else cannot be seen is spelled out."""
    return "\n".join(visible(line, _LINE_CHARACTERS) for line in text.split("\n"))


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


def _policy(args: PlayArgs) -> tuple[_Player, Renderer]:
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
