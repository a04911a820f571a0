"""Tiny models with random weights, made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer

BuildModel = Callable[..., Any]


@pytest.fixture
def build_model() -> BuildModel:
    """Builds a model from its config, with weights large enough to have opinions."""

    def build(config: Any, seed: int = 0) -> Any:
        from transformers import AutoModelForCausalLM

        maker: Any = AutoModelForCausalLM  # untyped
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = maker.from_config(config)
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    return build


@pytest.fixture
def llama_config() -> Callable[..., Any]:
    """Builds the config of a Llama that reads bytes."""

    def build(**changes: Any) -> Any:
        from transformers import LlamaConfig

        sizes: dict[str, Any] = {
            "vocab_size": 262,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 256,
            "pad_token_id": 256,
            "bos_token_id": None,
            "eos_token_id": 257,
        }
        return LlamaConfig(**(sizes | changes))

    return build


@pytest.fixture
def policy(build_model: BuildModel, llama_config: Callable[..., Any]) -> LanguagePolicy:
    """A byte-level Llama."""
    return LanguagePolicy(build_model(llama_config()), ByteRenderer())
