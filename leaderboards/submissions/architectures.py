"""`ARCHITECTURES`: the language models that an entry's weights may be of, and their configs.

Each key of a config that is allowed has a rule, and others are refused: among those that
transformers understands are some that name code to fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmgym.errors import LmgymError

from .config_sizes import misfits
from .rules import (
    MOST_IDS,
    Rule,
    broken_rules,
    flag,
    ids,
    list_of,
    number,
    one_of,
    or_none,
    same_as,
    size,
    version,
)
from .tables import told

__all__ = [
    "ARCHITECTURES",
    "CONFIG_FILE",
    "GAME_POLICY",
    "GENERATION_FILE",
    "Architecture",
    "check_config",
    "check_generation",
    "find_architecture",
]

CONFIG_FILE, GENERATION_FILE = "config.json", "generation_config.json"
GAME_POLICY = "game-policy"
"""The name that stands for policies of games, as self-play trains them."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A kind of language model.

    Attributes:
        model_type: in its config.
        model_class: of transformers.
        rules: for each key of a config that is allowed.
        needed: keys without which sizes would be those of some model of transformers' choice.
        renamed: names of tensors in files, where they are not those in the model.
    """

    model_type: str
    model_class: str
    rules: Mapping[str, Rule]
    needed: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)


def find_architecture(name: str) -> Architecture:
    """The language model of this name.

    Raises:
        LmgymError: where it is none of them.
    """
    if name not in ARCHITECTURES:
        known = ", ".join((*ARCHITECTURES, GAME_POLICY))
        raise LmgymError(f"manifest.toml: weights.arch is {told(name)}; known: {known}")
    return ARCHITECTURES[name]


def check_config(config: Mapping[str, Any], arch: Architecture) -> list[str]:
    """What is wrong with a config."""
    rules = {
        "model_type": one_of(arch.model_type),
        "architectures": same_as([arch.model_class]),
        **_COMMON,
        **arch.rules,
    }
    lacking = [
        f"{CONFIG_FILE}: {name} is missing"
        for name in ("model_type", "architectures", *arch.needed)
        if name not in config
    ]
    wrong = lacking + broken_rules(config, rules, f"{CONFIG_FILE}: ", _why_not)
    return wrong or [
        f"{CONFIG_FILE} describes no model: {problem}"
        for problem in misfits(config, arch.model_type)
    ]


def check_generation(config: Mapping[str, Any]) -> list[str]:
    """What is wrong with a generation config, of which only the ends of turns are used."""
    return broken_rules(config, _GENERATION, f"{GENERATION_FILE}: ")


def _why_not(name: str) -> str:
    if name in ("auto_map", "custom_pipelines", "trust_remote_code"):
        return ": it names code, and no code of a submission is run"
    if name == "quantization_config":
        return ": save the weights in float32, bfloat16 or float16"
    return "; take it out"


def _rope(value: Any) -> str:
    """Rules of positions, which are an object of their own."""
    if not isinstance(value, dict):
        return "an object is allowed"
    return "; ".join(broken_rules(value, _ROPE, "in it, "))


_MOST_LAYERS, _MOST_WIDTH = 128, 16_384
_LEAST_POSITIONS = 32  # fewer hold no prompt of any world
_ROPE_KINDS = ("default", "linear", "dynamic", "llama3", "yarn")
_ROPE: Mapping[str, Rule] = {
    "rope_type": one_of(*_ROPE_KINDS),
    "type": one_of(*_ROPE_KINDS),
    "rope_theta": number(1, 1e12),
    "factor": number(1, 1e4),
    "low_freq_factor": number(0.01, 1e4),
    "high_freq_factor": number(0.01, 1e4),
    "original_max_position_embeddings": size(2**20),
    "attention_factor": or_none(number(0, 1e4)),
    "beta_fast": or_none(number(0, 1e4)),
    "beta_slow": or_none(number(0, 1e4)),
    "partial_rotary_factor": number(0.01, 1),
}
_ACTIVATIONS = ("silu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "quick_gelu")
_DTYPES = ("float32", "bfloat16", "float16")

_COMMON: Mapping[str, Rule] = {
    "dtype": one_of(*_DTYPES),
    "torch_dtype": one_of(*_DTYPES),
    "transformers_version": version,
    "use_cache": flag,
    "eos_token_id": ids,
    "bos_token_id": or_none(size(MOST_IDS, 0)),
    "pad_token_id": or_none(size(MOST_IDS, 0)),
    "tie_word_embeddings": flag,
    "initializer_range": number(0, 10),
    "vocab_size": size(MOST_IDS),
}
_ROTARY: Mapping[str, Rule] = {
    "hidden_size": size(_MOST_WIDTH),
    "intermediate_size": size(4 * _MOST_WIDTH),
    "num_hidden_layers": size(_MOST_LAYERS),
    "num_attention_heads": size(256),
    "max_position_embeddings": size(2**20, _LEAST_POSITIONS),
    "hidden_act": one_of(*_ACTIVATIONS),
    "attention_bias": flag,
    "attention_dropout": number(0, 1),
    "rope_parameters": _rope,
    "rope_scaling": or_none(_rope),
    "rope_theta": number(1, 1e12),
}
_LLAMA: dict[str, Rule] = {
    **_ROTARY,
    "num_key_value_heads": or_none(size(256)),
    "head_dim": or_none(size(1024)),
    "rms_norm_eps": number(0, 1),
    "mlp_bias": flag,
    "pretraining_tp": one_of(1),
}
_LAYER_KINDS = list_of(one_of("full_attention", "sliding_attention"), _MOST_LAYERS)
_WINDOWS: dict[str, Rule] = {
    "sliding_window": or_none(size(2**20)),
    "use_sliding_window": flag,
    "max_window_layers": size(_MOST_LAYERS, 0),
    "layer_types": or_none(_LAYER_KINDS),
}
_GPT2: Mapping[str, Rule] = {
    "n_embd": size(_MOST_WIDTH),
    "n_layer": size(_MOST_LAYERS),
    "n_head": size(256),
    "n_positions": size(8192, _LEAST_POSITIONS),
    "n_inner": or_none(size(4 * _MOST_WIDTH)),
    "activation_function": one_of(*_ACTIVATIONS),
    "attn_pdrop": number(0, 1),
    "embd_pdrop": number(0, 1),
    "resid_pdrop": number(0, 1),
    "layer_norm_epsilon": number(0, 1),
    "add_cross_attention": one_of(False),
    "reorder_and_upcast_attn": flag,
    "scale_attn_by_inverse_layer_idx": flag,
    "scale_attn_weights": flag,
    "summary_activation": one_of(None),
    "summary_first_dropout": number(0, 1),
    "summary_proj_to_labels": flag,
    "summary_type": one_of("cls_index"),
    "summary_use_proj": flag,
}
_GPT_NEOX: Mapping[str, Rule] = {
    **_ROTARY,
    "layer_norm_eps": number(0, 1),
    "hidden_dropout": number(0, 1),
    "classifier_dropout": number(0, 1),
    "use_parallel_residual": flag,
    "rotary_pct": number(0.01, 1),
    "rotary_emb_base": number(1, 1e12),
    "is_decoder": flag,
}
_GENERATION: Mapping[str, Rule] = {
    "_from_model_config": flag,
    "transformers_version": version,
    "eos_token_id": ids,
    **{f"{name}_token_id": or_none(size(MOST_IDS, 0)) for name in ("bos", "pad")},
    **dict.fromkeys(("do_sample", "use_cache", "renormalize_logits"), flag),
    **{f"output_{name}": flag for name in ("attentions", "hidden_states", "scores", "logits")},
    **{name: or_none(number(0, 1e6)) for name in ("temperature", "top_k", "top_p", "min_p")},
    **{f"{name}_penalty": or_none(number(0, 1e3)) for name in ("repetition", "length")},
    **{name: or_none(size(2**20, 0)) for name in ("max_length", "max_new_tokens", "min_length")},
}
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("llama", "LlamaForCausalLM", _LLAMA, _SIZES),
    "mistral": Architecture(
        "mistral",
        "MistralForCausalLM",
        _LLAMA | {"sliding_window": _WINDOWS["sliding_window"]},
        _SIZES,
    ),
    "qwen2": Architecture("qwen2", "Qwen2ForCausalLM", _LLAMA | _WINDOWS, _SIZES),
    "qwen3": Architecture("qwen3", "Qwen3ForCausalLM", _LLAMA | _WINDOWS, _SIZES),
    "smollm3": Architecture(
        "smollm3",
        "SmolLM3ForCausalLM",
        _LLAMA
        | _WINDOWS
        | {
            "no_rope_layers": or_none(list_of(one_of(0, 1), _MOST_LAYERS)),
            "no_rope_layer_interval": size(_MOST_LAYERS),
        },
        _SIZES,
    ),
    "gpt2": Architecture(
        "gpt2",
        "GPT2LMHeadModel",
        _GPT2,
        ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"),
    ),
    "gpt_neox": Architecture(
        "gpt_neox",
        "GPTNeoXForCausalLM",
        _GPT_NEOX,
        _SIZES,
        {"embed_out.weight": "lm_head.weight"},
    ),
}
"""By the name that a manifest gives as `arch`."""
