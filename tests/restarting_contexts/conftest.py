"""A world whose context starts again at each reply, and what its tests share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.addresses import split_of
from lmgym.episode import Episode
from lmgym.factory import make_episode
from lmgym.registry import WORLDS, WorldSpec, register_world
from lmgym.rendering import ByteRenderer
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict

SPELL = "test/Spell-v0"
BYTES = ByteRenderer()
END = BYTES.end_id
WORDS = ["".join(letters) for letters in itertools.product("abcdef", repeat=3)]
IDS = {split: [word for word in WORDS if split_of(word) == split] for split in Task.splits}

State = tuple[str, int]


class Spell(Task[State]):
    """Spell a word, a letter a message; each reply restates the word and what is spelled of it.

    Description: A page at a time, of a length that is drawn.
    Action space: {action_space}
    Observation space: {observation_space}
    Reward: 1 for the word.
    Start: A word.
    Episode end: After the last letter, or after six messages.
    Info: Nothing more.
    Arguments: {arguments}
    Data and licence: Generated.
    Baselines: {baselines}
    Versions: v0
    """

    restarts_context = True
    context = 52
    max_tokens = 24
    max_turns = 6

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[State]:
        ids = IDS[self.check_split(split)]
        word = task_id or ids[int(rng.integers(len(ids)))]
        if word not in WORDS:
            raise self.bad_task_id(word, "three letters from a to f")
        return Opening((word, 0), page(word, 0, 0), word, word)

    def reply(self, state: State, text: str, rng: np.random.Generator) -> Reply[State]:
        word, n = state
        n += text == word[n]
        if n == len(word):
            return Reply((word, n), verdict=Verdict.CORRECT)
        return Reply((word, n), page(word, n, int(rng.integers(12))))

    def task_ids(self, split: str, limit: int) -> list[str]:
        return IDS[self.check_split(split)][:limit]

    def demonstrate(self, state: State) -> str | None:
        word, n = state
        return word[n]


class SpellOn(Spell):
    """The same in one context that grows."""

    restarts_context = False
    context = 400


def page(word: str, n: int, n_dots: int) -> tuple[Message, ...]:
    """What the agent reads."""
    told = f"{word}: {word[:n]}{'.' * n_dots}"
    return Message(Role.SYSTEM, "spell"), Message(Role.USER, told)


@pytest.fixture(scope="session", autouse=True)
def _spelling() -> Iterator[None]:
    register_world(WorldSpec(SPELL, Spell, "Spell words.", has_gold=True))
    yield
    WORLDS.pop(SPELL, None)
    gym.registry.pop(SPELL, None)


def started(word: str = "abc", **arguments: Any) -> Episode:
    """An episode in which this word is to be spelled."""
    episode = make_episode(SPELL, **arguments)
    episode.reset(np.random.default_rng(0), task_id=word)
    return episode


def said(text: str) -> list[int]:
    """The ids of a whole message."""
    return [*BYTES.encode(text), END]
