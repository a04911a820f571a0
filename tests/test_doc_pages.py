"""The pages of the documentation show what their code prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [page for page in ("vector-environments.md", "search.md") if (DOCS / page).is_file()]
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(not DOCS.is_dir(), reason="needs the source tree")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_its_code_prints(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    names: dict[str, object] = {}
    for code, shown in blocks:
        exec(compile(code, page, "exec"), names)  # noqa: S102 - the page is ours
        assert capsys.readouterr().out == shown
