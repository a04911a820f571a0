"""lmgym/Web-v0: read a page, write a command."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.problems import SPLITS
from lmgym.envs.web.task import GUIDE, WebTask
from lmgym.errors import LmgymError
from lmgym.factory import make_task, make_vector_env
from lmgym.rendering import ByteRenderer
from lmgym.task import Verdict

WORLD = "lmgym/Web-v0"
RNG = np.random.default_rng


def web(**arguments: Any) -> WebTask:
    task = make_task(WORLD, **arguments)
    assert isinstance(task, WebTask)
    return task


def make(**arguments: Any) -> gym.Env[Any, Any]:
    return gym.make(WORLD, level="message", **arguments)


def address(task: WebTask, split: str = "train") -> str:
    return task.task_ids(split, 1)[0]


def said_after(text: str, **arguments: Any) -> str:
    """What the world answers to one message."""
    task = web(**arguments)
    state = task.reset(RNG(0), task_id=address(task)).state
    return task.reply(state, text, RNG(0)).messages[-1].content


@pytest.mark.parametrize("family", [*FAMILIES, "mixed"])
@pytest.mark.parametrize("split", SPLITS)
def test_demonstrations_solve_every_split(family: str, split: str) -> None:
    task = web(family=family)
    state, verdict, n_turns = task.reset(RNG(1), split=split).state, None, 0
    while verdict is None:
        text = task.demonstrate(state)
        assert text is not None
        reply = task.reply(state, text, RNG(0))
        state, verdict, n_turns = reply.state, reply.verdict, n_turns + 1
    assert verdict is Verdict.CORRECT
    assert n_turns <= task.max_turns
    assert state.facts == state.problem.goal


def test_a_message_tells_task_progress_address_and_page() -> None:
    task = web()
    opening = task.reset(RNG(0), task_id=address(task))
    (message,) = opening.messages
    lines = message.content.split("\n")
    assert lines[0] == f"Task: {opening.state.problem.instruction}"
    assert lines[1:3] == ["Done: nothing yet.", "/profile"]
    assert lines[3].startswith("[6] link '")


def test_what_was_saved_is_told() -> None:
    task = web()
    state = task.reset(RNG(0), task_id=address(task)).state
    place = next(i for i in range(4) if state.facts[1] != i)
    site = state.tab.site
    option = next(c for c in site.commands if c.value == site.values[1][place] or
                  (c.target is not None and c.target.name == site.values[1][place]))  # fmt: skip
    for text in (str(option), str(site.commands[3])):
        state = task.reply(state, text, RNG(0)).state
    assert f"Done: '{site.labels[1]}' is '{site.values[1][place]}'.\n" in state.text


def test_what_is_no_command_or_cannot_be_done_is_told_and_changes_nothing() -> None:
    assert "\nError: 'hello' is no command; write one call" in said_after("hello")
    assert "\nError: there is no link 'Nowhere' on this page\n" in said_after(
        "click(link 'Nowhere')"
    )
    assert "Error" not in said_after("noop()")


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "click('1')" * 10**5, "(" * 10**6, "\n" * 10**6, "\ud800", "\0"]
)
def test_megabytes_and_odd_characters_are_answered_shortly(text: str) -> None:
    assert len(said_after(text)) < 2_000


@pytest.mark.parametrize("family", FAMILIES)
def test_openings_and_errors_fit_into_the_context(family: str) -> None:
    task, rng = web(family=family), RNG(0)
    renderer = ByteRenderer()
    longest = 0
    for split in SPLITS:
        state = task.reset(rng, split=split).state
        for _ in range(40):
            refused = task.reply(state, "click(" + "x" * 900, rng)
            longest = max(longest, len(renderer.open(refused.messages)[0]))
            state = task.reply(state, task.explore(state, rng), rng).state
    assert longest + 128 < task.context


@pytest.mark.parametrize("family", FAMILIES)
def test_commands_can_be_written_with_the_alphabet(family: str) -> None:
    known = set(WebTask.alphabets["commands"])
    task, rng = web(family=family), RNG(0)
    for split in SPLITS:
        site = task.reset(rng, split=split).state.tab.site
        assert not set("".join(site.command_texts)) - known


@pytest.mark.parametrize(
    "task_id", ["", "forms", "forms/1", "forms/1/0.9/0", "blog/1/0.1/0", "/" * 100]
)
def test_addresses_that_do_not_exist_are_refused(task_id: str) -> None:
    with pytest.raises(LmgymError, match="family/site/fact"):
        web().reset(RNG(0), task_id=task_id)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"family": "blog"}, "unknown family 'blog'"),
        ({"difficulty": 9}, "from 1 to 5"),
        ({"family": "mixed", "difficulty": 6}, "from 1 to 5"),
        ({"backend": "lynx"}, "lynx"),
        ({"split": "dev"}, "unknown split 'dev'"),
    ],
)
def test_arguments_that_are_not_allowed_are_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        make(**arguments)


def test_comp_needs_two_facts() -> None:
    env = make(difficulty=1, split="comp")
    with pytest.raises(LmgymError, match="give difficulty=2 or more"):
        env.reset(seed=0)


def test_test_is_another_word_for_iid() -> None:
    one, other = make(split="test"), make(split="iid")
    assert one.reset(seed=3)[1]["task_id"] == other.reset(seed=3)[1]["task_id"]


def test_info_tells_why_a_command_did_nothing() -> None:
    env = make()
    _, info = env.reset(seed=0)
    assert "last_action_error" not in info
    assert env.step("noop()")[4]["last_action_error"] == ""
    assert env.step("click('999')")[4]["last_action_error"].startswith("there is no element '999'")
    assert env.step("noop()")[4]["last_action_error"] == ""


def test_batched_info_tells_why_a_command_did_nothing() -> None:
    envs = make_vector_env(WORLD, 2, level="message")
    envs.reset(seed=0)
    info = envs.step(["noop()", "click('999')"])[4]
    assert list(info["last_action_error"]) == ["", "there is no element '999' on this page"]
    assert list(info["_last_action_error"]) == [True, True]


def test_only_the_present_page_is_in_the_context_unless_history_is_kept() -> None:
    for history in (False, True):
        env = make(history=history)
        first, _ = env.reset(seed=0)
        second, *_, info = env.step("noop()")
        assert second.startswith(first) == history or second == first
        assert len(info["messages"]) == (3 if history else 1)


def test_a_guide_explains_the_commands_in_every_context() -> None:
    env = make(guide=True)
    _, info = env.reset(seed=0)
    assert [m["role"] for m in info["messages"]] == ["system", "user"]
    assert info["messages"][0]["content"] == GUIDE
    assert env.step("noop()")[4]["messages"][0]["content"] == GUIDE


def test_the_guide_names_every_verb_and_nothing_else() -> None:
    task = web()
    state = task.reset(RNG(0), task_id=address(task)).state
    told = task.reply(state, "?", RNG(0)).state.error
    for verb in told.split("verbs: ")[1].split(", "):
        assert f"{verb}(" in GUIDE


def test_commands_are_spent_after_max_turns() -> None:
    env = make(max_turns=2)
    env.reset(seed=0)
    assert not env.step("noop()")[2]
    _, reward, terminated, truncated, info = env.step("noop()")
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["verdict"] == "unfinished"


def test_reaching_the_goal_pays_and_ends() -> None:
    env = make(difficulty=1)
    env.reset(seed=0)
    task: Any = env.unwrapped
    steps: list[Any] = []
    while not steps or not steps[-1][2]:
        text = task.episode.renderer.decode(task.episode.demonstration())
        steps.append(env.step(text))
    rewards = [step[1] for step in steps]
    assert rewards == [0.0] * (len(steps) - 1) + [1.0]
    assert steps[-1][4]["is_success"]


def test_a_side_effect_is_no_success() -> None:
    task = web(family="forms")
    state = task.reset(RNG(0), task_id="forms/3/3.1/0" if _is_off(task) else "forms/3/3.0/0").state
    site = state.tab.site
    said = [site.commands[4 + (state.facts[0] + 1) % 4], site.commands[3]]  # another name, saved
    for command in said:
        state = task.reply(state, str(command), RNG(0)).state
    switch = site.commands[4 + 11 + (1 - state.facts[3])]
    assert state.facts != state.problem.goal
    for command in (site.commands[1], switch, site.commands[3]):
        reply = task.reply(state, str(command), RNG(0))
        state = reply.state
        assert reply.verdict is None
    assert state.facts[3] == state.problem.goal[3]


def _is_off(task: WebTask) -> bool:
    return task._episodes.problems.at("forms/3/3.1/0") is not None


def test_exploring_finds_something_to_do_where_there_is_no_page() -> None:
    for family in FAMILIES:
        task = web(family=family)
        state = task.reset(RNG(0), task_id=address(task)).state
        lost = task.reply(state, "goto('/nowhere')", RNG(0)).state
        after = task.reply(lost, task.explore(lost, RNG(0)), RNG(0)).state
        assert (after.error, after.tab.url) != ("", "/nowhere")


def test_a_placed_order_has_no_demonstration() -> None:
    task = web(family="shop")
    states = (task.reset(RNG(seed)).state for seed in range(200))
    state = next(s for s in states if any(s.facts[:6]) and s.facts[6] and not s.problem.goal[8])
    site = state.tab.site
    for text in (site.command_texts[2], site.command_texts[33]):
        state = task.reply(state, text, RNG(0)).state
    assert state.facts[8] == 1
    assert task.demonstrate(state) is None
