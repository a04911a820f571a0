"""The math world: one problem, one answer, verified exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict

from .families import FAMILIES, FOUR, Problem
from .generated import EXTRAPOLATION, Address, GeneratedProblems
from .mixtures import FORM, MIXTURES, is_mixture, parse_mixture
from .problem_files import Row, load_gsm8k, load_problems
from .problem_table import LARGEST, problem_table
from .state import MathState, columns_of

__all__ = ["MathArgs", "MathTask"]

_INSTRUCTION = "\nSolve the problem step by step and put the final answer in \\boxed{}."
_WORTH_ARRAYS = 8
"""Fewer problems are drawn faster one at a time."""
_MARKS = 4
"""Ids of an opening that are no bytes of its text, and the one that ends the answer."""


@dataclass(frozen=True)
class MathArgs:
    """Arguments of `lmgym/Math-v0`."""

    problems: str = "addition"
    """Where problems come from: generated families (addition, subtraction, multiplication, modular,
    division, long_multiplication, expressions, countdown, linear_equations, fractions, gcd,
    word_problems) or mixtures of them (four, steps, all), with levels and weights, as
    all/1-4,addition/2*3; gsm8k; or a path of a .jsonl file with the columns question and answer."""
    difficulty: int = 2
    """Level of generated problems that name none, 1 to 9: the digits of the operands of addition,
    subtraction, multiplication and modular; each family has its own meaning."""
    problem_seed: int = 0
    """Which of the endless lists of generated problems to draw from."""
    instruction: str | None = None
    """Text after each question; by default nothing for generated problems, and a request to reason
    and to box the answer for files."""
    reasoning: bool | None = None
    """Whether demonstrations of generated problems give the steps; by default the bare answer for
    addition, subtraction, multiplication and modular, and the steps for all others."""
    num_problems: int | None = None
    """How many problems the training split has, the first of it; 1 trains on one example."""


class MathTask(Task[MathState]):
    r"""Solve a mathematical problem; the answer is verified exactly.

    Description:
        One question, one message, one verdict. The answer is the last complete `\boxed{}` of the
        message, which must hold one number (a name before it and a unit behind it are ignored),
        else the message's last number, and counts when it equals the gold answer exactly. Roots,
        powers and other expressions are not computed, but in `countdown`, whose answer is an
        expression: the last one of the message that stands behind no equals sign, parsed by a
        parser of our own; golds of files that are no numbers are judged by `verify` of
        lmgym.verification. Nothing the agent writes is ever executed. Generated families have an
        address for each problem, `family/difficulty/seed/index`, that names the same problem in
        every process. docs/math.md shows each family at each level.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `verifier` (default): 1 for a correct answer, else 0, paid at the end of the episode.
        Any other reward source can be plugged in; `reward=None` pays nothing.

    Start:
        A problem drawn from the split, uniformly or, in a mixture, by the weights: `train` by
        default, the others through `reset(options={"split": ...})`. Splits are disjoint by
        canonical form: `12+34` and `34+12` are one problem. `extrapolation` holds test problems
        one level above the highest that is asked for; problems from files have no such split. A
        fixed problem: `reset(options={"task_id": ...})`.

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
        self._generated: GeneratedProblems | None = None
        _check(args)
        if is_mixture(args.problems):
            components = parse_mixture(args.problems, args.difficulty)
            self._generated = GeneratedProblems(components, args.problem_seed, args.num_problems)
            self.splits = (*Task.splits, EXTRAPOLATION)
            self.has_figures = len(components) > len({c.family for c in components})
        else:
            self._rows = _load(args.problems)
            self._rows["train"] = self._rows["train"][: args.num_problems]
            self.context, self.max_tokens = 2048, 512
        default = _INSTRUCTION if self._rows else ""
        self._instruction = default if args.instruction is None else args.instruction
        self._by_address = {row.address: row for rows in self._rows.values() for row in rows}
        if self._generated is not None:
            self.context, self.max_tokens = self._sizes(self._generated)

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[MathState]:
        """Draw a problem from `split`, or open the one that `task_id` addresses."""
        if task_id is not None:
            return self._at(task_id)
        if self._generated is not None:
            return self._open_problem(*self._generated.draw(rng, self.check_split(split)))
        rows = self._rows_of(split)
        return self._open_row(rows[int(rng.integers(len(rows)))])

    def draw_many(
        self, rng: np.random.Generator, n: int, *, split: str = "train"
    ) -> Sequence[Opening[MathState]]:
        """The problems that `n` calls of `reset` draw."""
        found = self._table_of(split) if n >= _WORTH_ARRAYS else None
        if found is None:
            return super().draw_many(rng, n, split=split)
        (family, level), own_split = found
        table = problem_table(family, level, self._instruction)
        seed = self.args.problem_seed
        starts = rng.integers(1 << 31, size=n)
        indices, places = table.draw(starts, own_split, seed)
        for row in (places < 0).nonzero()[0]:  # one in a few hundred
            indices[row] = table.next_of(own_split, seed, int(indices[row]) + 1)
            places[row] = table.place_of(seed, int(indices[row]))
        parts, address = table.parts(places.tolist()), f"{family}/{level}/{seed}/"
        return [
            Opening(state, messages, address + str(index), gold, columns)
            for index, (state, messages, gold, columns) in zip(indices.tolist(), parts, strict=True)
        ]

    def reply(self, state: MathState, text: str, rng: np.random.Generator) -> Reply[MathState]:
        """Verify the answer; the episode is over."""
        del rng
        after = state.answered(text)
        return Reply(after, verdict=Verdict.CORRECT if after.is_correct else Verdict.INCORRECT)

    def reply_many(
        self, states: Sequence[MathState], texts: Sequence[str], rngs: Sequence[np.random.Generator]
    ) -> list[Reply[MathState]]:
        """Verify a batch of answers."""
        del rngs
        right, wrong = Verdict.CORRECT, Verdict.INCORRECT
        ends = [state.answered(text) for state, text in zip(states, texts, strict=True)]
        return [Reply(end, (), right if end.is_correct else wrong) for end in ends]

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first problems of `split` that differ in their canonical form."""
        if self._generated is not None:
            return list(map(str, self._generated.first(self.check_split(split), limit)))
        return [row.address for row in self._rows_of(split)[:limit]]

    def demonstrate(self, state: MathState) -> str:
        """The steps and the answer, or the bare answer, see `MathArgs.reasoning`."""
        return state.demonstration(self.args.reasoning)

    def figures(self, journeys: Sequence[Sequence[MathState]]) -> dict[str, float]:
        """Success on each family and level of a mixture, in its order."""
        ends = [states[-1] for states in journeys]
        n = Counter(end.stratum for end in ends)
        solved = Counter(end.stratum for end in ends if end.is_correct)
        return {f"success {stratum}": solved[stratum] / n[stratum] for stratum in n}

    def _sizes(self, generated: GeneratedProblems) -> tuple[int, int]:
        """Context and budget that every demonstration of every split fits in."""
        question = answer = 0
        for split in self.splits:
            for family, level, _ in generated.parts_of(split)[0]:
                room, kind = FAMILIES[family].room(level), FAMILIES[family]
                reasons = self.args.reasoning
                shows = kind.shows_steps if reasons is None else reasons
                question = max(question, room.question)
                answer = max(answer, room.solution if shows else room.answer)
        question += len(self._instruction.encode())
        max_tokens = max(Task.max_tokens, _rounded(answer + 1, 16))
        return max(Task.context, _rounded(question + _MARKS + max_tokens, 32)), max_tokens

    def _table_of(self, split: str) -> tuple[tuple[str, int], str] | None:
        """Family, level and own split of the table that a split is drawn from, if there is one."""
        if self._generated is None or (split == "train" and self._generated.n_train is not None):
            return None
        components, own_split = self._generated.parts_of(self.check_split(split))
        family, level, _ = components[0]
        has_table = len(components) == 1 and family in FOUR and level <= LARGEST
        return ((family, level), own_split) if has_table else None

    def _rows_of(self, split: str) -> list[Row]:
        rows = self._rows[self.check_split(split)]
        if not rows:
            sizes = {name: len(rows) for name, rows in self._rows.items()}
            raise LmgymError(
                f"split {split!r} of {self.args.problems!r} is empty; problems per split: {sizes}"
            )
        return rows

    def _at(self, task_id: str) -> Opening[MathState]:
        if self._generated is None:
            if task_id not in self._by_address:
                raise self.bad_task_id(task_id, "file/row")
            return self._open_row(self._by_address[task_id])
        address = Address.parse(task_id)
        if address is None or not self._generated.has(address):
            raise self.bad_task_id(task_id, "family/difficulty/seed/index, of those asked for")
        return self._open_problem(address, address.problem())

    def _open_problem(self, address: Address, problem: Problem) -> Opening[MathState]:
        state = MathState(problem, address.family, address.level)
        messages = (Message(Role.USER, problem.question + self._instruction),)
        return Opening(state, messages, str(address), state.gold, columns_of(state))

    def _open_row(self, row: Row) -> Opening[MathState]:
        state = MathState(Problem(row.question, row.gold, row.canonical))
        messages = (Message(Role.USER, row.question + self._instruction),)
        columns = {"question": row.question, "answer": row.answer}
        return Opening(state, messages, row.address, str(row.gold), columns)


def _check(args: MathArgs) -> None:
    """Raise for numbers that are out of range, and where no problems are named."""
    if not args.problems.strip():
        raise LmgymError(
            f"problems is {args.problems!r}, which names none; {FORM}, or gsm8k, or the path of a"
            " .jsonl file"
        )
    if args.problem_seed < 0:
        raise LmgymError(f"problem_seed {args.problem_seed} is negative; use 0 or more")
    if args.num_problems is not None and args.num_problems < 1:
        raise LmgymError(
            f"num_problems {args.num_problems} is no number of problems; use 1 or more"
        )


def _load(problems: str) -> dict[str, list[Row]]:
    if problems == "gsm8k":
        return load_gsm8k()
    path = Path(problems)
    if path.exists():
        return load_problems(path)
    if path.suffix or "/" in problems:
        hint = f"; for generated problems {FORM}" if "," in problems else ""
        raise LmgymError(f"there is no file {problems!r} to read problems from{hint}")
    known = [*FAMILIES, *MIXTURES, "gsm8k"]
    raise unknown("problems", problems, known, f"or the path of a .jsonl file; {FORM}")


def _rounded(number: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-number // step) * step
