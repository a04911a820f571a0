r"""`verify`: whether a response gives the answer that a gold says, and why.

The answer is extracted (`extraction`, `clauses`), read as a choice, a time, a date, words
(`choices`, `clocks`, `dates`, `phrases`), or a tree of mathematics with a unit, and compared
exactly. Text of a model is parsed, never executed; what is too long or too big is refused, not
computed.

- Reading: `readings`, of words (`spoken`, `number_words`), units (`units`), and mathematics in one
  spelling (`spelling`) by tokens (`lexing`) and layers from tight to loose: `cursor`, `brackets`,
  `names`, `atoms`, `grammar`, to `trees`.
- Comparing: `judging` by a `policy`, `comparison` by its layers from `comparer` on, `realsets`,
  `families`, `matrices`, `expressions`; in the end `values` (exact) and `numeric` (in many digits),
  within a share of `work`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lmgym.errors import LmgymError
from lmgym.verification.choices import Choice, as_choice
from lmgym.verification.clauses import clauses
from lmgym.verification.clocks import Clock, as_clock
from lmgym.verification.dates import Date, as_date
from lmgym.verification.extraction import Extracted, cleaned, extract
from lmgym.verification.judging import compare_numbers, compare_readings
from lmgym.verification.lexing import MAX_LENGTH, UnreadableError
from lmgym.verification.phrases import Phrase, as_phrase
from lmgym.verification.policy import STRICT, Policy
from lmgym.verification.readings import Reading, bare_number, read
from lmgym.verification.reasons import Reason
from lmgym.verification.trees import Num, symbols
from lmgym.verification.values import NotANumberError, exact
from lmgym.verification.work import start, stop

__all__ = ["STRICT", "Policy", "Reading", "Verdict", "read_gold", "verify", "verify_batch"]

_MAX_SHOWN = 200
"""Characters of an answer that a verdict keeps where it could not be read."""
_WORDS = frozenset(("no", "yes", "odd", "max", "min", "inf"))
"""Golds that could be read as variables or names, and are words."""

_PAIRS = tuple(
    (re.compile(a), re.compile(b))
    for a, b in ((r"\{", r"\}"), (r"\\left(?![a-z])", r"\\right(?![a-z])"))
)
"""What is opened and closed in a gold."""

Target = Choice | Clock | Date | Phrase | Reading
"""What a gold is read as."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found.

    Attributes:
        correct: whether the answer is worth the gold.
        extracted: the answer as it was read; None where there is none.
        method: where it stood: box, tag, marker, end, or nothing.
        reason: why it was taken or refused.
    """

    correct: bool
    extracted: str | None
    method: str
    reason: Reason


def verify(response: str, gold: str, policy: Policy = STRICT) -> Verdict:
    r"""Whether the answer of a response is worth the gold answer.

    Args:
        response: what a model wrote.
        gold: the reference, as data sets store it: plain, LaTeX, in a box, or behind ``####``.
        policy: what is let pass.

    Raises:
        LmgymError: where the gold cannot be read.

    Example:
        >>> verify(r"So x is \boxed{\frac{\sqrt{2}}{2}}.", "1/sqrt(2)").correct
        True
        >>> verify("The answer is 5 or 6.", "5").reason
        <Reason.HEDGED: 'hedged'>
    """
    if not isinstance(response, str) or not isinstance(gold, str):
        kinds = f"{type(response).__name__} and {type(gold).__name__}"
        raise LmgymError(f"a response and a gold are texts; given {kinds}")
    target = read_gold(gold)
    found = extract(response)
    if found is None or not found.text.strip():
        return Verdict(False, None, "nothing" if found is None else found.method, Reason.EMPTY)
    if not isinstance(target, Reading):
        is_too_long = len(found.text) > MAX_LENGTH
        reason = Reason.TOO_BIG if is_too_long else target.reason(found)
        text = found.text[:_MAX_SHOWN]
    else:
        start(policy.tolerance)
        try:
            reason, text = _against_reading(found, target, policy)
        finally:
            stop()
    return Verdict(reason.is_correct, text, found.method, reason)


def verify_batch(
    responses: Sequence[str], golds: Sequence[str], policy: Policy = STRICT
) -> list[Verdict]:
    """`verify` for each response and its gold.

    Example:
        >>> [verdict.correct for verdict in verify_batch(["4", "x = 3"], ["2^2", "4"])]
        [True, False]
    """
    return [verify(r, g, policy) for r, g in zip(responses, golds, strict=True)]


@lru_cache(maxsize=4096)
def read_gold(gold: str) -> Target:
    """A gold answer, read once.

    Raises:
        LmgymError: where nothing is in it, or it is too long.

    Example:
        >>> type(read_gold("(B)")).__name__, type(read_gold("3:30 pm")).__name__
        ('Choice', 'Clock')
    """
    number = bare_number(gold)
    if number is not None:
        listed = read(gold).listed if "," in gold else None
        return Reading(gold, Num(number), Num(number), listed=listed, number=number)
    text = _text_of(gold)
    said = as_choice(text) or as_clock(text) or as_date(text)
    return said or _mathematics(text) or _phrase(text, gold)


def _text_of(gold: str) -> str:
    """The answer that a gold holds, behind #### or a phrase, in a box or a tag where these are."""
    found = extract(gold)
    text = cleaned(gold if found is None or found.method == "end" else found.text)
    if not text:
        raise LmgymError(f"the gold answer {gold[:60]!r} is empty")
    if len(text) > MAX_LENGTH:
        raise LmgymError(
            f"the gold answer {gold[:60]!r} has {len(text)} characters; at most {MAX_LENGTH} are"
            " read"
        )
    if any(len(a.findall(text)) != len(b.findall(text)) for a, b in _PAIRS):
        raise LmgymError(f"the gold answer {gold[:60]!r} has a brace that is not closed")
    return text


def _mathematics(text: str) -> Reading | None:
    """A gold as mathematics, or None where it is words."""
    reading = read(text)
    is_word = text.strip("$ ").lower() in _WORDS
    if reading.tree is not None and not symbols(reading.tree):
        try:
            exact(reading.tree)
        except NotANumberError as error:
            raise LmgymError(f"the gold answer {text[:60]!r} has no value: {error}") from None
        except UnreadableError:
            pass  # too big to be computed, compared as it stands
    return reading if reading.is_too_big or (reading.is_readable and not is_word) else None


def _phrase(text: str, gold: str) -> Phrase:
    phrase = as_phrase(text)
    if not phrase.words:
        raise LmgymError(f"the gold answer {gold[:60]!r} holds no number, mathematics or words")
    return phrase


def _against_reading(found: Extracted, gold: Reading, policy: Policy) -> tuple[Reason, str]:
    """Why what was extracted is taken or refused, and its first clause that can be read."""
    is_too_big = False
    for clause in clauses(found):
        if clause == gold.text:
            return Reason.EQUAL, clause
        number = None if gold.number is None else bare_number(clause)
        if number is not None and gold.number is not None:
            return compare_numbers(number, gold.number, policy), clause
        answer = read(clause)
        is_too_big = is_too_big or answer.is_too_big
        if answer.is_readable:
            return _compared(answer, gold, policy), clause
    reason = Reason.TOO_BIG if is_too_big else Reason.UNPARSABLE
    return reason, found.text[:_MAX_SHOWN]


def _compared(answer: Reading, gold: Reading, policy: Policy) -> Reason:
    try:
        return compare_readings(answer, gold, policy)
    except NotANumberError:
        return Reason.NOT_EQUAL
    except UnreadableError:
        return Reason.TOO_BIG
