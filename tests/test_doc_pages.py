"""Pages of the documentation: their Python runs as it stands there, and prints what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmgym.sb3.generators import seeded_globals

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {
    "debate.md": 4,
    "evaluation.md": 4,
    "games.md": 6,
    "matches.md": 5,
    "math.md": 7,
    "mcts.md": 4,
    "preferences.md": 3,
    "process-agents.md": 3,
    "ratings.md": 5,
    "real-models.md": 3,
    "rewards.md": 9,
    "runs.md": 2,
    "search.md": 5,
    "self-play-tokens.md": 2,
    "self-play.md": 3,
    "stable-baselines3.md": 4,
    "submissions.md": 2,
    "tools.md": 3,
    "tournaments.md": 1,
    "vector-environments.md": 3,
    "verification.md": 10,
    "web.md": 2,
}
"""The pages, and how many blocks of Python each has at least."""
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not here")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_prints_what_the_page_says(
    page: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(blocks) >= PAGES[page]
    assert sum(bool(shown) for _, shown in blocks) >= PAGES[page] - 1
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with seeded_globals(0):
        for code, shown in blocks:
            exec(compile(code, page, "exec"), names)  # noqa: S102 - the page is ours
            printed = capsys.readouterr().out
            assert not shown or printed == shown
