"""What the checks have in common: a world at one level, and how to play it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from lmgym.base_env import EpisodeEnv
from lmgym.registry import WorldSpec
from lmgym.token_env import ChunkEnv, TokenEnv

__all__ = ["Case", "Env", "Step", "assert_same", "view_of"]

Env = gym.Env[Any, Any]


class Step(NamedTuple):
    """What `step` returned; `reset` counts as a step that pays nothing."""

    observation: Any
    reward: SupportsFloat
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A world at one level, with arguments as for `gymnasium.make`."""

    spec: WorldSpec
    level: str
    arguments: Mapping[str, Any]

    def make(self, **changes: Any) -> Env:
        """A new environment."""
        arguments = {"level": self.level, **self.arguments, **changes}
        return gym.make(self.spec.id, **arguments)

    def reset(self, env: Env, **reset: Any) -> Step:
        """Start an episode."""
        observation, info = env.reset(**reset)
        return Step(observation, 0.0, False, False, info)

    def wander(self, env: Env, seed: int, limit: int = 10_000) -> list[Step]:
        """Go on with an episode at random, to its end or for `limit` steps."""
        rng, view = np.random.default_rng(seed), view_of(env)
        steps: list[Step] = []
        while view.episode.verdict is None and len(steps) < limit:
            steps.append(Step(*env.step(self.random_action(view, rng))))
        return steps

    def play(self, env: Env, seed: int, *, reseeds: bool = False) -> list[Step]:
        """One whole episode, its actions drawn with `seed`; the environment's seed on request."""
        return [self.reset(env, seed=seed if reseeds else None), *self.wander(env, seed)]

    def say(self, env: Env, text: str) -> list[Step]:
        """Write a message and end it, in as many steps as the level needs."""
        view = view_of(env)
        renderer = view.episode.renderer
        ids = [*renderer.encode(text), renderer.end_id]
        if self.level == "message":
            actions: list[Any] = [text]
        elif self.level == "choice":
            actions = [view.episode.task.choices.index(text)]
        else:
            actions = self.actions_for(view, ids)
        steps: list[Step] = []
        for action in actions:
            n_turns = len(view.episode.turns)
            steps.append(Step(*env.step(action)))
            if len(view.episode.turns) > n_turns:
                break
        return steps

    def actions_for(self, view: EpisodeEnv[Any, Any], ids: list[int]) -> list[Any]:
        """The actions that write `ids`, at the levels whose actions are ids."""
        known = _known_ids(view)
        choices = [known.index(token) for token in ids]
        if self.level == "token":
            return choices
        size = _chunk_size(view)
        return [self._padded(view, choices[i : i + size]) for i in range(0, len(choices), size)]

    def _padded(self, view: EpisodeEnv[Any, Any], choices: list[int]) -> Any:
        """An action of one id, or of a chunk that may stop before its end."""
        if self.level == "token":
            return choices[0]
        padding = [len(_known_ids(view))] * (_chunk_size(view) - len(choices))
        return np.array(choices + padding)

    def can_say(self, view: EpisodeEnv[Any, Any], text: str) -> bool:
        """Whether the level has actions for a message."""
        return self.level != "choice" or text in view.episode.task.choices

    def random_action(self, view: EpisodeEnv[Any, Any], rng: np.random.Generator) -> Any:
        """Any id may come up, one in six ends the turn; or any of the listed answers."""
        if self.level == "choice":
            return int(rng.integers(len(view.episode.task.choices)))
        renderer, known = view.episode.renderer, _known_ids(view)
        size = 12 if self.level == "message" else _chunk_size(view)
        # Drawn one at a time, which gives the same numbers as all at once and takes half the time.
        n = int(rng.integers(size)) + 1 if size > 1 else 1
        choices = [int(rng.integers(len(known))) for _ in range(n)]
        if self.level == "message":
            return renderer.decode([known[choice] for choice in choices])
        end = known.index(renderer.end_id)
        choices = [end if rng.random() < 1 / 6 else choice for choice in choices]
        return self._padded(view, choices)

    def written_by(self, view: EpisodeEnv[Any, Any], action: Any) -> list[int]:
        """The ids that `action` is about to write, up to the turn's end and the budget's."""
        episode, known = view.episode, _known_ids(view)
        if self.level in ("message", "choice"):
            text = action if self.level == "message" else episode.task.choices[action]
            ids = [*episode.renderer.encode(text), episode.renderer.end_id]
        else:
            choices = [int(i) for i in np.atleast_1d(action)]
            stop = choices.index(len(known)) if len(known) in choices else len(choices)
            ids = [known[choice] for choice in choices[:stop]]
        ends = [n + 1 for n, i in enumerate(ids) if i in episode.renderer.end_ids]
        return ids[: min([episode.remaining, *ends])]


def view_of(env: Env) -> EpisodeEnv[Any, Any]:
    """The environment below gymnasium's wrappers."""
    view = env.unwrapped
    assert isinstance(view, EpisodeEnv), f"{view} is no EpisodeEnv"
    return view


def _known_ids(view: EpisodeEnv[Any, Any]) -> Sequence[int]:
    """The id that each action writes."""
    alphabet = view.alphabet if isinstance(view, TokenEnv) else None
    if alphabet is None:
        return range(view.episode.renderer.vocab_size)
    return list(map(int, alphabet))


def _chunk_size(view: EpisodeEnv[Any, Any]) -> int:
    return view.chunk_size if isinstance(view, ChunkEnv) else 1


def assert_same(first: list[Step], second: list[Step], what: str) -> None:
    """Fail unless two stretches of play are equal to the bit."""
    assert len(first) == len(second), f"{what}: {len(first)} steps, then {len(second)}"
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        for name in Step._fields:
            a, b = getattr(one, name), getattr(other, name)
            assert data_equivalence(a, b, exact=True), f"{what}: {name} {number}: {a!r}, then {b!r}"
