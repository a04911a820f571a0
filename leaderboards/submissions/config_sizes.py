"""Sizes in a config that do not fit one another, though each of them is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["misfits"]

_QWEN3_HEAD = 128
"""The width of a head of Qwen 3 where a config gives none."""


def misfits(config: Mapping[str, Any], model_type: str) -> list[str]:
    """Why no model of this type can have such sizes; each value is allowed for itself.

    Example:
        >>> misfits(
        ...     {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 3}, "llama"
        ... )
        ['4 heads cannot share 3 heads of keys']
        >>> misfits({"hidden_size": 4, "num_attention_heads": 4}, "llama")
        ['a head has 1 numbers, which rotations cannot turn in pairs']
    """
    if model_type == "gpt2":
        return list(_split_problems(config["n_embd"], config["n_head"]))
    return [*_head_problems(config, model_type), *_window_problems(config)]


def _split_problems(width: int, heads: int) -> Iterator[str]:
    if width % heads:
        yield f"{width} numbers cannot be split into {heads} heads"


def _head_problems(config: Mapping[str, Any], model_type: str) -> Iterator[str]:
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    if heads % kv_heads:
        yield f"{heads} heads cannot share {kv_heads} heads of keys"
    width = config.get("head_dim") or (_QWEN3_HEAD if model_type == "qwen3" else None)
    if width is None:
        if found := list(_split_problems(config["hidden_size"], heads)):
            yield from found
            return
        width = config["hidden_size"] // heads
    yield from _rotation_problems(config, model_type, width)


def _rotation_problems(config: Mapping[str, Any], model_type: str, width: int) -> Iterator[str]:
    """What is wrong with the part of a head of `width` numbers that is turned."""
    shares = [
        rope["partial_rotary_factor"]
        for name in ("rope_parameters", "rope_scaling")
        if "partial_rotary_factor" in (rope := config.get(name) or {})
    ]
    if model_type == "gpt_neox":
        shares = [*shares, config.get("rotary_pct", 0.25)][:1]
    elif any(share != 1 for share in shares):
        yield f"models of type {model_type} turn all of a head, so partial_rotary_factor must be 1"
        return
    turned = int(width * shares[0]) if shares else width
    if turned < 2 or turned % 2:
        part = "" if turned == width else f", of which {turned} are turned"
        yield f"a head has {width} numbers{part}, which rotations cannot turn in pairs"


def _window_problems(config: Mapping[str, Any]) -> Iterator[str]:
    kinds = config.get("layer_types")
    if not kinds:
        return
    if len(kinds) != (n_layers := config["num_hidden_layers"]):
        yield f"layer_types has {len(kinds)} kinds for {n_layers} layers"
    has_window = config.get("sliding_window") and config.get("use_sliding_window")
    if "sliding_attention" in kinds and not has_window:
        yield "layer_types has sliding_attention, without a sliding_window that is used"
