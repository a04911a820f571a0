"""The copy world: repeat the text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmgym.addresses import mix, split_of
from lmgym.errors import LmgymError
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict

__all__ = ["CopyArgs", "CopyTask"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class CopyArgs:
    """Arguments of `lmgym/Copy-v0`."""

    length: int = 4
    """Letters of the text, 1 to 64."""


class CopyTask(Task[str]):
    """Repeat the text exactly: a diagnostic world whose optimum, 1, is known.

    Description:
        The agent reads a few random letters and writes them again. Every sound learner solves it;
        one that does not has a defect.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `verifier` (default): 1 for the same text, else 0, paid at the end of the episode.

    Start:
        A text drawn uniformly; splits are disjoint. A fixed text:
        `reset(options={"task_id": "copy/4/17"})`.

    Episode end:
        Terminated when the agent ends its message, and, unfinished, when the token budget or the
        context is spent. Never truncated.

    Info:
        At reset `task_id` and `prompt_text`; at the end `text`, `n_tokens`, `response_ids`,
        `role_ids`, `loss_mask`, `verdict`, `reward_parts`, `is_success`. At level chunk
        `n_tokens` counts the ids of each step; at level message `messages` is there throughout.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = CopyArgs
    alphabets = {"letters": _LETTERS}
    replies_draw = False

    def __init__(self, args: CopyArgs) -> None:
        """Check the length."""
        super().__init__(args)
        if not 1 <= args.length <= 64:
            raise LmgymError(f"length {args.length} is out of range; allowed are 1 to 64 letters")
        self.context = max(128, 2 * args.length + 16)
        self.max_tokens = max(16, args.length + 4)

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[str]:
        """Draw a text from `split`, or open the one that `task_id` addresses."""
        if task_id is None:
            return self._open(self._next(self.check_split(split), int(rng.integers(1 << 31))))
        kind, _, rest = task_id.partition("/")
        length, _, index = rest.partition("/")
        is_address = kind == "copy" and length == str(self.args.length) and index.isdecimal()
        if not is_address or len(index) > 20:
            raise self.bad_task_id(task_id, f"copy/{self.args.length}/index")
        return self._open(int(index))

    def reply(self, state: str, text: str, rng: np.random.Generator) -> Reply[str]:
        """Compare the texts; the episode is over."""
        del rng
        return Reply(state, verdict=Verdict.CORRECT if text == state else Verdict.INCORRECT)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first different texts of `split`."""
        self.check_split(split)
        seen: dict[str, int] = {}
        index = -1
        for _ in range(20 * limit + 1000):
            if len(seen) == limit:
                break
            index = self._next(split, index + 1)
            seen.setdefault(self._text(index), index)
        return [self._address(index) for index in seen.values()]

    def demonstrate(self, state: str) -> str:
        """The text."""
        return state

    def _next(self, split: str, index: int) -> int:
        """The first index from `index` on whose text belongs to `split`."""
        while split_of(self._text(index)) != split:
            index += 1
        return index

    def _text(self, index: int) -> str:
        letters: list[str] = []
        while len(letters) < self.args.length:
            bits = mix((index << 6) + len(letters))
            for _ in range(min(13, self.args.length - len(letters))):
                bits, letter = divmod(bits, 26)
                letters.append(_LETTERS[letter])
        return "".join(letters)

    def _address(self, index: int) -> str:
        return f"copy/{self.args.length}/{index}"

    def _open(self, index: int) -> Opening[str]:
        text = self._text(index)
        return Opening(text, (Message(Role.USER, text),), self._address(index), text)
