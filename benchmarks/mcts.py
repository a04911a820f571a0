"""Monte-Carlo tree search: safe play at 100 simulations, better debaters, and texts by reward.

Nim and tic-tac-toe are played against the games' own best moves, and against best responses, which
know what the search will do everywhere; the search has no help from either. A linear debater that
self-play trained plays with and without a search, on the same deals in both seats, against itself
and against best responses; and it learns from searches. In worlds for one agent the search is held
against greedy, samples and `best_first` at an equal number of endings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import xor
from pathlib import Path
from typing import Any

import numpy as np

from lmgym.agents.mcts import MCTSArgs, MCTSPlayer, policy_prior
from lmgym.agents.mcts import train as train_by_search
from lmgym.agents.self_play import SelfPlayArgs
from lmgym.agents.self_play import train as train_by_self_play
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.envs.debate.rules import Debate
from lmgym.envs.nim.rules import Heaps, Nim
from lmgym.envs.tic_tac_toe.rules import TicTacToe
from lmgym.errors import LmgymError, unknown
from lmgym.games.game import Game
from lmgym.games.players import BestPlayer, Player
from lmgym.games.policies import GamePolicy, GamePolicyPlayer, load_game_policy
from lmgym.games.run import Turn
from lmgym.search.exact import Policy, best_response, exploitability
from lmgym.selfplay.playing import PlayerChooser, deal_states, fixed_deals, play_out
from lmgym.training.uncertainty import mean_interval
from mcts_texts import search_texts
from measuring import Claim, claimed, spread

PARTS = ("games", "debate", "texts")
_EXAMS: dict[str, Any] = {"checkpoints": 1, "deals": 2, "matches": 20}
"""Of runs that are measured here, as short as can be."""


@dataclass(frozen=True)
class MCTSBenchArgs:
    """Arguments of the benchmark."""

    simulations: int = 100
    """Of each search."""
    games: int = 200
    """Games of Nim and of tic-tac-toe, from each seat."""
    seeds: int = 3
    """Debaters that are trained, and searches for best responses."""
    first_seed: int = 500
    """The first seed."""
    training: int = 2_560
    """Games of self-play of a debater."""
    lessons: int = 400
    """Games that it learns from by search."""
    deals: int = 400
    """Deals of a match of debaters, each in both seats."""
    exact_deals: int = 30
    """Deals on which best responses to debaters are found."""
    problems: int = 100
    """Validation problems of each world for one agent."""
    runs: str = "runs/mcts"
    """Folder of the debaters; those that are there are not trained again."""
    only: str = ""
    """Do one part: games, debate or texts; results of the others are then missing."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to do, or nowhere to write."""
        if self.only and self.only not in PARTS:
            raise unknown("part", self.only, PARTS)
        if min(self.games, self.seeds, self.deals, self.exact_deals, self.problems) < 1:
            raise LmgymError("all numbers start at 1")
        if self.out is not None:
            check_file(self.out)

    @property
    def every_seed(self) -> range:
        """Seeds of debaters and searches."""
        return range(self.first_seed, self.first_seed + self.seeds)


Measured = tuple[list[Claim], dict[str, Any]]
"""Claims, and what they follow from."""


def main(argv: Sequence[str]) -> int:
    """Measure the parts; 1 where a bar is missed."""
    (args,) = parse_options({"mcts": MCTSBenchArgs}, argv, "bench mcts", __doc__ or "")
    parts: Mapping[str, Callable[[MCTSBenchArgs], Measured]] = {
        "games": _games,
        "debate": _debate,
        "texts": lambda args: search_texts(args.problems, args.first_seed),
    }
    found = {name: parts[name](args) for name in PARTS if args.only in ("", name)}
    claims = [claim for part, _ in found.values() for claim in part]
    return claimed(claims, args, **{name: told for name, (_, told) in found.items()})


class _Plain:
    """A game whose states are alike only if they are equal."""

    def key(self, state: Any) -> Any:
        """The state."""
        return state


class PlainNim(_Plain, Nim):
    """Nim in which it makes a difference which heap is which."""


class PlainTicTacToe(_Plain, TicTacToe):
    """Tic-tac-toe in which it makes a difference from where one looks."""


def _games(args: MCTSBenchArgs) -> Measured:
    claims, told = [], dict[str, Any]()
    kinds = {"": (Nim(), TicTacToe()), ", symmetry unknown": (PlainNim(), PlainTicTacToe())}
    for kind, (nim, board) in kinds.items():
        most = None if kind else 0
        (lost, of), (won, rest) = _nim_matches(args, nim)
        what = f"Nim{kind}: of {of} games from a winning seat, lost to the best moves"
        claims.append(Claim(what, [lost], "games", most=most))
        told[f"Nim{kind}: of {rest} games from a losing seat, won against the best moves"] = won
        for game in (nim, board):
            told[f"{game.name}{kind}: states expanded in the search of a start"] = _work(args, game)
        beaten = [_nim_beaten(args, nim, seed) for seed in args.every_seed]
        what = f"Nim{kind}: of all 343 deals, not won from the winning seat against every play"
        claims.append(Claim(what, beaten, "deals", most=most))
        for seat in (0, 1):
            lost = _lost_boards(args, board, seat)
            what = f"Tic-tac-toe{kind}, seat {seat}: of {args.games} games lost to the best moves"
            claims.append(Claim(what, [lost], "games", most=most))
            worst = [_answered(args, board, seat, seed) for seed in args.every_seed]
            what = f"Tic-tac-toe{kind}, seat {seat}: what a best response wins"
            claims.append(Claim(what, worst, "a game", most=most))
    return claims, told


def _work(args: MCTSBenchArgs, game: Game[Any]) -> dict[str, float]:
    rng = np.random.default_rng(args.first_seed)
    player = MCTSPlayer(args.simulations)
    turns = [Turn(game, start, 0) for start in deal_states(game, rng, args.games, "test")]
    return spread([float(player.search(turn, rng).n_expanded) for turn in turns])


def _nim_matches(args: MCTSBenchArgs, nim: Nim) -> tuple[tuple[int, int], tuple[int, int]]:
    """Games lost from winning seats, and won from losing ones, each of how many."""
    rng = np.random.default_rng(args.first_seed)
    starts = deal_states(nim, rng, args.games, "test")
    seats = [_winning_seat(start) for start in starts]
    player = MCTSPlayer(args.simulations)
    good = _returns(nim, player, BestPlayer(), starts, seats, rng)
    bad = _returns(nim, player, BestPlayer(), starts, [1 - seat for seat in seats], rng)
    return (int((good < 0).sum()), len(good)), (int((bad > 0).sum()), len(bad))


def _winning_seat(start: Heaps) -> int:
    return 0 if reduce(xor, start.sizes) else 1


def _nim_beaten(args: MCTSBenchArgs, nim: Nim, seed: int) -> float:
    """Deals that a player who knows the search wins from the seat that should lose."""
    policy = _search_policy(nim, MCTSPlayer(args.simulations), seed)
    starts = [Heaps(sizes, 0) for sizes in product(range(1, 8), repeat=3)]
    answers = (best_response(nim, policy, 1 - _winning_seat(s), [(1.0, s)]) for s in starts)
    return float(sum(answer > 0 for answer in answers))


def _lost_boards(args: MCTSBenchArgs, board: TicTacToe, seat: int) -> int:
    rng = np.random.default_rng([args.first_seed, seat])
    starts = deal_states(board, rng, args.games, "test")
    seats = [seat] * args.games
    player = MCTSPlayer(args.simulations)
    return int((_returns(board, player, BestPlayer(), starts, seats, rng) < 0).sum())


def _answered(args: MCTSBenchArgs, board: TicTacToe, seat: int, seed: int) -> float:
    return best_response(board, _search_policy(board, MCTSPlayer(args.simulations), seed), 1 - seat)


def _search_policy(game: Game[Any], player: MCTSPlayer, seed: int) -> Policy:
    """What a search does everywhere, with draws of its own in each state."""
    known: dict[Any, list[float]] = {}

    def policy(state: Any) -> list[float]:
        if state not in known:
            seat = game.mover(state)
            assert seat is not None
            rng = np.random.default_rng([seed, len(known)])
            best = player.act(Turn(game, state, seat), rng)
            known[state] = [float(action == best) for action in game.legal(state)]
        return known[state]

    return policy


def _returns(
    game: Game[Any],
    player: Player,
    opponent: Player,
    starts: Sequence[Any],
    seats: Sequence[int],
    rng: np.random.Generator,
) -> Any:
    """What a player wins from a seat of each start, shape (games,)."""
    sitting = np.ones((len(starts), 2), np.int64)
    sitting[np.arange(len(starts)), seats] = 0
    choosers = [PlayerChooser(player), PlayerChooser(opponent)]
    ends = play_out(game, starts, choosers, sitting, rng)
    return np.array([game.returns(end)[seat] for end, seat in zip(ends, seats, strict=True)])


def _debate(args: MCTSBenchArgs) -> Measured:
    found = [_debater(args, seed) for seed in args.every_seed]
    claims = []
    for what, unit in CONTRASTS.items():
        claims.append(Claim(what, [f[what]["mean"] for f in found], unit))
        lows = [f[what]["low"] for f in found]
        claims.append(Claim(f"{what}, lower end of 95 %", lows, unit, least=0))
    return claims, {str(seed): facts for seed, facts in zip(args.every_seed, found, strict=True)}


CONTRASTS = {
    "wins against the debater: with search less alone": "of games",
    "wins against the debater: with search less its likeliest moves": "of games",
    "exploitability: alone less with search": "a game",
    "wins against the debater: after lessons less before": "of games",
    "exploitability: before lessons less after": "a game",
}
"""Differences that should be above 0, on the same deals in both seats, and their unit."""


def _debater(args: MCTSBenchArgs, seed: int) -> dict[str, Any]:
    """A debater alone, with a search, and after lessons; means over deals."""
    game, rng = Debate(), np.random.default_rng(seed)
    alone, taught = (load_game_policy(made(args, seed)) for made in (_trained, _taught))
    searcher = MCTSPlayer(args.simulations, policy_prior(alone, game))
    starts = deal_states(game, rng, args.deals, "test")
    players: dict[str, Player] = {
        "alone": GamePolicyPlayer(alone),
        "greedy": GamePolicyPlayer(alone, is_greedy=True),
        "search": searcher,
        "taught": GamePolicyPlayer(taught),
    }
    wins = {name: _wins(game, player, alone, starts, rng) for name, player in players.items()}
    policies = {
        "alone": policy_prior(alone, game),
        "greedy": _greedy(policy_prior(alone, game)),
        "search": _search_policy(game, searcher, seed),
        "taught": policy_prior(taught, game),
    }
    deals = [state for _, state in fixed_deals(game, args.exact_deals, "test")]
    lost = {
        name: np.array([exploitability(game, policy, [(1.0, deal)]) for deal in deals])
        for name, policy in policies.items()
    }
    differences = (
        wins["search"] - wins["alone"],
        wins["search"] - wins["greedy"],
        lost["alone"] - lost["search"],
        wins["taught"] - wins["alone"],
        lost["alone"] - lost["taught"],
    )
    contrasts = zip(CONTRASTS, map(_interval, differences), strict=True)
    return {
        "wins": {name: _interval(values) for name, values in wins.items()},
        "exploitability": {name: _interval(values) for name, values in lost.items()},
        **dict(contrasts),
    }


def _trained(args: MCTSBenchArgs, seed: int) -> Path:
    """A debater of self-play."""
    folder = Path(args.runs) / f"self-play-{args.training}-{seed}"
    if not (folder / "last" / "policy.json").is_file():
        learner = SelfPlayArgs("linear", args.training, seed=seed, out=str(folder), **_EXAMS)
        train_by_self_play(learner, "lmgym/Debate-v0", {})
    return folder / "last"


def _taught(args: MCTSBenchArgs, seed: int) -> Path:
    """The debater after lessons by searches that it guides."""
    folder = Path(args.runs) / f"mcts-{args.training}-{args.lessons}-{seed}"
    if not (folder / "last" / "policy.json").is_file():
        before = str(_trained(args, seed))
        learner = MCTSArgs(before, args.lessons, seed=seed, out=str(folder), **_EXAMS)
        train_by_search(learner, "lmgym/Debate-v0", {})
    return folder / "last"


def _wins(
    game: Game[Any],
    player: Player,
    opponent: GamePolicy,
    starts: Sequence[Any],
    rng: np.random.Generator,
) -> Any:
    """Of each deal the share of both seats that a player wins, shape (deals,)."""
    other = GamePolicyPlayer(opponent)
    seats = ([seat] * len(starts) for seat in (0, 1))
    won = [_returns(game, player, other, starts, seat, rng) for seat in seats]
    return (np.mean(won, axis=0) + 1) / 2


def _greedy(prior: Policy) -> Policy:
    def policy(state: Any) -> list[float]:
        chances = np.asarray(prior(state))
        return [float(i == chances.argmax()) for i in range(len(chances))]

    return policy


def _interval(values: Any) -> dict[str, float]:
    found = mean_interval(values.tolist())
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": len(values)}


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
