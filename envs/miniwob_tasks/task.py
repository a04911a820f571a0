"""The tasks of MiniWoB++ (Shi et al., 2017; Liu et al., 2018) as worlds of text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.envs.web.commands import CommandError, parse_command
from lmgym.errors import LmgymError, unknown
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict

from .actions import find_action
from .browser import Browser
from .live import LivePage, LivePages, PageState
from .page import Page

if TYPE_CHECKING:
    from lmgym.transcript import Transcript

__all__ = ["MiniWoBArgs", "MiniWoBTask"]

_SEEDS = 1 << 31
_REMEMBERED = 10_000
_MESSAGE_ROOM = 1_500
"""Bytes of the context for what to do, an error and the agent's message."""


@dataclass(frozen=True)
class MiniWoBArgs:
    """Arguments of the `lmgym/MiniWoB-<task>-v0` worlds."""

    max_turns: int = 20
    """Commands the agent has; the episode has no time limit."""
    data_mode: str = "train"
    """Problems of the task, train or test; most tasks have one kind only."""
    page_ms: int = 1000
    """Milliseconds that pass on the page with each command."""
    max_page: int = 4000
    """Characters of a page that are told; elements beyond are counted only."""
    browsers: int = 1
    """Browsers of an environment. A batch of N rows needs N to be fast: with fewer, pages are made
    again by doing again what was done."""


class MiniWoBTask(Task[PageState]):
    """Do a task on a small web page in Chromium, with text commands.

    Description:
        A task of MiniWoB++ on its own page, in a real browser. Each message of the world says what
        to do and what is on the page, a line an element; the agent answers with one command. A
        browser starts with the first reset and belongs to one environment. The page's clock moves
        by `page_ms` with each command and stands still in between: animations and timers come out
        the same on a slow machine and a fast one, and each episode begins on 1 January 2024. Tasks
        of dragging, drawing and of places in a picture cannot be solved, since no command gives a
        place.

    Action space:
        Commands are `click('23')`, `fill('23', 'text')`, `clear('23')`, `check('23')`,
        `uncheck('23')`, `select_option('23', 'option')`, `press('23', 'Enter')` and `noop()`; an
        element is also named by its role and name, `click(button 'Submit')`. A click reaches an
        element wherever it is, as MiniWoB++'s own does; texts are typed key by key. The last line
        of a message counts. What is no command changes nothing, and the reply says why.

        {action_space}

    Observation space:
        The page as text: `[23] button 'Submit'`, with values, options and what is checked.
        Elements without a name show class, id, colour or place. Beyond `max_page` characters
        elements are only counted; the lists of book-flight need 24,000. Each reply starts the
        context again.

        {observation_space}

    Reward:
        `verifier` (default): 1 where MiniWoB++'s raw reward is 1, else 0, paid at the end. `gold`:
        the raw reward itself, from -1 to 1, with fractions in tasks that grade; 0 for an episode
        that is not finished. Time plays no role in either.

    Start:
        A seed drawn from those of the split, for MiniWoB++'s own generator: the same seed gives the
        problem that `miniwob` gives, and with the same commands the same pages, in another browser
        too, save in the three tasks of flights. A fixed one:
        `reset(options={"task_id": "click-test/7"})`.

    Episode end:
        Terminated when the page says so, `correct` where the raw reward is 1, else `incorrect`;
        and, unfinished, when the commands, the token budget or the context are spent. Never
        truncated. MiniWoB++'s own limit of some seconds is off.

    Info:
        At reset `task_id`, which names the seed, and `prompt_text`; at a turn's end `text` and
        `n_tokens`; at the end also `response_ids`, `role_ids`, `loss_mask`, `verdict`,
        `reward_parts`, `is_success`. At level chunk `n_tokens` counts the ids of each step; at
        level message `messages` is there throughout.

    Arguments:
        {arguments}

    Data and licence:
        The pages are those of the package `miniwob` (MIT), which is not part of this one:
        `pip install 'lmgym[miniwob]'`, and Chromium with chromedriver.

    Baselines:
        {baselines}

    Versions:
        v0: first version, on miniwob 1.1.
    """

    Args = MiniWoBArgs
    alphabets = {"printable": "".join(map(chr, range(32, 127)))}
    has_gold_reward = True
    restarts_context = True
    # Replies draw nothing, but openings drawn ahead would take the page away from its episode.
    replies_draw = True
    name: ClassVar[str] = "click-test"
    """The task, as MiniWoB++ calls it."""
    is_exact: ClassVar[bool] = True
    """Whether a page can be brought to the same state again."""

    def __init__(self, args: MiniWoBArgs) -> None:
        """Check the arguments; a browser starts with the first reset."""
        super().__init__(args)
        _check(args)
        self.max_turns = args.max_turns
        self.max_tokens = 500 + 60 * args.max_turns
        self.context = args.max_page + _MESSAGE_ROOM
        self._live = LivePages([self._new_page() for _ in range(args.browsers)])
        self._raw_rewards: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[PageState]:
        """Load the page with a problem of `split`, or with the one that `task_id` addresses."""
        seed = self._draw(rng, split) if task_id is None else self._seed_at(task_id)
        state = self._live.open(seed)
        columns = {"utterance": state.page.utterance}
        return Opening(state, (_say(state.page),), f"{self.name}/{seed}", columns=columns)

    def reply(self, state: PageState, text: str, rng: np.random.Generator) -> Reply[PageState]:
        """Do what a command says and show the page, or say why it is none."""
        del rng
        state = replace(state, said=(*state.said, text))
        try:
            action = find_action(parse_command(text), state.page)
        except CommandError as error:
            return Reply(state, (_say(state.page, str(error)),))
        outcome = self._live.act(state, action)
        if outcome.raw_reward is None:
            return Reply(outcome.state, (_say(outcome.state.page, outcome.error),))
        self._remember(f"{self.name}/{state.seed}", state.said, outcome.raw_reward)
        is_right = outcome.raw_reward == 1.0
        return Reply(outcome.state, verdict=Verdict.CORRECT if is_right else Verdict.INCORRECT)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first seeds of `split`."""
        self.check_split(split)
        seeds = (seed for seed in count() if self._split_of(seed) == split)
        return [f"{self.name}/{seed}" for seed in islice(seeds, limit)]

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        """Raw rewards, from -1 to 1; 0 for episodes that are not finished. Shape (n,).

        An episode that this task has not played, or has forgotten, is played again.

        Raises:
            LmgymError: where it cannot be played again.
        """
        return np.array([self._raw_reward(transcript) for transcript in transcripts], np.float64)

    def close(self) -> None:
        """End the browser; the next reset starts another."""
        self._live.close()

    def _new_page(self) -> LivePage:
        args: MiniWoBArgs = self.args
        start = partial(Browser, self.name, data_mode=args.data_mode, page_ms=args.page_ms)
        return LivePage(self.name, start, is_exact=self.is_exact, longest=args.max_page)

    def _draw(self, rng: np.random.Generator, split: str) -> int:
        self.check_split(split)
        while True:
            seed = int(rng.integers(_SEEDS))
            if self._split_of(seed) == split:
                return seed

    def _split_of(self, seed: int) -> str:
        return split_of(f"{self.name}/{seed}")

    def _seed_at(self, task_id: str) -> int:
        name, _, number = task_id.rpartition("/")
        is_seed = number.isascii() and number.isdecimal() and len(number) < 11
        if name != self.name or not is_seed or int(number) >= _SEEDS:
            raise self.bad_task_id(task_id, f"{self.name}/seed")
        return int(number)

    def _remember(self, task_id: str, said: tuple[str, ...], raw_reward: float) -> None:
        self._raw_rewards[task_id, *said] = raw_reward
        if len(self._raw_rewards) > _REMEMBERED:
            self._raw_rewards.popitem(last=False)

    def _raw_reward(self, transcript: Transcript) -> float:
        if transcript.verdict not in (Verdict.CORRECT, Verdict.INCORRECT):
            return 0.0
        said = transcript.messages[transcript.n_opening :]
        texts = tuple(m.content for m in said if m.role is Role.ASSISTANT)
        key = (transcript.task_id, *texts)
        if key not in self._raw_rewards:
            self._play_again(transcript.task_id, texts)
        return self._raw_rewards[key]

    def _play_again(self, task_id: str, texts: Sequence[str]) -> None:
        if not self.is_exact:
            raise LmgymError(
                f"the raw reward of {task_id!r} is not known here, and {self.name!r} is"
                " nondeterministic, so the episode cannot be played again"
            )
        rng = np.random.default_rng(0)  # handed on; replies draw nothing
        reply = Reply(self.reset(rng, task_id=task_id).state)
        for text in texts:
            reply = self.reply(reply.state, text, rng)
        if reply.verdict is None:
            raise LmgymError(f"the episode of {task_id!r} did not end when it was played again")


def _check(args: MiniWoBArgs) -> None:
    for name, least in (("max_turns", 1), ("page_ms", 0), ("max_page", 100), ("browsers", 1)):
        value = getattr(args, name)
        if value < least:
            raise LmgymError(f"{name} {value} is out of range; at least {least} is needed")
    if args.data_mode not in ("train", "test"):
        raise unknown("data_mode", args.data_mode, ("train", "test"))


def _say(page: Page, error: str = "") -> Message:
    """What to do, the page, and what went wrong with the last command."""
    lines = [f"Task: {page.utterance}", page.text]
    return Message(
        Role.USER, "\n".join([*lines, f"Last action error: {error}"] if error else lines)
    )
