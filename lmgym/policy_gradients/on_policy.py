"""The loop of on-policy learners: draw problems, sample answers, learn, again.

A learner's own file says what a batch teaches (`OnPolicyLearner`); which problems are drawn, what
is drawn again and when to stop is the same for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from lmgym.curriculum import AdaptiveSampler
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.rewards.length import LengthReward
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch
from lmgym.task import Verdict
from lmgym.training.session import TrainingSession

__all__ = ["BatchSource", "OnPolicyLearner", "paid_by_length", "train_on_policy"]


A = TypeVar("A", bound=OnPolicyArgs)


class OnPolicyLearner(Protocol):
    """What learns from a batch of rollouts."""

    def step(self, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        """Learn; returns what to log, "signal" among it: the share of the batch that teaches."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides the policy's weights."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        ...


def train_on_policy(
    agent: str,
    args: A,
    env: str,
    world_args: Mapping[str, Any],
    reward: Reward,
    make_learner: Callable[[TrainingSession, A], OnPolicyLearner],
) -> Path:
    """Train on a world; returns the run folder.

    Args:
        agent: name of the learner.
        args: its arguments.
        env: id of the world.
        world_args: its arguments.
        reward: what episodes are paid.
        make_learner: of a session that has begun, and the arguments, with what suits the size of
            the model where they say nothing.
    """
    with TrainingSession(agent, args, env, world_args, reward) as session:
        args = cast(A, session.settings)
        learner, source = make_learner(session, args), BatchSource(session, args)
        session.keep("learner", learner)
        session.keep("source", source)
        for update in session.updates():
            start = time.perf_counter()
            batch = source.draw()
            sampled = time.perf_counter()
            metrics = learner.step(batch, update) | source.metrics()
            source.silent = 0 if metrics["signal"] > 0 else source.silent + 1
            if source.silent == 1:
                session.say(f"update {update}: {_no_signal(batch)}")
            if source.silent >= args.patience:
                reason = f"{args.patience} batches without a learning signal"
                session.stop(f"{reason}: {_no_signal(batch)}")
            end = time.perf_counter()
            metrics["tokens_per_second"] = batch.lengths.sum() / (end - start)
            metrics["seconds/sampling"] = sampled - start
            metrics["seconds/training"] = end - sampled
            session.log(metrics, batch)
    return session.run.path


class BatchSource:
    """Batches to learn from: which problems, how many, and how their length is paid.

    Args:
        session: samples.
        args: of the learner.

    Attributes:
        silent: batches in a row without a learning signal.
    """

    def __init__(self, session: TrainingSession, args: OnPolicyArgs) -> None:
        """Nothing has been drawn yet."""
        self.session = session
        self.args = args
        is_adaptive = args.curriculum == "adaptive"
        self.sampler = AdaptiveSampler(session.collector.task) if is_adaptive else None
        self.silent = 0
        self._drawn = 0
        self._kept = 0
        self._accuracy = 0.0

    def draw(self) -> RolloutBatch:
        """The next batch; with dynamic sampling of groups that differ in their rewards.

        Where too few do after the last round, the batch is smaller; where none does, it is the
        first as it was drawn.
        """
        args, (n_groups, size) = self.args, self.args.batch_shape
        first = everything = self._collect(n_groups)
        batch = _with_signal(first, size) if args.dynamic_sampling else first
        for _ in range(args.dynamic_sampling):
            missing = n_groups - len(batch.transcripts) // size
            if not missing:
                break
            fresh = self._collect(missing)
            batch, everything = batch.join(_with_signal(fresh, size)), everything.join(fresh)
        if self.sampler is not None:
            self.sampler.update(everything)
        self._accuracy = float(everything.successes.mean())
        self._drawn = len(everything.transcripts) // size
        self._kept = len(batch.transcripts) // size
        return batch if self._kept else first

    def metrics(self) -> dict[str, float]:
        """What is told of the last batch, where problems are chosen."""
        found = self.sampler.metrics() if self.sampler is not None else {}
        if self.args.dynamic_sampling:
            found["groups/drawn"], found["groups/kept"] = float(self._drawn), float(self._kept)
            found["groups/accuracy"] = self._accuracy
        return found

    def state_dict(self) -> dict[str, Any]:
        """What the curriculum has learned, and how long nothing was."""
        sampler = None if self.sampler is None else self.sampler.state_dict()
        return {"silent": self.silent, "sampler": sampler}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.silent = state["silent"]
        if self.sampler is not None:
            self.sampler.load_state_dict(state["sampler"])

    def _collect(self, n_groups: int) -> RolloutBatch:
        args, session, sampler = self.args, self.session, self.sampler
        chosen = None if sampler is None else sampler.draw(session.rng, n_groups)
        batch = session.collector.collect(
            session.rng,
            session.generator,
            n_groups=n_groups,
            group_size=args.batch_shape[1],
            task_ids=chosen,
            temperature=args.temperature,
        )
        return paid_by_length(batch, args, session.collector.max_tokens)


def paid_by_length(batch: RolloutBatch, args: OnPolicyArgs, longest: int) -> RolloutBatch:
    """The batch with answers that are too long punished, or left out.

    Args:
        batch: of rollouts.
        args: say which.
        longest: tokens that an episode may have.
    """
    if args.overlong_buffer:
        source = LengthReward(limit=longest, buffer=min(args.overlong_buffer, longest))
        paid = source.score(batch.transcripts).outcome
        tokens = batch.token_rewards and [
            np.append(rewards[:-1], rewards[-1:] + extra)
            for rewards, extra in zip(batch.token_rewards, paid, strict=True)
        ]
        parts = {**batch.parts, "overlong": paid}
        batch = replace(batch, rewards=batch.rewards + paid, parts=parts, token_rewards=tokens)
    if args.mask_truncated:
        whole = [t.verdict is not Verdict.UNFINISHED for t in batch.transcripts]
        batch = replace(batch, scored=batch.scored & np.array(whole, np.bool_))
    return batch


def _with_signal(batch: RolloutBatch, group_size: int) -> RolloutBatch:
    """The groups in which scored answers are paid differently."""
    rewards = batch.rewards.reshape(-1, group_size)
    scored = batch.scored.reshape(-1, group_size)
    most = np.where(scored, rewards, -np.inf).max(1)
    least = np.where(scored, rewards, np.inf).min(1)
    return batch.select((most > least).repeat(group_size).nonzero()[0])


def _no_signal(batch: RolloutBatch) -> str:
    """Why a batch teaches nothing: in each of its groups all answers are worth the same."""
    if not batch.scored.any():
        return (
            "no episode could be scored, or each ran out of tokens where --mask-truncated leaves"
            " these out, so there is nothing to learn from"
        )
    rewards: Sequence[float] = np.unique(batch.rewards[batch.scored])[:4].tolist()
    return (
        f"no learning signal: the rewards within each group are equal (they are {rewards}). Where"
        " they are low the problems are too hard for the policy: choose easier ones, start from a"
        " better --model, or raise --group-size or --temperature; where they are high there is"
        " nothing left to learn"
    )
