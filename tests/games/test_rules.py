"""What is known of games holds: oracles, equilibria, what best responses win."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.players import BestPlayer, RandomPlayer
from lmgym.games.run import Turn
from lmgym.search.exact import best_response, expected_returns, exploitability, uniform

from .conftest import module_of


def game_of(name: str) -> Game[Any]:
    made: Game[Any] = module_of(name).env().game
    return made


def matches(game: Game[Any], first: Any, second: Any, n: int) -> list[float]:
    """What the first player wins in the first seat."""
    won = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        state = game.start(rng)
        while (seat := game.mover(state)) is not None:
            state = game.play(state, (first, second)[seat].act(Turn(game, state, seat), rng))
        won.append(game.returns(state)[0])
    return won


def test_best_tic_tac_toe_never_loses() -> None:
    game = game_of("tic_tac_toe")
    best, other = BestPlayer(), RandomPlayer()
    assert matches(game, best, best, 1) == [0.0]
    assert min(matches(game, best, other, 200)) >= 0
    assert max(matches(game, other, best, 200)) <= 0


def test_best_nim_wins_whenever_sizes_do_not_cancel_out() -> None:
    game = game_of("nim")
    best = BestPlayer()
    for seed in range(200):
        state = game.start(np.random.default_rng(seed))
        is_won = bool(np.bitwise_xor.reduce(state.sizes))
        while game.mover(state) is not None:
            state = game.play(
                state, best.act(Turn(game, state, state.mover), np.random.default_rng(0))
            )
        assert game.returns(state)[0] == (1.0 if is_won else -1.0)


class TestKuhnPoker:
    def nash(self, alpha: float) -> Any:
        """Kuhn's equilibria, one for each alpha from 0 to 1/3."""
        bet_first = {0: alpha, 1: 0.0, 2: 3 * alpha}
        call_first = {0: 0.0, 1: alpha + 1 / 3, 2: 1.0}
        bet_second, call_second = {0: 1 / 3, 1: 0.0, 2: 1.0}, {0: 0.0, 1: 1 / 3, 2: 1.0}

        def policy(state: Any) -> list[float]:
            seat = len(state.path) % 2
            card = state.cards[seat]
            if state.path.endswith("b"):
                p = (call_first, call_second)[seat][card]
                return [p, 1 - p]
            p = (bet_first, bet_second)[seat][card]
            return [1 - p, p]

        return policy

    @pytest.mark.parametrize("alpha", [0.0, 0.1, 1 / 3])
    def test_its_equilibria_cannot_be_exploited(self, alpha: float) -> None:
        game, policy = game_of("kuhn_poker"), self.nash(alpha)
        assert exploitability(game, policy) == pytest.approx(0.0, abs=1e-12)
        won = expected_returns(game, [policy, policy])
        assert won == pytest.approx([-1 / 18, 1 / 18])

    def test_uniform_play_is_exploited_by_what_is_known(self) -> None:
        game = game_of("kuhn_poker")
        assert exploitability(game, uniform(game)) == pytest.approx(0.458333, abs=1e-6)

    def test_a_response_does_the_same_where_it_cannot_tell(self) -> None:
        game = game_of("kuhn_poker")
        always_fold = self.nash(0.0)

        def folds(state: Any) -> list[float]:
            return [0.0, 1.0] if state.path.endswith("b") else always_fold(state)

        # Bet with all but the king: it waits for a bluff of the jack, which pays 1/3 more.
        assert best_response(game, folds, 0) == pytest.approx(1 + 1 / 18)


def test_pennies_are_drawn_by_chance_or_exploited() -> None:
    game = module_of("matching_pennies").env(rounds=2).game
    assert exploitability(game, uniform(game)) == pytest.approx(0.0)
    assert exploitability(game, lambda state: [1.0, 0.0]) == pytest.approx(2.0)


def test_a_player_without_best_moves_says_so() -> None:
    game = game_of("kuhn_poker")
    state = game.start(np.random.default_rng(0))
    with pytest.raises(LmgymError, match="kuhn_poker knows no best moves"):
        BestPlayer().act(Turn(game, state, 0), np.random.default_rng(0))
