"""The page on search: its code runs as it stands there, and prints what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "search.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")
def test_the_code_of_the_page_prints_what_the_page_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = re.findall(
        r"```python\n(.*?)```\n\n(?:[^`#]*?)```text\n(.*?)```",
        PAGE.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert len(pairs) == 5
    names: dict[str, object] = {}
    for code, output in pairs:
        exec(compile(code, "search.md", "exec"), names)  # noqa: S102 - the page is ours
        assert capsys.readouterr().out == output
