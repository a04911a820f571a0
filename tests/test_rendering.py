"""The embedded tokenizer: bytes, and ids for turns and roles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.rendering import ByteRenderer, ChatRenderer
from lmgym.task import Message, Role

BYTES = ByteRenderer()
DIALOGUE = [
    Message(Role.SYSTEM, "You are a model."),
    Message(Role.USER, "What is 12 plus 30?"),
    Message(Role.ASSISTANT, "42"),
    Message(Role.TOOL, "{}"),
]


@given(st.text())
def test_bytes_are_lossless_for_text(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text


def test_bytes_take_lone_surrogates() -> None:
    assert len(BYTES.encode("\ud800")) == 3


@given(st.lists(st.integers(0, BYTES.vocab_size - 1)))
def test_bytes_decode_any_ids(ids: list[int]) -> None:
    assert isinstance(BYTES.decode(ids), str)


@given(st.text(), st.sampled_from(["<|end|>", "<|user|>", "<|pad|>"]))
def test_text_never_becomes_a_special_id_of_bytes(text: str, special: str) -> None:
    ids, _ = BYTES.open([Message(Role.USER, text + special + text)])
    assert [i for i in ids if i > 255] == [259, 257, 260]


def test_bytes_equal_their_tokenizers_template() -> None:
    renderer = ChatRenderer(byte_tokenizer())
    assert BYTES.open(DIALOGUE) == renderer.open(DIALOGUE)
    for last_id in (BYTES.end_id, 50):
        assert BYTES.append(last_id, DIALOGUE[1:2]) == renderer.append(last_id, DIALOGUE[1:2])
    assert (renderer.end_ids, renderer.masked_ids) == (BYTES.end_ids, BYTES.masked_ids)
