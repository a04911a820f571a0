"""`lmgym reward annotate`: a person says which of two answers is better."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file
from lmgym.commands.worlds import find_world_here, world_arguments
from lmgym.errors import LmgymError, unknown
from lmgym.factory import make_task
from lmgym.preferences.acquisition import RULES, acquire
from lmgym.preferences.candidates import read_candidates
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.preferences.terminal import TerminalAnnotator

if TYPE_CHECKING:
    from lmgym.reward_models.model import RewardModel

__all__ = ["AnnotateArgs", "annotate"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AnnotateArgs:
    """Arguments of the annotation."""

    out: str | None = None
    """The .jsonl file for the labels; pairs that it holds are not asked again."""
    pairs: int | None = None
    """How many pairs to ask about; by default all of the file, or 20 of a world."""
    rule: str = "random"
    """Which pairs: random, entropy, max_difference or fisher; the last three need a model."""
    reward_model: str | None = None
    """Directory of a reward model that has learned so far."""
    env: str | None = None
    """Have a policy answer the problems of this world, instead of reading a file."""
    model: str = "embedded"
    """The policy: embedded, a Hugging Face directory, a hub id, or a .gguf file."""
    split: str = "train"
    """Where problems come from: train, validation or test."""
    temperature: float = 1.0
    """Of the policy's answers."""
    pool: int = 10
    """For each pair that is asked about, pairs of a world that a rule chooses it from."""
    device: str = "cpu"
    """Where the policy runs: cpu, cuda, cuda:1, ..."""
    seed: int | None = None
    """Seed of the choice, the order and the answers; by default another each time."""


def annotate(argv: Sequence[str]) -> int:
    """Ask a person about pairs of a file, or of answers that a policy gives."""
    names, options = split_names(argv, 1, "reward annotate [DATA] --out FILE.jsonl [--options]")
    command = " ".join(["reward annotate", *names])
    env = _given(options, "--env")
    groups: dict[str, type[Any]] = {"reward annotate": AnnotateArgs}
    if env is not None:
        groups[env] = find_world_here(env).task_class.Args
    args, *world_args = parse_options(groups, options, command, _DESCRIPTION)
    _check(args, names)
    rng = np.random.default_rng(args.seed)
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  (arrow keys at the prompt)
    annotator = TerminalAnnotator(args.out, rng)
    if names:
        candidates = read_candidates(names[0], rng)
    else:
        candidates = _sampled(args, world_arguments(world_args[0]), rng)
    if args.pairs is not None or args.rule != "random":  # as many new ones as were asked for
        candidates = PreferenceDataset.of(annotator.unanswered(candidates))
    labelled = PreferenceDataset.of(annotator.labelled)
    data = annotator.annotate(_chosen(candidates, labelled, args, rng))
    Console().print(Text(f"{len(data):,} pairs in {args.out}"), soft_wrap=True)
    return 0


_DESCRIPTION = (
    "Say which of two answers is better; every answer is written at once, and one can stop and go"
    " on at any time.\n\nDATA is a file of preference pairs in any form (their labels are not"
    " shown), or a .jsonl file with the columns prompt and answers, a list of two or more texts."
    " With --env a policy answers the problems of a world."
)


def _given(options: Sequence[str], name: str) -> str | None:
    """The value of an option before the options are parsed, since it says which there are."""
    for word, following in zip(options, [*options[1:], None], strict=False):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _check(args: AnnotateArgs, names: Sequence[str]) -> None:
    if bool(names) == (args.env is not None):
        raise LmgymError("name a file of pairs, or a world with --env, and not both")
    if args.out is None:
        raise LmgymError("--out is missing; give a .jsonl file for the labels")
    check_file(args.out, ".jsonl")
    if args.rule not in RULES:
        raise unknown("--rule", args.rule, RULES)
    if args.rule != "random" and args.reward_model is None:
        raise LmgymError(f"--rule {args.rule} needs --reward-model, a directory")
    for name in ("pairs", "pool"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise LmgymError(f"--{name} {value} is out of range; at least 1 is needed")


def _sampled(
    args: AnnotateArgs, world: dict[str, Any], rng: np.random.Generator
) -> PreferenceDataset:
    """Unlabelled pairs of answers that a policy gave to problems of a world."""
    assert args.env is not None
    task = make_task(args.env, **world)
    task.check_split(args.split)
    if task.max_turns > 1:
        raise LmgymError(f"{args.env} takes several turns; answers of one turn can be compared")

    import torch

    from lmgym.policies.loading import load_policy
    from lmgym.preferences.annotators import GoldAnnotator
    from lmgym.preferences.collection import compare
    from lmgym.rollouts import RolloutCollector

    policy = load_policy(args.model, device=args.device)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    n = (args.pairs or _PAIRS) * (1 if args.rule == "random" else args.pool)
    batch = RolloutCollector(policy, task, None).collect(
        rng, generator, n_groups=2 * n, group_size=2, split=args.split, temperature=args.temperature
    )
    undecided = np.zeros(len(batch.transcripts))
    found = compare(batch.transcripts, undecided, 2 * n, rng, GoldAnnotator())
    if not found:
        raise LmgymError(
            f"{args.model} gave equal answers to every problem; raise --temperature for others"
        )
    return found[:n]


_PAIRS = 20


def _chosen(
    candidates: PreferenceDataset,
    labelled: PreferenceDataset,
    args: AnnotateArgs,
    rng: np.random.Generator,
) -> PreferenceDataset:
    """The pairs to ask about, by the rule."""
    n = min(args.pairs or (_PAIRS if args.env else len(candidates)), len(candidates))
    if args.rule == "random" or not candidates:
        return candidates.select(acquire("random", np.zeros((len(candidates), 1)), n, rng))
    from lmgym.reward_models import load_reward_model

    model = load_reward_model(args.reward_model or "")
    differences, weights = _differences(model, candidates, args.rule)
    is_needed = args.rule == "fisher" and len(labelled) > 0
    known = _differences(model, labelled, args.rule)[0] if is_needed else None
    rows = acquire(args.rule, differences, n, rng, weights=weights, labelled=known)
    return candidates.select(rows)


def _differences(model: RewardModel, data: PreferenceDataset, rule: str) -> tuple[_Floats, _Floats]:
    """Features of the first answers less those of the second, and the weights of a linear reward.

    Fisher needs the features that the head is linear in; for the others the reward is feature
    enough.
    """
    first, second = (
        list(side) for side in zip(*(pair.transcripts() for pair in data), strict=True)
    )
    if rule != "fisher":
        gaps = model.score(first).outcome - model.score(second).outcome
        return gaps[:, None], np.ones(1)
    from lmgym.reward_models.head_model import HeadRewardModel

    if not isinstance(model, HeadRewardModel) or model.head.kind != "linear":
        raise LmgymError("--rule fisher needs a reward model with a linear head")
    differences: _Floats = model.features(first) - model.features(second)
    return differences, model.head.weights.mean(0)
