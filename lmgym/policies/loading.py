"""Policies and renderers by name: the embedded policy, a directory, a hub id, a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmgym.errors import LmgymError, unknown
from lmgym.rendering import ByteRenderer, ChatRenderer, Renderer

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["load_policy", "load_renderer"]

_EMBEDDED = Path(__file__).parent / "embedded"


def load_renderer(name: str | Path | None = None) -> Renderer:
    """The renderer of a model."""
    if name is None or str(name) == "byte":
        return ByteRenderer()
    from transformers import AutoTokenizer

    from lmgym.policies.byte_tokenizer import is_byte_tokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    if is_byte_tokenizer(tokenizer):
        return ByteRenderer()
    return ChatRenderer(tokenizer, str(name))


def load_policy(
    name: str | Path | None = None, device: str = "cpu", dtype: str = "auto"
) -> LanguagePolicy:
    """A language policy by name."""
    import torch
    from transformers import AutoModelForCausalLM

    from lmgym.policies.language_policy import LanguagePolicy

    path = _EMBEDDED if name is None or name == "embedded" else Path(name)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, use_safetensors=True)
    return LanguagePolicy(model.to(device), load_renderer(path))
