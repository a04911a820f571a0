"""What every registered world promises, at every level it offers."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from lmgym.episode import Episode
from lmgym.factory import ENV_ARGUMENTS, VECTOR_ARGUMENTS, make_task
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.registry import LEVELS, WORLDS, load
from lmgym.rendering import ChatRenderer
from lmgym.task import Task
from lmgym.testing import CHECKS, Case, checks_for, env_checks, run_check
from lmgym.testing.case import view_of

from .conftest import (
    MAY_DIFFER,
    REPRESENTATIVES,
    is_in_full,
    representative_of,
    worlds_of_ours,
    worlds_of_texts,
)

IDS = worlds_of_ours()
IN_FULL = worlds_of_ours(in_full=True)
TEXTS = worlds_of_texts()
TEXTS_IN_FULL = worlds_of_texts(in_full=True)
IN_FULL_ONLY = ("growth", "vector", "levels")
"""Checks for which a representative stands: of the views and batches, more than of the world."""
FAST_CHECKS = [check for check in CHECKS if check != "growth"]
WITH_ALPHABET = [
    check for check in FAST_CHECKS if check not in ("budget", "garbage", "levels")
]  # these write what an alphabet lacks
OF_CONTENT = ("gold", "masks", "budget", "seeding")
"""Checks of how a world's own texts go with a template or an alphabet; the others are of views."""
ONE_OF_EACH_SHAPE = ("lmgym/Math-v0", "lmgym/GuessNumber-v0", "lmgym/ToolMath-v0")
"""Worlds that pass all checks with a template and with an alphabet too: one of one turn, one of
several, and one with tools. Of those whose context starts again it's the world of
`restarting_contexts` that does so."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "one letter": ("lmgym/Copy-v0", {"length": 1}),
    "long texts": ("lmgym/Copy-v0", {"length": 64}),
    "subtraction": ("lmgym/Math-v0", {"problems": "subtraction", "difficulty": 1}),
    "multiplication": ("lmgym/Math-v0", {"problems": "multiplication", "difficulty": 9}),
    "modular": ("lmgym/Math-v0", {"problems": "modular", "problem_seed": 7}),
    "many turns": ("lmgym/GuessNumber-v0", {"high": 1000, "max_turns": 30}),
    "without a reward": ("lmgym/GuessNumber-v0", {"reward": None}),
    "chunks of one": ("lmgym/GuessNumber-v0", {"level": "chunk", "chunk_size": 1}),
}
OF_ANOTHER_VIEW = ("many turns", "without a reward", "chunks of one")
"""Variants that change what is seen or paid; the others only draw other problems."""
WITH_CACHES = ("lmgym/Web-v0", "lmgym/WebGoal-v0")
"""Worlds whose caches, of a fixed size, are not full after a thousand episodes."""
ROOM = {"lmgym/ToolMath-v0": (2_048, 64), "lmgym/Web-v0": (3_072, 1_088)}
"""Context and budget of worlds that take more than most."""
GOLDEN = {
    "lmgym/Copy-v0": "62da9461e801f371",
    "lmgym/Debate-v0": "360127e067e2cdbd",
    "lmgym/GuessNumber-v0": "0d7007c5a76288a7",
    "lmgym/KuhnPoker-v0": "e9c0f5d8154d8a41",
    "lmgym/MatchingPennies-v0": "beeab500e763cb9c",
    "lmgym/Math-v0": "3dccc73d197b621c",
    "lmgym/Negotiation-v0": "eb4c2c2bfe552b99",
    "lmgym/Nim-v0": "572ccb66238ac3a9",
    "lmgym/Preference-v0": "a7fba058a1f9b29f",
    "lmgym/PromptSelect-v0": "f1899b37e8c85fb1",
    "lmgym/Taboo-v0": "358101fd34420dcf",
    "lmgym/TicTacToe-v0": "8a2ab987e7d29fb4",
    "lmgym/ToolMath-v0": "1bb5534440ed9959",
    "lmgym/Web-v0": "c570ed2009eda7b7",
}
"""Digests of random and of demonstrated episodes; one that changes calls for a new version."""


PROMISES = [
    (world, check)
    for world in IDS
    for check in checks_for(world)
    if check not in (IN_FULL_ONLY if not is_in_full(world) else ("growth",))
]
# What grows is kept by a world or by a view. So each world plays its thousand episodes at one
# level, the one with the fewest steps, and each level is played by one world of several turns.
GROWTH = [
    *((world, "message" if world in TEXTS else WORLDS[world].levels[0]) for world in IN_FULL),
    *(("lmgym/GuessNumber-v0", level) for level in LEVELS if level != "message"),
    ("lmgym/PromptSelect-v0", "choice"),
]


@pytest.mark.parametrize(("world", "check"), PROMISES)
def test_keeps_its_promises(world: str, check: str) -> None:
    run_check(check, world)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "level"), GROWTH)
def test_does_not_grow_over_a_thousand_episodes(
    world: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world not in WITH_CACHES:
        monkeypatch.setattr(env_checks, "_TOLERANCE", 16 * 1024)
    run_check("growth", world, level=level)


def test_growth_is_checked_in_every_world_and_at_every_level() -> None:
    assert {world for world, _ in GROWTH} == set(IN_FULL)
    assert {level for _, level in GROWTH} == {level for w in IDS for level in WORLDS[w].levels}


@pytest.mark.parametrize("world", IDS)
def test_is_checked_in_full_or_has_a_representative_that_is(world: str) -> None:
    representative = representative_of(world)
    assert representative in IN_FULL
    assert set(checks_for(world)) == set(checks_for(representative))
    assert WORLDS[world].has_gold == WORLDS[representative].has_gold


@pytest.mark.parametrize("world", [world for world in IDS if not is_in_full(world)])
def test_a_world_that_has_a_representative_differs_in_little_from_it(world: str) -> None:
    (shared,) = (
        load(place) for place, w in REPRESENTATIVES.items() if w == representative_of(world)
    )
    classes = WORLDS[world].task_class.__mro__
    own = [vars(cls) for cls in classes[: classes.index(shared)]]
    kinds: tuple[type, ...] = (FunctionType, property, cached_property, classmethod, staticmethod)
    code = {name for names in own for name, value in names.items() if isinstance(value, kinds)}
    assert code <= MAY_DIFFER, "add the world to IN_FULL of tests/conftest.py"
    for name in ("replies_draw", "restarts_context", "has_gold_reward", "alphabets"):
        assert not any(name in names for names in own), f"{name} is its own: add it to IN_FULL"


@pytest.mark.parametrize(
    ("variant", "check"),
    [
        (variant, check)
        for variant in VARIANTS
        for check in FAST_CHECKS
        if variant in OF_ANOTHER_VIEW or check not in IN_FULL_ONLY
    ],
)
def test_keeps_its_promises_with_arguments(variant: str, check: str) -> None:
    world, arguments = VARIANTS[variant]
    run_check(check, world, **arguments)


@pytest.mark.parametrize("level", ["token", "chunk"])
@pytest.mark.parametrize(
    ("world", "check"),
    [
        (world, check)
        for world in TEXTS_IN_FULL
        for check in WITH_ALPHABET
        if world in ONE_OF_EACH_SHAPE or check in OF_CONTENT
    ],
)
def test_keeps_its_promises_with_an_alphabet(world: str, check: str, level: str) -> None:
    alphabet = next(iter(WORLDS[world].task_class.alphabets))
    run_check(check, world, level=level, alphabet=alphabet)


@pytest.mark.parametrize(
    ("world", "check"),
    [
        (world, check)
        for world in TEXTS_IN_FULL
        for check in FAST_CHECKS
        if check != "spec" and (world in ONE_OF_EACH_SHAPE or check in OF_CONTENT)
    ],
)
def test_keeps_its_promises_with_a_chat_template(world: str, check: str) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    context, max_tokens = ROOM.get(world, (512, 64))
    renderer = ChatRenderer(tokenizer)
    run_check(check, world, tokenizer=renderer, context=context, max_tokens=max_tokens)


def shape_of(world: str) -> tuple[bool, ...]:
    """What views, templates and alphabets have to do with in a world, besides its texts."""
    task: Task[Any] = make_task(world)
    opening = task.reset(np.random.default_rng(0))
    has_tools = any(message.tools for message in opening.messages)
    return has_tools, task.max_turns > 1


@pytest.mark.parametrize("world", TEXTS_IN_FULL)
def test_one_of_its_shape_passes_all_checks_with_a_template_and_an_alphabet(world: str) -> None:
    assert shape_of(world) in map(shape_of, ONE_OF_EACH_SHAPE)


def demonstrated(episode: Episode) -> str:
    ids = episode.demonstration()
    assert ids is not None
    return episode.renderer.decode(ids)


@pytest.mark.parametrize("world", TEXTS)
def test_the_same_seeds_give_the_same_episodes_as_ever(world: str) -> None:
    case = Case(WORLDS[world], "token", {})
    env = case.make()
    episode = view_of(env).episode
    steps = [step for seed in range(20) for step in case.play(env, seed, reseeds=True)]
    for seed in range(20):
        steps.append(case.reset(env, seed=seed))
        if episode.demonstration() is None:
            break  # the world shows none
        while episode.verdict is None:
            steps += case.say(env, demonstrated(episode))
    digest = hashlib.sha256()
    for step in steps:
        digest.update(repr((step.reward, sorted(step.info.items()))).encode())
        digest.update(step.observation["tokens"].astype("<i4").tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[world]


@pytest.mark.parametrize("world", IDS)
def test_arguments_of_worlds_are_none_of_the_environments(world: str) -> None:
    own = {field.name for field in fields(WORLDS[world].task_class.Args)}
    assert not own & {*ENV_ARGUMENTS, *VECTOR_ARGUMENTS}
