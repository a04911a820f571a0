"""The web world: read a page, write a command."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.hindsight import RetellableTask
from lmgym.task import Message, Opening, Reply, Role, Verdict

from .arguments import MIXED, SiteArgs, split_name
from .backends import make_backend
from .browsing import Refusal
from .catalog_view import choices_in
from .commands import Command, CommandError, parse_command
from .episodes import Episodes, WebState, message_text, next_command
from .families import FAMILIES
from .instructions import write_instruction
from .memory import forget
from .metrics import measure
from .oracle import place_of
from .problems import N_TRAIN_STYLES, SPLITS, starts_elsewhere

__all__ = ["WebArgs", "WebTask"]

_COMMAND_TOKENS = 64
"""Bytes that a command takes, with its end; sentences before it take more."""
_PAGE_TOKENS = 2_560
"""Bytes of a page with its instruction and an error, generously."""

GUIDE = """\
You act on a web site, one command at a time. Change what the task asks for and nothing else; \
changes count once they are saved. Answer with one command on the last line:
click('12'), fill('12', 'text'), select_option('12', 'option'), check('12'), uncheck('12'), \
clear('12'), press('12', 'Enter'), goto('/path'), go_back(), go_forward(), noop().
In place of a number you may give role and name: click(button 'Save')."""


@dataclass(frozen=True)
class WebArgs(SiteArgs):
    """Arguments of `lmgym/Web-v0`."""

    family: str = "forms"
    """What kind of site: forms, shop, mail, calendar, table, files, or mixed for all but the last,
    which the split `site` has."""
    backend: Literal["dom", "chromium"] = "dom"
    """What shows the pages: dom, in this process, or chromium, a real browser."""
    headless: bool | None = None
    """Whether chromium shows no window; by default none where there is no display."""
    history: bool = False
    """Whether the context keeps all pages that were seen, in place of the present one."""
    guide: bool = False
    """Whether a system message explains the commands, for models that were not trained here."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        super().__post_init__()
        for name in ("headless", "history", "guide"):
            value = getattr(self, name)
            if not isinstance(value, bool) and (name != "headless" or value is not None):
                raise LmgymError(f"{name}={value!r:.60} is neither True nor False")

    @property
    def families(self) -> tuple[str, ...]:
        """What `family` can be."""
        return (*FAMILIES, MIXED)


class WebTask(RetellableTask[WebState]):
    """Do on a web site what an instruction asks for, and nothing else.

    Description:
        A site with menus, lists, forms and buttons, rendered on the server: settings, a shop, mail,
        a calendar, a table of devices, or folders of files, in the words, the layout and the data
        of a seed. The agent reads the instruction and the page as text and writes one command; it
        reads the next page, and so on, until every fact is as it was asked for and all others are
        as they were. Fields that are filled in count once their form is sent.

        Failing to reach one goal is reaching another: what a stretch of an episode has changed can
        be put into the words of an instruction exactly, so any stretch is a demonstration of
        something (`lmgym.hindsight`, `lmgym train her lmgym/Web-v0`). The world is a pure function
        of its state: episodes replay exactly, clones cost nothing, and a breadth-first search knows
        the shortest way. `backend="chromium"` shows the same pages in a real browser, step by step
        the same.

        `lmgym/WebGoal-v0` is the same world for goal-conditioned agents of vectors.

    Action space:
        {action_space}

        A message whose last line is a command of BrowserGym: `click('12')`, `fill('12', 'text')`,
        `select_option('12', 'option')`, `check('12')`, `uncheck('12')`, `clear('12')`,
        `press('12', 'Enter')`, `goto('/path')`, `go_back()`, `go_forward()`, `noop()`. In place of
        a number, an element can be named by role and name: `click(button 'Save')`. What is no
        command, or cannot be done here, changes nothing; the next message says why.

    Observation space:
        {observation_space}

        Each message says the task, what has changed so far, the address and the page: a line for
        each block, controls as `[12] button 'Save'`, fields that hold something else than the page
        came with as `(changed)`. The context holds the present message alone unless `history=True`.

    Reward:
        `verifier` (default): 1 once the site is as asked for, else 0. `reward=None` pays nothing.

    Start:
        A problem drawn from `split`: how many facts change, evenly from `easiest` to `difficulty`,
        then which, and to what. Splits: `train`; `validation` and `iid` (also called `test`), the
        same sites in other states; `comp`, pairs of facts that no other split changes together;
        `words`, words and phrases that no other split has; `site`, another family. A fixed one:
        `reset(options={"task_id": "forms/3/1.2/0"})`.

    Episode end:
        Terminated when the goal is reached, and, unfinished, after `max_turns` commands or when the
        token budget or the context is spent. Never truncated.

    Info:
        At reset `task_id` and `prompt_text`; after each command `text`, `n_tokens` and
        `last_action_error`, empty where the command did something; at the end `response_ids`,
        `role_ids`, `loss_mask` (of the last context), `verdict`, `reward_parts`, `is_success`. At
        level chunk `n_tokens` counts the ids of each step; at level message `messages` is there
        throughout.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = WebArgs
    splits = SPLITS
    alphabets = {
        "commands": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _'(),/:-"
    }
    replies_draw = False
    has_figures = True
    render_hint = "backend='chromium' draws pictures: render_mode='rgb_array', level='message'"
    args: WebArgs

    def __init__(self, args: WebArgs) -> None:
        """Set the lengths, and find what shows the pages."""
        super().__init__(args)
        self.max_turns = args.horizon
        self.max_tokens = self.max_turns * _COMMAND_TOKENS
        guide = len(GUIDE) if args.guide else 0
        page = _PAGE_TOKENS + guide
        self.context = page * self.max_turns if args.history else page
        self.restarts_context = not args.history
        self._backend = make_backend(args.backend, headless=args.headless)
        if args.backend == "chromium":
            self.render_modes = ("ansi", "rgb_array")
        self._episodes = Episodes(args, self._backend)

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[WebState]:
        """Draw a problem from `split`, or open the one that `task_id` addresses."""
        try:
            state = self._episodes.start(rng, split, task_id)
        except KeyError:
            raise self.bad_task_id(task_id or "", "family/site/fact.value+.../style") from None
        return self._episodes.opening(state, self.said(state))

    def reply(self, state: WebState, text: str, rng: np.random.Generator) -> Reply[WebState]:
        """Carry out the command and show the page."""
        del rng
        try:
            tab = self._backend.execute(state.tab, parse_command(text))
            after = state.after(tab)
        except (CommandError, Refusal) as refusal:
            after = state.refused(str(refusal))
        info = {"last_action_error": after.error}
        if after.is_reached:
            return Reply(after, (), Verdict.CORRECT, info)
        return Reply(after, self.said(after), None, info)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first problems of `split`."""
        return self._episodes.problems.task_ids(self.check_split(split), limit)

    def demonstrate(self, state: WebState) -> str | None:
        """The next command of a shortest way; None where there is no way any more."""
        return next_command(state)

    def picture(self, state: WebState) -> NDArray[np.uint8]:
        """The browser's screenshot, shape (480, 640, 3)."""
        return self._backend.picture(state.tab)

    def close(self) -> None:
        """End the browser, where there is one; another reset starts another."""
        self._backend.close()

    def explore(self, state: WebState, rng: np.random.Generator) -> str:
        """A command of the site's list that does something here."""
        site, usable = state.tab.site, choices_in(state.tab).usable
        if not usable:  # a page that is not there
            return str(Command("goto", value=site.home))
        return site.command_texts[usable[int(rng.integers(len(usable)))]]

    def achievement(self, state: WebState) -> Hashable:
        """What the server knows."""
        return state.tab.state

    def place(self, state: WebState) -> Hashable:
        """What the server knows, the address, and what the fields hold."""
        return place_of(state.tab)

    def kind(self, start: WebState, goal: WebState) -> Hashable:
        """The family, and which facts differ."""
        pairs = zip(start.facts, goal.facts, strict=True)
        return (start.problem.family, *(before != after for before, after in pairs))

    def retell(
        self, states: Sequence[WebState], goal: WebState, rng: np.random.Generator
    ) -> list[tuple[Message, ...]] | None:
        """The messages of an episode that was asked in the first state for the facts of `goal`."""
        problem = states[0].problem
        start, wanted = states[0].facts, goal.facts
        if not self._episodes.problems.is_asked_in_training(problem.family, start, wanted):
            return None
        if tuple(start) in starts_elsewhere(problem.family, problem.seed):
            return None
        after = problem.site.state_after(states[0].tab.state, wanted)
        if goal.tab.state != after:
            return None  # texts that no goal has changed besides
        style = int(rng.integers(N_TRAIN_STYLES))
        told = write_instruction(problem.site, start, wanted, style)
        texts = [message_text(told, start, state.tab, state.error) for state in states]
        return [self._said(text) for text in texts]

    def figures(self, journeys: Sequence[Sequence[WebState]]) -> dict[str, float]:
        """Success by facts to change, path efficiency, side effects, refused commands."""
        return measure(journeys)

    def forget(self) -> None:
        """Empty the caches of pages, problems and plans."""
        forget()

    def check_split(self, split: str) -> str:
        """Return the split if it exists; `test` is `iid`."""
        return split_name(split)

    def said(self, state: WebState) -> tuple[Message, ...]:
        """What the agent reads in this state."""
        return self._said(state.text)

    def _said(self, text: str) -> tuple[Message, ...]:
        said = Message(Role.USER, text)
        return (Message(Role.SYSTEM, GUIDE), said) if self.args.guide else (said,)
