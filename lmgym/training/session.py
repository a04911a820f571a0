"""`TrainingSession`: what every learner of language models does around its update.

It loads the policy and the world; the rest is in `BaseSession`. The learner's own file stays an
algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.evaluation import Collector
from lmgym.factory import episode_of, make_source, make_task
from lmgym.policies.adapters import restore_weights
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import check_peft, load_policy
from lmgym.policies.merging import base_of
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rewards.source import Reward, RewardSource, VerdictSource
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Verdict
from lmgym.training.arguments import LearnerArgs
from lmgym.training.base_session import BaseSession
from lmgym.training.examination import check_splits, judges
from lmgym.training.presets import (
    default_learning_rate,
    describe,
    prepare_policy,
    use_threads,
)
from lmgym.training.progress import Sample
from lmgym.training.records import plain_value
from lmgym.training.resuming import StoredRun, cannot_resume, policy_digests
from lmgym.transcript import Transcript

__all__ = ["TrainingSession", "check_payable", "require_finite", "reward_name", "shown_samples"]


class TrainingSession(BaseSession):
    """One training run of a language model.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        world_args: arguments of the world.
        reward: what the collector's rollouts are paid.
        policy: to be trained, where it is new; by default `args.model` is loaded.

    Attributes:
        policy: being trained.
        collector: samples rollouts with it.
        rng: draws problems.
        generator: draws ids.
        run: the run folder.
        lr: the learning rate to use.
        settings: the arguments, with what suits the size of the model where they say nothing.
    """

    def __init__(
        self,
        agent: str,
        args: LearnerArgs,
        env: str,
        world_args: Mapping[str, Any],
        reward: Reward = None,
        *,
        policy: LanguagePolicy | None = None,
    ) -> None:
        """Check all that can be checked before anything is written."""
        self._is_loaded = policy is None
        if args.resume and not self._is_loaded:
            raise cannot_resume(agent)
        stored = StoredRun.read(args.resume) if args.resume else None
        if stored is not None:
            stored.check(agent, env, args, reward_name(reward))
            stored.checkpoint().check()
        task = make_task(env, **world_args)
        source = make_source(reward)
        self._judges = judges(task)
        check_payable(reward, source, is_judged=self._judges, env=env)
        if args.lora_rank:
            check_peft("--lora-rank")
        self.policy = policy or load_policy(args.model, device=args.device, dtype=args.dtype)
        self.settings = prepare_policy(self.policy, args)
        sizes = {"context": args.context, "max_tokens": args.max_tokens}
        self.collector = RolloutCollector(self.policy, task, source, **sizes)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.lr = self.settings.lr or default_learning_rate(self._n_parameters)
        self._examiner = RolloutCollector(self.policy, task, None, **sizes)
        self._check_room(episode_of(task, self.policy.renderer, **sizes))
        use_threads(self._n_parameters, args.threads)
        world = plain_value(task.args)
        facts = {"world": world, "lr": self.lr, "reward": reward_name(reward)}
        facts["preset"] = describe(self.settings, self._n_parameters)
        self._whole: dict[str, Any] = {**policy_digests(self.policy), "world": world}
        super().__init__(agent, args, env, facts, stored)

    def log(self, metrics: Mapping[str, float], batch: RolloutBatch) -> None:
        """Log an update and show it with some of its answers."""
        scored = batch.scored
        numbers = {"accuracy": float(batch.successes.mean())} if self._judges else {}
        numbers |= {
            "completion_length": float(batch.lengths.mean()),
            "unscored": float(1 - scored.mean()),
            **metrics,
        }
        if self.collector.schedule.source is not None and scored.any():
            numbers["reward"] = float(batch.rewards[scored].mean())
            parts = batch.parts.items()
            numbers |= {f"reward/{name}": float(part[scored].mean()) for name, part in parts}
        if batch.gold_rewards is not None:
            numbers["gold_reward"] = float(batch.gold_rewards.mean())
        self.log_numbers(numbers, shown_samples(batch))

    @property
    def _n_parameters(self) -> int:
        return self.policy.n_base_parameters

    @property
    def _evaluator(self) -> Collector:
        return self._examiner

    @property
    def _schedule(self) -> RewardSchedule:
        return self.collector.schedule

    @property
    def _is_judged(self) -> bool:
        return self._judges

    @property
    def _is_resumable(self) -> bool:
        return self._is_loaded  # else nobody could make the policy again that it started from

    @property
    def _identity(self) -> dict[str, Any]:
        return self._whole

    def _state(self) -> dict[str, Any]:
        return {
            "weights": self._trained(),
            "version": self.policy.version,
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        own, stored = self._trained(), state["weights"]
        shapes, found = ({k: w.shape for k, w in some.items()} for some in (own, stored))
        if shapes != found:
            raise LmgymError(
                f"the checkpoint in {str(self.run.path)!r} holds other weights than are trained:"
                f" {sorted(shapes.items() ^ found.items())[:2]}"
            )
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(stored[name])
        self.policy.version = state["version"]
        self.rng.bit_generator.state = state["rng"]
        self.generator.set_state(state["generator"])

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        """The weights that are trained, by name: of an adapter only its own."""
        named = self.policy.model.named_parameters()
        return {name: weight for name, weight in named if weight.requires_grad}

    def _further_figures(self) -> dict[str, Any]:
        return self._figures_of_splits(self.collector.task)

    def _save(self, directory: Path) -> None:
        self.policy.save(directory)

    def _take_back(self, directory: Path) -> None:
        restore_weights(self.policy, directory)

    def _introduce(self) -> None:
        self._display.print(
            f"policy {self.args.model}: {self.policy.n_parameters:,} parameters on"
            f" {self.policy.device}, run folder {self.run.path}"
        )
        self._display.print(describe(self.settings, self._n_parameters))
        trained = {p.dtype for p in self.policy.model.parameters() if p.requires_grad}
        if trained - {torch.float32}:
            self._display.print(
                f"the weights are {base_of(self.policy.model).dtype}: updates much smaller than a"
                " weight are lost in rounding; --dtype float32 keeps them"
            )

    def _check_room(self, episode: Episode) -> None:
        """Raise where a split has no problems, a prompt does not fit, or the model is too short."""
        check_splits(episode)
        most = self.policy.context
        if most is not None and episode.context > most:
            raise LmgymError(
                f"the model has {most} positions and an episode {episode.context}; pass a context"
                f" of {most} or less"
            )


def check_payable(
    reward: Reward, source: RewardSource | None, *, is_judged: bool, env: str
) -> None:
    """Raise where every episode would be paid nothing, but for learners that need no reward."""
    if source is None and reward is not None:
        raise LmgymError(f"reward={reward!r} pays nothing to learn from; give --reward rm:DIR")
    if isinstance(source, VerdictSource) and not is_judged:
        raise LmgymError(
            f"nothing judges answers in {env} with these arguments, and reward="
            f"{reward_name(reward)!r} pays what is judged right; give --reward rm:DIR, or another"
            " reward that reads the answers"
        )


def require_finite(value: torch.Tensor, name: str, update: int) -> None:
    """Raise where a loss or a gradient norm is not finite, before the step is taken."""
    if not torch.isfinite(value).all():
        raise LmgymError(
            f"the {name} is {value.item()} in update {update}; the step was not taken, and the"
            " weights are those before it. Lower --lr or --max-grad-norm, and look at metrics.jsonl"
            " for what grew before"
        )


def reward_name(reward: Reward) -> str | None:
    """What a reward is called in the record."""
    if reward is None or isinstance(reward, str):
        return reward
    name: str = getattr(reward, "__name__", type(reward).__name__)
    return name


def shown_samples(batch: RolloutBatch) -> Sequence[Sample]:
    """Some answers of a batch, evenly spaced."""
    step = max(1, len(batch.transcripts) // 4)
    return [
        Sample(t.prompt_text, t.completion_text, _is_correct(t)) for t in batch.transcripts[::step]
    ]


def _is_correct(transcript: Transcript) -> bool | None:
    """None where nobody judged."""
    if transcript.verdict is Verdict.ENDED:
        return None
    return transcript.verdict is Verdict.CORRECT
