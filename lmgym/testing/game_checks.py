"""What every game promises, as rules and as environments of PettingZoo."""

from __future__ import annotations

import contextlib
import gc
import io
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from lmgym.games.game import Game, IllegalMoveError
from lmgym.testing.growth import least_growth

__all__ = ["CHECKS", "MakeEnv"]

MakeEnv = Callable[..., Any]
"""Makes an environment of a game from keyword arguments, as `nim_v0.env` does."""

_GAMES = 20
_KINDS = ("discrete", "text")
_TRIES = ("", "\n", "\x00" * 3, "<|im_start|>system", "-1", "9" * 5000)
_WRONG: tuple[Any, ...] = (-1, 10**9, None, 1.5, np.array([0, 1]), True)
_MEASURED = 200
"""The last of a thousand games, whose memory is measured. It's traced from as many before them on;
tracing all would make play several times as slow."""
_GROWTH = 64 * _MEASURED
"""Bytes that measured games may leave behind."""
_HINTS = (
    "Observation space for each agent probably should be",
    "Action space for each agent probably should be",
    "Observation is not a NumPy array",
    "Observation numpy array is all zeros",  # before anything has happened
    "Action mask numpy array is all zeros",  # of a player whose turn it is not
)


def check_declared(make: MakeEnv) -> None:
    """States, observations and returns are what the game declares."""
    game = make().game
    for seed in range(_GAMES):
        course = _states(game, seed)
        assert len(course) <= game.max_moves + 1, f"{len(course) - 1} moves are too many"
        for state in course:
            hash(state)
            _check_seen(game, state)
            won = game.returns(state)
            assert game.lowest <= min(won), f"{won} is below lowest={game.lowest}"
            assert max(won) <= game.highest, f"{won} is above highest={game.highest}"
            assert not game.is_zero_sum or sum(won) == 0, f"{won} is no zero sum"


def check_words(make: MakeEnv) -> None:
    """Every action can be said, and is read back, among other words too."""
    game = make().game
    for seed in range(_GAMES):
        for state in _states(game, seed)[:-1]:
            legal = list(game.legal(state))
            assert legal == sorted(set(legal)), f"legal actions are out of order: {legal}"
            for action in legal:
                said = game.say(state, action)
                assert len(said.encode()) <= game.max_message, (
                    f"{said!r:.80} is longer than max_message"
                )
                for text in (said, f"Well, let me think.\n{said}"):
                    assert game.read(state, text) == action, f"{text!r:.80} is not {action}"


def check_refusals(make: MakeEnv) -> None:
    """What is no message of a move is refused with a reason, or is one that is allowed."""
    game = make().game
    state = game.start(np.random.default_rng(0))
    for text in _TRIES:
        try:
            action = game.read(state, text)
        except IllegalMoveError as error:
            reason = str(error)
        else:
            assert action in game.legal(state), f"{text!r} is read as {action}"
            continue
        assert 10 < len(reason) < 300, f"the reason is {reason!r:.400}"


def check_pettingzoo(make: MakeEnv) -> None:
    """PettingZoo's own tests pass, with either kind of actions."""
    for actions in _KINDS:
        with _quietly():
            api_test(make(actions=actions), num_cycles=50)
            seed_test(lambda actions=actions: make(actions=actions), num_cycles=50)


def check_pettingzoo_parallel(make: MakeEnv) -> None:
    """PettingZoo's tests of games whose players move at once pass, with either kind of actions."""
    for actions in _KINDS:
        with _quietly():
            parallel_api_test(make(actions=actions), num_cycles=50)
            parallel_seed_test(lambda actions=actions: make(actions=actions), num_cycles=50)


def check_deals(make: MakeEnv) -> None:
    """Deals follow from the seed alone, whatever other environments do."""
    env, other = make(), make()
    found = []
    for is_disturbed in (False, True):
        env.reset(seed=3)
        deals = [env.deal]
        for _ in range(20):
            if is_disturbed:
                other.reset(seed=len(deals))
            env.reset()
            deals.append(env.deal)
        found.append(deals)
    assert found[0] == found[1], f"deals {found[0]}, then {found[1]}"


def check_replay(make: MakeEnv) -> None:
    """A deal and its moves play the same game again."""
    env, again = make(), make()
    for seed in range(_GAMES):
        env.reset(seed=seed)
        _play(env, np.random.default_rng(seed))
        again.reset(seed=seed + 1, options={"deal": env.deal})
        for move in env.run.moves:
            again.step(move.said)
        assert again.run.state == env.run.state, f"deal {env.deal} came out differently"
        assert again.run.returns == env.run.returns, f"deal {env.deal} pays differently"


def check_wrong_moves(make: MakeEnv) -> None:
    """A wrong move may be made good once, and the second in a row forfeits."""
    for said in _WRONG:
        env = make()
        env.reset(seed=1)
        agent = env.agent_selection
        env.step(said)
        observation, reward, is_over, _, info = env.last()
        assert (env.agent_selection, reward, is_over) == (agent, 0.0, False), f"after {said!r}"
        assert info["illegal"], f"no complaint about {said!r}"
        env.step(int(observation["action_mask"].argmax()))
        assert env.run.forfeited is None, f"{said!r} forfeits at once"
        assert "illegal" not in env.infos[agent], "the complaint stays"
    env = make(actions="text")
    env.reset(seed=1)
    agent = env.agent_selection
    for _ in range(2):
        env.step("\x00" * 1_000_000)
    assert all(env.terminations.values()), "two wrong moves end nothing"
    assert env.rewards[agent] == env.game.lowest, f"a forfeit costs {env.rewards[agent]}"
    assert env.infos[agent]["forfeit"] == agent, f"infos are {env.infos[agent]}"
    assert len(str(env.run.moves)) < 20_000, "long messages are kept"


def check_growth(make: MakeEnv) -> None:
    """A thousand games leave nothing behind."""
    env, rng = make(), np.random.default_rng(0)
    env.reset(seed=0)
    sizes = [len(_play(env, rng)[0]["text"])]

    def play(games: int) -> None:
        for _ in range(games):
            env.reset()
            sizes.append(len(_play(env, rng)[0]["text"]))

    play(1000 - 2 * _MEASURED)
    tracemalloc.start()
    try:
        play(_MEASURED)
        grown = least_growth(lambda: _growth(play), _GROWTH)
    finally:
        tracemalloc.stop()
    assert grown < _GROWTH, f"memory grows by {grown} bytes in {_MEASURED} games"
    first, last = max(sizes[:100]), max(sizes[-100:])
    assert last <= 1.5 * first, f"first observations grow from {first} to {last} characters"


def _growth(play: Callable[[int], None]) -> int:
    """Bytes that the measured games leave behind."""
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    play(_MEASURED)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


def check_rendering(make: MakeEnv) -> None:
    """An onlooker sees the game and what came of it."""
    env = make(render_mode="ansi")
    env.reset(seed=0)
    assert env.render(), "nothing is shown"
    _play(env, np.random.default_rng(0))
    shown = env.render()
    assert f"over: {env.possible_agents[0]}" in shown, f"{shown!r:.200} does not say who has won"


CHECKS: dict[str, Callable[[MakeEnv], None]] = {
    "declared": check_declared,
    "words": check_words,
    "refusals": check_refusals,
    "pettingzoo": check_pettingzoo,
    "deals": check_deals,
    "replay": check_replay,
    "wrong_moves": check_wrong_moves,
    "growth": check_growth,
    "rendering": check_rendering,
}
"""What is checked of a game's `env`."""


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what PettingZoo prints, and what it says of dictionaries and texts as spaces."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        for message in _HINTS:
            warnings.filterwarnings("ignore", message, UserWarning)
        yield


def _states(game: Game[Any], seed: int) -> list[Any]:
    """The states of a game at random."""
    rng = np.random.default_rng(seed)
    found = [game.start(rng)]
    while game.mover(found[-1]) is not None:
        found.append(game.play(found[-1], int(rng.choice(game.legal(found[-1])))))
    return found


def _check_seen(game: Game[Any], state: Any) -> None:
    for seat in range(len(game.players)):
        seen = game.features(state, seat)
        assert seen.shape == (game.n_features,), f"features have shape {seen.shape}"
        assert seen.dtype == np.float32, f"features are {seen.dtype}"
        assert seen.min() >= 0, f"a feature is {seen.min()}"
        assert seen.max() <= 1, f"a feature is {seen.max()}"
        n = len(game.observe(state, seat))
        assert n <= game.max_text, f"{n} characters are more than max_text={game.max_text}"


def _play(env: Any, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Play to the end at random; what was seen."""
    seen = []
    for _ in env.agent_iter():
        observation, _, is_terminated, is_truncated, _ = env.last()
        seen.append(observation)
        if is_terminated or is_truncated:
            env.step(None)
        else:
            env.step(int(rng.choice(np.flatnonzero(observation["action_mask"]))))
    return seen
