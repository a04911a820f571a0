"""A world whose context starts again keeps every promise of the conformance suite."""

from __future__ import annotations

from typing import Any

import pytest

from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.rendering import ChatRenderer
from lmgym.testing import CHECKS, run_check

from .conftest import SPELL

FAST_CHECKS = [check for check in CHECKS if check != "growth"]
VARIANTS: dict[str, dict[str, Any]] = {
    "pages that do not fit": {"context": 32},
    "few tokens": {"max_tokens": 5},
    "without a reward": {"reward": None},
}


@pytest.mark.parametrize("check", FAST_CHECKS)
def test_keeps_its_promises(check: str) -> None:
    run_check(check, SPELL)


@pytest.mark.slow
def test_does_not_grow_over_a_thousand_episodes() -> None:
    run_check("growth", SPELL)


@pytest.mark.parametrize("check", ["masks", "snapshots", "vector", "payments", "seeding"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_keeps_its_promises_with_arguments(variant: str, check: str) -> None:
    run_check(check, SPELL, **VARIANTS[variant])


@pytest.mark.parametrize("check", ["masks", "snapshots", "vector", "payments", "gold", "sb3"])
def test_keeps_its_promises_with_an_alphabet(check: str) -> None:
    run_check(check, SPELL, level="token", alphabet="chars:abcdef")


@pytest.mark.parametrize("check", [check for check in FAST_CHECKS if check != "spec"])
def test_keeps_its_promises_with_a_chat_template(check: str) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    run_check(check, SPELL, tokenizer=ChatRenderer(tokenizer), context=128, max_tokens=40)
