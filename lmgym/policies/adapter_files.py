"""Adapters on disk: peft's two files, and one that says what the model beneath looks like."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.merging import lora_layers

__all__ = ["BASE_FILE", "base_problem", "base_record", "read_adapter", "write_adapter"]

BASE_FILE = "base.json"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DIFFERENT = 2**-6
"""Weights that differ by more than this share are others, and not the same in another type."""

_BEYOND_PLAIN = (
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
)
"""Settings of peft with which an adapter is more than a product of two matrices a layer."""


def write_adapter(model: Any, n_ids: int, source: str, directory: Path) -> None:
    """Write the adapter of a model of peft.

    Args:
        model: a `peft.PeftModel` with one adapter.
        n_ids: of its tokenizer.
        source: where the weights of the model beneath came from.
        directory: is made.
    """
    import peft
    from safetensors.torch import save_file

    directory.mkdir(parents=True)
    config = copy.copy(model.peft_config[model.active_adapter])
    config.base_model_name_or_path = source
    config.inference_mode = True  # as peft itself writes it
    config.save_pretrained(directory)
    weights = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: weight.contiguous().cpu() for name, weight in weights.items()}
    save_file(tensors, directory / _WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(base_record(model, n_ids))
    (directory / BASE_FILE).write_text(text, encoding="utf-8")


def read_adapter(directory: Path) -> tuple[Any, dict[str, Tensor]]:
    """Config and weights of an adapter.

    Raises:
        LmgymError: where they cannot be read, or are no plain adapter of low rank.
    """
    import peft
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (directory / _WEIGHTS).is_file():
        raise LmgymError(f"{directory} has no {_WEIGHTS}; pickles are never opened")
    try:
        settings = json.loads((directory / _CONFIG).read_text(encoding="utf-8"))
        beyond = [name for name in _BEYOND_PLAIN if settings.get(name)]
        beyond += [settings["peft_type"]] * (settings["peft_type"] != "LORA")
        beyond += ["bias"] * (settings.get("bias", "none") != "none")
        if beyond:
            raise LmgymError(
                f"{directory} is no plain adapter of low rank ({', '.join(beyond)}); merge it into"
                " its model with peft's merge_and_unload, and open the result"
            )
        config = peft.LoraConfig.from_pretrained(str(directory))
        weights = load_file(directory / _WEIGHTS)
    except LmgymError:
        raise
    except (OSError, ValueError, TypeError, LookupError, SafetensorError) as error:
        raise LmgymError(f"the adapter {directory} cannot be read: {error}") from error
    config.inference_mode = False  # it may be trained on
    config.base_model_name_or_path = None  # peft warns where a model goes by another name now
    return config, weights


def base_record(model: Any, n_ids: int) -> dict[str, Any]:
    """What tells the model beneath an adapter from others: its ids, and one weight a layer."""
    weights = [layer.base_layer.weight for layer in lora_layers(model)]
    return {"n_ids": n_ids, "weights": [float(weight.flatten()[0]) for weight in weights]}


def base_problem(model: Any, n_ids: int, directory: Path) -> str | None:
    """Why the model beneath is not the one that a saved adapter was trained on, if it is not.

    Adapters of others have no record; they are taken at their word.
    """
    file = directory / BASE_FILE
    if not file.is_file():
        return None
    try:
        then = json.loads(file.read_text(encoding="utf-8"))
        n_ids_then, weights_then = int(then["n_ids"]), torch.tensor(then["weights"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"{BASE_FILE} cannot be read ({error})"
    weights = torch.tensor(base_record(model, n_ids)["weights"])
    if n_ids_then != n_ids:
        return f"its tokenizer has {n_ids} ids, and the adapter's {n_ids_then}"
    if weights.shape != weights_then.shape:
        return f"{len(weights)} layers take an adapter, and the adapter has {len(weights_then)}"
    if not torch.allclose(weights, weights_then, rtol=_DIFFERENT, atol=1e-6):
        return "its weights are others"
    return None
