"""Weights of a model together with those of its adapter, without changing either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lmgym.errors import LmgymError

__all__ = [
    "adapter_parameters",
    "adapter_rank",
    "base_of",
    "has_adapter",
    "is_plain",
    "is_plain_linear",
    "lora_layers",
    "merged_state",
    "weight_of",
]


def has_adapter(model: Any) -> bool:
    """Whether peft wraps this model."""
    return hasattr(model, "get_base_model")


def adapter_rank(model: Any) -> int:
    """The rank of the adapter; 0 where there is none."""
    return int(model.peft_config[model.active_adapter].r) if has_adapter(model) else 0


def adapter_parameters(model: Any) -> Iterator[nn.Parameter]:
    """The weights that an adapter adds to a model; none where there is no adapter."""
    for layer in lora_layers(model):
        named = layer.named_parameters()
        yield from (weight for name, weight in named if not name.startswith("base_layer."))


def base_of(model: Any) -> Any:
    """The model of transformers that an adapter wraps; else the model itself."""
    return model.get_base_model() if has_adapter(model) else model


def lora_layers(model: Any) -> Iterator[Any]:
    """The layers that an adapter has changed."""
    return (module for module in model.modules() if _is_lora(module))


def is_plain(layer: Any) -> bool:
    """Whether the adapter of a layer is a product of two matrices, and no variant with more."""
    return not layer.lora_variant and not any(layer.lora_bias.values())


def is_plain_linear(layer: Any) -> bool:
    """Whether a layer is `nn.Linear`, or one with an adapter, that `weight_of` describes fully."""
    if not _is_lora(layer):
        return type(layer) is nn.Linear
    return type(layer.base_layer) is nn.Linear and is_plain(layer)


def weight_of(layer: Any) -> Tensor:
    """The matrix that a layer multiplies with, its adapter included, in the layer's own type."""
    if not _is_lora(layer):
        weight: Tensor = layer.weight
        return weight
    weight = layer.base_layer.weight
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.disable_adapters or layer.merged or not active:
        return weight
    merged = weight.float()
    for name in active:
        merged = merged + layer.get_delta_weight(name).float()
    return merged.to(weight.dtype)


@torch.no_grad()
def merged_state(model: Any) -> dict[str, Tensor]:
    """The state of the wrapped model with the adapter merged into its weights, on the CPU."""
    base = base_of(model)
    layers = {name: module for name, module in base.named_modules() if _is_lora(module)}
    if not all(map(is_plain, layers.values())):
        raise LmgymError("only plain adapters of low rank can be merged; leave its variants out")
    state = {}
    for key, value in base.state_dict().items():
        module, _, leaf = key.rpartition(".base_layer.")
        if module in layers:
            value = weight_of(layers[module]) if leaf == "weight" else value
            state[f"{module}.{leaf}"] = value.cpu()
        elif not any(key.startswith(f"{name}.") for name in layers):
            state[key] = value
    return state


def _is_lora(module: Any) -> bool:
    return hasattr(module, "lora_A") and hasattr(module, "get_delta_weight")
