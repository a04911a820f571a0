"""Until the row cache is there: reads everything again."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lmgym.sb3.language_model import last_states


class RowDecoder:
    """Reads growing rows."""

    def __init__(self, model: Any, pad_id: int) -> None:
        self.model = model

    def read(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states after each row's last id."""
        return last_states(self.model, tokens, lengths)
