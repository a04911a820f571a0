"""The saved tokenizer has the ids of `ByteRenderer`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lmgym.policies.byte_tokenizer import byte_tokenizer, is_byte_tokenizer
from lmgym.rendering import ByteRenderer
from lmgym.task import Message, Role

RENDERER = ByteRenderer()
ids_of_bytes = st.lists(st.integers(0, 255))
plain_text = st.text().filter(lambda text: not any(s in text for s in RENDERER.specials))
messages = st.lists(st.builds(Message, st.sampled_from(Role), plain_text), min_size=1, max_size=5)


@cache
def tokenizer() -> Any:
    return byte_tokenizer()


@given(plain_text)
def test_encodes_as_the_renderer(text: str) -> None:
    assert tokenizer()(text)["input_ids"] == RENDERER.encode(text)


@given(st.text(alphabet="<|>adenpt", max_size=40))
def test_spelled_specials_are_letters_when_split(text: str) -> None:
    assert tokenizer()(text, split_special_tokens=True)["input_ids"] == RENDERER.encode(text)


@given(ids_of_bytes)
def test_decodes_as_the_renderer(ids: list[int]) -> None:
    assert tokenizer().decode(ids) == RENDERER.decode(ids)


@given(messages)
def test_the_chat_template_equals_an_opening(dialogue: list[Message]) -> None:
    rendered = tokenizer().apply_chat_template(
        [message.as_dict() for message in dialogue], add_generation_prompt=True
    )
    assert rendered["input_ids"] == RENDERER.open(dialogue)[0]


@given(messages, plain_text, messages, st.booleans())
def test_the_chat_template_equals_opening_turn_and_append(
    opening: list[Message], said: str, reply: list[Message], is_cut_off: bool
) -> None:
    turn = [*RENDERER.encode(said), *([] if is_cut_off else [RENDERER.end_id])]
    assume(turn)
    appended = [*RENDERER.open(opening)[0], *turn, *RENDERER.append(turn[-1], reply)[0]]
    dialogue = [*opening, Message(Role.ASSISTANT, said), *reply]
    rendered = tokenizer().apply_chat_template(
        [message.as_dict() for message in dialogue], add_generation_prompt=True
    )
    assert rendered["input_ids"] == appended


def test_special_tokens_have_the_renderers_ids() -> None:
    assert tokenizer().convert_tokens_to_ids(list(RENDERER.specials)) == list(range(256, 262))
    assert tokenizer().pad_token_id == RENDERER.pad_id
    assert tokenizer().eos_token_id == RENDERER.end_id
    assert len(tokenizer()) == RENDERER.vocab_size


def test_survives_saving(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer().save_pretrained(tmp_path)
    loaded: Any = AutoTokenizer.from_pretrained(tmp_path)
    text = " a  b\n\té\u2581\x00 日本"
    assert is_byte_tokenizer(loaded)
    assert loaded(text)["input_ids"] == RENDERER.encode(text)
    assert loaded.decode(RENDERER.encode(text)) == text


def test_an_unknown_role_is_refused() -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="unknown role"):
        tokenizer().apply_chat_template([{"role": "pirate", "content": ""}])


def test_another_template_is_another_tokenizer() -> None:
    other = byte_tokenizer()
    other.chat_template = "{{ messages[0]['content'] }}"
    assert not is_byte_tokenizer(other)
