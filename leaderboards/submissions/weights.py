"""Entries of kind "weights": safetensors of a registered architecture, and no code.

Nothing of a folder is given to a library before it was checked here: the config by a list of keys,
the tensors by their header against what the config implies, the tokenizer part by part, the chat
template form by form. What is loaded then is our own code and transformers', with their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lmgym.errors import LmgymError

from .architectures import (
    CONFIG_FILE,
    GENERATION_FILE,
    Architecture,
    check_config,
    check_generation,
    find_architecture,
)
from .json_files import read_object
from .manifest import Manifest
from .templates import BoundedTemplate
from .tensor_files import WEIGHTS_FILE, TensorPlace, check_finite, read_header
from .tokenizer_files import TOKENIZER_FILES, check_tokenizer

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.rendering import Renderer

__all__ = [
    "MODEL_FILES",
    "BoundedTokenizer",
    "check_shapes",
    "check_weights",
    "is_panic",
    "load_weights",
]

MODEL_FILES = (WEIGHTS_FILE, CONFIG_FILE, GENERATION_FILE, *TOKENIZER_FILES)
_CONFIG_BYTES = 64 * 1024
_Made = TypeVar("_Made")


def check_weights(folder: Path, arch_name: str, names: Mapping[str, object]) -> list[str]:
    """What is wrong with the model in a folder.

    Args:
        folder: that nobody else changes any more.
        arch_name: as the manifest gives it.
        names: of the files in it.
    """
    problems: list[str] = []
    arch = _noted(problems, lambda: find_architecture(arch_name))
    config = _noted(problems, lambda: read_object(folder, CONFIG_FILE, _CONFIG_BYTES))
    header = _noted(problems, lambda: read_header(folder / WEIGHTS_FILE))
    if GENERATION_FILE in names:
        generation = _noted(problems, lambda: read_object(folder, GENERATION_FILE, _CONFIG_BYTES))
        problems += check_generation(generation or {})
    if arch is None or config is None:
        return problems
    wrong = check_config(config, arch)
    problems += wrong
    if wrong:
        return problems
    problems += check_tokenizer(folder, names, config["vocab_size"])
    if header is not None:
        found = _noted(problems, lambda: _check_model(folder, header, config, arch))
        problems += found or []
    return problems


def load_weights(folder: str | Path, manifest: Manifest, device: str = "cpu") -> LanguagePolicy:
    """The policy of an entry that `check_submission` has found to be in order.

    Args:
        folder: of the entry.
        manifest: of the entry.
        device: where the weights go.

    Raises:
        LmgymError: where it cannot be read, or answers with what is no number.
    """
    from lmgym.policies.loading import load_policy

    if manifest.kind != "weights" or manifest.weights is None:
        raise LmgymError(f"{manifest.entry} is of kind {manifest.kind}; it has no weights to load")
    find_architecture(manifest.weights.arch)
    with _blamed(manifest.entry):
        renderer = _renderer(Path(folder), manifest.entry)
        policy = load_policy(Path(folder), device, renderer=renderer)
    policy.source = manifest.entry
    _try_out(policy, manifest.entry)
    return policy


class BoundedTokenizer:
    """A tokenizer whose chat template is rendered within a number of steps.

    Args:
        tokenizer: of transformers, with a chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._template = BoundedTemplate(tokenizer.chat_template)

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        tokenize: bool = False,
        add_generation_prompt: bool = False,
    ) -> str:
        """The text of a conversation, as transformers renders it."""
        assert not tokenize, "ids come from the text"
        return self._template.render(
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self._tokenizer.special_tokens_map,
        )

    def __call__(self, *args: Any, **words: Any) -> Any:
        """As the tokenizer."""
        return self._tokenizer(*args, **words)

    def __len__(self) -> int:
        return len(self._tokenizer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _renderer(folder: Path, name: str) -> Renderer:
    from lmgym.policies.byte_tokenizer import is_byte_tokenizer
    from lmgym.rendering import ByteRenderer, ChatRenderer
    from lmgym.reward_models.hf_files import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if is_byte_tokenizer(tokenizer):
        return ByteRenderer()
    if not isinstance(tokenizer.chat_template, str):
        raise LmgymError(f"{name}: tokenizer_config.json: chat_template is missing")
    generation = folder / GENERATION_FILE
    config = GENERATION_FILE if generation.is_file() else CONFIG_FILE
    ends = read_object(folder, config, _CONFIG_BYTES).get("eos_token_id")
    listed = ends if isinstance(ends, list) else [] if ends is None else [ends]
    return ChatRenderer(BoundedTokenizer(tokenizer), name, listed)


def _try_out(policy: LanguagePolicy, name: str) -> None:
    """Raise where a model cannot answer a short prompt, or does so with NaN."""
    import torch

    from lmgym.task import Message, Role

    with _blamed(name), torch.no_grad():
        ids, _ = policy.renderer.open([Message(Role.USER, "1+1=")])
        policy.renderer.decode(ids)
        try:
            logits = policy.model(torch.tensor([ids], device=policy.device)).logits
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise LmgymError(f"{name}: the model cannot be run: {str(error)[:200]!a}") from None
    if not bool(torch.isfinite(logits).all()):
        raise LmgymError(f"{name}: the model answers a short prompt with what is no number")


def _check_model(
    folder: Path, header: Mapping[str, TensorPlace], config: Mapping[str, Any], arch: Architecture
) -> list[str]:
    """What is wrong with the tensors of a language model."""
    problems = check_shapes(header, *_expected(config), renamed=arch.renamed)
    if not problems:
        check_finite(folder / WEIGHTS_FILE, header)
    return problems


def check_shapes(
    header: Mapping[str, TensorPlace],
    shapes: Mapping[str, tuple[int, ...]],
    tied: Mapping[str, str],
    *,
    renamed: Mapping[str, str] | None = None,
) -> list[str]:
    """What is wrong with the names and shapes of tensors.

    Args:
        header: of a file.
        shapes: of all tensors of a model, those that stand for another one left out.
        tied: names of those, with the name of the one that they stand for.
        renamed: names in files for names in the model.
    """
    given = {(renamed or {}).get(name, name): place for name, place in header.items()}
    problems = [
        f"tensor {name} is missing, which the config implies" for name in shapes.keys() - given
    ]
    for name, place in given.items():
        if name in tied:
            problems.append(f"tensor {name} is the same as {tied[name]}; leave it out")
        elif name not in shapes:
            problems.append(f"tensor {name!a} is none of the architecture's")
        elif place.shape != shapes[name]:
            wanted = list(shapes[name])
            problems.append(f"tensor {name} has shape {list(place.shape)}; {wanted} is implied")
    problems.sort()
    more = [f"{len(problems) - 5} tensors more are wrong"] if len(problems) > 5 else []
    return [f"{WEIGHTS_FILE}: {problem}" for problem in (*problems[:5], *more)]


def _expected(config: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes of the tensors that a config implies, and names that share another one's tensor.

    The model is made without memory for its numbers (torch's device "meta").
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from lmgym.reward_models.hf_files import readable

    words = {name: value for name, value in config.items() if name != "model_type"}
    maker: Any = AutoModelForCausalLM  # untyped
    try:
        with readable(CONFIG_FILE), torch.device("meta"):
            model = maker.from_config(AutoConfig.for_model(config["model_type"], **words))
    except (AssertionError, ArithmeticError) as error:
        raise LmgymError(f"{CONFIG_FILE} describes no model: {str(error)[:200]!a}") from None
    shapes: dict[str, tuple[int, ...]] = {}
    tied: dict[str, str] = {}
    seen: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        first = seen.setdefault(id(tensor), name)
        if first == name:
            shapes[name] = tuple(tensor.shape)
        else:
            tied[name] = first
    return shapes, tied


def _noted(problems: list[str], make: Callable[[], _Made]) -> _Made | None:
    """What is made; None where that fails, and the reason among the problems."""
    try:
        return make()
    except LmgymError as error:
        problems += str(error).splitlines()
        return None


def is_panic(error: BaseException) -> bool:
    """Whether an error is a panic in Rust, which is no `Exception`."""
    return type(error).__name__ == "PanicException"


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Turns what the tokenizers library and templates raise into an error about the entry.

    The library, written in Rust, knows two kinds: plain exceptions, and panics, which are none.
    """
    from jinja2 import TemplateError

    try:
        yield
    except LmgymError as error:
        told = str(error)
        raise LmgymError(told if name in told else f"{name} cannot be loaded: {told}") from None
    except BaseException as error:
        is_of_rust = type(error) is Exception or is_panic(error)
        if not is_of_rust and not isinstance(error, TemplateError):
            raise
        raise LmgymError(f"{name}: its tokenizer fails: {str(error)[:200]!a}") from None
