"""Record walks over web sites in Chromium, which tests replay without a browser.

Run it again when pages, words or commands of the sites change; `lmgym bench claims/web-equality`
says whether the two back ends are still equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.base_site import Site
from lmgym.envs.web.chromium import ChromiumBackend
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.walks import Walk, follow_plan, oracle_goal, play, random_command, walk
from lmgym.errors import LmgymError

EVERY = 8
"""One text in so many is recorded in full, of the others a digest."""
HELD_OUT = 3
"""One site in so many has the words that training never shows."""


@dataclass(frozen=True)
class TraceArgs:
    """Arguments of the recorder."""

    folder: str = "tests/envs/web/traces"
    """Where the files go, one for each family."""
    seeds: int = 3
    """Sites of each family, from --seed on."""
    seed: int = 500
    """The first."""
    commands: int = 20
    """Random commands on each site; a shortest way to a goal comes besides."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to record, or nowhere to write."""
        if self.seeds < 1 or self.seed < 0 or self.commands < 1:
            raise LmgymError(
                f"--seeds {self.seeds} --seed {self.seed} --commands {self.commands}: each is 1 or"
                " more, and the first seed 0 or more"
            )
        if not Path(self.folder).is_dir():
            raise LmgymError(f"--folder {self.folder!r} does not exist; make it first")


def main(argv: Sequence[str]) -> None:
    """Record every family."""
    (args,) = parse_options({"recorder": TraceArgs}, argv, "bench record-web-traces", "")
    chromium = ChromiumBackend()
    try:
        for family in FAMILIES:
            walks = [_recorded(chromium, walked) for walked in _walks(family, args)]
            path = Path(args.folder) / f"{family}.json"
            path.write_text(_written(walks), encoding="utf-8")
            print(f"{path}: {len(walks)} walks, {sum(len(w['steps']) for w in walks)} steps")
    finally:
        chromium.close()


def _walks(family: str, args: TraceArgs) -> Iterator[Walk]:
    for seed in range(args.seed, args.seed + args.seeds):
        rng = np.random.default_rng(seed)
        site = make_site(family, seed, is_held_out=seed % HELD_OUT == 0)
        yield walk(DomBackend(), site, random_command, args.commands, rng)
        yield walk(DomBackend(), site, follow_plan(oracle_goal(site, rng)), args.commands, rng)


def _recorded(chromium: ChromiumBackend, walked: Walk) -> dict[str, Any]:
    site: Site = walked.site
    steps = [
        step.record | ({"text": step.tab.text} if place % EVERY == 0 else {})
        for place, step in enumerate(play(chromium, walked))
    ]
    named = {"seed": site.wording.seed, "is_held_out": site.wording.is_held_out}
    return {"family": site.family, **named, "steps": steps}


def _written(walks: Sequence[dict[str, Any]]) -> str:
    """JSON with a line for each step, so that differences can be read."""
    told = []
    for walked in walks:
        head = json.dumps({key: value for key, value in walked.items() if key != "steps"})
        steps = ",\n".join(json.dumps(step) for step in walked["steps"])
        told.append(f'{head[:-1]}, "steps": [\n{steps}\n]}}')
    return "[\n" + ",\n".join(told) + "\n]\n"
