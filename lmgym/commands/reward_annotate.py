"""`lmgym reward annotate`: a person, or a simulated one, says which of two answers is better."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file
from lmgym.commands.reward_data import check_seed, progress
from lmgym.commands.worlds import find_world_here, world_arguments
from lmgym.errors import LmgymError, unknown
from lmgym.factory import make_task
from lmgym.preferences.acquisition import RULES, acquire
from lmgym.preferences.annotators import (
    Annotator,
    BradleyTerryAnnotator,
    FlipAnnotator,
    GoldAnnotator,
    UndecidedAnnotator,
)
from lmgym.preferences.candidates import read_candidates
from lmgym.preferences.collection import GoldGaps, collect_answers, compare
from lmgym.preferences.pairing import PROMPTS, RANKS
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.preferences.terminal import TerminalAnnotator
from lmgym.task import Task
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.reward_models.model import RewardModel

__all__ = ["AnnotateArgs", "annotate"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AnnotateArgs:
    """Arguments of the annotation."""

    out: str | None = None
    """The .jsonl file for the labels; pairs that it holds are not asked again. Simulated annotators
    need a new file."""
    annotator: str = "person"
    """Who says which is better: person; or, by the gold reward of the world, gold or
    bradley-terry."""
    label_temperature: float = 1.0
    """Of bradley-terry, in units of the gold reward: the higher, the more often it is wrong."""
    flip: float = 0.0
    """Share of labels that a simulated annotator turns round, 0 to 1."""
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
    samples: int = 2
    """Answers of the policy to each problem."""
    compare: str = "within"
    """Compare answers within a problem, or across two of them."""
    ranks: str = "random"
    """Which two answers of a problem, by the gold reward: random, adjacent or extreme."""
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
    check_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    if args.annotator == "person":
        said = _ask(args, names, world_args, rng)
    else:
        said = _simulate(args, make_task(args.env or "", **world_arguments(world_args[0])), rng)
    Console().print(Text(said), soft_wrap=True)
    return 0


def _ask(
    args: AnnotateArgs, names: Sequence[str], world_args: Sequence[Any], rng: np.random.Generator
) -> str:
    """Have a person label pairs; returns what was done, in words."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  (arrow keys at the prompt)
    annotator = TerminalAnnotator(args.out or "", rng)
    if names:
        candidates = read_candidates(names[0], rng)
    else:
        task = make_task(args.env or "", **world_arguments(world_args[0]))
        candidates = _candidates(_answers(task, args, rng), args, rng)
    if args.pairs is not None or args.rule != "random":  # as many new ones as were asked for
        candidates = PreferenceDataset.of(annotator.unanswered(candidates))
    labelled = PreferenceDataset.of(annotator.labelled)
    data = annotator.annotate(_chosen(candidates, labelled, args, rng))
    return f"{len(data):,} pairs in {args.out}"


def _simulate(args: AnnotateArgs, task: Task[Any], rng: np.random.Generator) -> str:
    """Label pairs by the gold reward of the world; returns what was done, in words."""
    if not task.has_gold_reward:
        raise LmgymError(
            f"{args.env} has no gold reward for --annotator {args.annotator} to compare answers"
            " by; use a world that has one, such as lmgym/Preference-v0 with the prompts that it"
            " generates, or --annotator person"
        )
    answers = _answers(task, args, rng)
    gaps = GoldGaps(answers)
    candidates = _candidates(answers, args, rng)
    chosen = _chosen(candidates, PreferenceDataset(()), args, rng)
    data = gaps.label(chosen, _annotator(args), rng)
    data.to_jsonl(args.out or "")
    asked = args.pairs or _PAIRS
    missing = f" of {asked:,}, since many answers are equal" if len(data) < asked else ""
    return f"{len(data):,} pairs{missing} in {args.out}; {_disagreement(gaps.of(data))}"


def _disagreement(gaps: _Floats) -> str:
    """How often labels contradict the gold reward, in words."""
    n, wrong = int((gaps != 0).sum()), int((gaps < 0).sum())
    equal = f"; in {len(gaps) - n:,} other pairs it is equal" if n < len(gaps) else ""
    share = f" ({wrong / n:.1%})" if n else ""
    return f"{wrong:,} of {n:,} labels{share} contradict the gold reward{equal}"


_DESCRIPTION = (
    "Say which of two answers is better; every answer is written at once, and one can stop and go"
    " on at any time. Or have it said by the gold reward of a world, with as many mistakes as you"
    " like.\n\nDATA is a file of preference pairs in any form (their labels are not"
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
    file = check_file(args.out, ".jsonl")
    for name, known in _CHOICES.items():
        if getattr(args, name) not in known:
            raise unknown(f"--{name}", getattr(args, name), known)
    if args.rule != "random" and args.reward_model is None:
        raise LmgymError(f"--rule {args.rule} needs --reward-model, a directory")
    for name, least in (
        ("pairs", 1),
        ("pool", 1),
        ("samples", 2 if args.compare == "within" else 1),
    ):
        value = getattr(args, name)
        if value is not None and value < least:
            raise LmgymError(f"--{name} {value} is out of range; at least {least} is needed")
    _check_annotator(args, names, has_labels=file.is_file() and file.stat().st_size > 0)


_CHOICES = {
    "annotator": ("person", "gold", "bradley-terry"),
    "rule": RULES,
    "compare": PROMPTS,
    "ranks": RANKS,
}


def _check_annotator(args: AnnotateArgs, names: Sequence[str], *, has_labels: bool) -> None:
    """Raise for options that do not go with who annotates."""
    if not args.label_temperature > 0:
        raise LmgymError(
            f"--label-temperature {args.label_temperature} is out of range; give one above 0"
        )
    if not 0 <= args.flip <= 1:
        raise LmgymError(f"--flip {args.flip} is out of range; give 0 to 1")
    if args.label_temperature != 1 and args.annotator != "bradley-terry":
        raise LmgymError("--label-temperature goes with --annotator bradley-terry alone")
    if args.annotator == "person":
        if args.flip:
            raise LmgymError("--flip goes with --annotator gold or bradley-terry alone")
    elif names:
        raise LmgymError(
            f"--annotator {args.annotator} compares by the gold reward of a world; give one with"
            " --env, in place of a file"
        )
    elif has_labels:
        raise LmgymError(
            f"--out {args.out!r} holds labels already, and simulated ones are not mixed with them;"
            " give another file"
        )


def _annotator(args: AnnotateArgs) -> Annotator:
    annotator: Annotator = GoldAnnotator()
    if args.annotator == "bradley-terry":
        annotator = BradleyTerryAnnotator(args.label_temperature)
    return FlipAnnotator(args.flip, annotator) if args.flip else annotator


def _answers(task: Task[Any], args: AnnotateArgs, rng: np.random.Generator) -> list[Transcript]:
    """What the policy answers to problems of the world, a few times as many as are needed."""
    task.check_split(args.split)
    if task.max_turns > 1:
        raise LmgymError(f"{args.env} takes several turns; answers of one turn can be compared")
    if args.ranks != "random" and not task.has_gold_reward:
        raise LmgymError(f"--ranks {args.ranks} needs a gold reward, which {args.env} has not")

    import torch

    from lmgym.policies.loading import load_policy
    from lmgym.rollouts import RolloutCollector
    from lmgym.training.presets import default_batch_size, use_threads

    policy = load_policy(args.model, device=args.device)
    use_threads(policy.n_base_parameters)
    with progress() as tell:
        return collect_answers(
            RolloutCollector(policy, task, None),
            torch.Generator().manual_seed(int(rng.integers(1 << 62))),
            2 * _wanted(args),
            rng,
            samples=args.samples,
            split=args.split,
            temperature=args.temperature,
            batch_size=default_batch_size(policy.n_base_parameters),
            on_progress=lambda done, total: tell("problems answered", done, total),
        )


def _wanted(args: AnnotateArgs) -> int:
    """How many candidates a world has to give."""
    return (args.pairs or _PAIRS) * (1 if args.rule == "random" else args.pool)


def _candidates(
    answers: Sequence[Transcript], args: AnnotateArgs, rng: np.random.Generator
) -> PreferenceDataset:
    """Different pairs of answers, unlabelled."""
    n = _wanted(args)
    found = compare(
        answers,
        [transcript.gold_reward or 0.0 for transcript in answers],
        8 * n,
        rng,
        UndecidedAnnotator(),
        prompts=args.compare,
        ranks=args.ranks,
    )
    if not found:
        raise LmgymError(
            f"{args.model} gave equal answers to every problem; raise --temperature for others"
        )
    different: dict[Hashable, PreferencePair] = {}
    for pair in found:
        sides = zip(pair.prompts, (pair.chosen, pair.rejected), strict=True)
        different.setdefault(frozenset(sides), pair)
    return PreferenceDataset.of(different.values())[:n]


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
