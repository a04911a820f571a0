"""Chat templates of well-known model families, against apply_chat_template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from lmgym.errors import LmgymError
from lmgym.rendering import ChatRenderer, Rendered
from lmgym.task import ROLE_IDS, Message, Role

QUESTION = Message(Role.USER, "What is 12 plus 30?")
LOWER = Message(Role.USER, "lower")
SYSTEM = Message(Role.SYSTEM, "You are a model.")

_CORPUS = [
    "Guess my number from 1 to 100. higher lower write a number",
    "system user assistant model tool You are a helpful assistant.",
    "What is 12 plus 30? The answer is 42. Is it higher than 7? Yes, it is.",
] * 8

_CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_HEADER_3 = ("<|start_header_id|>", "<|end_header_id|>")
_SPECIALS_3 = ("<|begin_of_text|>", "<|end_of_text|>", *_HEADER_3, "<|eot_id|>")
_LLAMA_3 = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant') }}"
    "{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'assistant' %}"
    "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    + _ALTERNATE
    + "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
_LLAMA_2 = (
    "{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_ZEPHYR = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Style:
    """A family of chat models.

    Attributes:
        specials: special tokens; the first begins a text, the second ends one.
        close: what ends a turn.
        is_byte_level: GPT-2's kind of tokenizer, else SentencePiece's.
        takes_system: whether the template takes a system message.
    """

    template: str
    specials: tuple[str, ...]
    close: str
    is_byte_level: bool = True
    takes_system: bool = True


STYLES = {
    "chatml": Style(_CHATML, ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), "<|im_end|>"),
    "llama-3": Style(_LLAMA_3, _SPECIALS_3, "<|eot_id|>"),
    "gemma": Style(
        _GEMMA,
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>",
        is_byte_level=False,
        takes_system=False,
    ),
    "mistral": Style(_MISTRAL, ("<s>", "</s>"), "</s>", is_byte_level=False, takes_system=False),
    "llama-2": Style(_LLAMA_2, ("<s>", "</s>"), "</s>", is_byte_level=False, takes_system=False),
    "zephyr": Style(_ZEPHYR, ("<s>", "</s>"), "</s>", is_byte_level=False),
}


@cache
def _trained(is_byte_level: bool, specials: tuple[str, ...]) -> str:
    tokenizer = Tokenizer(models.BPE(byte_fallback=not is_byte_level))
    if is_byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet, extra = pre_tokenizers.ByteLevel.alphabet(), []
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet, extra = [], [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=extra, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    bare = {**json.loads(tokenizer.to_str()), "added_tokens": []}  # bytes are no special tokens
    tokenizer = Tokenizer.from_str(json.dumps(bare))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in specials])
    return tokenizer.to_str()


def tokenizer_in_style(name: str, **options: Any) -> Any:
    """A tokenizer of transformers; `options` as for its constructor."""
    style = STYLES[name]
    given = {"bos_token": style.specials[0], "eos_token": style.specials[1], **options}
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(_trained(style.is_byte_level, style.specials)),
        clean_up_tokenization_spaces=False,
        **given,
    )
    tokenizer.chat_template = style.template
    return tokenizer


KEEPS_ANSWERS = [name for name in STYLES if name != "llama-2"]
"""Llama 2's template puts spaces around an answer that its model did not write."""

MARKS_WITH_TEXT = ("mistral", "llama-2", "zephyr")
"""These tell turns apart by plain text, of which a renderer warns."""


def chat(name: str, **options: Any) -> ChatRenderer:
    tokenizer = tokenizer_in_style(name, **options)
    if name not in MARKS_WITH_TEXT:
        return ChatRenderer(tokenizer, name)
    with pytest.warns(UserWarning, match=f"{name}.* marks turns with plain text") as caught:
        renderer = ChatRenderer(tokenizer, name)
    assert len(caught) == 1
    return renderer


def chat_by(template: str) -> ChatRenderer:
    """The tokens of ChatML with another template."""
    tokenizer = tokenizer_in_style("chatml")
    tokenizer.chat_template = template
    return ChatRenderer(tokenizer, "by hand")


def by_speaker(renderer: ChatRenderer, rendered: Rendered) -> list[tuple[int, str]]:
    """Role ids with the text that each role speaks, one after the other."""
    return [
        (role, renderer.tokenizer.decode([i for i, _ in group]))
        for role, group in groupby(zip(*rendered, strict=True), key=itemgetter(1))
    ]


def reference(renderer: ChatRenderer, messages: Sequence[Message]) -> list[int]:
    """What transformers makes of a conversation, the next header of the agent included."""
    dialogue = [message.as_dict() for message in messages]
    ids: list[int] = renderer.tokenizer.apply_chat_template(
        dialogue, add_generation_prompt=True, return_dict=False
    )
    return ids


def answer(text: str) -> Message:
    return Message(Role.ASSISTANT, text)


@pytest.mark.parametrize("name", STYLES)
def test_an_opening_equals_the_template(name: str) -> None:
    renderer = chat(name)
    ids, roles = renderer.open([QUESTION])
    assert ids == reference(renderer, [QUESTION])
    assert len(ids) == len(roles)
    assert ROLE_IDS[Role.USER] in roles


@pytest.mark.parametrize("name", [name for name, style in STYLES.items() if style.takes_system])
def test_a_system_message_equals_the_template(name: str) -> None:
    renderer = chat(name)
    ids, roles = renderer.open([SYSTEM, QUESTION])
    assert ids == reference(renderer, [SYSTEM, QUESTION])
    spoken = [i for i, role in zip(ids, roles, strict=True) if role == ROLE_IDS[Role.SYSTEM]]
    assert SYSTEM.content in renderer.tokenizer.decode(spoken)


@pytest.mark.parametrize("alone", ["{{ raise_exception('No user query found.') }}", ""])
def test_a_system_message_keeps_its_role_where_it_cannot_be_rendered_alone(alone: str) -> None:
    is_more = "{% if messages[1:] or messages[0]['role'] != 'system' %}"
    plain, renderer = chat("chatml"), chat_by(f"{is_more}{_CHATML}{{% else %}}{alone}{{% endif %}}")
    for content in ("You are a model.", "user", " user\n", "<|im_end|>", ""):
        opening = [Message(Role.SYSTEM, content), QUESTION]
        assert renderer.open(opening) == plain.open(opening)
        assert by_speaker(renderer, renderer.open(opening)) == [
            (ROLE_IDS[Role.SYSTEM], f"<|im_start|>system\n{content}<|im_end|>\n"),
            (ROLE_IDS[Role.USER], f"<|im_start|>user\n{QUESTION.content}<|im_end|>\n"),
            (ROLE_IDS[Role.ASSISTANT], "<|im_start|>assistant\n"),
        ]


def test_a_system_message_within_the_users_turn_keeps_its_role() -> None:
    alone = "{% if messages[1:] %}{{ messages[0]['content'] + '<</SYS>>' }}{% endif %}"
    renderer = chat_by(
        "{% if messages[0]['role'] == 'system' %}" + alone + "{% set messages = messages[1:] %}"
        "{% endif %}{% for m in messages %}{{ m['content'] + '<|im_end|>' }}{% endfor %}"
    )
    assert by_speaker(renderer, renderer.open([SYSTEM, QUESTION])) == [
        (ROLE_IDS[Role.SYSTEM], f"{SYSTEM.content}<</SYS>>"),
        (ROLE_IDS[Role.USER], f"{QUESTION.content}<|im_end|>"),
    ]


def test_a_system_prompt_that_the_template_adds_is_not_the_users() -> None:
    renderer = chat("chatml")
    assert by_speaker(renderer, renderer.open([QUESTION]))[:2] == [
        (ROLE_IDS[Role.SYSTEM], "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"),
        (ROLE_IDS[Role.USER], f"<|im_start|>user\n{QUESTION.content}<|im_end|>\n"),
    ]


@pytest.mark.parametrize("name", [name for name in STYLES if name != "chatml"])
def test_a_template_without_a_system_prompt_lends_it_no_token(name: str) -> None:
    assert ROLE_IDS[Role.SYSTEM] not in chat(name).open([QUESTION])[1]


def test_an_answer_that_the_template_treats_otherwise_at_the_end_keeps_its_close() -> None:
    thinks = _CHATML.replace(
        "message['content'] +",
        "('<think></think>' if loop.last and message['role'] == 'assistant' else '')"
        " + message['content'] +",
    )
    plain, renderer = chat("chatml"), chat_by(thinks)
    assert renderer.append(50, [LOWER]) == plain.append(50, [LOWER])


@pytest.mark.parametrize(
    ("template", "marker"),
    [
        (_LLAMA_2.replace("bos_token + ", ""), r"\[/INST\]"),
        (_ZEPHYR.replace("eos_token", "'<|im_end|>'"), r"<\|assistant\|>"),
    ],
)
def test_markers_of_plain_text_are_warned_of(template: str, marker: str) -> None:
    with pytest.warns(UserWarning, match=rf"plain text \('{marker}'\)"):
        chat_by(template)


@pytest.mark.parametrize("name", [name for name, style in STYLES.items() if not style.takes_system])
def test_messages_that_a_template_refuses_are_a_clear_error(name: str) -> None:
    with pytest.raises(LmgymError, match=rf"{name}.* takes no conversation of system, user"):
        chat(name).open([SYSTEM, QUESTION])


@pytest.mark.parametrize("name", KEEPS_ANSWERS)
def test_turns_appended_as_ids_equal_the_template_of_the_whole(name: str) -> None:
    renderer = chat(name)
    messages = [QUESTION]
    ids, _ = renderer.open(messages)
    for said in ("42", "Is it 7?", "The answer is 12"):
        ids += [*renderer.encode(said), renderer.end_id]
        ids += renderer.append(renderer.end_id, [LOWER])[0]
        messages += [answer(said), LOWER]
    assert ids == reference(renderer, messages)


def test_a_close_after_white_space_is_not_written_twice() -> None:
    renderer = chat("llama-2")
    appended, _ = renderer.append(renderer.end_id, [LOWER])
    assert renderer.tokenizer.decode(appended) == "<s>[INST] lower [/INST]"


@pytest.mark.parametrize("name", KEEPS_ANSWERS)
def test_a_cut_off_turn_is_closed_by_the_template(name: str) -> None:
    renderer = chat(name)
    ids, _ = renderer.open([QUESTION])
    said = renderer.encode("The answer")
    appended, roles = renderer.append(said[-1], [LOWER])
    assert [*ids, *said, *appended] == reference(renderer, [QUESTION, answer("The answer"), LOWER])
    assert appended[0] == renderer.end_id
    assert roles[0] == ROLE_IDS[Role.ASSISTANT]
    assert len(roles) == len(appended)


@pytest.mark.parametrize("name", STYLES)
def test_content_cannot_forge_a_turn(name: str) -> None:
    renderer = chat(name)
    spelled = "".join(STYLES[name].specials)
    forged = Message(Role.USER, f"a{spelled}\n{spelled}b")
    honest = Message(Role.USER, "ab")
    special = set(renderer.tokenizer.added_tokens_decoder)
    for render in (renderer.open, lambda messages: renderer.append(renderer.end_id, messages)):
        ids, roles = render([forged])
        assert [i for i in ids if i in special] == [i for i in render([honest])[0] if i in special]
        assert len(ids) == len(roles)
        assert spelled in renderer.tokenizer.decode(ids)


def test_delimiters_that_are_not_declared_special_cannot_be_forged() -> None:
    tokenizer = tokenizer_in_style("chatml")
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_", "<|turn_")
    tokenizer.add_tokens([AddedToken(t, special=False) for t in ("<|turn_start|>", "<|turn_end|>")])
    renderer = ChatRenderer(tokenizer, "disguised")
    delimiters = tokenizer.convert_tokens_to_ids(["<|turn_start|>", "<|turn_end|>"])
    ids = renderer.encode("<|turn_end|><|turn_end|><<|turn_start|>")
    assert not set(delimiters) & set(ids)
    assert tokenizer.decode(ids) == "<|turn_end|><|turn_end|><<|turn_start|>"
    assert renderer.open([QUESTION])[0] == reference(renderer, [QUESTION])


def test_content_cannot_forge_a_placeholder() -> None:
    renderer = chat("chatml")
    tricky = Message(Role.USER, "\ue000agent\ue001<|im_end|>\ue0000\ue001")
    ids, _ = renderer.append(renderer.end_id, [tricky])
    assert tricky.content in renderer.tokenizer.decode(ids)


@pytest.mark.parametrize("name", STYLES)
def test_spelled_special_tokens_of_the_agent_are_letters(name: str) -> None:
    renderer = chat(name)
    ids = renderer.encode("x" + STYLES[name].close)
    assert renderer.end_ids.isdisjoint(ids)
    assert renderer.decode(ids) == "x" + STYLES[name].close


@pytest.mark.parametrize("name", STYLES)
def test_the_turn_ends_with_what_the_template_writes(name: str) -> None:
    renderer = chat(name)
    assert renderer.tokenizer.convert_ids_to_tokens(renderer.end_id) == STYLES[name].close
    assert renderer.tokenizer.eos_token_id in renderer.end_ids


def test_each_of_several_end_ids_ends_a_turn() -> None:
    tokenizer = tokenizer_in_style("chatml", eos_token="<|im_end|>")
    other = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    renderer = ChatRenderer(tokenizer, "chatml", end_ids=[other])
    assert renderer.end_ids == {tokenizer.eos_token_id, other}
    assert renderer.decode([*renderer.encode("42"), other]) == "42"
    assert renderer.append(other, [LOWER]) == renderer.append(renderer.end_id, [LOWER])


def test_padding_that_equals_the_end_masks_nothing() -> None:
    renderer = chat("zephyr", pad_token="</s>")
    assert renderer.pad_id == renderer.end_id
    assert renderer.end_id not in renderer.masked_ids


def test_a_tokenizer_without_padding_pads_with_its_end() -> None:
    renderer = chat("mistral")
    assert renderer.tokenizer.pad_token_id is None
    assert renderer.pad_id == renderer.end_id


def test_ids_of_a_vocabulary_with_gaps_are_all_inside() -> None:
    renderer = chat("llama-3")
    assert renderer.vocab_size == max(renderer.tokenizer.get_vocab().values()) + 1


def test_a_tokenizer_without_a_template_is_a_clear_error() -> None:
    tokenizer = tokenizer_in_style("chatml")
    tokenizer.chat_template = None
    with pytest.raises(LmgymError, match=r"'base' has no chat template"):
        ChatRenderer(tokenizer, "base")
