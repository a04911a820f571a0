"""Monte-Carlo tree search: to play with, and to learn from.

`MCTSPlayer` searches each position of a game that is shown in full; a policy as prior makes the
search look at good moves first. `train` makes a policy of what searches find, and searches with the
better policy again: expert iteration (Anthony et al. 2017, "Thinking fast and slow with deep
learning and tree search"; Silver et al. 2017). The search itself is `lmgym.search.mcts`; worlds for
one agent are searched by `lmgym.search.episode_mcts`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy
from lmgym.games.run import Turn
from lmgym.search.exact import Policy
from lmgym.search.mcts import MCTS, Found, MCTSOptions, Values
from lmgym.selfplay.playing import deal_states
from lmgym.selfplay.session import Range, SelfPlaySession, SessionArgs

__all__ = ["MCTSArgs", "MCTSPlayer", "Teacher", "policy_prior", "train"]


@dataclass(frozen=True)
class MCTSArgs(SessionArgs):
    """Arguments of expert iteration."""

    games: int = 1_000
    """Stop after so many games; with the same seed they give the same weights."""
    simulations: int = 50
    """Of each search."""
    batch_size: int = 20
    """Games that are played, by searches with the policy as prior, before it learns from them."""
    steps: int = 20
    """Steps of the optimiser on what is kept, after each batch."""
    kept_batches: int = 10
    """Batches whose positions are learned from; older ones are forgotten."""
    lr: float | None = None
    """Learning rate; by default what suits the kind of policy."""
    noise: float = 0.25
    """Share of noise in the prior of each position that is searched."""
    temperature: float = 0.5
    """Of the moves that are played, and learned: visits count to the power of its inverse."""
    exploration: float = 1.0
    """Weight of the prior in searches."""

    default_world: ClassVar[str] = "lmgym/Debate-v0"
    ranges: ClassVar[dict[str, Range]] = SessionArgs.ranges | {
        "simulations": (1, 1_000_000),
        "batch_size": (1, math.inf),
        "steps": (1, math.inf),
        "kept_batches": (1, math.inf),
        "lr": (0, math.inf),
        "noise": (0, 1),
        "temperature": (0, 100),
        "exploration": (0, math.inf),
    }


def train(args: MCTSArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train a policy of all seats of a game on what searches find; returns the run folder."""
    with SelfPlaySession("mcts", args, env, world_args) as session:
        teacher = Teacher(session.game, session.policy, args)
        for _ in session.batches():
            starts = deal_states(session.game, session.rng, args.batch_size, "train")
            lessons = [lesson for start in starts for lesson in teacher.play(start, session.rng)]
            metrics = teacher.teach(lessons)
            session.average.add(session.policy)
            session.log(metrics, args.batch_size)
    return session.run.path


class MCTSPlayer:
    """Plays what a search finds. It looks at the whole state, and takes games only where all do.

    Args:
        simulations: of each move at most.
        prior: probabilities of the moves of a state, as `policy_prior` makes of a policy; by
            default uniform.
        value: what a state is worth to each player; by default playouts say it.
        temperature: of visits, from which moves are drawn; at 0 the best one is played.
        options: how searches are done besides. With `reuses_tree` they go on from the last one, so
            what is played depends on what came before; without it, on the position alone.

    Example:
        >>> from lmgym.envs.nim.rules import Heaps, Nim
        >>> turn = Turn(Nim(), Heaps((7, 5, 4), 0), 0)
        >>> turn.game.say(turn.state, MCTSPlayer(100).act(turn, np.random.default_rng(0)))
        'take 6 from heap 1'
    """

    def __init__(
        self,
        simulations: int | str = 100,
        prior: Policy | None = None,
        value: Values | None = None,
        *,
        temperature: float = 0.0,
        options: MCTSOptions | None = None,
    ) -> None:
        self.prior, self.value, self.temperature = prior, value, temperature
        self.options = replace(options or MCTSOptions(), simulations=_number(simulations))
        self._search: MCTS[Any] | None = None

    def check(self, game: Game[Any]) -> None:
        """Raise where a game hides something from its players."""
        MCTS(game, self.prior, self.value, self.options)

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        """A move."""
        found = self.search(turn, rng)
        if self.temperature == 0:
            return found.best
        chances = found.probabilities(self.temperature)
        return found.actions[int(rng.choice(len(chances), p=chances))]

    def search(self, turn: Turn, rng: np.random.Generator) -> Found:
        """What is found about the moves."""
        if self._search is None or self._search.game is not turn.game:
            self._search = MCTS(turn.game, self.prior, self.value, self.options)
        return self._search.search(turn.state, rng)


def policy_prior(policy: GamePolicy, game: Game[Any]) -> Policy:
    """A policy of a game as the prior of a search, or wherever probabilities of moves are taken."""

    def prior(state: Any) -> NDArray[np.float64]:
        seat = game.mover(state)
        assert seat is not None, "the game is over"
        (chances,) = policy.probabilities([Turn(game, state, seat)])
        found: NDArray[np.float64] = chances[game.legal(state)]
        return found

    return prior


Lesson = tuple[Turn, NDArray[np.float64]]
"""A turn, and probabilities of all actions that a policy should have there."""


_Exercise = tuple[Callable[[], Tensor], Tensor]
"""What gives the logits of some turns, shape (B, n_actions), and their targets."""


class Teacher:
    """Plays games by searches with a policy as prior, and teaches it what they found.

    Args:
        game: the rules.
        policy: is trained in place.
        args: see `MCTSArgs`.
    """

    def __init__(self, game: Game[Any], policy: GamePolicy, args: MCTSArgs) -> None:
        self.game, self.policy, self.args = game, policy, args
        options = MCTSOptions(args.simulations, args.exploration, noise=args.noise)
        self._search = MCTS(game, policy_prior(policy, game), options=options)
        rate = policy.lr if args.lr is None else args.lr
        kind = torch.optim.SGD if policy.optimizer == "sgd" else torch.optim.Adam
        self._kept: deque[_Exercise] = deque(maxlen=args.kept_batches)
        self._optimizer: torch.optim.Optimizer = kind([torch.zeros(())], rate)

    def play(self, start: Any, rng: np.random.Generator) -> list[Lesson]:
        """A game from a start, and what is to be learned from it.

        Where all moves are proved to be worth the same, there is nothing to learn.
        """
        game, state, lessons = self.game, start, list[Lesson]()
        while (seat := game.mover(state)) is not None:
            found = self._search.search(state, rng)
            target = np.zeros(game.n_actions)
            target[list(found.actions)] = found.probabilities(self.args.temperature)
            if min(found.lows) < max(found.highs):
                lessons.append((Turn(game, state, seat), target))
            state = game.play(state, int(rng.choice(game.n_actions, p=target)))
        return lessons

    def teach(self, lessons: Sequence[Lesson]) -> dict[str, float]:
        """Fit the policy to targets, those of earlier batches too; returns the loss at first."""
        if lessons:
            turns, targets = zip(*lessons, strict=True)
            exercise = self.policy.prepare(turns), torch.from_numpy(np.stack(targets))
            self._kept.append(exercise)
        self._take_up_new_weights()
        losses = [self._step() for _ in range(self.args.steps if self._kept else 0)]
        return {"loss": losses[0]} if losses else {}

    def _step(self) -> float:
        loss = sum((_cross_entropy(*exercise) for exercise in self._kept), torch.zeros(()))
        loss = loss / sum(len(targets) for _, targets in self._kept)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.item()

    def _take_up_new_weights(self) -> None:
        """A table may have grown."""
        known = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        new = [p for p in self.policy.parameters() if id(p) not in known]
        if new:
            self._optimizer.add_param_group({"params": new})


def _cross_entropy(ask: Callable[[], Tensor], targets: Tensor) -> Tensor:
    """Of the policy from the targets, summed over turns."""
    logprobs = ask().log_softmax(1)
    wanted = targets.to(logprobs)
    return -(wanted * logprobs).masked_fill(wanted == 0, 0.0).sum()  # 0 times -inf where ruled out


def _number(simulations: int | str) -> int:
    """How many simulations a number or a text says."""
    text = str(simulations)
    if not text.isdecimal() or int(text) < 1:
        raise LmgymError(f"mcts:{simulations} is no player; write how many simulations: mcts:100")
    return int(text)
