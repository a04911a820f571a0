"""What tests of the page share: boards that nobody has played, and Chromium."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lmgym.envs.web.live_browser import find_chromium

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="session")
def boards() -> Any:
    """The generator of boards that the benchmarks use, too."""
    if not FOLDER.is_dir():
        pytest.skip("the source tree is not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module("synthetic_boards")


@pytest.fixture(scope="session")
def synthetic(boards: Any) -> Callable[..., dict[str, Any]]:
    """Makes each synthetic board once; who changes one takes a copy."""
    make: Callable[..., dict[str, Any]] = cache(boards.synthetic_board)
    return make


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Playwright's browser."""
    path = find_chromium()
    if path is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright or Chromium is missing")
    playwright: Any = importlib.import_module("playwright.sync_api").sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
    yield browser
    browser.close()
    playwright.stop()
