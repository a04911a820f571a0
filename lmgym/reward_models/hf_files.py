"""Model directories of Hugging Face: checked before they are read, with errors that name them."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmgym.errors import LmgymError, unknown

if TYPE_CHECKING:
    import torch

__all__ = [
    "files_fingerprint",
    "load_sequence_model",
    "load_tokenizer",
    "model_directory",
    "most_ids",
    "readable",
    "torch_device",
    "torch_dtype",
]

_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
_UNLIMITED = 10**9
"""What tokenizers that know no limit give is far above this."""

_READ = (
    "*.safetensors",
    "config.json",
    "tokenizer*.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""The files on which a model's ids and numbers depend."""

_BROKEN = (OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError)
"""What transformers raises over a file that is not what its name says."""


def model_directory(given: str | Path) -> Path:
    """The absolute path of a directory that holds a model which we open."""
    path = Path(given).expanduser().resolve()
    if not path.is_dir():
        raise LmgymError(f"{str(given)!r} is no directory; give one with a model of Hugging Face")
    if not (path / "config.json").is_file():
        raise LmgymError(f"{given} has no config.json, so it is no model directory")
    if not any(path.glob("*.safetensors")):
        raise LmgymError(
            f"{given} has no weights in *.safetensors, and pickles are never opened; save them so"
        )
    return path


@contextmanager
def readable(given: str | Path) -> Iterator[None]:
    """Turns what transformers raises over a file into one sentence about it."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    from lmgym.policies.quiet import no_progress_bars

    try:
        with no_progress_bars():
            yield
    except LmgymError:
        raise
    except (*_BROKEN, SafetensorError, StrictDataclassError) as error:
        reason = textwrap.shorten(str(error), 300)
        raise LmgymError(
            f"{given} cannot be read ({type(error).__name__}: {reason}); it is broken, or of a kind"
            " that this version of transformers does not know"
        ) from error


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a directory."""
    from transformers import AutoTokenizer

    with readable(path):
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def load_sequence_model(path: Path, device: str, dtype: str = "fp32") -> tuple[Any, list[str]]:
    """A model with one number as its output, and the names of weights the files lack.

    A directory that says how many labels its model has keeps them; any other gets one.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # untyped
    loader: Any = AutoModelForSequenceClassification  # its type leaves the report out
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # a new head would be reported as a lack
    try:
        with readable(path), torch.random.fork_rng():
            config = AutoConfig.from_pretrained(path, **options)
            if not is_classifier(config):
                config.num_labels = 1
            model, report = loader.from_pretrained(
                path,
                config=config,
                dtype=torch_dtype(dtype),
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    finally:
        logging.set_verbosity(verbosity)
    return model.to(torch_device(device)), sorted(report["missing_keys"])


def is_classifier(config: Any) -> bool:
    """Whether a configuration is of a sequence-classification model."""
    return any("ForSequenceClassification" in name for name in config.architectures or ())


def torch_dtype(name: str) -> torch.dtype:
    """The type that fp32 or bf16 stands for."""
    import torch

    if name not in _DTYPES:
        raise unknown("dtype", name, _DTYPES)
    dtype: torch.dtype = getattr(torch, _DTYPES[name])
    return dtype


def torch_device(name: str) -> torch.device:
    """The device of this name, where there is one."""
    import torch

    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise LmgymError(
            f"device {name!r} cannot be used here ({reason}); give cpu, or one that torch finds"
        ) from None


def most_ids(model: Any, tokenizer: Any) -> int | None:
    """How many ids a model reads at most; None where neither it nor its tokenizer says.

    Embeddings of positions with a padding row, as RoBERTa's, begin behind that row.
    """
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limits = [most] if isinstance(most, int) and most > 0 else []
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            limits.append(module.num_embeddings - padding - 1)
    if tokenizer.model_max_length < _UNLIMITED:
        limits.append(int(tokenizer.model_max_length))
    return min(limits, default=None)


def files_fingerprint(path: Path, *facts: object) -> str:
    """SHA-256 of a model's configuration, tokenizer and weights, and of further facts."""
    digest = hashlib.sha256(repr(facts).encode())
    for file in sorted({file for pattern in _READ for file in path.glob(pattern)}):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
