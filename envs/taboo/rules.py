"""Adversarial Taboo, with a list of words and questions that have to be answered.

After Cheng et al. 2024, "Self-playing adversarial language game enhances LLM reasoning".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game, IllegalMoveError
from lmgym.games.messages import tamed

from .hearing import said_words, words_of
from .words import FACTS, KINDS, TOPICS, TOPICS_OF, WORDS

__all__ = ["ATTACKER", "DEFENDER", "TALK", "Taboo", "TabooArgs", "Talk"]

ATTACKER, DEFENDER = 0, 1
"""The seats: the attacker knows the word and speaks first."""

TALK = 0
"""The action of both to say something else than the other actions do."""

_SPEAKERS = ("attacker", "defender")
_SMALL_TALK = ("Let us talk about something else.", "I cannot say much about that.")
_N_KINDS = 3
"""Kinds of which the words of a list are, so that some have much in common."""
_QUESTION = re.compile(rf"name something that ({'|'.join(TOPICS)})\b")
_ANNOUNCED = re.compile(r"i know the word ?:([^.!?]*)", re.IGNORECASE)
_SLIP, _TRAPPED, _GUESSED, _WRONG, _DRAW = "slip", "trapped", "guessed", "wrong", "draw"
_WON = {"": 0.0, _SLIP: -1.0, _TRAPPED: 1.0, _GUESSED: -1.0, _WRONG: 1.0, _DRAW: 0.0}
"""What the attacker wins by each outcome."""
_TOLD = {
    _SLIP: "the attacker said the word",
    _TRAPPED: "the defender said the word without knowing",
    _GUESSED: "the defender knew the word",
    _WRONG: "the defender announced a wrong word",
    _DRAW: "nobody said the word",
}


@dataclass(frozen=True)
class TabooArgs:
    """Arguments of `lmgym/Taboo-v0`."""

    words: int = 12
    """Words that the secret one is among, drawn for each game and shown to both, from 2 to 24; 0
    shows no list and asks for no answers, and the word is any of the package's: for messages."""
    turns: int = 5
    """Utterances of each side, from 1 to 20."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        for name, allowed in (("words", (0, *range(2, 25))), ("turns", range(1, 21))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
                known = "0, or 2 to 24" if name == "words" else "1 to 20"
                raise LmgymError(f"{name}={value!r} is out of range; allowed are {known}")


class Talk(NamedTuple):
    """A game.

    Attributes:
        table: the words that the secret one is among, by their numbers in the package's list.
        secret: its place on the table.
        moves: what both did, the attacker first.
        messages: what both said.
        named: places of words that the defender said, so they are not the secret.
        outcome: how it ended; empty while it goes on.
    """

    table: tuple[int, ...]
    secret: int
    moves: tuple[int, ...] = ()
    messages: tuple[str, ...] = ()
    named: frozenset[int] = frozenset()
    outcome: str = ""


class Taboo(Game[Talk]):
    """The attacker makes the defender say a word that the defender does not know.

    Action 0 is to say something else. The attacker's others ask to name something that a topic is
    true of; the defender's name a word of the table, and then announce one.

    Example:
        >>> game = Taboo(TabooArgs(words=2, turns=1))
        >>> talk = Talk((WORDS.index("eagle"), WORDS.index("pizza")), secret=0)
        >>> asked = game.tell(talk, "My turn. Name something that can fly!")
        >>> print(game.observe(asked, DEFENDER))
        The word is one of: eagle, pizza.
        You are the defender. You do not know the word.
        Attacker: My turn. Name something that can fly!
        Your turn, 1 of 1. Name something that can fly: eagle. Or announce the word.
        >>> game.returns(game.tell(asked, "I know the word: eagle"))
        (-1.0, 1.0)
    """

    Args = TabooArgs
    name = "taboo"
    args: TabooArgs

    def __init__(self, args: TabooArgs | None = None) -> None:
        super().__init__(args or TabooArgs())
        self.has_list = self.args.words > 0
        self.n_words = self.args.words or len(WORDS)
        self.n_actions = 1 + max(len(TOPICS), 2 * self.n_words)
        self.max_moves = 2 * self.args.turns
        self.max_message = 240
        self.max_text = 640 + 32 * self.args.words + self.max_moves * (self.max_message + 12)
        known = self.n_words * len(TOPICS) if self.has_list else 0
        told = self.args.turns * (len(TOPICS) + 2 * self.n_words + 2)
        self.n_features = known + told + 2 * self.n_words + 2

    def start(self, rng: np.random.Generator) -> Talk:
        """Draw words of three kinds, and one of them; without a list, one of all words."""
        if not self.has_list:
            return Talk(tuple(range(len(WORDS))), int(rng.integers(len(WORDS))))
        kinds = rng.permutation(len(KINDS))[:_N_KINDS]
        of_kinds = [word for kind in kinds for word in KINDS[kind]]
        table = rng.permutation(of_kinds)[: self.n_words]
        return Talk(tuple(table.tolist()), int(rng.integers(self.n_words)))

    def mover(self, state: Talk) -> int | None:
        """The attacker, then the defender, and so on."""
        return None if state.outcome else len(state.moves) % 2

    def legal(self, state: Talk) -> Sequence[int]:
        """Questions that can be answered; to answer with a new word, or to announce one."""
        unsaid = self._unsaid(state)
        if self.mover(state) == ATTACKER:
            topics = {topic for place in unsaid for topic in TOPICS_OF[state.table[place]]}
            return [TALK, *(1 + topic for topic in sorted(topics))]
        topic = self._asked(state)
        names = [1 + place for place in self._answers(state, topic)]
        announced = [1 + self.n_words + place for place in unsaid]
        return [*([TALK] if topic is None else []), *names, *announced]

    def play(self, state: Talk, action: int) -> Talk:
        """Say what an action says."""
        is_name = self.mover(state) == DEFENDER and 0 < action <= self.n_words
        named = frozenset([action - 1]) if is_name else frozenset()
        return self._after(state, action, self.say(state, action), named)

    def tell(self, state: Talk, text: str) -> Talk:
        """Say it; whoever says the word must not.

        Raises:
            IllegalMoveError: as `read`.
        """
        told = tamed(text, _SPEAKERS)
        named = self._named(state, told)
        if self.mover(state) == ATTACKER:
            if state.secret in named:
                return self._after(state, TALK, told, outcome=_SLIP)
            return self._after(state, self.read(state, text), told)
        if _announced(told) is not None:
            return self._after(state, self.read(state, text), told)
        action = 1 + state.secret if state.secret in named else self.read(state, text)
        return self._after(state, action, told, frozenset(named))

    def returns(self, state: Talk) -> tuple[float, float]:
        """1 for the winner, -1 for the other."""
        won = _WON[state.outcome]
        return (won, -won)

    def facts(self, state: Talk) -> Mapping[str, Any]:
        """How it ended, and the word."""
        return {"outcome": state.outcome, "word": self.word(state)}

    def word(self, state: Talk) -> str:
        """The secret word."""
        return WORDS[state.table[state.secret]]

    def observe(self, state: Talk, player: int) -> str:
        """The words of the table, one's side, and what was said; the word for the attacker."""
        words = ", ".join(WORDS[number] for number in state.table)
        lines = [f"The word is one of: {words}."] if self.has_list else []
        if player == ATTACKER:
            lines.append(f"You are the attacker. The word is {self.word(state)}.")
        else:
            lines.append("You are the defender. You do not know the word.")
        for number, message in enumerate(state.messages):
            lines.append(f"{('Attacker', 'Defender')[number % 2]}: {message}")
        return "\n".join([*lines, self._turn(state, player)])

    def features(self, state: Talk, player: int) -> NDArray[np.float32]:
        """What is true of each word of the table, what was said, the word, the seat and the time.

        A 1 for each topic that is true of a word, where there is a list; for each turn, a 1 for
        what the attacker said, and a 1 for what the defender did; a 1 for each word that was said,
        and for the attacker a 1 for the secret one; the seat, and the share that was said.
        """
        n, n_topics = self.n_words, len(TOPICS)
        seen = np.zeros(self.n_features, np.float32)
        known = n * n_topics if self.has_list else 0
        if known:
            seen[:known] = FACTS[list(state.table)].ravel()
        width = n_topics + 2 * n + 2
        for number, action in enumerate(state.moves):
            turn, seat = divmod(number, 2)
            seen[known + turn * width + seat * (n_topics + 1) + action] = 1
        flags = seen[known + self.args.turns * width :]
        flags[list(state.named)] = 1
        if player == ATTACKER:
            flags[n + state.secret] = 1
        flags[-2:] = player, len(state.moves) / self.max_moves
        return seen

    def say(self, state: Talk, action: int) -> str:
        """A question, a word, or "I know the word: " and a word."""
        mover = len(state.moves) % 2
        if action == TALK:
            return _SMALL_TALK[mover]
        if mover == ATTACKER:
            return f"Name something that {TOPICS[action - 1]}."
        announces, place = divmod(action - 1, self.n_words)
        word = WORDS[state.table[place]]
        return f"I know the word: {word}" if announces else word

    def read(self, state: Talk, text: str) -> int:
        """The action that a message stands for, where it does not say the word."""
        told = tamed(text, _SPEAKERS)
        if self.mover(state) == ATTACKER:
            return self._question(state, told)
        guess = _announced(told)
        if guess is not None:
            return self._guess(state, guess)
        topic = self._asked(state)
        named = self._named(state, told)
        answers = self._answers(state, topic)
        fitting = [place for place in named if place in answers]
        if fitting:
            return 1 + fitting[0]
        if topic is None:
            return _talk(told, is_answered=bool(named))
        words = ", ".join(WORDS[state.table[place]] for place in answers[:8])
        raise IllegalMoveError(
            f"name something new that {TOPICS[topic]}: {words}; or write as: I know the word:"
            f" {WORDS[state.table[answers[0]]]}"
        )

    def rules(self, player: int) -> str:
        """How to play."""
        side = (
            "You are the attacker and know the word: make the defender say it, and never say it"
            " yourself, in any form.",
            "You are the defender: find out the word, and do not say it unless you announce it."
            " Announce it once, as: I know the word: apple",
        )[player]
        asking = (
            " The word is one of a list. To a question such as 'Name something that can fly.' the"
            " defender must answer with a word of the list that was not said before."
            f" Questions are: Name something that {', '.join(TOPICS)}."
        )
        return (
            "Adversarial Taboo. The attacker knows a secret word, and both speak in turn. If the"
            " attacker says the word, the defender wins. If the defender says it without announcing"
            " it, the attacker wins. If the defender announces it, the defender wins; a wrong word"
            f" loses. After {self.args.turns} utterances of each it is a draw. {side}"
            f"{asking if self.has_list else ''}"
        )

    def _after(
        self,
        state: Talk,
        action: int,
        message: str,
        named: frozenset[int] = frozenset(),
        outcome: str = "",
    ) -> Talk:
        moves = (*state.moves, action)
        guess = action - 1 - self.n_words
        if state.secret in named:
            outcome = _TRAPPED
        elif self.mover(state) == DEFENDER and guess >= 0:
            outcome = _GUESSED if guess == state.secret else _WRONG
        elif not outcome and len(moves) == self.max_moves:
            outcome = _DRAW
        return Talk(
            state.table,
            state.secret,
            moves,
            (*state.messages, message),
            state.named | named,
            outcome,
        )

    def _turn(self, state: Talk, player: int) -> str:
        mover = self.mover(state)
        if mover is None:
            return f"The game is over: {_TOLD[state.outcome]}. The word was {self.word(state)}."
        if mover != player:
            return "Wait."
        turn = f"Your turn, {len(state.moves) // 2 + 1} of {self.args.turns}."
        topic = self._asked(state)
        if topic is None:
            return turn
        words = ", ".join(WORDS[state.table[place]] for place in self._answers(state, topic))
        return f"{turn} Name something that {TOPICS[topic]}: {words}. Or announce the word."

    def _unsaid(self, state: Talk) -> list[int]:
        return [place for place in range(self.n_words) if place not in state.named]

    def _asked(self, state: Talk) -> int | None:
        """The topic of the question that the mover has to answer."""
        is_asked = self.has_list and len(state.moves) % 2 == DEFENDER and state.moves[-1] != TALK
        return state.moves[-1] - 1 if is_asked else None

    def _answers(self, state: Talk, topic: int | None) -> list[int]:
        """Places of new words that a topic is true of; of all new words, where none was asked."""
        unsaid = self._unsaid(state)
        if topic is None:
            return unsaid
        return [place for place in unsaid if topic in TOPICS_OF[state.table[place]]]

    def _named(self, state: Talk, told: str) -> list[int]:
        """Places of the words that a message says."""
        places = {WORDS[number]: place for place, number in enumerate(state.table)}
        return [places[word] for word in said_words(told, places)]

    def _question(self, state: Talk, told: str) -> int:
        found = _QUESTION.findall(told.lower())
        if not found:
            return _talk(told)
        action = 1 + TOPICS.index(found[-1])
        if action not in self.legal(state):
            raise IllegalMoveError(f"no word that is left {found[-1]}; ask something else")
        return action

    def _guess(self, state: Talk, guess: str) -> int:
        named = self._named(state, guess)
        if len(named) != 1:
            told = "no word of the game" if not named else f"{len(named)} words"
            raise IllegalMoveError(
                f"{guess.strip()[:40]!r} is {told}; announce one, as: I know the word: apple"
            )
        if named[0] in state.named:
            word = WORDS[state.table[named[0]]]
            raise IllegalMoveError(f"{word} was said before, so it is not the word")
        return 1 + self.n_words + named[0]


def _announced(told: str) -> str | None:
    """What a message announces as the word; None where it announces nothing."""
    found = _ANNOUNCED.findall(told)
    return found[-1] if found else None


def _talk(told: str, *, is_answered: bool = False) -> int:
    """To say something else, if a message says anything."""
    if len(words_of(told)) < 2 and not is_answered:
        raise IllegalMoveError(f"{told[:40]!r} is no utterance; say two words or more")
    return TALK
