"""Preferences that can be learned, and tiny models of Hugging Face made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.preferences.pairs import PreferenceDataset, PreferencePair

CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKS = ("<|user|>", "<|assistant|>", "<|end|>", "<|pad|>")


def polite_pairs_of(n: int = 60, seed: int = 0) -> PreferenceDataset:
    """Pairs in which the answer with more thanks is better, whatever its length."""
    rng = np.random.default_rng(seed)
    pairs = []
    for index in range(n):
        fewer, more = sorted(rng.choice(6, size=2, replace=False))
        chosen, rejected = ("thanks " * k + "indeed " * (5 - k) for k in (more, fewer))
        pairs.append(PreferencePair.of(f"question {index}", chosen, rejected))
    return PreferenceDataset.of(pairs)


@pytest.fixture
def polite_pairs() -> Callable[..., PreferenceDataset]:
    """`polite_pairs_of`."""
    return polite_pairs_of


@pytest.fixture
def pairs() -> PreferenceDataset:
    return polite_pairs_of()


@pytest.fixture
def word_tokenizer() -> Callable[..., Any]:
    """A tokenizer of words with the special tokens of `CHAT`."""

    def make(chat_template: str | None = CHAT, **specials: str) -> Any:
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        words = ["<unk>", *(f"w{index}" for index in range(40))]
        vocabulary = {word: index for index, word in enumerate(words)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens(list(MARKS))
        wrap: Any = PreTrainedTokenizerFast  # untyped
        wrapped = wrap(tokenizer_object=tokenizer, unk_token="<unk>", **specials)
        wrapped.chat_template = chat_template
        return wrapped

    return make


@pytest.fixture
def save_llama(tmp_path: Path, word_tokenizer: Callable[..., Any]) -> Callable[..., Path]:
    """Saves a LlamaForSequenceClassification of random weights, and gives its directory."""

    def save(n_labels: int = 1, tokenizer: Any = None, **options: Any) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForSequenceClassification

        tokenizer = tokenizer or word_tokenizer()
        given: dict[str, Any] = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
        make_config: Any = LlamaConfig  # their types know no labels
        make_model: Any = LlamaForSequenceClassification
        config = make_config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_attention_heads=2,
            num_hidden_layers=2,
            num_labels=n_labels,
            **{"max_position_embeddings": 128, **given, **options},
        )
        model = make_model(config)
        generator = torch.Generator().manual_seed(0)
        for weights in model.parameters():
            weights.data.normal_(std=0.3, generator=generator)
        path = tmp_path / "llama"
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
        return path

    return save
