"""Web pages in this process against Chromium: the same text, address and facts after every command.

Both back ends of `lmgym/Web-v0` play the same walks: commands at random, with texts that forms have
broken on before, and shortest ways to goals. After every command the address, the text, the tree of
the document, what the fields hold, the history, the server's state and the facts are compared, and
what was refused, and why. On every page that is new, numbers, roles and names of the controls are
compared with Chromium's own accessibility tree. After each walk Chromium is brought back to where
it was half way, and does the next command again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.envs.web.accessibility import our_controls, their_controls
from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.base_site import Site
from lmgym.envs.web.chromium import ChromiumBackend
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.walks import (
    Step,
    Walk,
    carried_out,
    follow_plan,
    oracle_goal,
    play,
    random_command,
    walk,
)
from lmgym.errors import LmgymError
from measuring import Claim, claimed

LONGEST_PLAN = 30
"""Commands of a shortest way at most."""
HELD_OUT = 4
"""One site in so many has the words that training never shows."""


@dataclass(frozen=True)
class EqualityArgs:
    """Arguments of the benchmark."""

    seeds: int = 20
    """Sites of each family, from --seed on."""
    seed: int = 0
    """The first."""
    commands: int = 15
    """Random commands on each site; a shortest way to a goal comes besides."""
    changes: int = 3
    """Facts that such a goal changes."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to compare, or nowhere to write."""
        if self.seeds < 1 or self.seed < 0 or self.commands < 1 or self.changes < 1:
            raise LmgymError(
                f"--seeds {self.seeds} --seed {self.seed} --commands {self.commands} --changes"
                f" {self.changes}: each is 1 or more, and the first seed 0 or more"
            )
        if self.out is not None:
            check_file(self.out)


@dataclass
class Found:
    """What was compared on the sites of one family, and what differed."""

    steps: int = 0
    refused: int = 0
    """Steps that did nothing, in both."""
    verbs: Counter[str] = field(default_factory=Counter)
    """Of the steps that did something."""
    pages: int = 0
    """Different documents, whose controls were compared with the accessibility tree."""
    controls: int = 0
    """On them."""
    restored: int = 0
    """Earlier tabs that Chromium was brought back to."""
    differences: list[str] = field(default_factory=list)


def main(argv: Sequence[str]) -> int:
    """Compare, print, write; 1 where anything differs."""
    (args,) = parse_options({"benchmark": EqualityArgs}, argv, "bench claims/web-equality", "")
    chromium = ChromiumBackend()
    try:
        live = chromium.started()
        version = live.run(lambda: live.version)
        found = {family: _compare_family(chromium, family, args) for family in FAMILIES}
    finally:
        chromium.close()
    _show(found)
    totals = {
        name: sum(getattr(counts, name) for counts in found.values())
        for name in ("steps", "refused", "pages", "controls", "restored")
    }
    claims = [Claim(f"{name} compared", [total], unit="") for name, total in totals.items()]
    differences = [text for counts in found.values() for text in counts.differences]
    claims.append(Claim("differences", [len(differences)], unit="", most=0))
    for text in differences[:20]:
        print(text)
    families = {name: asdict(counts) for name, counts in found.items()}
    return claimed(claims, args, chromium=version, families=families)


def _compare_family(chromium: ChromiumBackend, family: str, args: EqualityArgs) -> Found:
    found, seen = Found(), set[object]()
    for seed in range(args.seed, args.seed + args.seeds):
        site = make_site(family, seed, is_held_out=seed % HELD_OUT == HELD_OUT - 1)
        for walked in _walks(site, args):
            pairs = zip(play(DomBackend(), walked), play(chromium, walked), strict=True)
            steps: list[Step] = []
            for ours, theirs in pairs:
                _count(found, ours)
                _note(found, walked, len(steps), _differences(ours, theirs))
                steps.append(theirs)
                if theirs.tab.page not in seen:
                    seen.add(theirs.tab.page)
                    _compare_controls(found, chromium, theirs)
            _compare_restored(found, chromium, walked, steps)
    return found


def _walks(site: Site, args: EqualityArgs) -> Iterator[Walk]:
    """A walk at random, and a shortest one."""
    rng = np.random.default_rng((site.wording.seed, *map(ord, site.family)))
    yield walk(DomBackend(), site, random_command, args.commands, rng)
    goal = oracle_goal(site, rng, args.changes)
    yield walk(DomBackend(), site, follow_plan(goal), LONGEST_PLAN, rng)


def _count(found: Found, step: Step) -> None:
    found.steps += 1
    if step.error:
        found.refused += 1
    elif step.command:
        found.verbs[step.command.partition("(")[0]] += 1


def _differences(ours: Step, theirs: Step) -> list[str]:
    """What differs between two steps, in words."""
    told = {"error": (ours.error, theirs.error), "facts": (ours.facts, theirs.facts)}
    for name in ("url", "text", "values", "back", "forward", "state", "digest"):
        told[name] = (getattr(ours.tab, name), getattr(theirs.tab, name))
    told["document"] = (ours.tab.page.nodes, theirs.tab.page.nodes)
    return [f"{name}: {a!r}, in Chromium {b!r}" for name, (a, b) in told.items() if a != b]


def _note(found: Found, walked: Walk, place: int, differences: Sequence[str]) -> None:
    before = walked.commands[max(0, place - 3) : place]
    found.differences += [f"{walked.site!r} after {before}: {text}" for text in differences]


def _compare_controls(found: Found, chromium: ChromiumBackend, step: Step) -> None:
    ours, theirs = our_controls(step.tab.page), their_controls(chromium.started())
    found.pages += 1
    found.controls += len(ours)
    if ours != theirs:
        found.differences.append(f"{step.tab!r}: controls {ours}, in Chromium {theirs}")


def _compare_restored(
    found: Found, chromium: ChromiumBackend, walked: Walk, steps: Sequence[Step]
) -> None:
    """Go back to where the walk was half way, and do the next command again."""
    half = len(walked.commands) // 2
    if not walked.commands:
        return
    again = carried_out(chromium, steps[half].tab, walked.commands[half])
    found.restored += 1
    _note(found, walked, half + 1, _differences(steps[half + 1], again))


def _show(found: dict[str, Found]) -> None:
    heads = ("family", "steps", "refused", "pages", "controls", "restored", "differences")
    table = Table(*heads, box=SIMPLE_HEAD)
    for family, counts in found.items():
        cells = (counts.steps, counts.refused, counts.pages, counts.controls, counts.restored)
        table.add_row(family, *map(str, cells), str(len(counts.differences)))
    Console().print(table)
