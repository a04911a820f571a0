"""The page on Stable-Baselines3: its code runs as it stands there, and prints what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmgym.sb3.generators import seeded_globals

PAGE = Path(__file__).resolve().parents[1] / "docs" / "stable-baselines3.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")


def blocks() -> list[tuple[str, str]]:
    """The page's Python, and what it prints."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    assert len(found) == 4
    return found


@pytest.mark.slow
def test_the_code_of_the_page_prints_what_the_page_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with seeded_globals(0):
        for code, output in blocks():
            exec(compile(code, "stable-baselines3.md", "exec"), names)  # noqa: S102 - ours
            printed = capsys.readouterr().out
            if output:
                assert printed == output
    assert (tmp_path / "runs" / "sb3" / "best" / "config.json").is_file()
