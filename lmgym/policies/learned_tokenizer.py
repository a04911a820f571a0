"""A tokenizer learned from a world's texts, for small policies that read long ones.

Byte-level BPE (Sennrich et al. 2016; GPT-2's alphabet), lossless for any text. Texts are first cut
behind each quotation mark and line break, so that what stands in quotes becomes the same ids
wherever it stands: a name in an instruction, on a page and in a command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lmgym.policies.byte_tokenizer import chat_tokenizer
from lmgym.rendering import ChatRenderer

__all__ = ["learn_renderer"]


def learn_renderer(texts: Iterable[str], n_ids: int) -> ChatRenderer:
    """The renderer of a tokenizer that is learned from texts.

    Args:
        texts: as long as it takes to see the usual ones.
        n_ids: ids at most, bytes and special ones included; at least 512.

    Example:
        >>> renderer = learn_renderer(["click(link 'Start')"] * 9, 512)
        >>> renderer.decode(renderer.encode("click(link 'Stop')"))
        "click(link 'Stop')"
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    cut: Any = pre_tokenizers
    tokenizer.pre_tokenizer = cut.Sequence(
        [
            cut.Split("'", "merged_with_previous"),
            cut.Split("\n", "merged_with_previous"),
            cut.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    n_special = 6
    trainer = trainers.BpeTrainer(
        vocab_size=n_ids - n_special,
        initial_alphabet=cut.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=4,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return ChatRenderer(chat_tokenizer(tokenizer), "learned")
