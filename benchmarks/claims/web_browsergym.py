"""Web pages as BrowserGym sees them: the same numbers, roles and names, and rewards of 1.

BrowserGym numbers the elements of a page itself and reads Chromium's accessibility tree. Shortest
ways to goals are found in this process, without a browser, and played through BrowserGym, each
command with the element's number; after each, and on every other page of the site, the controls
that BrowserGym tells of are compared with ours. Needs browsergym-core, and Chromium where its
Playwright looks for it.
"""

from __future__ import annotations

import importlib.metadata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.envs.web.accessibility import ROLES, Named, our_controls
from lmgym.envs.web.browsergym_tasks import register_browsergym
from lmgym.envs.web.browsing import Tab, execute, find_control, open_tab
from lmgym.envs.web.chromium import look_at
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.document import Page
from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.oracle import planner
from lmgym.envs.web.problems import Problem, draw
from lmgym.errors import LmgymError
from measuring import Claim, claimed

SPLITS = ("train", "iid")
TRIES = 5
"""Of an action that runs out of time."""


@dataclass(frozen=True)
class BrowserGymArgs:
    """Arguments of the benchmark."""

    problems: int = 2
    """Of each family, each on a site of its own."""
    changes: int = 2
    """Facts that change."""
    pages: int = 12
    """Pages of each site that are looked at, besides those on the way, at most."""
    seed: int = 0
    """Draws the problems."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to compare, or nowhere to write."""
        if self.problems < 1 or self.changes < 1 or self.pages < 0 or self.seed < 0:
            raise LmgymError(
                f"--problems {self.problems} --changes {self.changes} --pages {self.pages} --seed"
                f" {self.seed}: problems and changes are 1 or more, the others 0 or more"
            )
        if self.out is not None:
            check_file(self.out)


@dataclass
class Seen:
    """What was seen of one family."""

    episodes: int = 0
    commands: int = 0
    rewards: float = 0.0
    comparisons: int = 0
    """Of the page that is shown; some pages are shown again."""
    controls: int = 0
    """On all of them."""
    pages: set[Page] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    """What BrowserGym says went wrong in commands, which may have had their effect all the same."""
    differences: list[str] = field(default_factory=list)

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "pages": len(self.pages)}


def main(argv: Sequence[str]) -> int:
    """Play, compare, print, write; 1 where anything differs."""
    (args,) = parse_options({"benchmark": BrowserGymArgs}, argv, "bench claims/web-browsergym", "")
    rng = np.random.default_rng(args.seed)
    seen = {family: _see_family(family, args, rng) for family in FAMILIES}
    _show(seen)
    episodes = sum(of.episodes for of in seen.values())
    differences = [text for of in seen.values() for text in of.differences]
    for text in differences[:20]:
        print(text)
    claims = [
        Claim("mean reward of shortest ways", [sum(of.rewards for of in seen.values()) / episodes],
              unit="", least=1),
        Claim("different pages compared", [sum(len(of.pages) for of in seen.values())], unit=""),
        Claim("controls compared", [sum(of.controls for of in seen.values())], unit=""),
        Claim("differences", [len(differences)], unit="", most=0),
    ]  # fmt: skip
    version = importlib.metadata.version("browsergym-core")
    return claimed(
        claims, args, browsergym=version, families={name: of.record for name, of in seen.items()}
    )


def _see_family(family: str, args: BrowserGymArgs, rng: np.random.Generator) -> Seen:
    seen = Seen()
    for number in range(args.problems):
        split = SPLITS[number % len(SPLITS)]
        problem = draw(rng, family, split, [args.changes], args.problems)
        _see(problem, args, seen)
    return seen


def _see(problem: Problem, args: BrowserGymArgs, seen: Seen) -> None:
    """Look at pages of a site, then play a shortest way."""
    (env_id,) = register_browsergym([problem.address])
    env = gym.make(env_id, headless=True, pre_observation_delay=0.0, disable_env_checker=True)
    observation, _ = env.reset(seed=0)
    if observation["goal"] != problem.instruction:
        seen.differences.append(f"{problem.address}: goal {observation['goal']!r}")
    tab = open_tab(problem.site, problem.site.state_of(problem.start))
    base = observation["url"].removesuffix(tab.url)
    for there in (*_crawl(tab, args.pages), tab):
        _do(env, f"goto({base + there.url!r})", there, seen)
    _play(env, problem, tab, seen)
    env.close()


def _crawl(tab: Tab, n: int) -> Iterator[Tab]:
    """Other pages that links lead to, nearest first."""
    known, queue = {tab.url}, deque([tab])
    while queue and n:
        here = queue.popleft()
        for control in here.page.controls:
            if control.role == "link" and control.href not in known and n:
                known.add(control.href or "")
                queue.append(execute(here, Command("goto", value=control.href)))
                n -= 1
                yield queue[-1]


def _play(env: gym.Env[Any, Any], problem: Problem, tab: Tab, seen: Seen) -> None:
    """Follow the shortest way, by numbers of elements."""
    reward, is_over = 0.0, False
    for command in planner(problem.site, problem.goal).plan(tab):
        if is_over:
            seen.differences.append(f"{problem.address}: over before {command}")
        numbered = _numbered(tab, command)
        tab = execute(tab, numbered)
        paid, is_over = _do(env, str(numbered), tab, seen)
        reward += paid
        seen.commands += 1
    if not is_over:
        seen.differences.append(f"{problem.address}: not over at the end")
    seen.episodes += 1
    seen.rewards += reward


def _numbered(tab: Tab, command: Command) -> Command:
    """The command by number; BrowserGym leaves check and uncheck to clicks."""
    assert command.target is not None
    target = Target(bid=str(find_control(tab.page, command.target).bid))
    if command.verb in ("check", "uncheck"):
        return Command("click", target)
    return Command(command.verb, target, command.value)


def _do(env: gym.Env[Any, Any], action: str, expected: Tab, seen: Seen) -> tuple[float, bool]:
    """Act and compare; returns what was paid and whether the episode is over.

    BrowserGym gives an action half a second. On a busy machine some fail for that alone, with or
    without effect; those without are done again.
    """
    paid, tries = 0.0, 0
    while True:
        observation, reward, is_over, _, info = env.step(action)
        paid, tries = paid + float(reward), tries + 1
        url, page, values = look_at(env.unwrapped.page)  # type: ignore[attr-defined]
        shown = url, page.text(values), info["task_info"]["facts"]
        facts = list(expected.site.facts(expected.state))
        wanted = expected.url, expected.page.text(expected.values), facts
        error = observation["last_action_error"]
        seen.errors += [f"{action}: {error.partition(chr(10))[0]}"] if error else []
        if shown == wanted or not error or tries == TRIES:
            break
    if shown != wanted:
        seen.differences.append(f"{expected!r}: {shown}, ours {wanted}")
    _compare(observation, expected, seen)
    return paid, bool(is_over)


def _compare(observation: Mapping[str, Any], tab: Tab, seen: Seen) -> None:
    ours, theirs = our_controls(tab.page), list(_told(observation))
    seen.comparisons += 1
    seen.pages.add(tab.page)
    seen.controls += len(ours)
    if ours != theirs:
        seen.differences.append(f"{tab!r}: controls {ours}, in BrowserGym {theirs}")


def _told(observation: Mapping[str, Any]) -> Iterator[Named]:
    """The controls that BrowserGym tells of."""
    found: dict[int, Named] = {}
    for node in observation["axtree_object"]["nodes"]:
        bid, role = node.get("browsergym_id"), node.get("role", {}).get("value")
        if bid is not None and role in ROLES:
            found[int(bid)] = (int(bid), role, node.get("name", {}).get("value", ""))
    yield from sorted(found.values())


def _show(seen: dict[str, Seen]) -> None:
    heads = ("family", "played", "reward", "commands", "late", "pages", "controls", "differ")
    table = Table(*heads, box=SIMPLE_HEAD)
    for family, of in seen.items():
        cells = (of.episodes, of.rewards, of.commands, len(of.errors), len(of.pages), of.controls)
        table.add_row(family, *map(str, cells), str(len(of.differences)))
    Console().print(table)
