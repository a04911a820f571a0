"""The tasks of MiniWoB++: pages, commands, errors and registration; no browser is needed."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import lmgym  # noqa: F401  (registers the worlds)
from lmgym.envs.miniwob_tasks.actions import WAIT, Action, find_action
from lmgym.envs.miniwob_tasks.browser import find_programs
from lmgym.envs.miniwob_tasks.live import LivePage, LivePages
from lmgym.envs.miniwob_tasks.page import Page, read_page
from lmgym.envs.miniwob_tasks.task import MiniWoBTask
from lmgym.envs.web.commands import CommandError, parse_command
from lmgym.errors import LmgymError
from lmgym.factory import make_episode, make_task
from lmgym.task import Verdict
from lmgym.transcript import with_gold_rewards

CLICK_TEST = "lmgym/MiniWoB-click-test-v0"
RunCli = Callable[..., tuple[int, str, str]]


def node(ref: int, tag: str, *children: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """An element as `core.getDOMInfo` tells of it."""
    box = {"left": 2.4, "top": 50, "width": 20.2, "height": 10, "id": "", "classes": ""}
    return {"ref": ref, "tag": tag, **box, "children": list(children), **more}


def text(said: str) -> dict[str, Any]:
    return node(-1, "t", text=said)


FORM = {
    "utterance": "Fill it in.",
    "dom": node(
        1,
        "BODY",
        node(2, "DIV", text("Your"), node(3, "B", text="data"), id="wrap"),
        node(4, "INPUT_text", value="ab'c", id="name"),
        node(5, "LABEL", node(6, "INPUT_checkbox", value=True), text("News")),
        node(7, "INPUT_radio", value=False),
        node(8, "SELECT"),
        node(9, "TEXTAREA", value="one\ntwo"),
        node(10, "BUTTON", text="Send"),
        node(11, "BUTTON", text="Send"),
        node(12, "SPAN", classes="trash", bgColor="rgba(0, 0, 0, 0)"),
        node(13, "circle", classes={"baseVal": "dot"}, id="(1,2)"),
        node(14, "DIV", bgColor="rgb(255, 0, 0)"),
        node(15, "DIV", node(16, "UL")),
        node(17, "INPUT_date", value=""),
        node(18, "INPUT_submit", value="Go"),
    ),
    "facts": {
        "6": {"label": "News"},
        "7": {"label": "Off", "disabled": True},
        "8": {"options": ["Oslo", "Rome"], "chosen": [1]},
    },
}
PAGE = read_page(FORM)


def do(command: str, page: Page = PAGE) -> Action:
    return find_action(parse_command(command), page)


# ---- the text of a page ----


def test_a_page_has_a_line_for_each_element_that_says_something() -> None:
    assert PAGE.text.splitlines() == [
        "[2] generic 'Your'",
        "[3] generic 'data'",
        "[4] textbox id='name' value='ab\\'c'",
        "[6] checkbox 'News' checked",
        "[7] radio 'Off' disabled",
        "[8] combobox value='Rome' options: 'Oslo' | 'Rome'",
        "[9] textbox value='one\\ntwo'",
        "[10] button 'Send'",
        "[11] button 'Send'",
        "[12] generic class='trash'",
        "[13] circle class='dot' id='(1,2)' at 2,50 size 20x10",
        "[14] generic color='rgb(255, 0, 0)' at 2,50 size 20x10",
        "[17] date value=''",
        "[18] button 'Go'",
    ]


def test_elements_that_are_not_told_of_can_be_named_by_number() -> None:
    assert PAGE.elements[15].role == "generic"
    assert do("click('15')") == Action("click", 15)


def test_a_long_page_is_cut_at_a_line_and_says_how_much_is_missing() -> None:
    short = read_page(FORM, 120).text
    assert short.splitlines()[:2] == PAGE.text.splitlines()[:2]
    assert short.splitlines()[-1] == "(11 more elements)"
    assert len(short) <= 120


def test_the_page_itself_has_no_pieces_of_text_as_elements() -> None:
    assert -1 not in PAGE.elements


# ---- commands ----


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("noop()", WAIT),
        ("click('12')", Action("click", 12)),
        ("click(checkbox 'News')", Action("click", 6)),
        ("fill('4', 'x y')", Action("type", 4, "x y")),
        ("fill('9', 'x\\ny')", Action("type", 9, "x\ny")),
        ("fill('17', '2024-02-29')", Action("set", 17, "2024-02-29")),
        ("clear('4')", Action("type", 4, "")),
        ("check('6')", WAIT),
        ("uncheck('6')", Action("click", 6)),
        ("select_option('8', 'Oslo')", Action("choose", 8, 0)),
        ("press('4', 'Enter')", Action("press", 4, "Enter")),
        ("press('4', 'Control+a')", Action("press", 4, "Control+a")),
        ("press('4', '+')", Action("press", 4, "+")),
    ],
)
def test_a_command_becomes_an_action(command: str, action: Action) -> None:
    assert do(command) == action


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("click('99')", r"no element \[99\]"),
        ("click(button 'Go away')", "no button 'Go away'"),
        ("click(button 'Send')", r"2 elements are button 'Send': \[10\], \[11\]"),
        ("check('7')", "disabled"),
        ("fill('10', 'x')", "takes no text"),
        ("fill('4', 'x\\ny')", "takes one line"),
        ("fill('4', '\ue007')", "cannot be typed"),
        ("select_option('8', 'Bonn')", "options: 'Oslo' | 'Rome'"),
        ("select_option('4', 'Bonn')", "no options"),
        ("check('10')", "cannot be checked"),
        ("uncheck('4')", "cannot be unchecked"),
        ("press('4', 'Return')", "unknown key 'Return'"),
        ("press('4', 'Up+a')", "unknown key"),
        ("goto('/home')", "one page"),
    ],
)
def test_what_cannot_be_done_says_why(command: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        do(command)


# ---- episodes on a browser that is none ----


class Fake:
    """A page with a button that grows, and one that ends the episode."""

    pid = os.getpid()
    started: list[Fake] = []

    def __init__(self, *, drifts: bool = False) -> None:
        self.has_ended = False
        self.drifts = drifts
        self.log: list[object] = []
        self.seed = self.clicks = self.loads = 0
        Fake.started.append(self)

    def begin(self, seed: int) -> dict[str, Any]:
        self.log.append(seed)
        self.seed, self.clicks, self.loads = seed, 0, self.loads + 1
        return self.see()

    def act(self, action: Action) -> dict[str, Any]:
        self.log.append(action)
        self.clicks += action.ref == 2
        return {**self.see(), "done": action.ref == 3, "raw_reward": self.clicks / 2, "error": ""}

    def see(self) -> dict[str, Any]:
        drift = self.loads if self.drifts else 0
        name = f"Grow {self.seed}.{self.clicks + drift}"
        dom = node(1, "BODY", node(2, "BUTTON", text=name), node(3, "BUTTON", text="End"))
        return {"utterance": "Grow it.", "dom": dom, "facts": {}}

    def close(self) -> None:
        self.has_ended = True


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> MiniWoBTask:
    """A task whose browsers are fakes."""
    Fake.started.clear()
    monkeypatch.setattr("lmgym.envs.miniwob_tasks.task.Browser", lambda *_, **__: Fake())
    made = make_task(CLICK_TEST)
    assert isinstance(made, MiniWoBTask)
    return made


RNG = np.random.default_rng(0)


def play(task: MiniWoBTask, seed: int, *commands: str) -> Any:
    """The last reply to some commands."""
    reply: Any = task.reset(RNG, task_id=f"click-test/{seed}")
    for command in commands:
        reply = task.reply(reply.state, command, RNG)
    return reply


def test_no_browser_starts_before_the_first_reset(task: MiniWoBTask) -> None:
    assert Fake.started == []
    task.reset(RNG)
    assert len(Fake.started) == 1


def test_a_message_says_what_to_do_and_what_is_seen(task: MiniWoBTask) -> None:
    (message,) = play(task, 7).messages
    assert message.content == "Task: Grow it.\n[2] button 'Grow 7.0'\n[3] button 'End'"


def test_a_bad_command_changes_nothing_and_says_why(task: MiniWoBTask) -> None:
    reply = play(task, 7, "click('2')", "hello")
    assert reply.messages[0].content.splitlines()[1] == "[2] button 'Grow 7.1'"
    assert reply.messages[0].content.splitlines()[-1].startswith("Last action error: 'hello' is no")
    assert len(Fake.started[0].log) == 2


@pytest.mark.parametrize(
    ("clicks", "verdict", "gold"),
    [(0, Verdict.INCORRECT, 0.0), (1, Verdict.INCORRECT, 0.5), (2, Verdict.CORRECT, 1.0)],
)
def test_only_the_whole_raw_reward_is_correct_and_the_gold_reward_is_the_raw_one(
    task: MiniWoBTask, clicks: int, verdict: Verdict, gold: float
) -> None:
    episode = make_episode(CLICK_TEST)
    episode.task = task
    episode.reset(RNG, task_id="click-test/7")
    for command in [*["click('2')"] * clicks, "click('3')"]:
        episode.write([*episode.renderer.encode(command), episode.renderer.end_id])
    assert episode.verdict is verdict
    (graded,) = with_gold_rewards(task, [episode.transcript()])
    assert graded.gold_reward == gold


def test_an_episode_that_is_not_known_is_played_again_for_its_gold_reward(
    task: MiniWoBTask,
) -> None:
    episode = make_episode(CLICK_TEST)
    episode.task = task
    episode.reset(RNG, task_id="click-test/7")
    for command in ("click('2')", "what?", "click('3')"):
        episode.write([*episode.renderer.encode(command), episode.renderer.end_id])
    task._raw_rewards.clear()
    assert task.gold_rewards([episode.transcript()]).tolist() == [0.5]


def test_going_back_makes_the_page_again(task: MiniWoBTask) -> None:
    before = play(task, 7, "click('2')")
    task.reply(before.state, "click('2')", RNG)
    again = task.reply(before.state, "click('2')", RNG)
    click = Action("click", 2)
    assert "Grow 7.2" in again.messages[0].content
    assert Fake.started[0].log == [7, click, click, 7, click, click]


def test_going_on_makes_nothing_again(task: MiniWoBTask) -> None:
    play(task, 7, *["click('2')"] * 3)
    assert Fake.started[0].log == [7, *[Action("click", 2)] * 3]


def test_a_page_that_comes_out_different_is_an_error() -> None:
    page = LivePage("some-task", lambda: Fake(drifts=True), is_exact=True, longest=99)  # type: ignore[arg-type,return-value]
    state = page.open(1)
    page.act(state, WAIT)
    with pytest.raises(LmgymError, match="came out different"):
        page.act(state, WAIT)


def test_a_nondeterministic_page_refuses_to_go_back() -> None:
    page = LivePage("some-task", Fake, is_exact=False, longest=99)  # type: ignore[arg-type]
    first = page.open(1)
    page.open(1)
    with pytest.raises(LmgymError, match="'some-task' is nondeterministic"):
        page.act(first, WAIT)


def test_as_many_episodes_as_browsers_go_on_side_by_side() -> None:
    Fake.started.clear()
    pages = LivePages([LivePage("t", Fake, is_exact=True, longest=99) for _ in range(2)])  # type: ignore[arg-type]
    states = [pages.open(seed) for seed in (1, 2)]
    for _ in range(3):
        states = [pages.act(state, Action("click", 2)).state for state in states]
    assert [fake.loads for fake in Fake.started] == [1, 1]
    assert [state.page.elements[2].name for state in states] == ["Grow 1.3", "Grow 2.3"]


def test_a_browser_that_has_ended_is_replaced(task: MiniWoBTask) -> None:
    state = play(task, 7, "click('2')").state
    Fake.started[0].close()
    task._live._pages[0]._at = None  # as the failure left it
    assert "Grow 7.2" in task.reply(state, "click('2')", RNG).messages[0].content
    assert len(Fake.started) == 2


def test_closing_the_environment_ends_the_browser(task: MiniWoBTask) -> None:
    env = gym.make(CLICK_TEST)
    env.unwrapped.episode.task = task  # type: ignore[attr-defined]
    env.reset(seed=0)
    env.close()
    assert [fake.has_ended for fake in Fake.started] == [True]


def test_a_copy_starts_a_browser_of_its_own(task: MiniWoBTask) -> None:
    state = play(task, 7, "click('2')").state
    assert "Grow 7.2" in copy.deepcopy(task).reply(state, "click('2')", RNG).messages[0].content
    assert len(Fake.started) == 2


# ---- what is missing ----


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LmgymError, match=r"pip install 'lmgym\[miniwob\]'"):
        make_task(CLICK_TEST).reset(RNG)


@pytest.mark.parametrize("missing", ["chromium", "chromedriver"])
def test_a_missing_program_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for variable in ("MINIWOB_CHROME_BINARY", "MINIWOB_CHROMEDRIVER"):
        monkeypatch.delenv(variable, raising=False)
    here = {"chromium": "/bin/chromium", "chromedriver": "/bin/chromedriver"}
    here.pop(missing)
    monkeypatch.setattr(shutil, "which", here.get)
    with pytest.raises(LmgymError, match=f"{missing} .*apt-get install chromium chromium-driver"):
        find_programs()


def test_a_program_that_is_named_and_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MINIWOB_CHROME_BINARY", "/nowhere/chromium")
    with pytest.raises(LmgymError, match="MINIWOB_CHROME_BINARY='/nowhere/chromium' is not there"):
        find_programs()


# ---- problems and arguments ----


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_problems_are_drawn_from_their_split(task: MiniWoBTask, split: str) -> None:
    drawn = {task.reset(RNG, split=split).task_id for _ in range(20)}
    assert {task._split_of(int(task_id.split("/")[1])) for task_id in drawn} == {split}
    assert all(task._split_of(int(t.split("/")[1])) == split for t in task.task_ids(split, 9))


@pytest.mark.parametrize("task_id", ["click-test/-1", "click-test/x", "login-user/1", "7", ""])
def test_an_address_of_no_problem_is_an_error(task: MiniWoBTask, task_id: str) -> None:
    with pytest.raises(LmgymError, match="click-test/seed"):
        task.reset(RNG, task_id=task_id)


@pytest.mark.parametrize(
    "arguments",
    [{"max_turns": 0}, {"page_ms": -1}, {"max_page": 99}, {"browsers": 0}, {"data_mode": "dev"}],
)
def test_arguments_out_of_range_are_errors(arguments: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match=next(iter(arguments))):
        make_task(CLICK_TEST, **arguments)
