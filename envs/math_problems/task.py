"""The math world: one problem, one answer, verified exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.verification import verify_number

from .families import (
    FAMILIES,
    MAX_DIFFICULTY,
    Problem,
    problem_at,
    problems_in,
)
from .problem_files import Row, load_gsm8k, load_problems
from .problem_table import LARGEST, problem_table

__all__ = ["MathArgs", "MathTask"]

_INSTRUCTION = "\nSolve the problem step by step and put the final answer in \\boxed{}."
_WORTH_ARRAYS = 8
"""Fewer problems are drawn faster one at a time."""


@dataclass(frozen=True)
class MathArgs:
    """Arguments of `lmgym/Math-v0`."""

    problems: str = "addition"
    """Where problems come from: addition, subtraction, multiplication, modular (generated), gsm8k,
    or a path of a .jsonl file with the columns question and answer."""
    difficulty: int = 2
    """Digits of the operands of generated problems, 1 to 9."""
    problem_seed: int = 0
    """Which of the endless lists of generated problems to draw from."""
    instruction: str | None = None
    """Text after each question; by default nothing for generated problems, and a request to reason
    and to box the answer for files."""


class MathTask(Task[Fraction]):
    r"""Solve a mathematical problem; the answer is verified exactly.

    Description:
        One question, one message, one verdict. The answer is the last complete `\boxed{}` of the
        message, which must hold one number (a name before it and a unit behind it are ignored),
        else the message's last number, and counts when it equals the gold answer exactly. Roots,
        powers and other expressions are not computed. Nothing the agent writes is ever executed.
        Generated families have an address for each problem, `family/difficulty/seed/index`, that
        names the same problem in every process.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `verifier` (default): 1 for a correct answer, else 0, paid at the end of the episode.
        Any other reward source can be plugged in; `reward=None` pays nothing.

    Start:
        A problem drawn uniformly from the split: `train` by default, `validation` and `test`
        through `reset(options={"split": ...})`. Splits are disjoint by canonical form: `12+34`
        and `34+12` are one problem. A fixed problem: `reset(options={"task_id": ...})`.

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
        Generated problems: part of this package. GSM8K (Cobbe et al., 2021) is MIT-licensed and
        not included: it is read from `LMGYM_DATA/gsm8k` or through `datasets`.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = MathArgs
    alphabets = {"digits": "0123456789", "integers": "-0123456789"}
    replies_draw = False

    def __init__(self, args: MathArgs) -> None:
        """Load the problems; every gold answer is read here, never while scoring."""
        super().__init__(args)
        self._rows: dict[str, list[Row]] = {}
        if args.problems in FAMILIES:
            if args.problem_seed < 0:
                raise LmgymError(f"problem_seed {args.problem_seed} is negative; use 0 or more")
            if not 1 <= args.difficulty <= MAX_DIFFICULTY:
                raise LmgymError(
                    f"difficulty {args.difficulty} does not exist; {args.problems!r} has the"
                    f" difficulties 1 to {MAX_DIFFICULTY}, the number of digits"
                )
        else:
            self._rows = _load(args.problems)
            self.context, self.max_tokens = 2048, 512
        self._place = f"{args.problems}/{args.difficulty}/{args.problem_seed}"
        default = _INSTRUCTION if self._rows else ""
        self._instruction = default if args.instruction is None else args.instruction
        self._by_address = {row.address: row for rows in self._rows.values() for row in rows}

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[Fraction]:
        """Draw a problem from `split`, or open the one that `task_id` addresses."""
        if task_id is not None:
            return self._at(task_id)
        if self._rows:
            rows = self._rows_of(split)
            return self._open_row(rows[int(rng.integers(len(rows)))])
        index, problem = next(self._problems(split, int(rng.integers(1 << 31))))
        return self._open_problem(index, problem)

    def draw_many(
        self, rng: np.random.Generator, n: int, *, split: str = "train"
    ) -> Sequence[Opening[Fraction]]:
        """The problems that `n` calls of `reset` draw."""
        args = self.args
        if self._rows or n < _WORTH_ARRAYS or args.difficulty > LARGEST:
            return super().draw_many(rng, n, split=split)
        table = problem_table(args.problems, args.difficulty, self._instruction)
        starts = rng.integers(1 << 31, size=n)
        indices, places = table.draw(starts, split, args.problem_seed)
        for row in (places < 0).nonzero()[0]:  # one in a few hundred
            indices[row] = next(self._problems(split, int(indices[row]) + 1))[0]
            places[row] = table.place_of(args.problem_seed, int(indices[row]))
        parts, address = table.parts(places.tolist()), f"{self._place}/"
        return [
            Opening(state, messages, address + str(index), gold, columns)
            for index, (state, messages, gold, columns) in zip(indices.tolist(), parts, strict=True)
        ]

    def reply(self, state: Fraction, text: str, rng: np.random.Generator) -> Reply[Fraction]:
        """Verify the answer; the episode is over."""
        del rng
        is_correct = verify_number(text, state)
        return Reply(state, verdict=Verdict.CORRECT if is_correct else Verdict.INCORRECT)

    def reply_many(
        self, states: Sequence[Fraction], texts: Sequence[str], rngs: Sequence[np.random.Generator]
    ) -> list[Reply[Fraction]]:
        """Verify a batch of answers."""
        del rngs
        right, wrong = Verdict.CORRECT, Verdict.INCORRECT
        pairs = zip(states, texts, strict=True)
        return [Reply(gold, (), right if verify_number(t, gold) else wrong) for gold, t in pairs]

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first problems of `split` that differ in their canonical form."""
        if self._rows:
            return [row.address for row in self._rows_of(split)[:limit]]
        seen: dict[str, int] = {}
        repeats = 0  # in a row: a small family is exhausted
        for index, problem in self._problems(split):
            if len(seen) == limit or repeats > 10 * len(seen) + 1000:
                break
            repeats = repeats + 1 if problem.canonical in seen else 0
            seen.setdefault(problem.canonical, index)
        return [self._address(index) for index in seen.values()]

    def demonstrate(self, state: Fraction) -> str:
        """The gold answer."""
        return str(state)

    def _problems(self, split: str, start: int = 0) -> Iterator[tuple[int, Problem]]:
        args = self.args
        self.check_split(split)
        return problems_in(split, args.problems, args.difficulty, args.problem_seed, start)

    def _rows_of(self, split: str) -> list[Row]:
        rows = self._rows[self.check_split(split)]
        if not rows:
            sizes = {name: len(rows) for name, rows in self._rows.items()}
            raise LmgymError(
                f"split {split!r} of {self.args.problems!r} is empty; problems per split: {sizes}"
            )
        return rows

    def _at(self, task_id: str) -> Opening[Fraction]:
        if self._rows:
            if task_id not in self._by_address:
                raise self.bad_task_id(task_id, "file/row")
            return self._open_row(self._by_address[task_id])
        family, _, numbers = task_id.partition("/")
        parts = numbers.split("/")
        is_address = family == self.args.problems and len(parts) == 3
        if not (is_address and all(part.isdecimal() and len(part) < 20 for part in parts)):
            raise self.bad_task_id(task_id, "family/difficulty/seed/index")
        difficulty, seed, index = map(int, parts)
        if (difficulty, seed) != (self.args.difficulty, self.args.problem_seed):
            raise self.bad_task_id(task_id, f"family/{self.args.difficulty}/seed/index")
        return self._open_problem(index, problem_at(family, difficulty, seed, index))

    def _address(self, index: int) -> str:
        return f"{self._place}/{index}"

    def _open_problem(self, index: int, problem: Problem) -> Opening[Fraction]:
        gold = str(problem.answer)
        return self._opening(
            problem.question, Fraction(problem.answer), self._address(index), gold, gold
        )

    def _open_row(self, row: Row) -> Opening[Fraction]:
        return self._opening(row.question, row.gold, row.address, str(row.gold), row.answer)

    def _opening(
        self, question: str, state: Fraction, task_id: str, gold: str, answer: str
    ) -> Opening[Fraction]:
        messages = (Message(Role.USER, question + self._instruction),)
        columns = {"question": question, "answer": answer}
        return Opening(state, messages, task_id, gold, columns)


def _load(problems: str) -> dict[str, list[Row]]:
    if problems == "gsm8k":
        return load_gsm8k()
    path = Path(problems)
    if path.exists():
        return load_problems(path)
    if path.suffix or "/" in problems:
        raise LmgymError(f"there is no file {problems!r} to read problems from")
    raise unknown("problems", problems, [*FAMILIES, "gsm8k"], "or the path of a .jsonl file")
