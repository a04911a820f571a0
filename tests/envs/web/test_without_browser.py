"""What is said where there is no browser, or no picture without one."""

from __future__ import annotations

import copy
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

import lmgym  # noqa: F401  (registers the worlds)
from lmgym.envs.web.backends import DomBackend, make_backend
from lmgym.envs.web.browsergym_tasks import browsergym_task
from lmgym.envs.web.browsing import Tab
from lmgym.envs.web.families import make_site
from lmgym.errors import LmgymError
from lmgym.factory import make_task

SITE = make_site("forms", 0)


def test_a_missing_playwright_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    with pytest.raises(LmgymError, match=r"pip install 'lmgym\[browser\]', or take backend='dom'"):
        make_backend("chromium").open(SITE)


def test_a_browser_that_is_named_and_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setenv("LMGYM_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(LmgymError, match="LMGYM_CHROMIUM='/nowhere/chromium' is no program"):
        make_backend("chromium").open(SITE)


def test_a_missing_browsergym_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "browsergym", None)
    address = make_task("lmgym/Web-v0").task_ids("train", 1)[0]
    with pytest.raises(LmgymError, match="pip install browsergym-core"):
        browsergym_task(address)


def test_a_browsergym_task_of_no_problem_is_told() -> None:
    with pytest.raises(LmgymError, match="unknown task_id 'forms/nowhere'"):
        browsergym_task("forms/nowhere")


def test_pictures_without_a_browser_are_refused_at_once_with_what_draws_some() -> None:
    with pytest.raises(LmgymError, match=r"known: ansi, None; backend='chromium' draws pictures"):
        gym.make("lmgym/Web-v0", level="message", render_mode="rgb_array").close()


def test_a_tab_without_a_browser_has_no_picture() -> None:
    backend = DomBackend()
    with pytest.raises(LmgymError, match="backend='dom' draws no picture of /profile"):
        backend.picture(backend.open(SITE))


def test_a_copy_of_a_backend_starts_nothing() -> None:
    backend = copy.deepcopy(make_backend("chromium", headless=True))
    assert (backend.headless, backend._live) == (True, None)  # type: ignore[attr-defined]
    backend.close()


def test_a_backend_that_draws_is_rendered_as_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmgym.envs.web.task.make_backend", lambda name, headless: Drawing())
    env = gym.make("lmgym/Web-v0", backend="chromium", level="message", render_mode="rgb_array")
    check_env(env.unwrapped)
    env.reset(seed=0)
    picture: Any = env.render()
    assert (picture.shape, picture.dtype) == ((2, 3, 3), np.uint8)
    assert env.unwrapped.metadata["render_modes"] == ["ansi", "rgb_array"]
    env.close()


class Drawing(DomBackend):
    def picture(self, tab: Tab) -> NDArray[np.uint8]:
        return np.full((2, 3, 3), len(tab.url), np.uint8)


def test_only_text_is_rendered_where_the_pages_are_made_here() -> None:
    env = gym.make("lmgym/Web-v0", level="message", render_mode="ansi")
    assert env.unwrapped.metadata["render_modes"] == ["ansi"]
    env.close()
