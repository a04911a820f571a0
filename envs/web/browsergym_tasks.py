"""Every problem of `lmgym/Web-v0` as a task of BrowserGym, for agents that are written for it.

Element numbers, roles and names are those of BrowserGym, and so are the commands, so the same
strings drive both, but for two things: its default action set leaves `check` and `uncheck` out,
where `click` does the same, and its `goto` takes an address in full. BrowserGym (`pip install
browsergym-core`) is only needed when a task is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from lmgym.errors import LmgymError

from .live_browser import VIEWPORT
from .loopback import SiteServer
from .problems import Problem, read_address

__all__ = ["browsergym_id", "browsergym_task", "register_browsergym"]

_ACTION_MS = 5_000


def browsergym_task(task_id: str) -> type[Any]:
    """The class of one problem, a `browsergym.core.task.AbstractBrowserTask`.

    It is made with a seed, which decides nothing: a problem is always the same. `setup` serves the
    site on the loopback interface and opens its home; `validate` pays 1.0 and ends the episode once
    the server knows what was asked for and nothing else has changed.

    Args:
        task_id: as `lmgym/Web-v0` takes it, such as "forms/3/1.2/0".

    Raises:
        LmgymError: where there is no such problem, or BrowserGym is not installed.
    """
    problem = read_address(task_id)
    if problem is None:
        raise LmgymError(
            f"unknown task_id {task_id!r}; lmgym.factory.make_task('lmgym/Web-v0').task_ids(split,"
            " limit) lists some"
        )
    return _task_class(problem)


def browsergym_id(task_id: str) -> str:
    """What gymnasium calls a problem.

    Example:
        >>> browsergym_id("forms/3/1.2+4.0/0")
        'browsergym/lmgym.forms.3.1-2_4-0.0'
    """
    return f"browsergym/{_name(task_id)}"


def register_browsergym(task_ids: Sequence[str]) -> list[str]:
    """Register problems with gymnasium.

    Args:
        task_ids: as `lmgym/Web-v0` takes them.

    Returns:
        What `gymnasium.make` takes, in the same order.

    Raises:
        LmgymError: where there is no such problem, or BrowserGym is not installed.
    """
    register_task = _browsergym("registration").register_task
    for task_id in task_ids:
        register_task(_name(task_id), browsergym_task(task_id), nondeterministic=False)
    return [browsergym_id(task_id) for task_id in task_ids]


def _name(task_id: str) -> str:
    """A task id in the letters that names of environments may have."""
    return "lmgym." + task_id.replace(".", "-").replace("+", "_").replace("/", ".")


def _browsergym(module: str) -> Any:
    try:
        return importlib.import_module(f"browsergym.core.{module}")
    except ImportError:
        raise LmgymError(
            "BrowserGym is not installed: pip install browsergym-core, in an environment of its own"
            " because it pins Playwright; or use lmgym/Web-v0 with backend='chromium'"
        ) from None


@lru_cache(maxsize=4096)
def _task_class(problem: Problem) -> type[Any]:
    base: Any = _browsergym("task").AbstractBrowserTask

    class WebBrowserTask(base):  # type: ignore[misc]  # the base is only there with BrowserGym
        """A problem on a site of its own."""

        @classmethod
        def get_task_id(cls) -> str:
            """What BrowserGym calls it."""
            return _name(problem.address)

        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            self.viewport = VIEWPORT
            self.slow_mo = 0
            self.timeout = _ACTION_MS
            self.server: SiteServer | None = None

        def setup(self, page: Any) -> tuple[str, dict[str, Any]]:
            """Serve the site, open its home and say what is asked for."""
            self.teardown()
            self.server = SiteServer()
            self.server.site, self.server.state = problem.site, problem.site.state_of(problem.start)
            page.goto(self.server.base + problem.site.home)
            return problem.instruction, {"task_id": problem.address}

        def validate(
            self, page: Any, chat_messages: Any
        ) -> tuple[float, bool, str, dict[str, Any]]:
            """1.0, and the end, once everything is as it was asked for."""
            del page, chat_messages
            assert self.server is not None
            state = self.server.state
            is_reached = state == problem.site.state_of(problem.goal)
            facts = list(problem.site.facts(state))
            return float(is_reached), is_reached, "", {"facts": facts}

        def teardown(self) -> None:
            """Stop serving."""
            server, self.server = self.server, None
            if server is not None:
                server.close()

    return WebBrowserTask
