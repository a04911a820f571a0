"""The embedded tokenizer as a Hugging Face tokenizer, with the ids of `ByteRenderer`."""

from __future__ import annotations

from typing import Any

from lmgym.rendering import ByteRenderer

__all__ = ["byte_tokenizer", "chat_tokenizer", "is_byte_tokenizer"]

_PAD, _END = "<|pad|>", "<|end|>"
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant', 'tool'] %}"
    "{{ raise_exception('unknown role ' + message['role']) }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def byte_tokenizer() -> Any:
    """A fast tokenizer that encodes as `ByteRenderer` does, to be saved with a model.

    Text that spells a special token, such as "<|end|>", is the one exception: a tokenizer of
    transformers reads it as that token unless it is told `split_special_tokens=True`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = {letter: byte for byte, letter in enumerate(_byte_letters())}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return chat_tokenizer(tokenizer)


def chat_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer of `tokenizers` with our special tokens and chat template, for transformers."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    tokenizer.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in ByteRenderer.specials]
    )
    wrap: Any = PreTrainedTokenizerFast  # untyped
    wrapped = wrap(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        eos_token=_END,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = _TEMPLATE
    return wrapped


def is_byte_tokenizer(tokenizer: Any) -> bool:
    """Whether a tokenizer of transformers is the embedded one: its ids, and no other template."""
    return (
        len(tokenizer) == ByteRenderer.vocab_size
        and getattr(tokenizer, "chat_template", None) in (None, _TEMPLATE)
        and all(
            tokenizer.convert_tokens_to_ids(text) == index
            for text, index in ByteRenderer.specials.items()
        )
        and tokenizer.convert_tokens_to_ids(_byte_letters()) == list(range(256))
    )


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte in byte-level tokenizers (GPT-2, 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + rank) for rank, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]
