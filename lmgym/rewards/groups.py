"""Which answers of a batch are answers to the same problem."""

from __future__ import annotations

from collections.abc import Hashable

from lmgym.transcript import Transcript

__all__ = ["group_of"]


def group_of(transcript: Transcript) -> Hashable:
    """Equal for the transcripts of one group: of one problem, drawn together.

    Example:
        >>> said = [Transcript.from_strings("1+1=", text) for text in ("2", "3")]
        >>> group_of(said[0]) == group_of(said[1])
        True
    """
    return transcript.task_id, transcript.group_id, transcript.prompt_text
