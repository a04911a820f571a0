"""Tiny language models with random weights, made from a seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer


@pytest.fixture
def make_policy() -> Callable[[int], LanguagePolicy]:
    """Builds a byte-level Llama whose weights are large enough to have opinions."""

    def build(seed: int) -> LanguagePolicy:
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=262,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=128,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = LlamaForCausalLM(config)
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.3)
        return LanguagePolicy(model, ByteRenderer())

    return build
