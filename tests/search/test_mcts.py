"""The tree search plays what is proved, finds tactics, and tells what it found."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import reduce
from itertools import product
from operator import xor
from typing import Any, NamedTuple

import numpy as np
import pytest

from lmgym.envs.debate.rules import Debate, DebateArgs
from lmgym.envs.kuhn_poker.rules import KuhnPoker
from lmgym.envs.matching_pennies.rules import MatchingPennies
from lmgym.envs.nim.rules import Heaps, Nim
from lmgym.envs.tic_tac_toe.rules import Board, TicTacToe
from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.search.exact import best_response
from lmgym.search.mcts import MCTS, Found, MCTSOptions

OPEN_GAMES: tuple[Game[Any], ...] = (Nim(), TicTacToe(), Debate(DebateArgs(6, 1, quotes=2)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def board(text: str) -> Board:
    return tuple(".xo".index(mark) for mark in "".join(text.split()))


def searched(game: Game[Any], state: Any, seed: int = 0, **options: Any) -> Found:
    return MCTS(game, options=MCTSOptions(**options)).search(state, rng(seed))


def reachable(game: Game[Any], start: Any) -> list[Any]:
    """All states that can come, a start among them."""
    found = [start]
    for state in found:
        if game.mover(state) is not None:
            found += [game.play(state, action) for action in game.legal(state)]
    return list(dict.fromkeys(found))


class Race(NamedTuple):
    """What was taken, a letter a move."""

    taken: str = ""


class SharedRace(Game[Race]):
    """Three players take a or b in turn; everybody wins one for each a, the last two for a b."""

    name = "shared_race"
    players = ("first", "second", "third")
    is_zero_sum = False
    is_perfect_information = True
    n_actions, n_features, max_moves = 2, 1, 3
    lowest, highest = 0.0, 5.0

    def __init__(self) -> None:
        super().__init__(None)

    def start(self, rng: np.random.Generator) -> Race:
        return Race()

    def mover(self, state: Race) -> int | None:
        return len(state.taken) if len(state.taken) < 3 else None

    def legal(self, state: Race) -> Sequence[int]:
        return (0, 1)

    def play(self, state: Race, action: int) -> Race:
        return Race(state.taken + "ab"[action])

    def returns(self, state: Race) -> tuple[float, ...]:
        shared = float(state.taken.count("a"))
        return (shared, shared, shared + 2 * state.taken.endswith("b"))

    def observe(self, state: Race, player: int) -> str:
        return state.taken

    def features(self, state: Race, player: int) -> Any:
        raise NotImplementedError

    def say(self, state: Race, action: int) -> str:
        return "ab"[action]

    def read(self, state: Race, text: str) -> int:
        return "ab".index(text)

    def rules(self, player: int) -> str:
        return "a or b"


@pytest.mark.parametrize(
    ("position", "move"),
    [("xx. oo. ...", 2), ("xo. xo. ...", 6), ("x.. ... ..o", None), ("xx. .o. ...", 2)],
)
def test_it_wins_and_blocks_at_tic_tac_toe(position: str, move: int | None) -> None:
    game, state = TicTacToe(), board(position)
    found = searched(game, state)
    assert found.best == move if move is not None else found.low > -1


def test_it_wins_where_both_could_win_next() -> None:
    state = board("xx. oo. ..x")  # o moves: it wins at c2, and need not block
    found = searched(TicTacToe(), state, simulations=1)
    assert (found.best, found.low, found.is_solved) == (5, 1.0, True)


@pytest.mark.parametrize("seat", [0, 1])
def test_no_play_beats_it_at_tic_tac_toe(seat: int) -> None:
    game, known = TicTacToe(), dict[Board, list[float]]()

    def policy(state: Board) -> list[float]:
        if state not in known:
            best = searched(game, state, len(known)).best
            known[state] = [float(action == best) for action in game.legal(state)]
        return known[state]

    assert best_response(game, policy, 1 - seat) <= 0


def test_it_proves_who_wins_at_nim_and_how() -> None:
    game = Nim()
    for sizes in product((1, 3, 4, 6), repeat=3):
        state = Heaps(sizes, 1)
        found = searched(game, state, simulations=150)
        is_won = reduce(xor, sizes) != 0
        assert found.is_solved
        assert found.low == (1.0 if is_won else -1.0)
        assert not is_won or reduce(xor, game.play(state, found.best).sizes) == 0


def test_a_proof_is_what_can_be_won() -> None:
    game = TicTacToe()
    # From x in a corner and o in the middle, a draw.
    found = searched(game, board("x.. .o. ..."), simulations=5000)
    assert (found.is_solved, found.low) == (True, 0.0)


def test_proofs_in_debates_agree_with_looking_ahead() -> None:
    game = Debate()
    for seed in range(8):
        state = game.start(rng(seed))
        found = searched(game, state, simulations=2000)
        assert found.is_solved
        assert found.low == -game.value(state)  # Con moves, the value is Pro's
        assert game.value(game.play(state, found.best)) == game.value(state)


def test_what_is_left_open_lies_between_bounds() -> None:
    found = searched(Nim(), Heaps((7, 6, 5), 0), simulations=5)
    assert not found.is_solved
    for low, value, high in zip(found.lows, found.values, found.highs, strict=True):
        assert -1 <= low <= value <= high <= 1


def test_moves_that_are_proved_to_lose_are_never_played() -> None:
    game = Nim()
    for seed in range(30):
        found = searched(game, Heaps((7, 6, 4), 0), seed, simulations=1 + seed % 10)
        chances = found.probabilities()
        assert chances.sum() == pytest.approx(1)
        if max(found.highs) > -1:
            assert all(p == 0 for p, high in zip(chances, found.highs, strict=True) if high == -1)
            assert found.highs[found.actions.index(found.best)] > -1


def test_where_a_draw_is_sure_only_what_seems_better_is_played() -> None:
    sure = Found((4, 5, 6), (3, 9, 0), (0.0, -0.4, 0.0), (0.0, -1.0, -1.0), (0.0, 1.0, 1.0))
    assert sure.best == 4
    assert sure.probabilities().tolist() == [1, 0, 0]
    hopeful = Found((4, 5, 6), (3, 9, 0), (0.0, 0.4, 0.0), (0.0, -1.0, -1.0), (0.0, 1.0, 1.0))
    assert hopeful.best == 5
    assert hopeful.probabilities().tolist() == [0, 1, 0]


def test_a_move_with_a_proof_needs_no_visits() -> None:
    won = Found((4, 5), (7, 0), (0.2, 1.0), (-1.0, 1.0), (1.0, 1.0))
    assert (won.best, won.low, won.is_solved) == (5, 1.0, True)
    assert won.probabilities(2.0).tolist() == [0, 1]


def test_where_nothing_can_be_won_the_prior_plays() -> None:
    lost = Found((4, 5), (7, 1), (-1.0, -1.0), (-1.0, -1.0), (-1.0, -1.0), (0.2, 0.8))
    assert (lost.best, lost.is_solved) == (5, True)
    assert lost.probabilities() == pytest.approx([0.2, 0.8])


def test_temperature_sharpens_visits() -> None:
    found = Found((0, 1), (1, 3), (0.0, 0.0), (-1.0, -1.0), (1.0, 1.0))
    assert found.probabilities(1.0) == pytest.approx([0.25, 0.75])
    assert found.probabilities(0.5) == pytest.approx([0.1, 0.9])
    assert found.probabilities(0).tolist() == [0, 1]
    with pytest.raises(LmgymError, match="temperature -1 is negative"):
        found.probabilities(-1)


@pytest.mark.parametrize("game", OPEN_GAMES, ids=lambda game: game.name)
def test_the_same_draws_find_the_same(game: Game[Any]) -> None:
    state = game.start(rng(3))
    options = {"simulations": 8, "noise": 0.3}
    assert searched(game, state, 5, **options) == searched(game, state, 5, **options)
    others = {searched(game, state, seed, **options) for seed in range(6)}
    assert len(others) > 1


@pytest.mark.parametrize("reuses_tree", [False, True])
@pytest.mark.parametrize("game", OPEN_GAMES, ids=lambda game: game.name)
def test_moves_are_legal_all_through_a_game(game: Game[Any], reuses_tree: bool) -> None:
    search = MCTS(game, options=MCTSOptions(12, reuses_tree=reuses_tree))
    for seed in range(6):
        state, draws = game.start(rng(seed)), rng(seed)
        while game.mover(state) is not None:
            found = search.search(state, draws)
            assert found.actions == tuple(game.legal(state))
            assert len(found.visits) == len(found.probabilities()) == len(found.actions)
            state = game.play(state, int(draws.choice(game.legal(state))))


def test_a_kept_tree_knows_more_than_a_new_one() -> None:
    game = Debate(DebateArgs(12, 2, quotes=4))
    state, visits = game.start(rng()), []
    for reuse in (True, False):
        search = MCTS(game, options=MCTSOptions(20, reuses_tree=reuse))
        first = search.search(state, rng())
        reply = game.play(state, first.actions[int(np.argmax(first.visits))])
        visits.append(sum(search.search(reply, rng()).visits))
    assert visits[0] > visits[1] == 20


def test_a_kept_tree_proves_nothing_wrong() -> None:
    game = Nim()
    search = MCTS(game, options=MCTSOptions(60, reuses_tree=True))
    for seed in range(20):
        state, draws = game.start(rng(seed)), rng(seed)
        while game.mover(state) is not None:
            found = search.search(state, draws)
            wins = reduce(xor, state.sizes) != 0
            assert found.low <= (1 if wins else -1) <= max(found.highs)
            state = game.play(state, int(draws.choice(game.legal(state))))


def test_forgetting_makes_a_search_new() -> None:
    game, state = Nim(), Heaps((7, 6, 5), 0)
    search = MCTS(game, options=MCTSOptions(20, reuses_tree=True))
    expected = search.search(state, rng())
    after = game.play(state, expected.best)
    search.search(after, rng())
    search.forget()
    assert search.search(after, rng()) == searched(game, after, simulations=20)


def test_one_search_does_not_depend_on_those_before() -> None:
    game, search = Nim(), MCTS(Nim(), options=MCTSOptions(20))
    search.search(Heaps((7, 7, 7), 0), rng())
    assert search.search(Heaps((7, 6, 5), 0), rng(1)) == searched(
        game, Heaps((7, 6, 5), 0), 1, simulations=20
    )


def test_a_prior_is_looked_at_first() -> None:
    game, state = Debate(), Debate().start(rng(1))

    def prior(state: Any) -> list[float]:
        n = len(game.legal(state))
        return [0.91, *[0.09 / (n - 1)] * (n - 1)]

    found = MCTS(game, prior, options=MCTSOptions(4, playouts="uniform")).search(state, rng())
    assert found.visits[0] >= 3


def test_playouts_follow_the_prior_or_not() -> None:
    game, state = Nim(), Heaps((7, 7, 6), 0)

    def first(state: Heaps) -> list[float]:
        n = len(game.legal(state))
        return [1.0, *[0.0] * (n - 1)]

    def found(playouts: str, seed: int) -> Found:
        return MCTS(game, first, options=MCTSOptions(2, playouts=playouts)).search(state, rng(seed))

    assert len({found("prior", seed) for seed in range(5)}) == 1
    assert len({found("uniform", seed) for seed in range(5)}) > 1


def test_a_value_takes_the_place_of_playouts() -> None:
    game, state, asked = Nim(), Heaps((7, 6, 5), 0), []

    def value(state: Heaps) -> tuple[float, float]:
        asked.append(state)
        return (0.5, -0.5) if sum(state.sizes) % 2 else (-0.5, 0.5)

    found = MCTS(game, value=value, options=MCTSOptions(10)).search(state, rng())
    assert len(asked) == sum(found.visits) == 10
    assert found.n_expanded > 10
    first = found.actions[found.visits.index(max(found.visits))]
    assert sum(game.play(state, first).sizes) % 2


def test_noise_moves_the_visits() -> None:
    state = Debate().start(rng(1))
    quiet = {searched(Debate(), state, 0, simulations=6).visits for _ in range(2)}
    loud = {searched(Debate(), state, s, simulations=6, noise=1.0).visits for s in range(5)}
    assert len(quiet) == 1
    assert len(loud) > 2


def test_players_who_share_are_searched_without_proofs() -> None:
    game = SharedRace()
    found = searched(game, Race("aa"), simulations=60)
    assert (found.best, found.is_solved) == (1, False)
    assert found.values == pytest.approx((3.0, 4.0))
    assert searched(game, Race(), simulations=60).best == 0


@pytest.mark.parametrize("game", [KuhnPoker(), MatchingPennies()], ids=lambda game: game.name)
def test_games_that_hide_something_are_refused(game: Game[Any]) -> None:
    with pytest.raises(LmgymError, match=f"{game.name} hides something"):
        MCTS(game)


def test_what_makes_no_sense_is_an_error() -> None:
    for name, value in (("simulations", 0), ("noise", 1.5), ("exploration", -1.0)):
        with pytest.raises(LmgymError, match=f"{name}={value}"):
            MCTSOptions(**{name: value})  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(LmgymError, match="unknown playouts 'best'; known: prior, uniform"):
        MCTSOptions(playouts="best")
    with pytest.raises(LmgymError, match="nim is over"):
        searched(Nim(), Heaps((0, 0, 0), 0))
    with pytest.raises(LmgymError, match=r"gave .* for 3 moves"):
        MCTS(Nim(), lambda state: [1.0]).search(Heaps((3, 0, 0), 0), rng())


GAMES: tuple[Game[Any], ...] = (*OPEN_GAMES, KuhnPoker(), MatchingPennies())


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_a_game_hides_something_unless_it_says_that_it_does_not(game: Game[Any]) -> None:
    met: dict[tuple[int, Hashable], Any] = {}
    is_hidden = False
    listed = game.deals()
    draws = rng()
    starts = [s for _, s in listed] * 10 if listed else [game.start(draws) for _ in range(30)]
    for state in starts:
        while (seat := game.mover(state)) is not None:
            is_hidden |= met.setdefault((seat, game.knowledge(state, seat)), state) != state
            state = game.play(state, int(draws.choice(game.legal(state))))
    assert is_hidden != game.is_perfect_information


@pytest.mark.parametrize(
    ("game", "start"),
    [
        (Nim(), Heaps((1, 3, 2), 0)),
        (TicTacToe(), board("x.. ... o..")),
        (Debate(DebateArgs(4, 0, quotes=2)), None),
    ],
    ids=["nim", "tic_tac_toe", "debate"],
)
def test_states_with_the_same_key_are_worth_the_same(game: Game[Any], start: Any) -> None:
    start = game.start(rng(2)) if start is None else start
    known: dict[Any, float] = {}

    def worth(state: Any) -> float:
        """What the first player wins if both play as well as they can."""
        if state not in known:
            seat = game.mover(state)
            if seat is None:
                known[state] = game.returns(state)[0]
            else:
                choose = max if seat == 0 else min
                known[state] = choose(worth(game.play(state, a)) for a in game.legal(state))
        return known[state]

    met: dict[Hashable, tuple[Any, ...]] = {}
    states = reachable(game, start)
    for state in states:
        seat = game.mover(state)
        after = [] if seat is None else [game.play(state, a) for a in game.legal(state)]
        facts = worth(state), seat, frozenset(game.key(child) for child in after)
        assert met.setdefault(game.key(state), facts) == facts
    assert len(met) < len(states)
