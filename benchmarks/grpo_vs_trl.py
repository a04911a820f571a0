"""GRPO here beside TRL's: the same policy, problems, reward and batch, an update of each in turn.

Both train a copy of the embedded policy on `lmgym/Math-v0` in one process: after each step of TRL's
`GRPOTrainer` comes one of ours, and each is timed by itself, without evaluations. A side has
arrived when greedy answers to validation problems are right often enough at two evaluations in a
row. An ablation then takes away, one by one, what makes ours faster. Needs trl 1.16.
"""

from __future__ import annotations

import copy
import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from lmgym.agents.grpo import GRPOArgs, GRPOLearner
from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.policies.language_policy import LanguagePolicy, Samples
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutCollector
from lmgym.training.presets import default_learning_rate
from lmgym.verification import parse_gold, verify_number
from measuring import Claim, MeasuringArgs, claimed, in_turn, ratios

WORLD = "lmgym/Math-v0"
_POOL = 20_000
"""Problems in TRL's data set, drawn as ours are."""


@dataclass(frozen=True)
class TRLArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Seeds."""
    seed: int = 500
    """The first of them."""
    updates: int = 400
    """Steps of a side at most."""
    groups: int = 64
    """Problems a batch."""
    group_size: int = 4
    """Answers to each problem."""
    goal: float = 0.9
    """Greedy accuracy on validation problems to reach, twice in a row."""
    every: int = 10
    """Steps between evaluations, whose time is not counted."""


@dataclass
class Side:
    """One side of a race."""

    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    sampling: float = 0.0
    """Seconds of all steps spent on sampling and scoring."""
    arrived: int | None = None
    """The step at which the goal was reached."""

    @property
    def per_update(self) -> float:
        """The median of a step, in seconds."""
        return float(np.median(self.seconds))

    @property
    def until_goal(self) -> float:
        """Seconds of the steps up to the goal; infinite where it was not reached."""
        return float("inf") if self.arrived is None else sum(self.seconds[: self.arrived])

    @property
    def record(self) -> dict[str, Any]:
        """What the results keep."""
        return {
            "updates": len(self.seconds),
            "seconds_per_update": self.per_update,
            "sampling_share": self.sampling / sum(self.seconds),
            "arrived_at_update": self.arrived,
            "seconds_to_goal": None if self.arrived is None else self.until_goal,
            "accuracies": self.accuracies,
        }


def main(argv: Sequence[str]) -> int:
    """Race over the seeds, then ablate."""
    (args,) = parse_options({"grpo-vs-trl": TRLArgs}, argv, "bench grpo-vs-trl", __doc__ or "")
    if importlib.util.find_spec("trl") is None:
        raise LmgymError("this benchmark needs TRL: pip install 'trl==1.16.0'")
    torch.set_num_threads(1)
    races = []
    for seed in range(args.seed, args.seed + args.repetitions):
        ours, theirs = race(seed, args)
        print(f"seed {seed}: ours {_short(ours)}; TRL {_short(theirs)}", flush=True)
        races.append((ours, theirs))
    costs = in_turn(ablations(args), 15)
    full = costs["all of it"]
    claims = [
        Claim("seconds an update, TRL / ours", [b.per_update / a.per_update for a, b in races],
              least=2),
        Claim("seconds to the goal, TRL / ours", [b.until_goal / a.until_goal for a, b in races],
              least=2),
        Claim("updates to the goal, TRL / ours",
              [(b.arrived or np.inf) / (a.arrived or np.inf) for a, b in races]),
        *(Claim(f"seconds an update without {name} / with it", ratios(cost, full))
          for name, cost in costs.items() if name != "all of it"),
    ]  # fmt: skip
    sides = [{"ours": a.record, "trl": b.record} for a, b in races]
    return claimed(claims, args, races=sides, ablation=costs)


def race(seed: int, args: TRLArgs) -> tuple[Side, Side]:
    """Both sides with one seed, a step of each in turn."""
    ours, theirs = Side(), Side()
    start = load_policy("embedded")
    step = our_steps(copy.deepcopy(start), ours, seed, args)
    with TemporaryDirectory() as folder:
        trainer = their_trainer(start, theirs, step, folder, seed, args)
        trainer.train()
    for _ in range(args.updates - len(ours.seconds)):  # TRL arrived first
        if ours.arrived is not None:
            break
        step()
    return ours, theirs


def our_steps(policy: LanguagePolicy, side: Side, seed: int, args: TRLArgs) -> Callable[[], None]:
    """A function that takes one step of ours, and none once it has arrived."""
    learner, collector = our_learner(policy, args)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def step() -> None:
        if side.arrived is not None:
            return
        begin = time.perf_counter()
        batch = collector.collect(rng, generator, n_groups=args.groups, group_size=args.group_size)
        side.sampling += time.perf_counter() - begin
        learner.step(batch, len(side.seconds))
        side.seconds.append(time.perf_counter() - begin)
        look(policy, side, args)

    return step


def our_learner(policy: LanguagePolicy, args: TRLArgs) -> tuple[GRPOLearner, RolloutCollector]:
    """GRPO as `lmgym train grpo` runs it."""
    collector = RolloutCollector(policy, make_task(WORLD), "verifier")
    lr = default_learning_rate(policy.n_parameters)
    given = GRPOArgs(groups=args.groups, group_size=args.group_size)
    return GRPOLearner(policy, given, lr, collector.max_tokens), collector


def their_trainer(
    start: LanguagePolicy, side: Side, after: Callable[[], None], folder: str, seed: int,
    args: TRLArgs,
) -> Any:  # fmt: skip
    """TRL's trainer with the same settings; `after` is called after each of its steps."""
    from datasets import Dataset  # pyright: ignore[reportMissingImports]
    from datasets.table import InMemoryTable  # pyright: ignore[reportMissingImports]
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportMissingImports]

    policy, given = copy.deepcopy(start), args

    class Clock(TrainerCallback):
        begin = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not self.begin:
                self.begin = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            side.seconds.append(time.perf_counter() - self.begin)
            look(policy, side, given)
            control.should_training_stop = side.arrived is not None
            after()
            policy.model.train()  # an evaluation has left it in evaluation mode
            self.begin = time.perf_counter()

    class Timed(GRPOTrainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            begin = time.perf_counter()
            made = super()._generate_and_score_completions(inputs)
            side.sampling += time.perf_counter() - begin
            return made

    task = make_task(WORLD)
    drawn = task.draw_many(np.random.default_rng(seed), _POOL)
    prompts = [[m.as_dict() for m in opening.messages] for opening in drawn]
    table = InMemoryTable.from_pydict({"prompt": prompts, "gold": [o.gold for o in drawn]})
    config = GRPOConfig(
        output_dir=folder,
        seed=seed,
        use_cpu=True,
        max_steps=args.updates,
        per_device_train_batch_size=args.groups * args.group_size,
        num_generations=args.group_size,
        max_completion_length=task.max_tokens,
        learning_rate=default_learning_rate(policy.n_parameters),
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        beta=0.0,
        loss_type="grpo",
        temperature=1.0,
        activation_checkpointing=False,
        bf16=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )

    def reward(completions: list[Any], gold: list[str], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        pairs = zip(texts, gold, strict=True)
        return [float(verify_number(text, parse_gold(right))) for text, right in pairs]

    return Timed(
        model=policy.model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset(table, fingerprint=f"math-{seed}"),
        processing_class=byte_tokenizer(),
        callbacks=[Clock()],
    )


def look(policy: LanguagePolicy, side: Side, args: TRLArgs) -> None:
    """Evaluate now and then; says whether the side has arrived."""
    if len(side.seconds) % args.every:
        return
    examiner = RolloutCollector(policy, make_task(WORLD), None)
    side.accuracies.append(
        evaluate(examiner, None, split="validation", limit=256, samples=0).greedy
    )
    if len(side.accuracies) > 1 and min(side.accuracies[-2:]) >= args.goal:
        side.arrived = len(side.seconds)


def ablations(args: TRLArgs) -> dict[str, Callable[[], float]]:
    """Seconds of an update of ours, whole and with something taken away."""
    policy = load_policy("embedded")
    learner, collector = our_learner(policy, args)
    start = copy.deepcopy(policy.model.state_dict())

    def update(
        *, is_skipping: bool = True, is_packing: bool = True, generates: bool = False
    ) -> float:
        policy.model.load_state_dict(start)  # always the same share of silent groups
        learner.steps.skips_silent_rows = is_skipping
        rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        with (
            _as_it_is() if is_packing else _unpacked(policy),
            _generating(policy) if generates else _as_it_is(),
        ):
            begin = time.perf_counter()
            batch = collector.collect(
                rng, generator, n_groups=args.groups, group_size=args.group_size
            )
            learner.step(batch, 0)
            return time.perf_counter() - begin

    return {
        "all of it": update,
        "skipping answers without advantage": lambda: update(is_skipping=False),
        "reading the prompt of a group once": lambda: update(is_packing=False),
        "our sampler (model.generate)": lambda: update(generates=True),
        "all three": lambda: update(is_skipping=False, is_packing=False, generates=True),
    }


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _unpacked(policy: LanguagePolicy) -> Iterator[None]:
    """The policy reads each row by itself inside."""
    policy.packed_logprobs = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del policy.packed_logprobs


@contextmanager
def _generating(policy: LanguagePolicy) -> Iterator[None]:
    """The policy samples through `model.generate` inside."""

    def sample(prompts: Sequence[Sequence[int]], n: int = 1, **options: Any) -> Samples:
        pad, ends = policy.renderer.pad_id, policy.renderer.end_ids
        width = max(map(len, prompts))
        ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts])
        out = policy.model.generate(
            ids,
            attention_mask=(ids != pad).long(),
            do_sample=True,
            top_k=0,
            max_new_tokens=max(options["max_tokens"]),
            eos_token_id=sorted(ends),
            pad_token_id=pad,
            return_dict_in_generate=True,
            output_logits=True,
        )
        logits = torch.stack(out.logits, 1).log_softmax(-1)
        new = out.sequences[:, width:]
        chosen = logits.gather(2, new[:, :, None])[:, :, 0].tolist()
        drawn: list[list[int]] = []
        for row in new.tolist():
            end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            drawn.append(row[:end])
        return Samples(drawn, [c[: len(d)] for c, d in zip(chosen, drawn, strict=True)], 0)

    policy.sample = sample  # type: ignore[method-assign]
    try:
        yield
    finally:
        del policy.sample


def _short(side: Side) -> str:
    goal = f"goal after {side.until_goal:.1f} s" if side.arrived else "goal not reached"
    return f"{side.per_update * 1000:.0f} ms an update, {goal} ({len(side.seconds)} updates)"
