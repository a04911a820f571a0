"""The preference world: write what people like, paid by a model of what they like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.rewards.source import RewardSource
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.transcript import Transcript

from .cheers import N_PROMPTS, cheer, prompt_at
from .gold import gold_source
from .prompt_files import Row, load_prompts

__all__ = ["PreferenceArgs", "PreferenceTask", "Question"]

_GENERATED = "generated"
_REFERENCE, _DEMONSTRATION = 0, 1
"""Two people who answer every generated prompt."""
_REMEMBERED = 64
"""References whose grades are kept at most, where a file does not have more."""

Said = tuple[Message, ...]


class Question(NamedTuple):
    """The state of an episode.

    Attributes:
        messages: what the agent reads.
        reference: the answer that it should beat, where there is one.
    """

    messages: tuple[Message, ...]
    reference: str | None


@dataclass(frozen=True)
class PreferenceArgs:
    """Arguments of `lmgym/Preference-v0`."""

    prompts: str = _GENERATED
    """Where prompts come from: generated, or the path of a file: .jsonl with the column prompt (a
    text, or messages) and perhaps reference, or text with one prompt a line."""
    gold: str | None = None
    """What answers are judged by, for evaluation only: taste (the default for generated prompts), a
    reward such as rm:DIR, or none (the default for files)."""


class PreferenceTask(Task[Question]):
    """Write what a hidden taste prefers: a world whose reward is meant to be learned.

    Description:
        The prompt asks for a cheer with two words, as `say kelo rami`, and readers like some cheers
        more than others. Nobody can write their taste down, but it can be asked for:
        `lmgym.preferences.collection.collect_pairs` has answers compared, `lmgym reward fit` makes
        a model of the comparisons, and `reward="rm:DIR"` pays what the model says. The taste
        itself, the gold reward, is in `info["gold_reward"]` at the end of an episode, whatever is
        paid, so that over-optimisation can be seen: each part of the taste rises over the answers
        that people write and falls beyond them, and a learner that goes on where the model was
        never asked is paid more and liked less. The taste is paid only if you ask for it: as a
        number by `reward="gold"`, as a comparison with the reference by `verifier`.

        An answer succeeds when it is liked more than the reference, what somebody else wrote for
        the prompt: success is the win rate, and people win about half. The embedded policy answers
        with something like the second word; `lmgym train sft lmgym/Preference-v0` teaches it to
        write as people do, and gives the variety that comparisons, best-of-N and reinforcement
        learning need.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `rm:DIR`, a reward model; without one `verifier` (default): 1 for an answer that the taste
        prefers to the reference, else 0, paid at the end of the episode. `gold` pays the taste
        itself, `reward=None` nothing.

    Start:
        A prompt drawn uniformly; splits are disjoint. A fixed one:
        `reset(options={"task_id": "cheer/17"})`.

    Episode end:
        Terminated when the agent ends its message, and, unfinished, when the token budget or the
        context is spent. Never truncated. Without a gold reward or a reference the verdict is
        `ended`.

    Info:
        At reset `task_id` and `prompt_text`; at the end `text`, `n_tokens`, `response_ids`,
        `role_ids`, `loss_mask`, `verdict`, `reward_parts`, `is_success`, `gold_reward`. At level
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

    Args = PreferenceArgs
    alphabets = {"cheers": "abcdefghijklmnopqrstuvwxyz !"}
    replies_draw = False

    def __init__(self, args: PreferenceArgs) -> None:
        """Read the prompts, and find what answers are judged by."""
        super().__init__(args)
        self._is_generated = args.prompts == _GENERATED
        self._gold = gold_source(args.gold, is_generated=self._is_generated)
        self.has_gold_reward = self._gold is not None
        self._rows: dict[str, list[Row]] = {}
        self._references: dict[Said, float] = {}
        self._replied: dict[Said, float] = {}
        self.context, self.max_tokens = 64, 32
        if not self._is_generated:
            self._rows = load_prompts(Path(args.prompts))
            self.context, self.max_tokens = 2048, 512
        self._by_address = {row.address: row for rows in self._rows.values() for row in rows}

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[Question]:
        """Draw a prompt from `split`, or open the one that `task_id` addresses."""
        if task_id is not None:
            return self._at(task_id)
        if self._is_generated:
            return self._open(self._next(self.check_split(split), int(rng.integers(N_PROMPTS))))
        rows = self._rows_of(split)
        return _open_row(rows[int(rng.integers(len(rows)))])

    def reply(self, state: Question, text: str, rng: np.random.Generator) -> Reply[Question]:
        """Compare the answer with the reference; the episode is over."""
        return self.reply_many([state], [text], [rng])[0]

    def reply_many(
        self, states: Sequence[Question], texts: Sequence[str], rngs: Sequence[np.random.Generator]
    ) -> list[Reply[Question]]:
        """Compare a batch of answers."""
        del rngs
        verdicts = [Verdict.ENDED] * len(states)
        judged = [i for i, state in enumerate(states) if state.reference is not None]
        if self._gold is not None and judged:
            answers = [_said(states[i], texts[i]) for i in judged]
            references = [_said(states[i], states[i].reference or "") for i in judged]
            self._grade(self._gold, answers, references)
            for i, answer, reference in zip(judged, answers, references, strict=True):
                beats = self._replied[answer] > self._references[reference]
                is_copy = answer == reference
                verdicts[i] = Verdict.CORRECT if beats and not is_copy else Verdict.INCORRECT
        return [Reply(state, (), v) for state, v in zip(states, verdicts, strict=True)]

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        """How much each answer is liked, shape (n,); answers that were cut off too."""
        if self._gold is None:
            return super().gold_rewards(transcripts)
        replied = self._replied  # the answers that `reply_many` has just graded
        missing = [t for t in transcripts if t.messages not in replied]
        rest = iter(self._gold.score(missing).outcome.tolist() if missing else ())
        liked = [replied[t.messages] if t.messages in replied else next(rest) for t in transcripts]
        return np.array(liked, np.float64)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first prompts of `split`."""
        if not self._is_generated:
            return [row.address for row in self._rows_of(split)[:limit]]
        self.check_split(split)
        found: list[str] = []
        index = -1
        while len(found) < limit:
            index = self._next(split, index + 1)
            found.append(f"cheer/{index}")
        return found

    def demonstrate(self, state: Question) -> str | None:
        """What another person than the reference's wrote; the reference itself for a file."""
        if not self._is_generated:
            return state.reference
        return cheer(state.messages[0].content, _DEMONSTRATION)

    def _grade(
        self, gold: RewardSource, answers: Sequence[Said], references: Sequence[Said]
    ) -> None:
        """Grade answers, and the references that are not remembered, in one batch."""
        if len(self._references) > max(_REMEMBERED, len(self._by_address)):
            self._references.clear()
        new = [said for said in dict.fromkeys(references) if said not in self._references]
        said = [*answers, *new]
        transcripts = [Transcript(each, (), len(each) - 1) for each in said]
        likings = gold.score(transcripts).outcome.tolist()
        self._replied = dict(zip(answers, likings[: len(answers)], strict=True))
        self._references |= dict(zip(new, likings[len(answers) :], strict=True))

    def _next(self, split: str, index: int) -> int:
        """The first index from `index` on whose prompt belongs to `split`."""
        while split_of(prompt_at(index % N_PROMPTS)) != split:
            index += 1
        return index % N_PROMPTS

    def _rows_of(self, split: str) -> list[Row]:
        rows = self._rows[self.check_split(split)]
        if not rows:
            sizes = {name: len(rows) for name, rows in self._rows.items()}
            raise LmgymError(
                f"split {split!r} of {self.args.prompts!r} is empty; prompts per split: {sizes}"
            )
        return rows

    def _at(self, task_id: str) -> Opening[Question]:
        if not self._is_generated:
            if task_id not in self._by_address:
                raise self.bad_task_id(task_id, "file/row")
            return _open_row(self._by_address[task_id])
        kind, _, index = task_id.partition("/")
        is_address = kind == "cheer" and index.isdecimal() and len(index) < 20
        if not is_address or int(index) >= N_PROMPTS:
            raise self.bad_task_id(task_id, "cheer/index")
        return self._open(int(index))

    def _open(self, index: int) -> Opening[Question]:
        prompt = prompt_at(index)
        reference = cheer(prompt, _REFERENCE)
        return _opening((Message(Role.USER, prompt),), reference, f"cheer/{index}")


def _said(state: Question, text: str) -> Said:
    """The conversation with an answer at its end."""
    return (*state.messages, Message(Role.ASSISTANT, text))


def _open_row(row: Row) -> Opening[Question]:
    return _opening(row.messages, row.reference, row.address)


def _opening(
    messages: tuple[Message, ...], reference: str | None, task_id: str
) -> Opening[Question]:
    columns = {} if reference is None else {"reference": reference}
    return Opening(Question(messages, reference), messages, task_id, None, columns)
