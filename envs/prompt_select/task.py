"""The world of prompt selection: which prompt will be answered right for this question?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmgym.errors import LmgymError
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.verification import last_number

from .generated import generated_log
from .logs import LoggedQuestion, TrialLog, load_log, load_prompt_oirl

__all__ = ["PromptSelectArgs", "PromptSelectTask"]


@dataclass(frozen=True)
class PromptSelectArgs:
    """Arguments of `lmgym/PromptSelect-v0`."""

    trials: str = "generated"
    """Which log is played: generated, prompt_oirl (read from LMGYM_DATA), or a folder with
    train.jsonl and test.jsonl, whose lines have a question and its outcomes, 0 or 1 for each
    prompt; prompts.json may list the prompts' texts."""
    log_seed: int = 0
    """Which of the generated logs."""


class PromptSelectTask(Task[LoggedQuestion]):
    """Choose the prompt under which a question is answered right, from a log of real outcomes.

    Description:
        A contextual bandit. The agent reads numbered prompts and a question, and answers with
        the number of a prompt (the message's last number). What this prompt came to on this
        question was logged before: nothing is computed or drawn when the agent answers. In the
        generated log each of four families of questions has a prompt that suits it, and at least
        one prompt is right for every question; in a log of a real model often none is. A policy
        that always takes one prompt is the bar, the best prompt of each question the ceiling.

    Action space:
        {action_space}

        At level choice an action is the number of a prompt.

    Observation space:
        {observation_space}

        At level choice, an encoder's features of the question, scaled to a root mean square of 1.

    Reward:
        `verifier` (default): 1 where the chosen prompt was right, else 0, paid at the end of the
        episode.

    Start:
        A question drawn uniformly from the split; the splits share no question. The test split
        of `prompt_oirl` is the log's own; a tenth of its other questions is validation. A fixed
        question: `reset(options={"task_id": "generated/0/17"})`.

    Episode end:
        Terminated when the agent ends its message, and, unfinished, when the token budget or the
        context is spent. Never truncated.

    Info:
        At reset `task_id` and `prompt_text`; at the end `text`, `n_tokens`, `response_ids`,
        `role_ids`, `loss_mask`, `verdict`, `reward_parts`, `is_success`. At level chunk
        `n_tokens` counts the ids of each step; at levels message and choice it is the message's.
        At level message `messages` is there throughout. Reward functions are given the columns
        `question`, `prompts` and `outcomes`.

    Arguments:
        {arguments}

    Data and licence:
        The generated log is part of this package. The log of Prompt-OIRL (Sun et al., 2023:
        outcomes of LLaMA-2-7B-chat on GSM8K) and GSM8K (Cobbe et al., 2021) are MIT-licensed and
        not included: they are read from `LMGYM_DATA/prompt_oirl` and `LMGYM_DATA/gsm8k`.

    Baselines:
        {baselines}

        These are of the 94 test questions of the default log, where one question is 0.011.

    Versions:
        v0: first version.
    """

    Args = PromptSelectArgs
    alphabets = {"digits": "0123456789"}
    replies_draw = False

    def __init__(self, args: PromptSelectArgs) -> None:
        """Load the log; every outcome is read here."""
        super().__init__(args)
        self.log = _load(args)
        prompts = self.log.prompts
        self.choices = tuple(map(str, range(len(prompts))))
        lines = ["Which prompt?", *(f"{place} {text}" for place, text in enumerate(prompts))]
        self._instruction = Message(Role.SYSTEM, "\n".join(lines))
        self._by_address = {q.address: q for part in self.log.splits.values() for q in part}
        longest = max(len(question.text.encode()) for question in self._by_address.values())
        self.max_tokens = len(self.choices[-1]) + 1  # the number, and the end
        self.context = 16 + len(self._instruction.content.encode()) + longest + self.max_tokens

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[LoggedQuestion]:
        """Draw a question from `split`, or open the one that `task_id` addresses."""
        if task_id is None:
            questions = self.questions(split)
            return self._open(questions[int(rng.integers(len(questions)))])
        if task_id not in self._by_address:
            raise self.bad_task_id(task_id, "log/file/row or generated/seed/index")
        return self._open(self._by_address[task_id])

    def reply(
        self, state: LoggedQuestion, text: str, rng: np.random.Generator
    ) -> Reply[LoggedQuestion]:
        """Look the outcome up; the episode is over."""
        del rng
        is_right = last_number(text) in state.right
        return Reply(state, verdict=Verdict.CORRECT if is_right else Verdict.INCORRECT)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first questions of `split`."""
        return [question.address for question in self.questions(split)[:limit]]

    def demonstrate(self, state: LoggedQuestion) -> str | None:
        """The first prompt that was right; None where none was."""
        return str(state.right[0]) if state.right else None

    def questions(self, split: str) -> Sequence[LoggedQuestion]:
        """The logged questions of `split`."""
        questions = self.log.splits[self.check_split(split)]
        if not questions:
            sizes = {name: len(part) for name, part in self.log.splits.items()}
            raise LmgymError(
                f"split {split!r} of {self.args.trials!r} is empty; questions per split: {sizes}"
            )
        return questions

    def messages(self, question: LoggedQuestion) -> tuple[Message, Message]:
        """What the agent reads: the prompts by number, and the question."""
        return self._instruction, Message(Role.USER, question.text)

    def _open(self, question: LoggedQuestion) -> Opening[LoggedQuestion]:
        columns = {
            "question": question.text,
            "prompts": self.log.prompts,
            "outcomes": question.outcomes,
        }
        return Opening(
            question, self.messages(question), question.address, self.demonstrate(question), columns
        )


def _load(args: PromptSelectArgs) -> TrialLog:
    if args.trials == "generated":
        if args.log_seed < 0:
            raise LmgymError(f"log_seed {args.log_seed} is negative; use 0 or more")
        return generated_log(args.log_seed)
    if args.trials == "prompt_oirl":
        return load_prompt_oirl()
    return load_log(Path(args.trials))
