"""Where work is done."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.tournaments.executors import (
    Executor,
    SerialExecutor,
    Window,
    default_workers,
    pick_executor,
)
from lmgym.leaderboards.tournaments.lineup import AnyPlayer
from lmgym.leaderboards.tournaments.plan import PlannedPlayer
from lmgym.leaderboards.tournaments.process_executor import ProcessExecutor
from lmgym.leaderboards.tournaments.tournament import play_tournament

from .conftest import KUHN, lines_of, plan_of

FACTORIES = """
import os
from dataclasses import dataclass
from lmgym.games.players import RandomPlayer

@dataclass(frozen=True)
class Owner:
    pid: int

    def make(self):
        if os.getpid() == self.pid:
            return RandomPlayer()
        raise OSError("made elsewhere")

def die_at(number):
    if number == 3:
        os._exit(1)
    return number

def die_once_at(path):
    if path and not os.path.exists(path):
        open(path, "w").close()
        os._exit(1)
    return path

def process_of(number):
    return os.getpid()
"""
"""A module of its own, as other processes cannot import this one."""


@pytest.fixture(scope="module")
def factories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "lmgym_test_factories.py").write_text(FACTORIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield import_module("lmgym_test_factories")


@pytest.fixture(scope="module")
def pool(factories: Any) -> Iterator[ProcessExecutor]:
    assert factories  # what is sent to the processes can be imported there
    with ProcessExecutor(2) as executor:
        yield executor


def test_chunks_grow_to_what_takes_a_quarter_of_a_second() -> None:
    sizes = []
    window: Window[int, int, int] = Window(range(10_000), 1, None, len)
    while window.fill():
        chunk, _ = window.waiting.popleft()
        sizes.append(len(chunk))
        window.note(0.005 * len(chunk), len(chunk))
    assert sum(sizes) == 10_000
    assert sizes[:4] == [1, 1, 1, 1]
    assert set(sizes[4:-8]) == {50}
    assert sizes[-1] < 10  # so that all end at about the same time


def test_chunks_have_the_size_that_is_asked_for() -> None:
    window: Window[int, int, int] = Window(range(10), 2, 4, len)
    assert window.fill()
    assert [list(chunk) for chunk, _ in window.waiting] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(LmgymError, match="chunksize=0: give 1 or more"):
        Window(range(10), 2, 0, len)


def test_results_are_in_the_order_of_the_specs(pool: ProcessExecutor) -> None:
    numbers = [*range(50, 0, -1)]
    for executor in (pool, SerialExecutor()):
        assert list(executor.map(str, numbers, 3)) == list(map(str, numbers))
        assert list(executor.map(str, [])) == []


@pytest.mark.parametrize(("env", "schedule"), [("lmgym/Nim-v0", "swiss"), (KUHN, "active")])
def test_records_are_the_same_in_one_process_and_in_two(
    pool: ProcessExecutor, env: str, schedule: str
) -> None:
    players = [PlannedPlayer(name, "random") for name in "abcde"]
    plan = plan_of(env=env, schedule=schedule, players=players, games=10)
    serial = lines_of(play_tournament(plan))
    assert lines_of(play_tournament(plan, executor=pool)) == serial
    assert len(serial) == plan.n_matches


@pytest.mark.slow
def test_searches_and_networks_play_the_same_in_two_processes(
    pool: ProcessExecutor, tmp_path: Path
) -> None:
    import torch

    from lmgym.games.policies import make_game_policy
    from lmgym.games.worlds import find_game

    game = find_game("lmgym/TicTacToe-v0").game
    make_game_policy("mlp", game, torch.Generator().manual_seed(0)).save(tmp_path)
    players = [PlannedPlayer(word, word) for word in ("mcts:20", f"policy:{tmp_path}")]
    plan = plan_of(env="lmgym/TicTacToe-v0", players=players, games=6)
    serial = lines_of(play_tournament(plan))
    assert lines_of(play_tournament(plan, executor=pool)) == serial


def test_players_are_made_where_they_play(pool: ProcessExecutor, factories: Any) -> None:
    names = ["a", "b"]
    plan = plan_of(players=[PlannedPlayer(name, "made here") for name in names])
    players: dict[str, AnyPlayer] = {name: factories.Owner(os.getpid()) for name in names}
    assert all(r.forfeit is None for r in play_tournament(plan, players))
    causes = {r.forfeit and r.forfeit.reason for r in play_tournament(plan, players, None, pool)}
    assert causes == {"OSError: made elsewhere"}


def test_what_kills_two_processes_is_named_and_the_pool_goes_on(
    pool: ProcessExecutor, factories: Any
) -> None:
    results = pool.map(factories.die_at, range(6), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LmgymError, match="a process died at 3, and another one when it was tried"):
        next(results)
    assert list(pool.map(str, range(5))) == list("01234")


def test_a_process_that_dies_is_replaced_and_nothing_is_lost(
    pool: ProcessExecutor, factories: Any, tmp_path: Path
) -> None:
    specs = ["", "", str(tmp_path / "once"), "", ""]
    assert list(pool.map(factories.die_once_at, specs, 2)) == specs
    (worker,) = pool.map(factories.process_of, [0])
    os.kill(worker, signal.SIGKILL)
    assert list(pool.map(str, range(5))) == list("01234")


def test_what_cannot_be_sent_is_told(pool: ProcessExecutor) -> None:
    with pytest.raises(LmgymError, match=r"cannot be sent to other processes .*; take one worker"):
        next(pool.map(lambda spec: spec, [1]))


def test_the_executor_follows_the_number_of_workers() -> None:
    assert isinstance(pick_executor(1), SerialExecutor)
    with pick_executor(3) as executor:
        assert isinstance(executor, ProcessExecutor)
        assert executor.workers == 3
    with pick_executor() as executor:
        assert getattr(executor, "workers", 1) == default_workers()
    with pytest.raises(LmgymError, match="0 workers: give 1 or more"):
        pick_executor(0)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is here")
def test_ray_that_is_not_installed_is_told() -> None:
    with pytest.raises(LmgymError, match=r"Ray is not installed; run: pip install 'lmgym\[ray\]'"):
        pick_executor(2, on_ray=True)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.enable_socket
def test_records_are_the_same_on_ray() -> None:
    pytest.importorskip("ray")
    plan = plan_of(schedule="swiss", games=10)
    executor: Executor
    with pick_executor(2, on_ray=True) as executor:
        assert lines_of(play_tournament(plan, executor=executor)) == lines_of(play_tournament(plan))
