"""Directories of models: written as a whole or not at all, adapters beside what they make.

DIR is a model that transformers opens. Where there is an adapter, DIR is the model with the adapter
merged into it, and DIR/adapter the adapter as peft reads it, with a file that says what the model
beneath it looks like.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lmgym.policies.adapter_files import BASE_FILE, write_adapter
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.policies.merging import base_of, has_adapter, merged_state
from lmgym.policies.quiet import no_progress_bars
from lmgym.rendering import Renderer

__all__ = ["ADAPTER", "save_model"]

ADAPTER = "adapter"
"""The folder of the adapter within that of the model."""


def save_model(model: Any, renderer: Renderer, source: str, directory: Path) -> None:
    """Write a model with the tokenizer of its renderer; see `LanguagePolicy.save`."""
    target = directory.resolve()  # a link stays a link to what is written
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() and _old(target).exists():  # a save was cut off between two moves
        os.rename(_old(target), target)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
        new = Path(parent) / "new"
        _write(model, renderer, new)
        if has_adapter(model):
            write_adapter(model, renderer.vocab_size, source, new / ADAPTER)
        if target.exists():
            _carry_over(target, new)
        _put_in_place(new, target)


def _write(model: Any, renderer: Renderer, directory: Path) -> None:
    state = {"state_dict": merged_state(model)} if has_adapter(model) else {}
    with no_progress_bars():
        base_of(model).save_pretrained(directory, **state)
    generation = copy.deepcopy(base_of(model).generation_config)
    generation.pad_token_id = renderer.pad_id
    generation.eos_token_id = sorted(renderer.end_ids)
    generation.save_pretrained(directory)
    tokenizer = getattr(renderer, "tokenizer", None) or byte_tokenizer()
    # One file less, which no packaging rule can drop: the template goes into the config.
    tokenizer.save_pretrained(directory, save_jinja_files=False)


_MODEL_FILES = ("model", "tokenizer", "chat_template", "special_tokens_map", "adapter_", BASE_FILE)


def _carry_over(old: Path, new: Path) -> None:
    """Give `new` the files of `old` that it lacks, those of the old model excepted.

    Linked, not copied: a log that is being written goes on.
    """
    for path in old.rglob("*"):
        place = new / path.relative_to(old)
        if path.is_file() and not place.exists() and not path.name.startswith(_MODEL_FILES):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, place)
            except OSError:  # a file system without hard links
                shutil.copy2(path, place)


def _put_in_place(new: Path, target: Path) -> None:
    """Move `new` to `target`; the old directory goes only once the new one stands."""
    if not target.exists():
        os.rename(new, target)
        return
    old = _old(target)
    shutil.rmtree(old, ignore_errors=True)
    os.rename(target, old)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
