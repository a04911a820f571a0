"""What tests of the benchmarks share."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a script by its name, as one that lies beside it does."""
    if not FOLDER.is_dir():
        pytest.skip("the source tree is not here")
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module
