"""Problems as BrowserGym's tasks: its own agents' commands solve them, for a reward of 1."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest

from lmgym.envs.web.accessibility import ROLES, our_controls
from lmgym.envs.web.browsergym_tasks import browsergym_id, register_browsergym
from lmgym.envs.web.browsing import execute, find_control, open_tab
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.oracle import planner
from lmgym.envs.web.problems import read_address
from lmgym.factory import make_task

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("ignore"),  # BrowserGym's own
    pytest.mark.skipif(
        importlib.util.find_spec("browsergym") is None, reason="browsergym-core is not installed"
    ),
]
TASK_ID = make_task("lmgym/Web-v0", family="shop", difficulty=1).task_ids("train", 1)[0]


@pytest.fixture
def env() -> Iterator[gym.Env[Any, Any]]:
    (env_id,) = register_browsergym([TASK_ID])
    assert env_id == browsergym_id(TASK_ID)
    made = gym.make(env_id, headless=True, pre_observation_delay=0.0, disable_env_checker=True)
    yield made
    made.close()


def test_the_shortest_way_pays_one_and_ends_the_episode(env: gym.Env[Any, Any]) -> None:
    problem = read_address(TASK_ID)
    assert problem is not None
    observation, _ = env.reset(seed=0)
    assert observation["goal"] == problem.instruction
    tab, paid = open_tab(problem.site, problem.site.start), list[tuple[float, bool]]()
    for command in planner(problem.site, problem.goal).plan(tab):
        assert command.target is not None
        bid = str(find_control(tab.page, command.target).bid)
        verb = "click" if command.verb in ("check", "uncheck") else command.verb
        numbered = Command(verb, Target(bid=bid), command.value if verb != "click" else None)
        tab = execute(tab, numbered)
        _, reward, is_over, _, _ = env.step(str(numbered))
        paid.append((float(reward), is_over))
    assert paid == [(0.0, False)] * (len(paid) - 1) + [(1.0, True)]


def test_controls_have_the_numbers_roles_and_names_that_browsergym_gives(
    env: gym.Env[Any, Any],
) -> None:
    problem = read_address(TASK_ID)
    assert problem is not None
    observation, _ = env.reset(seed=0)
    told = {
        (int(node["browsergym_id"]), node["role"]["value"], node["name"]["value"])
        for node in observation["axtree_object"]["nodes"]
        if node.get("browsergym_id") and node["role"]["value"] in ROLES
    }
    assert told == set(our_controls(open_tab(problem.site, problem.site.start).page))
