"""Where the steps of an agent's messages end: at line breaks, and with the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lmgym.rendering import Renderer
from lmgym.transcript import Step, Turn

__all__ = ["breaks_line", "steps_of"]

_SEEN: WeakKeyDictionary[Renderer, NDArray[np.int8]] = WeakKeyDictionary()
"""Of each renderer, for each id whether it holds a line break; -1 where nobody has asked yet."""


def breaks_line(
    renderer: Renderer, ids: Sequence[int] | NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    r"""Whether each of some ids holds a line break, shape as given; texts are looked at once.

    Example:
        >>> from lmgym.rendering import ByteRenderer
        >>> breaks_line(ByteRenderer(), [*b"a\nb"]).tolist()
        [False, True, False]
    """
    seen = _SEEN.get(renderer)
    if seen is None:
        seen = _SEEN[renderer] = np.full(renderer.vocab_size, -1, np.int8)
    given = np.asarray(ids, np.intp)
    found = seen[given]
    if np.min(found, initial=0) < 0:
        for token in np.unique(given[found < 0]).tolist():
            seen[token] = "\n" in renderer.decode([token])
        found = seen[given]
    return np.asarray(found == 1)


def steps_of(
    renderer: Renderer,
    ids: Sequence[int],
    mask: Sequence[int],
    turns: Sequence[Turn],
    draft: tuple[int, str],
) -> tuple[Step, ...]:
    """The finished steps of an episode.

    Args:
        renderer: tells the texts of ids.
        ids: of the episode, shape (T,).
        mask: 1 where the agent drew the id, shape (T,).
        turns: the agent's finished messages.
        draft: where an unfinished message begins, and its text.
    """
    steps: list[Step] = []
    for turn in turns:
        if "\n" in turn.text:
            steps += _lines(renderer, ids, mask, turn.start, turn.end, is_ended=True)
        else:
            steps.append(Step(turn.start, turn.end, turn.text))
    start, text = draft
    if "\n" in text:
        steps += _lines(renderer, ids, mask, start, len(ids), is_ended=False)
    return tuple(steps)


def _lines(
    renderer: Renderer,
    ids: Sequence[int],
    mask: Sequence[int],
    start: int,
    end: int,
    *,
    is_ended: bool,
) -> list[Step]:
    """The steps of one message; what is left behind the last one is a step where it is ended."""
    is_stop = breaks_line(renderer, ids[start:end]) & np.asarray(mask[start:end], np.bool_)
    stops = (np.flatnonzero(is_stop) + start + 1).tolist()
    if is_ended and end not in stops[-1:]:
        stops.append(end)
    places = zip([start, *stops], stops, strict=False)
    return [Step(first, stop, renderer.decode(ids[first:stop])) for first, stop in places]
