"""What it costs to fork a text, an environment and a group of completions.

A handle of `PrefixTree`, a row of `TokenVectorEnv.fork` in a batch, a snapshot of an `Episode`
taken and restored, and `copy.deepcopy` of the scalar environment, at contexts that are full but for
a prompt's worth. Then 16 completions of one prompt by a model of 1.3 million parameters: a prompt
for each row, one prompt whose keys are copied, and one that all completions read together. What is
compared is measured in turn, so that whatever else the machine does falls on all of it; ratios are
taken round by round.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.search.prefix_tree import PrefixTree
from lmgym.training.records import cpu_name, versions
from measuring import numbers

WORLD = "lmgym/Math-v0"
HANDLE, BATCH, ROW = "handle", "handle in a batch", "row in a batch"
SNAPSHOT, DEEPCOPY = "snapshot of an episode", "deepcopy of an env"
HANDLE_BAR, ROW_BAR = 0.5, 1.0
"""Microseconds of CPU time that a median handle, and a median row, may cost."""

COPIES, KEYS, TREE = "a prompt for each row", "keys copied to each row", "keys shared in a tree"
GROUP, DRAWN = 16, 32
"""Completions of a prompt, and ids of each."""

_ROOM = 40
"""Positions of a context that a fork leaves to the prompt and to what comes."""

Rounds = dict[str, list[float]]
"""What each kind cost, round by round."""

Kind = tuple[Callable[[], object], int]
"""What is timed, and how many forks it makes."""


@dataclass(frozen=True)
class ForkArgs:
    """Arguments of the benchmark."""

    contexts: str = "64,256,1024,4096"
    """Contexts of the forks, separated by commas."""
    rows: int = 128
    """Rows that are forked at once."""
    repetitions: int = 9
    """Rounds of the forks."""
    prompts: str = "64,256,1024"
    """Ids of the prompts of the group rollouts, separated by commas; empty for none."""
    rollouts: int = 5
    """Rounds of the group rollouts."""
    compiled: bool = False
    """Fork rows with the compiled environment."""
    seed: int = 0
    """Seed of the prompts and of the draws."""
    out: str | None = None
    """Write the results to this .json file as well."""
    plot: str | None = None
    """Draw cost against context into this .png file."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write, draw; 1 where a bar is missed."""
    (args,) = parse_options({"fork": ForkArgs}, argv, "bench fork", __doc__ or "")
    if min(args.rows, args.repetitions, args.rollouts) < 1:
        raise LmgymError("--rows, --repetitions and --rollouts count; each must be 1 or more")
    contexts = numbers("--contexts", args.contexts, 64)
    prompts = numbers("--prompts", args.prompts) if args.prompts.strip() else []
    for path, suffix in ((args.out, ".json"), (args.plot, ".png")):
        if path is not None:
            check_file(path, suffix)
    forks = fork_rounds(contexts, args)
    groups = {prompt: group_rounds(prompt, args) for prompt in prompts}
    _print_forks(forks)
    _print_groups(groups)
    if args.out is not None:
        facts = {"arguments": asdict(args), "versions": versions(), "machine": cpu_name()}
        write_json(args.out, {**facts, "microseconds": forks, "group_seconds": groups})
    if args.plot is not None:
        draw(forks, groups, args.plot)
    return 0 if meets_bars(forks) else 1


def fork_rounds(contexts: Sequence[int], args: ForkArgs) -> dict[int, Rounds]:
    """Microseconds a fork of each kind by context, in rounds; a first round is thrown away."""
    kinds = {context: fork_kinds(context, args) for context in contexts}
    measured: dict[int, Rounds] = {c: {name: [] for name in kinds[c]} for c in contexts}
    for _ in range(args.repetitions + 1):
        for context, of_context in kinds.items():
            for name, (act, count) in of_context.items():
                start = time.process_time()
                act()
                measured[context][name].append((time.process_time() - start) / count * 1e6)
    return {
        context: {name: costs[1:] for name, costs in rounds.items()}
        for context, rounds in measured.items()
    }


def fork_kinds(context: int, args: ForkArgs) -> dict[str, Kind]:
    """What is compared at a context."""
    return {
        HANDLE: single_handles(),
        BATCH: handles_in_batches(),
        ROW: rows_in_a_batch(context, args),
        SNAPSHOT: snapshots(context),
        DEEPCOPY: deepcopies(context),
    }


def single_handles(count: int = 20_000) -> Kind:
    """Extend one text again and again by single ids."""

    def act() -> None:
        tree = PrefixTree()
        text, extend = tree.root(range(_ROOM)), tree.extend
        for token in range(count):
            extend(text, token)

    return act, count


def handles_in_batches(size: int = 4096, batches: int = 20) -> Kind:
    """Extend one text by batches of ids."""
    tokens = np.arange(size, dtype=np.int32)

    def act() -> None:
        tree = PrefixTree()
        texts = np.full(size, tree.root(range(_ROOM)), np.int32)
        for _ in range(batches):
            tree.extend_many(texts, tokens)

    return act, size * batches


def rows_in_a_batch(context: int, args: ForkArgs, times: int = 20) -> Kind:
    """Fork rows of a batched environment onto as many others."""
    options = {"compiled": True} if args.compiled else {}
    make_vec: Any = gym.make_vec  # its arguments are those of the environment as well
    env = make_vec(WORLD, 2 * args.rows, context=context, max_tokens=context, **options)
    env.reset(seed=args.seed, options={"prefix_ids": _filling(context)})
    sources = np.arange(args.rows)
    targets = sources + args.rows

    def act() -> None:
        for _ in range(times):
            env.fork(sources, targets)

    return act, args.rows * times


def snapshots(context: int, count: int = 50) -> Kind:
    """Take snapshots of an episode and go back to them."""
    episode = make_episode(WORLD, context=context, max_tokens=context)
    episode.reset(np.random.default_rng(0), prefix_ids=_filling(context))

    def act() -> None:
        for _ in range(count):
            episode.set_state(episode.get_state())

    return act, count


def deepcopies(context: int) -> Kind:
    """Copy the scalar environment with all that it holds."""
    env = gym.make(WORLD, context=context, max_tokens=context)
    env.reset(seed=0, options={"prefix_ids": _filling(context)})
    return lambda: copy.deepcopy(env), 1


def group_rounds(n_prompt: int, args: ForkArgs) -> Rounds:
    """Seconds of CPU time for a group of completions of each kind, in rounds.

    Raises:
        LmgymError: where the kinds do not draw the same ids.
    """
    import torch

    from lmgym.policies.sampling import Drawing, generate

    rng = np.random.default_rng(args.seed)
    prompt: list[int] = rng.integers(256, size=n_prompt).tolist()
    decoders = group_decoders()
    rounds: Rounds = {name: [] for name in decoders}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(args.rollouts + 1):
        drawn = []
        for name, make in decoders.items():
            drawing = Drawing(generator=torch.Generator().manual_seed(args.seed))
            start = time.process_time()
            ids, _ = generate(make(), [prompt] * GROUP, [DRAWN] * GROUP, frozenset(), drawing)
            rounds[name].append(time.process_time() - start)
            drawn.append(ids)
        if any(ids != drawn[0] for ids in drawn):
            raise LmgymError("the decoders drew different ids from the same seed")
    torch.set_num_threads(threads)
    return {name: costs[1:] for name, costs in rounds.items()}


def group_decoders() -> dict[str, Callable[[], Any]]:
    """Makers of the decoders that are compared, over one model of 1.3 million parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from lmgym.policies.llama import LlamaDecoder
    from lmgym.search.tree_decoder import TreeSampler, tree_decoder

    class Copies(LlamaDecoder):
        """Reads the prompt once for each row."""

        def prefill(self, prompts: Sequence[Sequence[int]], parents: torch.Tensor) -> torch.Tensor:
            rows = [prompts[parent] for parent in parents.tolist()]
            return super().prefill(rows, torch.arange(len(rows)))

    config = LlamaConfig(
        vocab_size=262,
        hidden_size=128,
        intermediate_size=448,
        num_hidden_layers=5,
        num_attention_heads=4,
        max_position_embeddings=8192,
    )
    with torch.random.fork_rng():
        model = LlamaForCausalLM(config)  # of random weights
    return {
        COPIES: lambda: Copies(model, 0),
        KEYS: lambda: LlamaDecoder(model, 0),
        TREE: lambda: TreeSampler(tree_decoder(model, PrefixTree())),
    }


def meets_bars(forks: Mapping[int, Rounds]) -> bool:
    """Whether handles and rows are as cheap as they should be, at every context."""
    return all(
        statistics.median(rounds[name]) <= bar
        for rounds in forks.values()
        for name, bar in ((HANDLE, HANDLE_BAR), (BATCH, HANDLE_BAR), (ROW, ROW_BAR))
    )


def draw(forks: Mapping[int, Rounds], groups: Mapping[int, Rounds], path: str) -> None:
    """Cost against context, and time against the length of the prompt."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_medians(left, forks, scale=1.0)
    left.axhline(ROW_BAR, color="grey", linestyle=":", linewidth=1)
    left.set(xlabel="context, full", ylabel="microseconds a fork", title="Forks")
    _draw_medians(right, groups, scale=1000.0)
    title = f"{GROUP} completions of {DRAWN} ids, 1.3 M parameters"
    right.set(xlabel="ids of the prompt", ylabel="milliseconds", title=title)
    figure.savefig(path, dpi=120)


def _draw_medians(axes: Any, measured: Mapping[int, Rounds], scale: float) -> None:
    names = next(iter(measured.values()), {})
    for name in names:
        rounds = [[value * scale for value in measured[x][name]] for x in measured]
        axes.plot(list(measured), [statistics.median(r) for r in rounds], marker="o", label=name)
        axes.fill_between(
            list(measured), [min(r) for r in rounds], list(map(max, rounds)), alpha=0.2
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(measured), [str(x) for x in measured])
    axes.grid(alpha=0.3)
    if names:
        axes.legend(fontsize=8)


def _filling(context: int) -> list[int]:
    """Ids of the agent that fill a context but for some room."""
    return [ord("1")] * (context - _ROOM)


def _print_forks(forks: Mapping[int, Rounds]) -> None:
    _print("microseconds a fork", "context", forks, "{:,.3f}")
    _print("times as cheap as the deepcopy", "context", _ratios(forks, DEEPCOPY), "{:,.0f}")


def _print_groups(groups: Mapping[int, Rounds]) -> None:
    heading = f"seconds for {GROUP} completions of {DRAWN} ids"
    _print(heading, "prompt", groups, "{:.3f}")
    _print(f"times as fast as {COPIES}", "prompt", _ratios(groups, COPIES), "{:.2f}")


def _ratios(measured: Mapping[int, Rounds], reference: str) -> dict[int, Rounds]:
    """How many times as much the reference costs as the others, round by round."""
    return {
        size: {
            name: [old / new for old, new in zip(rounds[reference], costs, strict=True)]
            for name, costs in rounds.items()
            if name != reference
        }
        for size, rounds in measured.items()
    }


def _print(heading: str, across: str, measured: Mapping[int, Rounds], form: str) -> None:
    """A row for each kind and a column for each size: the median, the least and the greatest."""
    if not measured:
        return
    table = Table(heading, *(f"{across} {size}" for size in measured), box=SIMPLE_HEAD)
    for name in next(iter(measured.values())):
        cells = [_spread(rounds[name], form) for rounds in measured.values()]
        table.add_row(Text(name, no_wrap=True), *map(Text, cells))
    Console().print(table)


def _spread(values: Sequence[float], form: str) -> str:
    least, median, most = min(values), statistics.median(values), max(values)
    return f"{form.format(median)} [{form.format(least)}, {form.format(most)}]"


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
