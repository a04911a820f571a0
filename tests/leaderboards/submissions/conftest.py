"""An entry made of the embedded policy, to be spoiled."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lmgym import policies
from lmgym.leaderboards.submissions.manifest import Manifest, Process, Weights
from lmgym.leaderboards.submissions.manifest_text import write_manifest

EMBEDDED = Path(policies.__file__).parent / "embedded"
PARTS = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


class Entry:
    """A folder with a manifest, and ways to change what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sign(self, **changes: Any) -> None:
        """Write a manifest for the weights that are there."""
        content = (self.folder / "model.safetensors").read_bytes()
        words: dict[str, Any] = {
            "name": "mine",
            "version": 1,
            "authors": ("Ada",),
            "license": "MIT",
            "kind": "weights",
            "tracks": ("math-addition",),
            "weights": Weights("llama", hashlib.sha256(content).hexdigest()),
        }
        write_manifest(Manifest(**words | changes), self.folder)

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file, and sign the weights anew where it is they."""
        data = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(data)
        if name == "model.safetensors":
            self.sign()

    def edit_json(self, name: str, **changes: Any) -> None:
        """Change keys of a JSON file."""
        values = json.loads((self.folder / name).read_text("utf-8"))
        self.write(name, json.dumps(values | changes))


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """The embedded policy as an entry of kind weights."""
    folder = tmp_path / "entry"
    folder.mkdir()
    for name in PARTS:
        shutil.copyfile(EMBEDDED / name, folder / name)
    made = Entry(folder)
    made.sign()
    return made


@pytest.fixture
def process_entry(tmp_path: Path) -> Path:
    """An entry of kind process."""
    folder = tmp_path / "process"
    folder.mkdir()
    (folder / "agent.py").write_text("print('{}')\n")
    manifest = Manifest(
        "talker", 1, ("Ada",), "MIT", "process", ("nim",), process=Process(("python", "agent.py"))
    )
    write_manifest(manifest, folder)
    return folder
