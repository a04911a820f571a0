"""What a step of a web world costs, beside MiniWoB++'s login-user in a real browser.

`lmgym bench web` measures in turn, on one core: MiniWoB++'s own environment without screenshots
(actions typed and clicked at random, its browser's processes included); our pages in process, a
random command that does something and the full text of the page each step, each time on sites that
were not seen before; `lmgym/Web-v0` through
`gymnasium.make` with its default wrappers and text observations; `lmgym/WebGoal-v0` single and in a
batch. Resets are part of all of them. Without Chromium, chromedriver or MiniWoB++ the reference and
its ratio are left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.envs.web.browsing import execute, open_tab
from lmgym.envs.web.catalog_view import choices_in
from lmgym.envs.web.families import make_site
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from measuring import Claim, Costs, Measure, MeasuringArgs, claimed, in_turn, ratios, show_costs
from web_reference import time_miniwob

_TURNS = 17
_EPISODE = 6
"""Steps of an episode on our pages: those of the reference at most."""
_REFERENCE, _PAGES, _TEXT = "MiniWoB++ login-user", "pages in process", "lmgym/Web-v0, messages"
_GOAL, _BATCH = "lmgym/WebGoal-v0", "lmgym/WebGoal-v0, 64 rows"


@dataclass(frozen=True)
class WebArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Measurements of each kind, taken in turn."""
    family: str = "forms"
    """Which sites."""
    steps: int = 4_000
    """Steps of ours in a measurement."""
    seconds: float = 4.0
    """Seconds of the reference in a measurement."""
    reference: bool = True
    """Whether to measure the reference."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"web": WebArgs}, argv, "bench web", __doc__ or "")
    kinds = _kinds(args)
    costs = in_turn(kinds, args.repetitions)
    show_costs({args.family: costs}, "CPU microseconds a step")
    return claimed(_claims(costs), args, microseconds=costs)


def _kinds(args: WebArgs) -> dict[str, Measure]:
    walk, talk = _walk(args), _talk(args)
    kinds: dict[str, Measure] = {
        _PAGES: lambda: _cost(walk, args.steps),
        _TEXT: lambda: _cost(talk, args.steps),
        _GOAL: _goals(args),
        _BATCH: _batch(args),
    }
    if args.reference:
        try:
            time_miniwob(seconds=0.1)
        except LmgymError as error:
            print(f"no reference: {error}", file=sys.stderr)
        else:
            kinds[_REFERENCE] = lambda: _reference(args)
    return kinds


def _claims(costs: Costs) -> list[Claim]:
    rate = [1e6 / cost for cost in costs[_TEXT]]
    claims = [Claim("steps a second through gymnasium.make, text", rate, "steps/s", least=5_000)]
    if _REFERENCE in costs:
        times = ratios(costs[_REFERENCE], costs[_PAGES])
        claims.append(Claim("pages in process against login-user", times, least=1_000))
        times = ratios(costs[_REFERENCE], costs[_TEXT])
        claims.append(Claim("the environment of texts against login-user", times))
    return claims


def _cost(act: Any, steps: int) -> float:
    """CPU microseconds a step."""
    start = time.process_time()
    act()
    return (time.process_time() - start) / steps * 1e6


def _reference(args: WebArgs) -> float:
    found = time_miniwob(seconds=args.seconds, seed=args.seed)
    return found.cpu_seconds / found.steps * 1e6


def _walk(args: WebArgs) -> Any:
    """Random commands on our pages, the whole text of each."""
    rounds = count()

    def act() -> None:
        number = next(rounds)
        rng = np.random.default_rng((args.seed, number))
        sites = [make_site(args.family, 8 * number + seed) for seed in range(8)]  # new pages
        chances = rng.random(args.steps).tolist()
        site = sites[0]
        tab = open_tab(site, site.start)
        for step, chance in enumerate(chances):
            if step % _EPISODE == 0:
                site = sites[step // _EPISODE % len(sites)]
                tab = open_tab(site, site.start)
            usable = choices_in(tab).usable
            tab = execute(tab, site.commands[usable[int(chance * len(usable))]])
            assert tab.text

    return act


def _talk(args: WebArgs) -> Any:
    """The same commands as messages, through the default wrappers."""
    task: Any = make_task("lmgym/Web-v0", family=args.family)
    env = gym.make("lmgym/Web-v0", family=args.family, level="message")
    rng = np.random.default_rng(args.seed)
    n = args.steps // _TURNS + 1
    rounds = iter([[_commands(task, rng) for _ in range(n)] for _ in range(args.repetitions + 1)])

    def act() -> None:
        left = args.steps
        for task_id, commands in next(rounds):
            env.reset(seed=0, options={"task_id": task_id})
            for command in commands[:left]:
                env.step(command)
            left -= len(commands[:left])

    return act


def _commands(task: Any, rng: np.random.Generator) -> tuple[str, list[str]]:
    """A problem, and random commands that do not end it before its turns are spent."""
    opening = task.reset(rng)
    state, commands = opening.state, list[str]()
    while len(commands) < _TURNS:
        command = task.explore(state, rng)
        reply = task.reply(state, command, rng)
        if reply.verdict is None:
            state = reply.state
            commands.append(command)
    return opening.task_id, commands


def _goals(args: WebArgs) -> Measure:
    env = gym.make("lmgym/WebGoal-v0", family=args.family)

    def act() -> None:
        rng = np.random.default_rng(args.seed)
        seen, _ = env.reset(seed=args.seed)
        for chance in rng.random(args.steps).tolist():
            usable = seen["action_mask"].nonzero()[0]
            seen, _, over, cut, _ = env.step(int(usable[int(chance * len(usable))]))
            if over or cut:
                seen, _ = env.reset()

    return lambda: _cost(act, args.steps)


def _batch(args: WebArgs) -> Measure:
    n = 64
    env: Any = gym.make_vec("lmgym/WebGoal-v0", num_envs=n, family=args.family)
    n_steps = max(1, args.steps // n)

    def act() -> None:
        rng = np.random.default_rng(args.seed)
        seen, _ = env.reset(seed=args.seed)
        for _ in range(n_steps):
            chances = rng.random(seen["action_mask"].shape)
            seen, *_ = env.step((chances * seen["action_mask"]).argmax(1))

    return lambda: _cost(act, n_steps * n)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
