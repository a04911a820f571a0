"""Policies and renderers by name: the embedded one, a directory, a hub id, a GGUF file.

Weights are read from safetensors and GGUF only, and code from a repository is never run: neither
a pickle nor a `trust_remote_code` module is opened.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
import struct
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmgym.errors import LmgymError, unknown
from lmgym.rendering import ByteRenderer, ChatRenderer, Renderer

if TYPE_CHECKING:
    import torch

    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["check_device", "check_peft", "load_policy", "load_renderer"]

_EMBEDDED = Path(__file__).parent / "embedded"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DTYPES = {
    "auto": "float32",
    "fp32": "float32",
    "float32": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "float16": "float16",
}
_BROKEN = (OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError)
"""What transformers raises over a file that is not what its name says."""

_FORMS = "give embedded, a model directory, FILE.gguf or a hub id such as owner/model"


def load_renderer(name: str | Path | None = None) -> Renderer:
    """The renderer of a model, without its weights.

    Args:
        name: "byte", "embedded" or None for the embedded tokenizer; else as for `load_policy`.
    """
    if name is None or str(name) in ("byte", "embedded"):
        return ByteRenderer()
    adapter = _adapter_in(name)
    source = _find(name if adapter is None else _base_of(adapter))
    return _renderer(source, lambda: _end_ids(_generation_config(source)))


def load_policy(
    name: str | Path | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    *,
    renderer: Renderer | None = None,
) -> LanguagePolicy:
    """A language policy by name.

    Args:
        name: None or "embedded" for the one that comes with the package; else a directory with
            config.json and model.safetensors, FILE.gguf, or a hub id (owner/model).
        device: where the weights go, such as "cpu" or "cuda".
        dtype: of the weights; "auto" is float32, in which a learner can make small steps.
        renderer: in place of the one that lies with the weights; not for adapters.

    A directory with adapter_config.json and no config.json is an adapter of peft: the model that it
    names is loaded, and the adapter put on it, in float32.
    """
    check_device(device)
    _check_dtype(dtype)
    adapter = _adapter_in(name)
    if adapter is not None:
        return _load_adapted(adapter, device, dtype)
    source = _find(_EMBEDDED if name is None or name == "embedded" else name)
    model = _load_model(source, _check_dtype(dtype))

    from lmgym.policies.language_policy import LanguagePolicy

    if renderer is None:
        renderer = _renderer(source, lambda: _end_ids(model.generation_config))
    policy = LanguagePolicy(model.to(check_device(device)), renderer)
    policy.source = _lasting_name(name)
    return policy


def check_device(name: str) -> torch.device:
    """The device of this name, if it is there."""
    import torch

    count = torch.cuda.device_count()
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if torch.backends.mps.is_available():
        known.append("mps")
    if name not in known:
        raise unknown("device", name, known, "no other is available on this machine")
    return torch.device(name)


def check_peft(what: str) -> None:
    """Raise where peft is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise LmgymError(
            f"{what} needs peft, not installed here: pip install 'lmgym[lora]', or train all"
            " weights with --lora-rank 0"
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """What transformers is asked for.

    Attributes:
        given: how the user named it.
        location: a directory or a hub id.
        options: keyword arguments of every `from_pretrained`.
    """

    given: str
    location: str
    options: dict[str, Any]


def _find(name: str | Path) -> _Source:
    """Where a model is, checked before anything is loaded."""
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        return _find_gguf(str(name), path)
    if path.is_dir():
        _check_directory(path)
        return _Source(str(name), str(path), {"local_files_only": True})
    if path.exists():
        raise LmgymError(f"{name} is a file, but neither a directory nor a .gguf; {_FORMS}")
    if path == _EMBEDDED:
        raise LmgymError(
            f"the embedded policy is not there ({path}); install lmgym from a wheel, or name"
            " another model"
        )
    if isinstance(name, Path) or not _HUB_ID.fullmatch(name):
        raise unknown("model", name, _nearby(path), _FORMS)
    return _find_on_hub(name)


def _adapter_in(name: str | Path | None) -> Path | None:
    """The directory of this name, where it holds an adapter and no model."""
    path = Path(name or "embedded").expanduser()
    holds_adapter = (path / "adapter_config.json").is_file()
    return path if holds_adapter and not (path / "config.json").is_file() else None


def _load_adapted(directory: Path, device: str, dtype: str) -> LanguagePolicy:
    """The model that an adapter names, with the adapter."""
    from lmgym.policies.adapters import attach_adapter

    base = _base_of(directory)
    try:
        policy = load_policy(base, device, dtype)
    except LmgymError as error:
        merged = directory.parent / "config.json"
        hint = f"; {directory.parent} is that model with the adapter" if merged.is_file() else ""
        raise LmgymError(
            f"{directory} is an adapter of {base}, which cannot be opened: {error}{hint}"
        ) from error
    return attach_adapter(policy, directory)


def _base_of(directory: Path) -> str:
    """The model that an adapter names."""
    file = directory / "adapter_config.json"
    try:
        base = json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LmgymError(f"{file} cannot be read: {error}") from error
    if not isinstance(base, str) or _adapter_in(base) is not None:
        raise LmgymError(f"{file} names {base!r} as its model, which has to be a whole model")
    return base


def _lasting_name(name: str | Path | None) -> str:
    """A name that finds the model from other directories, too."""
    path = Path(name or "embedded").expanduser()
    is_path = name not in (None, "embedded") and path.exists()
    return str(path.resolve()) if is_path else str(name or "embedded")


def _find_gguf(given: str, path: Path) -> _Source:
    if not path.is_file():
        raise unknown("GGUF file", given, _nearby(path), "it does not exist")
    lacking = [p for p in ("gguf", "accelerate") if importlib.util.find_spec(p) is None]
    if lacking:
        raise LmgymError(
            f"reading {given} needs {' and '.join(lacking)}, not installed here:"
            " pip install 'lmgym[gguf]'"
        )
    options = {"gguf_file": path.name, "local_files_only": True}
    return _Source(given, str(path.parent), options)


def _find_on_hub(name: str) -> _Source:
    """A hub id: from the local cache where it is complete, else over the network."""
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return _Source(name, name, {"local_files_only": True})
    if not _hub_answers():
        raise unknown(
            "model",
            name,
            _nearby(Path(name)),
            "it is no directory here, and as a hub id it is neither in the local cache nor can"
            f" the hub be reached; {_FORMS}",
        )
    return _Source(name, name, {})


def _hub_answers() -> bool:
    """Whether the hub can be reached; known within seconds, where its client tries for long."""
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _check_directory(path: Path) -> None:
    """Raise where a directory holds no model that we open."""
    if not (path / "config.json").is_file():
        inside = [f"{path}/{p.parent.name}" for p in path.glob("*/config.json")]
        near = f"; these hold one: {', '.join(sorted(inside))}" if inside else ""
        raise LmgymError(f"{path} has no config.json, so it is no model directory{near}; {_FORMS}")
    if not any(path.glob("*.safetensors")):
        pickled = sorted(p.name for p in path.glob("*.bin"))
        found = f" (found {', '.join(pickled)}: pickles are never opened)" if pickled else ""
        raise LmgymError(f"{path} has no weights in model.safetensors{found}; save them as such")


def _nearby(path: Path) -> Iterable[str]:
    """Model directories and GGUF files beside a path that does not exist, nearest first."""
    folder = path.parent if path.parent.is_dir() else Path()
    names = [str(found.parent) for found in folder.glob("*/config.json")]
    names += [str(found) for found in folder.glob("*.gguf")]
    return ["embedded", *difflib.get_close_matches(str(path), names, n=5, cutoff=0.0)]


def _load_model(source: _Source, dtype: torch.dtype) -> Any:
    """The weights; every one of them comes from the file."""
    from transformers import AutoModelForCausalLM

    from lmgym.policies.quiet import no_progress_bars

    loader: Any = AutoModelForCausalLM  # its type leaves the report out
    is_gguf = "gguf_file" in source.options  # takes half a minute: its progress is shown
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "trust_remote_code": False}
    if is_gguf:
        del options["use_safetensors"]  # it would be looked for in place of the GGUF file
    with _readable(source), nullcontext() if is_gguf else no_progress_bars():
        model, report = loader.from_pretrained(
            source.location, output_loading_info=True, **options, **source.options
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise LmgymError(
            f"the weights of {source.given} lack {len(missing)} tensors of its architecture,"
            f" {missing[0]} among them; save the whole model"
        )
    return _without_quantizer(model) if is_gguf else model


def _without_quantizer(model: Any) -> Any:
    """The same model as an ordinary one: what comes from a GGUF file refuses to be saved."""
    import torch

    config = model.config
    del config.quantization_config
    with torch.random.fork_rng():  # the initial weights are overwritten
        plain = type(model)(config).to(model.dtype)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain


def _renderer(source: _Source, end_ids: Callable[[], list[int]]) -> Renderer:
    """The renderer of a tokenizer; `end_ids` is called where it is not the embedded one."""
    from transformers import AutoTokenizer

    from lmgym.policies.byte_tokenizer import is_byte_tokenizer

    with _readable(source):
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, trust_remote_code=False, **source.options
        )
    if is_byte_tokenizer(tokenizer):
        return ByteRenderer()
    return ChatRenderer(tokenizer, source.given, end_ids())


def _generation_config(source: _Source) -> Any:
    """The generation config; the model's config where there is none."""
    from transformers import AutoConfig, GenerationConfig

    if "gguf_file" not in source.options:
        try:
            return GenerationConfig.from_pretrained(source.location, **source.options)
        except OSError:
            pass
    with _readable(source):
        return AutoConfig.from_pretrained(source.location, **source.options)


def _end_ids(config: Any) -> list[int]:
    ends = getattr(config, "eos_token_id", None)
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


@contextmanager
def _readable(source: _Source) -> Iterator[None]:
    """Turns what transformers raises over a file into one sentence about it."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except LmgymError:
        raise
    except (*_BROKEN, SafetensorError, StrictDataclassError, struct.error) as error:
        reason = textwrap.shorten(str(error), 300)
        raise LmgymError(
            f"{source.given} cannot be read ({type(error).__name__}: {reason}); it is broken, or"
            " of a kind that this version of transformers does not know"
        ) from error


def _check_dtype(name: str) -> torch.dtype:
    import torch

    if name not in _DTYPES:
        raise unknown("dtype", name, _DTYPES)
    dtype: torch.dtype = getattr(torch, _DTYPES[name])
    return dtype
