"""The tool world: arithmetic, and a calculator that the agent may call before it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.tools import FAILED, MAX_RESULT, Call, CallForm, Toolbox, call_text
from lmgym.verification import verify_number

from .calculator import CALCULATOR
from .problems import FAMILIES, MAX_DIFFICULTY, Problem, longest, problem_at, problems_in

__all__ = ["ToolMathArgs", "ToolMathState", "ToolMathTask"]

_HEADERS = 4
"""Ids around a message, at most."""
_SLACK = 6
"""Ids a message that need not be there: spaces, a few words."""


@dataclass(frozen=True)
class ToolMathArgs:
    """Arguments of `lmgym/ToolMath-v0`."""

    problems: str = "multiplication"
    """Which problems: multiplication, sum or expression."""
    difficulty: int = 2
    """Digits of the factors, terms of the sum less one, or operations of the expression, 1 to 9."""
    problem_seed: int = 0
    """Which of the endless lists of problems to draw from."""
    tools: bool = True
    """Whether there is a calculator; without it the problems are the same, and the first message
    is the answer."""
    max_calls: int = 2
    """Calls that the agent may make before it answers, failed ones included."""
    call_form: CallForm = "compact"
    """How demonstrations write calls: compact, for policies over bytes, or hermes, for language
    models. Both forms are read in any case."""
    instruction: str = ""
    """Text after each question."""


@dataclass(frozen=True, slots=True)
class ToolMathState:
    """The problem, and what the agent has called so far."""

    expression: str
    gold: Fraction
    n_calls: int = 0
    n_failed: int = 0
    result: str | None = None
    """Of the last call that returned one."""


class ToolMathTask(Task[ToolMathState]):
    r"""Work out an expression; a calculator may be called before the answer.

    Description:
        A world with a tool. A message that calls the calculator is answered with its result, in a
        message of the role tool, and the agent goes on; a message without a call is its answer.
        The answer is the last `\boxed{}` or the last number of the message and counts when it
        equals the gold answer exactly. Calls are read in the form
        `<tool_call>{"name": "calculator", "arguments": {"expression": "12*34"}}</tool_call>` of
        Hermes and Qwen, as Llama's object of JSON, and in a compact form for small policies:
        `=12*34`. A call that cannot be read, names another tool, has other arguments, divides by
        zero or is too large is answered with an error that says what to do, and counts as a call.
        The calculator reads expressions with a parser of its own; nothing is executed.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `verifier` (default): 1 for a correct answer, else 0, paid at the end of the episode,
        whether the agent called or not. `verifier + 0.1*tool-use` pays the first call that returns
        a result as well, and takes as much for each that fails.

    Start:
        A problem drawn uniformly from the split. Splits are disjoint by canonical form: `12*34`
        and `34*12` are one problem. A fixed problem: `reset(options={"task_id": ...})`, of the
        form `family/difficulty/seed/index`. Chat templates show the calculator's schema; the
        embedded byte-level tokenizer shows the problem alone.

    Episode end:
        Terminated when the agent answers, and, unfinished, when its messages, the token budget or
        the context are spent: one message more than `max_calls`. Never truncated.

    Info:
        At reset `task_id` and `prompt_text`; at a turn's end `text` and `n_tokens`; at the end also
        `response_ids`, `role_ids`, `loss_mask`, `verdict`, `reward_parts`, `is_success`. At level
        chunk `n_tokens` counts the ids of each step; at level message `messages` is there
        throughout.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = ToolMathArgs
    alphabets = {"calculator": "0123456789=+-*/()"}
    replies_draw = False

    def __init__(self, args: ToolMathArgs) -> None:
        """Check the arguments and set the lengths that they need."""
        super().__init__(args)
        _check(args)
        self._box = Toolbox(CALCULATOR) if args.tools else Toolbox()
        self.has_figures = args.tools
        n_calls = args.max_calls if args.tools else 0
        self.max_turns = n_calls + 1
        expression, answer = longest(args.problems, args.difficulty)
        call = len(self._call("")) + expression
        self.max_tokens = n_calls * (call + _SLACK) + answer + _SLACK
        question = expression + 1 + len(args.instruction.encode())
        told = n_calls * (MAX_RESULT + _HEADERS)
        self.context = question + _HEADERS + self.max_tokens + told

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[ToolMathState]:
        """Draw a problem from `split`, or open the one that `task_id` addresses."""
        if task_id is not None:
            return self._at(task_id)
        return self._open(*next(self._problems(split, int(rng.integers(1 << 31)))))

    def reply(
        self, state: ToolMathState, text: str, rng: np.random.Generator
    ) -> Reply[ToolMathState]:
        """Answer the calls of a message, or verify the answer."""
        del rng
        told = self._box.answer(text, max(0, self.args.max_calls - state.n_calls))
        if not told:
            is_correct = verify_number(text, state.gold)
            return Reply(state, verdict=Verdict.CORRECT if is_correct else Verdict.INCORRECT)
        results = [result for result in told if not result.startswith(FAILED)]
        after = replace(
            state,
            n_calls=state.n_calls + len(told),
            n_failed=state.n_failed + len(told) - len(results),
            result=results[-1] if results else state.result,
        )
        return Reply(after, tuple(Message(Role.TOOL, result) for result in told))

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first problems of `split` that differ in their canonical form."""
        seen: dict[str, int] = {}
        repeats = 0  # in a row: a small family is exhausted
        for index, problem in self._problems(split):
            if len(seen) == limit or repeats > 10 * len(seen) + 1000:
                break
            repeats = repeats + 1 if problem.canonical in seen else 0
            seen.setdefault(problem.canonical, index)
        return [self._address(index) for index in seen.values()]

    def demonstrate(self, state: ToolMathState) -> str:
        """A call of the calculator, then its result; the answer where no call is left."""
        if self.args.tools and state.result is None and state.n_calls < self.args.max_calls:
            return self._call(state.expression)
        return str(state.gold)

    def figures(self, journeys: Sequence[Sequence[ToolMathState]]) -> dict[str, float]:
        """Shares of the episodes with a call, and with one that failed."""
        ends = [states[-1] for states in journeys]
        return {
            "call_rate": float(np.mean([state.n_calls > 0 for state in ends])),
            "failed_call_rate": float(np.mean([state.n_failed > 0 for state in ends])),
        }

    def _call(self, expression: str) -> str:
        schema = CALCULATOR.schema
        return call_text(Call(schema.name, {"expression": expression}), self.args.call_form, schema)

    def _problems(self, split: str, start: int = 0) -> Iterator[tuple[int, Problem]]:
        args = self.args
        self.check_split(split)
        return problems_in(split, args.problems, args.difficulty, args.problem_seed, start)

    def _address(self, index: int) -> str:
        return f"{self.args.problems}/{self.args.difficulty}/{self.args.problem_seed}/{index}"

    def _at(self, task_id: str) -> Opening[ToolMathState]:
        index = task_id.rpartition("/")[2]
        is_number = index.isdecimal() and index.isascii() and len(index) < 20
        if not is_number or task_id != self._address(int(index)):
            raise self.bad_task_id(task_id, self._address(0).rpartition("/")[0] + "/index")
        args = self.args
        found = problem_at(args.problems, args.difficulty, args.problem_seed, int(index))
        return self._open(int(index), found)

    def _open(self, index: int, problem: Problem) -> Opening[ToolMathState]:
        question, gold = f"{problem.expression}=", str(problem.answer)
        said = Message(Role.USER, question + self.args.instruction, self._box.schemas)
        state = ToolMathState(problem.expression, Fraction(problem.answer))
        columns = {"question": question, "answer": gold}
        return Opening(state, (said,), self._address(index), gold, columns)


def _check(args: ToolMathArgs) -> None:
    if args.problems not in FAMILIES:
        raise unknown("problems", args.problems, FAMILIES)
    for name, low, high in (
        ("difficulty", 1, MAX_DIFFICULTY),
        ("problem_seed", 0, 1 << 62),
        ("max_calls", 1, 20),
    ):
        value = getattr(args, name)
        if not low <= value <= high:
            raise LmgymError(f"{name} {value} is out of range; allowed are {low} to {high}")
    if args.call_form not in ("compact", "hermes"):
        raise unknown("call_form", args.call_form, ("compact", "hermes"))
