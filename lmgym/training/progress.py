r"""A live view of training for a terminal, and plain lines for everything else.

Sampled text is shown as text: never read as markup, control characters spelled out (`\n`,
`\x1b`), long texts cut. So a policy cannot paint, move the cursor or forge a line.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lmgym.errors import LmgymError

__all__ = ["Sample", "TrainingDisplay", "visible"]

_SHOWN: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("reward", "reward", "{:.3f}".format),
    ("gold_reward", "gold", "{:.3f}".format),
    ("accuracy", "accuracy", "{:.1%}".format),
    ("validation/greedy", "validation greedy", "{:.1%}".format),
    ("validation/pass@1", "sampled", "{:.1%}".format),
    ("validation/reward", "validation reward", "{:.3f}".format),
    ("entropy", "entropy", "{:.3f}".format),
    ("completion_length", "length", "{:.1f}".format),
    ("tokens_per_second", "tokens/s", "{:,.0f}".format),
)
"""Metrics that are shown, in this order; others are only in the logs."""

_REFRESH_SECONDS = 0.2
_PROMPT_CHARACTERS = 80
_TEXT_CHARACTERS = 160
_LINE_CHARACTERS = 40
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_STYLES = {True: "green", False: "red", None: ""}
_MARKS = {True: "+", False: "-", None: " "}


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled answer to show.

    Attributes:
        prompt: what was asked.
        text: what the agent wrote.
        is_correct: colours the answer green or red; None where nobody knows.
    """

    prompt: str
    text: str
    is_correct: bool | None = None


class TrainingDisplay:
    """Progress, current metrics and some answers, while a learner works.

    On a terminal a block that redraws itself; elsewhere one plain line now and then.

    Args:
        title: what is learned, as "grpo on lmgym/Math-v0".
        total: how much there is to do, in `unit`.
        unit: "seconds" or "updates", or any other noun.
        console: where to draw; None for the standard output.
        every_seconds: seconds between plain lines.
        every_updates: calls of `update` between plain lines, instead of seconds.
        max_samples: how many answers to show.

    Example:
        >>> console = Console(force_terminal=False, width=80)
        >>> with TrainingDisplay("grpo", 2, "updates", console=console, every_updates=1) as show:
        ...     show.update(1, {"reward": 0.5})
        grpo: 1/2 updates, reward 0.500
    """

    def __init__(
        self,
        title: str,
        total: float,
        unit: str = "updates",
        *,
        console: Console | None = None,
        every_seconds: float = 5.0,
        every_updates: int | None = None,
        max_samples: int = 4,
    ) -> None:
        """Draw nothing yet."""
        if not total > 0:
            raise LmgymError(f"the total must be above 0 {unit}; given {total}")
        self.console = console or Console()
        self._title, self._total, self._unit = visible(title, 200), total, visible(unit, 40)
        self._every_seconds, self._every_updates = every_seconds, every_updates
        self._max_samples = max_samples
        self._done = 0.0
        self._metrics: dict[str, float] = {}
        self._samples: list[Sample] = []
        self._n_updates = 0
        self._last_drawn = float("-inf")
        self._is_drawn = True
        is_live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(console=self.console, auto_refresh=False) if is_live else None

    def update(
        self, done: float, metrics: Mapping[str, float], samples: Sequence[Sample] = ()
    ) -> None:
        """Show the new state; cheap when called often, because not every call redraws.

        Args:
            done: how much is done, in the display's unit.
            metrics: numbers by name; those left out keep their last value.
            samples: answers to show; none keeps those before.
        """
        self._done = done
        self._metrics |= metrics
        self._samples = list(samples[: self._max_samples]) or self._samples
        self._n_updates += 1
        self._is_drawn = False
        if self._is_due():
            self._draw()

    def print(self, text: str) -> None:
        """A line above the display, shown as it is."""
        self.console.print(self._text(visible(text, 2000)), soft_wrap=True, highlight=False)

    def __enter__(self) -> TrainingDisplay:
        """Begin to draw."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw the last state and leave it standing."""
        if not self._is_drawn:
            self._draw()
        if self._live is not None:
            self._live.stop()

    def _is_due(self) -> bool:
        if self._live is None and self._every_updates is not None:
            return self._n_updates % self._every_updates == 0
        pause = self._every_seconds if self._live is None else _REFRESH_SECONDS
        return time.monotonic() - self._last_drawn >= pause

    def _draw(self) -> None:
        self._last_drawn = time.monotonic()
        self._is_drawn = True
        if self._live is not None:
            self._live.update(self._block(), refresh=True)
        else:
            self.console.print(self._text(self._line()), soft_wrap=True, highlight=False)

    def _line(self) -> str:
        parts = [f"{self._title}: {_count(self._done)}/{_count(self._total)} {self._unit}"]
        parts += [f"{label} {value}" for label, value in self._readings()]
        return ", ".join(parts) + "".join(f" | {_shown(sample)}" for sample in self._samples[:1])

    def _readings(self) -> list[tuple[str, str]]:
        """Labels and values of the metrics that are known."""
        known = [(name, label, form) for name, label, form in _SHOWN if name in self._metrics]
        return [(label, form(self._metrics[name])) for name, label, form in known]

    def _block(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._total, completed=min(self._done, self._total), width=32)
        count = f"{_count(self._done)}/{_count(self._total)} {self._unit}"
        head.add_row(self._text(self._title, "bold"), bar, self._text(count))
        readings = Table.grid(padding=(0, 3))
        cells = self._readings()
        readings.add_row(*(Text(label, "dim") for label, _ in cells))
        readings.add_row(*(Text(value, "bold") for _, value in cells))
        return Group(head, readings, self._answers())

    def _answers(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for sample in self._samples:
            table.add_row(
                Text(_MARKS[sample.is_correct], _STYLES[sample.is_correct]),
                self._text(visible(sample.prompt, _PROMPT_CHARACTERS), "dim"),
                Text("->", "dim"),
                self._text(visible(sample.text, _TEXT_CHARACTERS), _STYLES[sample.is_correct]),
            )
        return table

    def _text(self, text: str, style: str = "") -> Text:
        """Text that the console's encoding can hold."""
        encoding = self.console.encoding
        encodable = text.encode(encoding, "backslashreplace").decode(encoding)
        return Text(encodable, style, overflow="fold")


def _shown(sample: Sample) -> str:
    """A sample on a plain line."""
    prompt, text = visible(sample.prompt, _LINE_CHARACTERS), visible(sample.text, _LINE_CHARACTERS)
    return f"{_MARKS[sample.is_correct]} {prompt} -> {text}".strip()


def visible(text: str, limit: int = 200) -> str:
    r"""`text` on one line: what cannot be seen is spelled out, and what is too long is cut.

    Control, format, private and unassigned characters become escapes, so neither a terminal's
    commands nor a reversal of the writing direction gets through.

    Example:
        >>> print(visible("1+1=\x1b[31m2\n"))
        1+1=\x1b[31m2\n
    """
    shown = "".join(_spelled(character) for character in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: max(limit - 3, 0)] + "..."


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:,.1f}"
