"""Steps a second of CPU time of `lmgym/Debate-v0` in PettingZoo, beside PettingZoo's tic-tac-toe.

Both are driven in the way of PettingZoo's manual, `agent_iter` and `last`, by an agent that takes
the first action that is allowed; deals, words and the steps of agents that are done are part of
both. The core is the rules alone: from a deal that is there to what it pays.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.envs.debate import debate_v0
from lmgym.envs.debate.rules import Debate
from lmgym.errors import LmgymError
from measuring import Claim, Measure, MeasuringArgs, claimed, cpu_seconds, in_turn, ratios

OURS, REFERENCE, CORE = "Debate, env()", "tictactoe_v3, env()", "Debate, rules alone"


@dataclass(frozen=True)
class GameStepsArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    games: int = 2_000
    """Games of each kind a repetition."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"game-steps": GameStepsArgs}, argv, "bench game-steps", __doc__ or "")
    if importlib.util.find_spec("pygame") is None:
        raise LmgymError("tictactoe_v3 of PettingZoo, the reference, needs pygame: install it")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from pettingzoo.classic import tictactoe_v3

    envs = {OURS: debate_v0.env(), REFERENCE: tictactoe_v3.env()}
    for env in envs.values():
        env.reset(seed=args.seed)
    kinds: dict[str, Measure] = {
        name: partial(_rate, partial(_play, env), args.games) for name, env in envs.items()
    }
    game, rng = Debate(), np.random.default_rng(args.seed)
    deals = [game.start(rng) for _ in range(args.games)]
    kinds[CORE] = partial(_rate, partial(_play_out, game), deals)
    rates = in_turn(kinds, args.repetitions)
    claims = [
        Claim(OURS, rates[OURS], "steps/s", least=40_000),
        Claim(REFERENCE, rates[REFERENCE], "steps/s"),
        Claim("the first against the second", ratios(rates[OURS], rates[REFERENCE])),
        Claim(CORE, rates[CORE], "steps/s", least=150_000),
    ]
    return claimed(claims, args)


def _rate(play: Any, games: Any) -> float:
    """Steps a second."""
    steps: list[int] = []
    seconds = cpu_seconds(lambda: steps.append(play(games)))
    return steps[0] / seconds


def _play(env: Any, n_games: int) -> int:
    """Play games; how many steps they took."""
    n_steps = 0
    for _ in range(n_games):
        env.reset()
        for _ in env.agent_iter():
            observation, _, is_terminated, is_truncated, _ = env.last()
            is_over = is_terminated or is_truncated
            env.step(None if is_over else int(observation["action_mask"].argmax()))
            n_steps += 1
    return n_steps


def _play_out(game: Debate, deals: Sequence[Any]) -> int:
    """Play deals by the rules alone; how many moves they took."""
    n_moves = 0
    for state in deals:
        while game.mover(state) is not None:
            state = game.play(state, game.legal(state)[0])
            n_moves += 1
        game.returns(state)
    return n_moves
