"""Policy, world and reward meet: batches of transcripts, in groups.

`RolloutCollector` samples whole messages of many episodes at once; `rollout_by_tokens` steps one
`TokenEnv`. Both produce the same transcripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_source
from lmgym.rendering import Renderer
from lmgym.rewards.schedule import Payment, RewardSchedule, token_rewards
from lmgym.rewards.source import Reward
from lmgym.task import Task, Verdict
from lmgym.token_env import TokenEnv
from lmgym.transcript import Transcript, with_gold_rewards

if TYPE_CHECKING:
    import torch

    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["RolloutBatch", "RolloutCollector", "demonstrations", "rollout_by_tokens"]

_PATIENCE = 256
"""Problems without a demonstration in a row after which a world is said to show none."""


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """Finished episodes and what they were paid.

    Attributes:
        transcripts: N episodes; those of one group stand together.
        rewards: the sum of what each was paid, shape (N,).
        scored: False where an episode could not be scored, shape (N,).
        parts: named parts of the outcomes, each of shape (N,).
        gold_rewards: the world's graded ground truth, where it has one, shape (N,).
        token_rewards: where more than outcomes is paid, what was paid at each id that the agent
            drew, one array a transcript; they sum to `rewards`.
        temperature: at which the ids were sampled, where that is known.
    """

    transcripts: list[Transcript]
    rewards: NDArray[np.float64]
    scored: NDArray[np.bool_]
    parts: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    gold_rewards: NDArray[np.float64] | None = None
    token_rewards: list[NDArray[np.float64]] | None = None
    temperature: float | None = None

    @classmethod
    def paid(
        cls,
        task: Task[Any],
        transcripts: Sequence[Transcript],
        schedule: RewardSchedule,
        temperature: float | None = None,
    ) -> RolloutBatch:
        """Complete episodes: graded by their world, and paid in one call of the reward source."""
        graded = with_gold_rewards(task, transcripts)
        payments = schedule.pay(graded)
        golds = [t.gold_reward for t in graded]
        by_token = None
        if schedule.is_dense:
            pairs = zip(graded, payments, strict=True)
            by_token = [token_rewards(t, payment, schedule.level) for t, payment in pairs]
        return cls(
            graded,
            np.array([payment.reward for payment in payments], np.float64),
            np.array([payment.is_scored for payment in payments], np.bool_),
            _joined_parts(payments),
            np.array(golds, np.float64) if task.has_gold_reward else None,
            by_token,
            temperature,
        )

    def select(self, rows: NDArray[np.int64]) -> RolloutBatch:
        """The episodes at some places, in this order."""
        gold = self.gold_rewards
        return replace(
            self,
            transcripts=[self.transcripts[row] for row in rows],
            rewards=self.rewards[rows],
            scored=self.scored[rows],
            parts={name: part[rows] for name, part in self.parts.items()},
            gold_rewards=None if gold is None else gold[rows],
            token_rewards=self.token_rewards and [self.token_rewards[row] for row in rows],
        )

    def join(self, other: RolloutBatch) -> RolloutBatch:
        """This batch and another of the same world and reward; its groups are numbered on."""
        n_before = max((t.group_id for t in self.transcripts), default=-1) + 1
        moved = [replace(t, group_id=t.group_id + n_before) for t in other.transcripts]
        golds, tokens = None, None
        if self.gold_rewards is not None and other.gold_rewards is not None:
            golds = np.concatenate([self.gold_rewards, other.gold_rewards])
        if self.token_rewards is not None and other.token_rewards is not None:
            tokens = [*self.token_rewards, *other.token_rewards]
        return replace(
            self,
            transcripts=[*self.transcripts, *moved],
            rewards=np.concatenate([self.rewards, other.rewards]),
            scored=np.concatenate([self.scored, other.scored]),
            parts=_concatenated(self.parts, other.parts, self.rewards, other.rewards),
            gold_rewards=golds,
            token_rewards=tokens,
        )

    def rewards_by_token(self) -> list[NDArray[np.float64]]:
        """What was paid at each id that the agent drew, one array a transcript.

        Where only outcomes are paid, they stand at the last id.
        """
        if self.token_rewards is not None:
            return self.token_rewards
        tokens = [np.zeros(t.n_tokens) for t in self.transcripts]
        for row, reward in zip(tokens, self.rewards, strict=True):
            row[-1:] = reward
        return tokens

    @property
    def successes(self) -> NDArray[np.float64]:
        """1 where the world judged the episode correct, shape (N,)."""
        correct = [t.verdict is Verdict.CORRECT for t in self.transcripts]
        return np.array(correct, np.float64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ids the agent drew in each episode, shape (N,)."""
        return np.array([t.n_tokens for t in self.transcripts], np.int64)


class RolloutCollector:
    """Samples episodes of a task with a policy, a turn of all of them at a time.

    Args:
        policy: samples the messages.
        task: the world.
        source: the reward: a name, a source, a function, or None, which pays nothing.
        context: positions of an episode; by default what the task needs.
        max_tokens: ids of the agent in an episode; by default the task's.

    Example:
        >>> import numpy as np, torch
        >>> from lmgym.policies.loading import load_policy
        >>> from lmgym.factory import make_task
        >>> policy, task = load_policy("embedded"), make_task("lmgym/Math-v0")
        >>> collector = RolloutCollector(policy, task, "verifier")
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch = collector.collect(np.random.default_rng(0), generator, n_groups=2, group_size=3)
        >>> [t.group_id for t in batch.transcripts]
        [0, 0, 0, 1, 1, 1]
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        task: Task[Any],
        source: Reward,
        *,
        context: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Keep what is needed; episodes are made as many as a batch needs."""
        self.policy = policy
        self.task = task
        self.schedule = RewardSchedule(make_source(source))
        self._sizes = {"context": context, "max_tokens": max_tokens}
        self._pool: list[Episode] = []

    def collect(
        self,
        rng: np.random.Generator,
        generator: torch.Generator | None,
        *,
        n_groups: int = 1,
        group_size: int = 1,
        split: str = "train",
        task_ids: Sequence[str] | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> RolloutBatch:
        """Play one group of episodes for each problem.

        Args:
            rng: seeds the episodes: which problems, and what the world replies.
            generator: draws the ids.
            n_groups: problems to draw; `task_ids` gives them instead.
            group_size: episodes of each problem.
            split: where problems are drawn from.
            task_ids: the problems.
            temperature: of sampling.
            greedy: take the most likely ids.
        """
        problems: Sequence[str | None] = [None] * n_groups if task_ids is None else task_ids
        episodes = self._episodes(len(problems) * group_size)
        seeds = rng.integers(1 << 62, size=len(problems)).tolist()
        for group, (problem, seed) in enumerate(zip(problems, seeds, strict=True)):
            first, *others = episodes[group * group_size : (group + 1) * group_size]
            first.reset(np.random.default_rng((seed, 0)), split=split, task_id=problem)
            for place, member in enumerate(others, 1):
                if self.task.replies_draw:  # an episode's luck is its own
                    luck = np.random.default_rng((seed, place))
                    member.reset(luck, split=split, task_id=first.opening.task_id)
                else:
                    member.reset_like(first)
        running = episodes
        while running:
            self._play_turn(running, generator, temperature, greedy)
            running = [episode for episode in running if episode.verdict is None]
        transcripts = [e.transcript(i // group_size) for i, e in enumerate(episodes)]
        return RolloutBatch.paid(self.task, transcripts, self.schedule, temperature)

    def unpaid(self) -> RolloutCollector:
        """The same without a reward."""
        other = copy(self)
        other.schedule = RewardSchedule(None)
        return other

    @property
    def max_tokens(self) -> int:
        """Ids that the agent may write in an episode."""
        return self._episodes(1)[0].max_tokens

    def _play_turn(
        self,
        episodes: Sequence[Episode],
        generator: torch.Generator | None,
        temperature: float,
        greedy: bool,
    ) -> None:
        samples = self.policy.sample(
            [episode.ids for episode in episodes],
            max_tokens=[episode.remaining for episode in episodes],
            temperature=temperature,
            greedy=greedy,
            generator=generator,
        )
        for episode, ids, logprobs in zip(episodes, samples.ids, samples.logprobs, strict=True):
            episode.write(ids, logprobs)

    def _episodes(self, n: int) -> list[Episode]:
        while len(self._pool) < n:
            self._pool.append(episode_of(self.task, self.policy.renderer, **self._sizes))
        return self._pool[:n]


def _concatenated(
    first: Mapping[str, NDArray[np.float64]],
    second: Mapping[str, NDArray[np.float64]],
    *like: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Parts of two batches; 0 where one lacks a part, as where nothing could be scored."""
    blanks = [np.zeros(len(rewards)) for rewards in like]
    return {
        name: np.concatenate([first.get(name, blanks[0]), second.get(name, blanks[1])])
        for name in dict.fromkeys([*first, *second])
    }


def _joined_parts(payments: Sequence[Payment]) -> dict[str, NDArray[np.float64]]:
    """Each named part as one array, 0 where an episode has none."""
    names = {name: None for payment in payments for name in payment.parts}
    return {name: np.array([p.parts.get(name, 0.0) for p in payments]) for name in names}


def rollout_by_tokens(
    env: TokenEnv,
    policy: LanguagePolicy,
    generator: torch.Generator | None = None,
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    temperature: float = 1.0,
    greedy: bool = False,
) -> tuple[Transcript, float]:
    """Play one episode of an environment, an id a step; returns the transcript and its reward."""
    observation, _ = env.reset(seed=seed, options=options)
    total, terminated = 0.0, False
    logprobs: list[float] = []
    while not terminated:
        prompt = observation["tokens"][: observation["length"][0]].tolist()
        drawn = policy.sample(
            [prompt], max_tokens=1, temperature=temperature, greedy=greedy, generator=generator
        )
        logprobs += drawn.logprobs[0]
        observation, reward, terminated, _, _ = env.step(drawn.ids[0][0])
        total += reward
    return env.transcript().with_logprobs(logprobs), total


def demonstrations(
    task: Task[Any], renderer: Renderer, rng: np.random.Generator, n: int, *, split: str = "train"
) -> list[Transcript]:
    """Episodes played by the world's own demonstrations; problems without one are passed over.

    Raises:
        LmgymError: where the world shows none for many problems in a row.
    """
    episode = episode_of(task, renderer)
    played: list[Transcript] = []
    n_missing = 0
    while len(played) < n:
        episode.reset(rng, split=split)
        if _is_demonstrated(episode):
            played.append(episode.transcript())
            n_missing = 0
        elif (n_missing := n_missing + 1) == _PATIENCE:
            raise LmgymError(
                f"{type(task).__name__} shows no demonstrations for {_PATIENCE} problems in a row;"
                " train on it by reinforcement, or on samples"
            )
    return played


def _is_demonstrated(episode: Episode) -> bool:
    """Play an episode by its demonstrations, to its end if there are enough."""
    while episode.verdict is None:
        ids = episode.demonstration()
        if ids is None:
            return False
        episode.write(ids)
    return True
