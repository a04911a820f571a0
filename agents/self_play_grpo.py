"""Self-play of a language policy by GRPO: it writes the moves of every seat and learns from both.

A return is compared with those of the same role, since one seat may win more than the other
whatever is written there: role-conditioned advantages (Liu et al. 2025, "SPIRAL: Self-Play on
Zero-Sum Games Incentivizes Reasoning"), with the mean of a batch in place of a moving one. Losses
and steps are those of `grpo`, with PPO's clip where a batch makes more than one.

A policy that knows no game writes no legal move, so that nobody wins by playing well. It starts by
imitating players of legal moves who have habits: a favourite move in each situation, which nobody
can tell without reading what the situation is. `--beta` then holds it near to what it has become:
in games where the players know different things, self-play without such a pull goes round in
circles (Sokota et al. 2023, "A Unified Approach to Reinforcement Learning, Quantal Response
Equilibria, and Two-Player Zero-Sum Games").
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal
from zlib import crc32

import numpy as np
import torch

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.collecting import (
    Baseline,
    Contestant,
    GameCollector,
    PlayedGame,
    rollout_batch,
)
from lmgym.games.deals import draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.message_policy import MessagePolicy, information_sets
from lmgym.games.run import Turn
from lmgym.games.task import GameTask
from lmgym.policies.adapters import frozen_copy
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.learned_tokenizer import learn_renderer
from lmgym.policies.loading import load_policy
from lmgym.policy_gradients.advantages import Scale
from lmgym.search.exact import exploitability
from lmgym.training.arguments import Range
from lmgym.training.session import TrainingSession

from .embedded import new_policy
from .grpo import GRPOArgs, GRPOLearner
from .sft import supervised_step

__all__ = ["SelfPlayGRPOArgs", "imitate", "legal_share", "starting_policy", "train"]

_TEXTS = 2_000
"""Turns that a tokenizer is learned from."""
_WORD = re.compile(r"\s?\w+|\s?[^\w\s]")
"""What no id goes beyond, so that a move stays several of them."""
_HABITS = (0.8, 0.3)
"""How often a favourite move is imitated, in the first and in the second half of imitation."""
_WARMUP = 20
"""Updates of imitation in which the learning rate rises."""


@dataclass(frozen=True)
class SelfPlayGRPOArgs(GRPOArgs):
    """Arguments of self-play by GRPO."""

    model: str = "none"
    """The policy to start from; none for a small new one with a tokenizer of the game's words."""
    seconds: float = 240.0
    """Wall-clock budget of training, imitation and validations included."""
    opponents: Literal["current", "pool"] = "current"
    """Who plays the other seats: the policy itself, which then learns from all seats, or a
    checkpoint drawn for each batch, and then it learns from a seat of its own."""
    pool_every: int = 10
    """Updates between checkpoints for the pool."""
    pool_size: int = 10
    """Checkpoints that the pool keeps, the latest."""
    baseline: Baseline = "deal"
    """Whose mean return a return is compared with: deal, that of the seat in the same deal, which
    takes out the luck of the cards, or role, that of the seat in all games."""
    groups: int = 16
    """Deals a batch; with baseline role each game has its own."""
    group_size: int = 4
    """Games of each deal."""
    epochs: int = 4
    """Passes over a batch; more than one needs the clip, and learns more from a game."""
    minibatches: int = 8
    """Optimiser steps a pass."""
    lr: float | None = 1e-3
    """Learning rate of AdamW; right for a small new policy, too high for a large one."""
    scale: Scale = "batch"
    """What centred returns are divided by: the batch's standard deviation, or none; that of the
    group would weigh deals differently, and so change the game."""
    beta: float = 0.1
    """Weight of the KL penalty against the policy after imitation; 0 keeps no reference."""
    imitation: int = 250
    """Updates at the start that imitate legal moves; 0 for a policy that can play."""
    imitation_lr: float = 4e-3
    """Learning rate of imitation."""
    imitation_batch: int = 32
    """Moves a batch of imitation."""
    vocabulary: int = 512
    """Ids of a new policy's tokenizer at most."""
    hidden_size: int = 48
    """Width of a new policy."""
    n_layers: int = 2
    """Layers of a new policy."""
    message_tokens: int | None = None
    """Tokens of a message; by default what the world needs."""
    target: float = 1.01
    """Stop once both greedy and sampled success on validation reach this twice in a row; above 1:
    never."""
    validate_every: float = 15.0
    """Seconds between validations; the last checkpoint is kept, whatever they say."""
    validation_limit: int | None = 64
    """Games of a validation, against the opponent of the world."""
    test_limit: int | None = 128
    """Test games of the evaluations before and after."""

    default_world: ClassVar[str] = "lmgym/KuhnPoker-v0"
    unused: ClassVar[tuple[str, ...]] = ("reward",)
    learns_from_failure: ClassVar[bool] = True
    ranges: ClassVar[dict[str, Range]] = GRPOArgs.ranges | {
        "pool_every": (1, math.inf),
        "pool_size": (1, math.inf),
        "imitation": (0, math.inf),
        "imitation_lr": (math.nextafter(0, 1), math.inf),
        "imitation_batch": (1, math.inf),
        "vocabulary": (512, math.inf),
        "hidden_size": (8, math.inf),
        "n_layers": (1, math.inf),
        "message_tokens": (1, math.inf),
    }


def train(args: SelfPlayGRPOArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train on a game; returns the run folder."""
    task = make_task(env, **world_args)
    if not isinstance(task, GameTask):
        raise LmgymError(
            f"{env} is no game for several players; take one, as lmgym/KuhnPoker-v0 or lmgym/Nim-v0"
        )
    collector = GameCollector(
        task.game,
        max_tokens=args.message_tokens or task.answer_bytes(),
        guide=task.args.guide,
    )
    policy = starting_policy(args, task)
    with _SelfPlaySession(
        "self-play-grpo", args, env, world_args, "gold", policy=policy
    ) as session:
        league = _League(session.policy, collector, args)
        learner: GRPOLearner | None = None
        optimizer = torch.optim.AdamW(
            session.policy.model.parameters(), args.imitation_lr, betas=(0.9, 0.95), weight_decay=0
        )
        for update in session.updates():
            if update < args.imitation:
                done = update / args.imitation
                loss = imitate(session.policy, optimizer, collector, args, session.rng, done)
                session.log_numbers({"loss": loss})
                continue
            if learner is None:  # now, so that its reference is what has been imitated
                longest = task.game.max_moves * collector.max_tokens
                learner = GRPOLearner(session.policy, args, session.lr, longest)
            start = time.perf_counter()
            games = league.play(session.rng, session.generator, update)
            sampled = time.perf_counter()
            batch = rollout_batch(
                games, session.policy, baseline=args.baseline, temperature=args.temperature
            )
            metrics = learner.step(batch, update) | _figures(games, session.policy)
            metrics["seconds/sampling"] = sampled - start
            metrics["seconds/training"] = time.perf_counter() - sampled
            session.log(metrics, batch)
    return session.run.path


def imitate(
    policy: LanguagePolicy,
    optimizer: torch.optim.Optimizer,
    collector: GameCollector,
    args: SelfPlayGRPOArgs,
    rng: np.random.Generator,
    progress: float = 0.0,
) -> float:
    """A step towards a player of legal moves; returns the mean loss of an id, in nats.

    The player has habits, strong ones in the first half of imitation, so that the policy learns to
    read, and weak ones in the second, so that self-play starts from all moves.

    Args:
        policy: is trained in place.
        optimizer: of its weights.
        collector: of the game.
        args: see `SelfPlayGRPOArgs`.
        rng: draws deals and moves.
        progress: the share of imitation that is done.
    """
    rise = (progress * args.imitation + 1) / _WARMUP
    for group in optimizer.param_groups:
        group["lr"] = args.imitation_lr * min(1.0, rise) * max(0.05, 1 - progress)
    moves = islice(_turns(collector.game, rng, _HABITS[progress >= 0.5]), args.imitation_batch)
    return supervised_step(
        policy,
        optimizer,
        [collector.example(turn, text, policy.renderer) for turn, text in moves],
        max_grad_norm=args.max_grad_norm,
        micro_tokens=args.pass_tokens,
    )


def _turns(game: Game[Any], rng: np.random.Generator, habit: float) -> Iterator[tuple[Turn, str]]:
    """Turns of games one after the other, each with a legal move in words.

    Args:
        game: the rules.
        rng: draws deals and moves.
        habit: the probability of the favourite move; else all are equally likely.
    """
    while True:
        state = start_of(game, draw_deal(rng, "train"))
        while (seat := game.mover(state)) is not None:
            turn, legal = Turn(game, state, seat), game.legal(state)
            favourite = crc32(turn.text.encode()) % len(legal)
            place = favourite if rng.random() < habit else int(rng.integers(len(legal)))
            yield turn, game.say(state, legal[place])
            state = game.play(state, legal[place])


def starting_policy(args: SelfPlayGRPOArgs, task: GameTask) -> LanguagePolicy:
    """The policy to start from: loaded, or new, with a tokenizer of the game's words."""
    if args.model != "none":
        return load_policy(args.model, device=args.device, dtype=args.dtype)
    moves = islice(_turns(task.game, np.random.default_rng(args.seed), 0.0), _TEXTS)
    texts = (text for turn, said in moves for text in (turn.text, said))
    words = (word for text in texts for word in _WORD.findall(text))
    renderer = learn_renderer(words, args.vocabulary)
    policy = new_policy(args.hidden_size, args.n_layers, args.seed, renderer)
    policy.model.to(args.device)
    return policy


class _League:
    """Who plays whom: the policy itself in all seats, or against its checkpoints."""

    def __init__(
        self, policy: LanguagePolicy, collector: GameCollector, args: SelfPlayGRPOArgs
    ) -> None:
        self.policy, self.collector, self.args = policy, collector, args
        self.pool: list[LanguagePolicy] = []
        self._kept = -math.inf

    def play(
        self, rng: np.random.Generator, generator: torch.Generator, update: int
    ) -> list[PlayedGame]:
        """The games of a batch."""
        args, n = self.args, self.args.groups * self.args.group_size
        repeats = args.group_size if args.baseline == "deal" else 1
        deals = [draw_deal(rng, "train") for _ in range(n // repeats)]
        return self.collector.play(
            self._lineups(rng, update, n),
            rng,
            generator,
            deals=[deal for deal in deals for _ in range(repeats)],
            temperature=args.temperature,
        )

    def _lineups(self, rng: np.random.Generator, update: int, n: int) -> list[list[Contestant]]:
        """Who holds the seats of each game; against a checkpoint each seat equally often."""
        seats, args = range(len(self.collector.game.players)), self.args
        if args.opponents == "current":
            return [[self.policy for _ in seats] for _ in range(n)]
        if update >= self._kept + args.pool_every:
            self.pool = [*self.pool, frozen_copy(self.policy)][-args.pool_size :]
            self._kept = update
        other = self.pool[int(rng.integers(len(self.pool)))]
        own = [place % len(seats) for place in range(n)]
        return [[self.policy if seat == mine else other for seat in seats] for mine in own]


class _SelfPlaySession(TrainingSession):
    """A run whose last checkpoint counts: who wins against one opponent is not better for it."""

    def _is_better(self, score: float) -> bool:
        del score
        return True

    def _chosen(self) -> str:
        return ", the last one"

    def _validate(self) -> None:
        super()._validate()
        self._validation |= {f"validation/{k}": value for k, value in self._exact().items()}

    def _further_figures(self) -> dict[str, Any]:
        exact = self._exact()
        if exact:
            self.say(", ".join(f"{name} {value:.3f}" for name, value in exact.items()))
        return super()._further_figures() | exact

    def _exact(self) -> dict[str, float]:
        """How far the policy is from an equilibrium, where the game is small enough to tell."""
        task: Any = self.collector.task
        game = task.game
        states = information_sets(game) if len(game.players) == 2 and game.is_zero_sum else None
        if states is None:
            return {}
        policy = MessagePolicy(self.policy, game, guide=task.args.guide)
        policy.read(states)
        return {"exploitability": exploitability(game, policy), "coverage": policy.coverage}


def legal_share(games: Iterable[PlayedGame], policy: LanguagePolicy) -> float:
    """The share of a policy's messages that made a legal move."""
    n_legal = n_messages = 0
    for game in games:
        for seat, transcript in enumerate(game.transcripts):
            if transcript is not None and game.lineup[seat] is policy:
                n_legal += game.n_legal(seat)
                n_messages += len(transcript.segments)
    return n_legal / max(1, n_messages)


def _figures(games: list[PlayedGame], policy: LanguagePolicy) -> dict[str, float]:
    return {
        "legal": legal_share(games, policy),
        "forfeits": float(np.mean([game.run.forfeited is not None for game in games])),
        "first_seat": float(np.mean([game.run.returns[0] for game in games])),
    }
