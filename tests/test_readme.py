"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
@pytest.mark.skipif(not README.is_file(), reason="needs the source tree")
def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - the page is ours
    verdict = capsys.readouterr().out.rsplit(maxsplit=2)[-2]
    assert verdict in ("correct", "incorrect", "unfinished")
