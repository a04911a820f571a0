"""A group of answers to one long prompt: read once for all of them, beside read for each.

`LanguagePolicy.sample(n=16)` reads the prompt once, and the answers share its keys and values. The
reference is the same decoder, which reads 16 copies in a batch. Both draw the same ids, and the
log-probabilities are compared with those of a plain forward of the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmgym.agents.embedded import new_policy
from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.llama import LlamaDecoder
from lmgym.policies.sampling import Drawing, Drawn, generate
from measuring import Claim, MeasuringArgs, claimed, in_turn, ratios


@dataclass(frozen=True)
class GroupPrefillArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    group_size: int = 16
    """Answers to the prompt."""
    prompt: int = 1024
    """Ids of the prompt."""
    new: int = 32
    """Ids of each answer."""
    hidden_size: int = 192
    """Width of the model; 192 with three layers makes 1.3 million parameters."""
    n_layers: int = 3
    """Layers of the model."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to share."""
        super().__post_init__()
        if self.group_size < 2 or self.prompt < 1 or self.new < 1:
            raise LmgymError(
                f"group_size={self.group_size}, prompt={self.prompt}, new={self.new}; give two"
                " answers or more, and at least one id of each kind"
            )


class EachReads(LlamaDecoder):
    """Reads the prompt of each row, though it is that of its neighbour, too."""

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        """As of every decoder."""
        copies = [prompts[parent] for parent in parents.tolist()]
        return super().prefill(copies, torch.arange(len(copies)))


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"group-prefill": GroupPrefillArgs}, argv, "bench group-prefill", __doc__ or ""
    )
    torch.set_num_threads(1)
    policy = new_policy(args.hidden_size, args.n_layers, args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    prompt = torch.randint(32, 127, (args.prompt,), generator=generator).tolist()

    def shared() -> Drawn:
        return _draw(LlamaDecoder(policy.model, policy.renderer.pad_id), prompt, args)

    def separate() -> Drawn:
        return _draw(EachReads(policy.model, policy.renderer.pad_id), prompt, args)

    drawn = shared()
    if drawn[0] != separate()[0]:
        raise LmgymError("the two draw different ids, so they cannot be compared")
    seconds = in_turn({f.__name__: _timer(f) for f in (shared, separate)}, args.repetitions)
    claims = [
        Claim("prompt read once", [1e3 * s for s in seconds["shared"]], "ms"),
        Claim("prompt read for each answer", [1e3 * s for s in seconds["separate"]], "ms"),
        Claim("second against first", ratios(seconds["separate"], seconds["shared"]), least=3),
        Claim("off a plain forward, at most", [_error(policy, prompt, drawn)], "nats", most=1e-5),
    ]
    return claimed(claims, args, n_parameters=policy.n_parameters)


def _draw(decoder: LlamaDecoder, prompt: list[int], args: GroupPrefillArgs) -> Drawn:
    """The answers; no id ends one."""
    drawing = Drawing(generator=torch.Generator().manual_seed(args.seed))
    n = args.group_size
    return generate(decoder, [prompt] * n, [args.new] * n, frozenset(), drawing)


def _timer(run: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return timed


def _error(policy: LanguagePolicy, prompt: list[int], drawn: Drawn) -> float:
    """The largest difference of a log-probability from that of a plain forward."""
    differences = []
    for ids, logprobs in zip(*drawn, strict=True):
        whole = torch.tensor([prompt + ids])
        with torch.no_grad():
            logits = policy.model(whole).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        differences.append(float((torch.tensor(logprobs) - expected).abs().max()))
    return max(differences)
