"""Tiny models with random weights, made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

SIZES: dict[str, Any] = {
    "vocab_size": 262,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 256,
    "bos_token_id": None,
    "eos_token_id": 257,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "llama, wide heads": ("LlamaConfig", SIZES | {"head_dim": 16, "num_key_value_heads": 4}),
    "qwen3": ("Qwen3Config", SIZES | {"head_dim": 8}),
    "gemma 3": ("Gemma3TextConfig", SIZES | {"head_dim": 8, "sliding_window": 8}),
    "gpt2": ("GPT2Config", {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "bloom": ("BloomConfig", {"vocab_size": 262, "hidden_size": 32, "n_head": 4}),
    "mamba": ("MambaConfig", {"vocab_size": 262, "hidden_size": 32, "num_hidden_layers": 2}),
    "gpt": ("OpenAIGPTConfig", {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4}),
}


@pytest.fixture
def build_model() -> Callable[..., Any]:
    """Builds a model of a kind, with weights large enough to have opinions."""

    def build(name: str, seed: int = 0) -> Any:
        import transformers

        kind, options = KINDS[name]
        maker: Any = transformers.AutoModelForCausalLM  # untyped
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = maker.from_config(getattr(transformers, kind)(**options))
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.2)
        return model.eval()

    return build


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, build_model: Callable[..., Any]) -> Any:
    """A model of each kind."""
    return build_model(request.param)


@pytest.fixture
def llama(build_model: Callable[..., Any]) -> Any:
    """A model of the fast kind."""
    return build_model("llama")
