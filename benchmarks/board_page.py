"""The page of a large board in Chromium: how soon it is there, and what axe says of it.

1,000 entries in each of three tracks, curves and profiles for most of them, and 100,000 matches.
Each repetition opens the page anew in a new context. It counts as open when it has been painted and
all of it has been read: from the start of the navigation to the first paint of contents or the end
of the load event, whichever is later, as the browser itself tells it. The CPU time is of the page's
main thread, up to then. The actions are what a reader may do next; the time is until they are
painted. On a machine that does other things too, only the CPU time tells something.

axe-core is no part of this package: `npm install axe-core` in any folder, then
`--axe node_modules/axe-core/axe.min.js`. It goes over a small board with everything on it, in both
themes, wide and narrow.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmgym.commands.arguments import parse_options
from lmgym.envs.web.live_browser import find_chromium
from lmgym.errors import LmgymError
from lmgym.leaderboards.page import write_page
from measuring import Claim, MeasuringArgs, claimed
from synthetic_boards import big_board, synthetic_board

MOST_SECONDS = 1.0
"""Until the page is open."""

ADDRESSES = {"all tracks": "", "problems": "#track=gsm8k", "games": "#track=debate"}
ACTIONS = {
    "250 rows of a table": "[...document.querySelectorAll('.pager button')].at(-1).click()",
    "all against each other": (
        "dispatchEvent(new Event('beforeprint'));"
        "const list = document.querySelector('[data-view=matrix] select');"
        "list.selectedIndex = list.options.length - 2;"
        "list.dispatchEvent(new Event('change'))"
    ),
    "the panel of an entry": "document.querySelector('.ranking .entry').click()",
}
"""What is done on the track of games."""

_OPENED = """() => new Promise(done => requestAnimationFrame(() => setTimeout(() => {
    const loaded = performance.getEntriesByType('navigation')[0].loadEventEnd;
    const painted = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0;
    done(Math.max(loaded, painted) / 1000);
})))"""
_TIMED = """async () => {
    const start = performance.now();
    %s;
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - start) / 1000;
}"""
_GRAVE = ("serious", "critical")


@dataclass(frozen=True)
class BoardPageArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    entries: int = 1000
    """Entries in each track."""
    matches: int = 100_000
    """Games in the track of games."""
    axe: str | None = None
    """The path of axe.min.js; without it that part is left out."""

    def __post_init__(self) -> None:
        """Raise where there is nothing to show, or no axe."""
        super().__post_init__()
        if self.entries < 50:
            raise LmgymError(f"--entries {self.entries} is no large board; give 50 or more")
        if self.axe is not None and not Path(self.axe).is_file():
            raise LmgymError(f"--axe {self.axe} is no file; npm install axe-core brings one")


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"board-page": BoardPageArgs}, argv, "bench board-page", __doc__ or "")
    with tempfile.TemporaryDirectory() as folder, running_browser() as browser:
        board = big_board(args.entries, args.matches, seed=args.seed)
        path = write_page(board, Path(folder, "big.html"))
        claims = [Claim("size of the file", [path.stat().st_size / 1e6], "MB")]
        for name, address in ADDRESSES.items():
            claims += opening(browser, name, path.as_uri() + address, args.repetitions)
        claims += acting(browser, path.as_uri() + ADDRESSES["games"], args.repetitions)
        findings = {}
        if args.axe is not None:
            small = write_page(synthetic_board(seed=args.seed), Path(folder, "small.html"))
            findings = audit(browser, small, Path(args.axe).read_text(encoding="utf-8"))
            grave = sum(n for impact, n in findings.items() if impact.startswith(_GRAVE))
            claims.append(Claim("serious findings of axe", [grave], "findings", most=0))
        return claimed(claims, args, chromium=browser.version, axe=findings)


@contextmanager
def running_browser() -> Iterator[Any]:
    """Playwright's Chromium.

    Raises:
        LmgymError: where it is missing.
    """
    path = find_chromium()
    if path is None:
        raise LmgymError("Chromium is missing: apt install chromium; pip install 'lmgym[browser]'")
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield browser
        browser.close()


def opening(browser: Any, name: str, address: str, repetitions: int) -> list[Claim]:
    """Seconds until the page is open, and of CPU time until then; a first time is not counted."""
    seconds, cpu = [], []
    for _ in range(repetitions + 1):
        with page_in(browser) as page:
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(address)
            seconds.append(page.evaluate(_OPENED))
            metrics = session.send("Performance.getMetrics")["metrics"]
            cpu += [one["value"] for one in metrics if one["name"] == "TaskDuration"]
    return [
        Claim(f"open: {name}", seconds[1:], "s", most=MOST_SECONDS),
        Claim(f"CPU: {name}", cpu[1:], "s"),
    ]


def acting(browser: Any, address: str, repetitions: int) -> list[Claim]:
    """Seconds until what a reader asks for is painted."""
    seconds: dict[str, list[float]] = {name: [] for name in ACTIONS}
    for _ in range(repetitions):
        for name, script in ACTIONS.items():
            with page_in(browser) as page:
                page.goto(address)
                seconds[name].append(page.evaluate(_TIMED % script))
    return [Claim(name, values, "s") for name, values in seconds.items()]


@contextmanager
def page_in(browser: Any, **options: Any) -> Iterator[Any]:
    """A page in a context of its own."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    yield context.new_page()
    context.close()


def audit(browser: Any, path: Path, axe: str) -> dict[str, int]:
    """What axe finds on all tracks: how often, by impact and rule."""
    found: Counter[str] = Counter()
    for scheme in ("light", "dark"):
        for width in (390, 1440):
            size = {"width": width, "height": 900}
            with page_in(browser, color_scheme=scheme, viewport=size) as page:
                page.goto(path.as_uri())
                page.evaluate(axe)
                for address in addresses(page):
                    found.update(findings_at(page, address))
    return dict(found)


def addresses(page: Any) -> list[str]:
    """The list of tracks, each of them, and the panel of an entry."""
    tracks: list[str] = page.evaluate(
        "[...document.querySelectorAll('#tracks a')].map(link => link.getAttribute('href'))"
    )
    return [*tracks, f"{tracks[-1]}&entry=oracle%401"]


def findings_at(page: Any, address: str) -> list[str]:
    """Impact and rule of each finding, with all sections drawn."""
    page.evaluate("address => { location.hash = address }", address)
    page.wait_for_timeout(100)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found: list[str] = page.evaluate(
        "axe.run().then(result => result.violations.map(one => `${one.impact}: ${one.id}`))"
    )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
