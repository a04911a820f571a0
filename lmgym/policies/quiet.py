"""Silence where transformers would draw a progress bar for a small file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["no_progress_bars"]


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Draw none of transformers' progress bars inside; afterwards as before."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # untyped
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
