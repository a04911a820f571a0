"""What every registered world promises, at every level it offers."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import pytest

from lmgym.episode import Episode
from lmgym.factory import ENV_ARGUMENTS, VECTOR_ARGUMENTS
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.registry import WORLDS
from lmgym.rendering import ChatRenderer
from lmgym.testing import CHECKS, Case, checks_for, run_check
from lmgym.testing.case import view_of

IDS = [world for world in WORLDS if world.startswith("lmgym/")]
TEXTS = [world for world in IDS if "token" in WORLDS[world].levels]
FAST_CHECKS = [check for check in CHECKS if check != "growth"]
WITH_ALPHABET = [
    check for check in FAST_CHECKS if check not in ("budget", "garbage", "levels")
]  # these write what an alphabet lacks
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
ROOM = {"lmgym/Web-v0": (3_072, 1_088)}
"""Context and budget of worlds that take more than most."""
GOLDEN = {
    "lmgym/Copy-v0": "62da9461e801f371",
    "lmgym/GuessNumber-v0": "0d7007c5a76288a7",
    "lmgym/Math-v0": "3dccc73d197b621c",
    "lmgym/Preference-v0": "a7fba058a1f9b29f",
    "lmgym/PromptSelect-v0": "f1899b37e8c85fb1",
    "lmgym/Web-v0": "c570ed2009eda7b7",
}
"""Digests of random and of demonstrated episodes; one that changes calls for a new version."""


@pytest.mark.parametrize(
    ("world", "check"),
    [(world, check) for world in IDS for check in checks_for(world) if check != "growth"],
)
def test_keeps_its_promises(world: str, check: str) -> None:
    run_check(check, world)


@pytest.mark.slow
@pytest.mark.parametrize("world", IDS)
def test_does_not_grow_over_a_thousand_episodes(world: str) -> None:
    run_check("growth", world)


@pytest.mark.parametrize("check", FAST_CHECKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_keeps_its_promises_with_arguments(variant: str, check: str) -> None:
    world, arguments = VARIANTS[variant]
    run_check(check, world, **arguments)


@pytest.mark.parametrize("level", ["token", "chunk"])
@pytest.mark.parametrize("check", WITH_ALPHABET)
@pytest.mark.parametrize("world", TEXTS)
def test_keeps_its_promises_with_an_alphabet(world: str, check: str, level: str) -> None:
    alphabet = next(iter(WORLDS[world].task_class.alphabets))
    run_check(check, world, level=level, alphabet=alphabet)


@pytest.mark.parametrize("check", [check for check in FAST_CHECKS if check != "spec"])
@pytest.mark.parametrize("world", TEXTS)
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
