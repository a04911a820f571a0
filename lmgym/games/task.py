"""`GameTask`: a game for one agent, against an opponent that is part of the world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.games.deals import N_DEALS, draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.players import find_player
from lmgym.games.run import GameRun
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.transcript import Transcript

__all__ = ["GameTask", "SeatArgs", "Seated"]

_NUMBER = re.compile(r"\s*#(\d{1,4})\s*")
_START = (
    "A deal of `split`, and a seat, unless `seat` says which. The opponent's draws follow from the"
    ' deal. A fixed game: `reset(options={{"task_id": "{game}/37/0"}})`, deal and seat.'
)
_CARD = {
    "{numbers}": (
        "Every move has a number, too: at level choice that is the action, elsewhere `#3` is a"
        " message for it."
    ),
    "{episode_end}": (
        "Terminated when the game is over. A message without a legal move changes nothing, the"
        " agent is told why and may try once more; the second one in a row forfeits"
    ),
    "{info}": (
        "At reset `task_id` and `prompt_text`; at a turn's end `text`, `n_tokens` and"
        " `game_return`, what the agent has won so far; at the end also `response_ids`,"
        " `role_ids`, `loss_mask`, `verdict`, `reward_parts`, `is_success`. At level chunk"
        " `n_tokens` counts the ids of each step; at level message `messages` is there throughout."
    ),
}
"""What the cards of games say alike."""


@dataclass(frozen=True)
class SeatArgs:
    """What worlds of games take besides the arguments of their game."""

    opponent: str = "random"
    """Who plays the other seats: random, best where the game knows best moves, mcts:SIMULATIONS,
    policy:DIR for what self-play has trained, or model:MODEL for a language model."""
    seat: int | None = None
    """The agent's seat, from 0 on; by default drawn for each game."""
    guide: bool = False
    """Whether a system message tells the rules, for models that were not trained here."""


class Seated(NamedTuple):
    """A game at the agent's turn, or over.

    Attributes:
        deal: the number of the start.
        seat: the agent's.
        moves: all that was tried so far, by all players.
        state: of the game.
        complaint: why the agent's last try was not allowed; empty where it was.
        returns: what the agent has won so far.
    """

    deal: int
    seat: int
    moves: int
    state: Any
    complaint: str
    returns: float


class GameTask(Task[Seated]):
    """A game against an opponent.

    Subclasses name the game. The opponent's draws follow from the deal, so an address plays the
    same game again. Each reply says all that the agent knows: contexts start again.
    """

    game_class: ClassVar[type[Game[Any]]]
    alphabets = {"numbers": "#0123456789"}
    replies_draw = False
    has_gold_reward = True
    restarts_context = True
    args: SeatArgs

    def __init__(self, args: SeatArgs) -> None:
        """Check the seat, and find the opponent."""
        super().__init__(args)
        self.game: Game[Any] = self.game_class(args)
        n_seats = len(self.game.players)
        seat = args.seat
        is_whole = isinstance(seat, int) and not isinstance(seat, bool)
        if seat is not None and (not is_whole or seat not in range(n_seats)):
            raise LmgymError(f"seat={seat!r} does not exist; seats are 0 to {n_seats - 1}")
        self.player = find_player(args.opponent, self.game)
        self.choices = tuple(f"#{action}" for action in range(self.game.n_actions))
        self.n_features = self.game.n_features
        self.max_turns = 2 * self.game.max_moves
        guide = max(len(self.game.rules(i).encode()) for i in range(n_seats)) if args.guide else 0
        self._answer = self.answer_bytes()
        self.max_tokens = self.max_turns * self._answer
        self.context = 2 * self.game.max_text + guide + self._answer + 32

    @classmethod
    def card_facts(cls) -> Mapping[str, str]:
        """What the cards of all games say alike."""
        return {**_CARD, "{start}": _START.format(game=cls.game_class.name)}

    def answer_bytes(self) -> int:
        """Bytes that an answer takes, with its end."""
        return 32

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[Seated]:
        """Deal, or start the game at an address; the opponent moves first where it is its turn."""
        if task_id is not None:
            deal, seat = self._address(task_id)
        else:
            deal = draw_deal(rng, self.check_split(split))
            seat = (
                int(rng.integers(len(self.game.players)))
                if self.args.seat is None
                else self.args.seat
            )
        run = GameRun(self.game, start_of(self.game, deal))
        state = self._until_turn(run, deal, seat, 0)
        return Opening(state, self._shown(state), f"{self.game.name}/{deal}/{seat}")

    def reply(self, state: Seated, text: str, rng: np.random.Generator) -> Reply[Seated]:
        """Move, and let the opponent move; a game may have ended before the agent's first turn."""
        del rng
        if self.game.mover(state.state) != state.seat:
            return Reply(state, verdict=_verdict(state), info={"game_return": state.returns})
        run = GameRun(self.game, state.state)
        run.complaint = state.complaint
        run.act(_said(text))
        after = self._until_turn(run, state.deal, state.seat, state.moves)
        info = {"game_return": after.returns}
        if run.mover is not None:
            return Reply(after, self._shown(after)[-1:], info=info)
        return Reply(after, verdict=_verdict(after), info=info)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first deals of a split, each in every seat."""
        seats = range(len(self.game.players)) if self.args.seat is None else [self.args.seat]
        found: list[str] = []
        deal = 0
        self.check_split(split)
        while len(found) < limit:
            if split_of(f"deal/{deal}") == split:
                found += [f"{self.game.name}/{deal}/{seat}" for seat in seats]
            deal += 1
        return found[:limit]

    def demonstrate(self, state: Seated) -> str | None:
        """The best move, where the game knows it."""
        best = self.game.best(state.state)
        return None if best is None else self.game.say(state.state, best)

    def allowed(self, state: Seated) -> Sequence[int]:
        """What the agent may do: anything, where the game ended before its first turn."""
        is_turn = self.game.mover(state.state) == state.seat
        return self.game.legal(state.state) if is_turn else range(len(self.choices))

    def features(self, state: Seated) -> NDArray[np.float32]:
        """What the agent knows, as the game tells it in numbers."""
        return self.game.features(state.state, state.seat)

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        """What the agent has won, shape (n,): games are played again from their addresses."""
        return np.array([self._won(transcript) for transcript in transcripts])

    def _won(self, transcript: Transcript) -> float:
        rng = np.random.default_rng(0)  # nothing is drawn from it
        state = self.reset(rng, task_id=transcript.task_id).state
        for message in transcript.messages[transcript.n_opening :]:
            if message.role is Role.ASSISTANT:
                state = self.reply(state, message.content, rng).state
        is_unfinished = transcript.verdict is Verdict.UNFINISHED
        return self.game.forfeit(state.seat)[state.seat] if is_unfinished else state.returns

    def _until_turn(self, run: GameRun[Any], deal: int, seat: int, n_before: int) -> Seated:
        """Let the others move until it is the agent's turn, or the game is over."""
        while run.mover not in (None, seat):
            rng = np.random.default_rng([deal, n_before + len(run.moves)])
            run.act(self.player.act(run.turn(), rng))
        n_moves, complaint = n_before + len(run.moves), run.complaint
        if run.forfeited not in (None, seat):
            complaint = "The opponent forfeits the game."
        return Seated(deal, seat, n_moves, run.state, complaint, run.returns[seat])

    def _shown(self, state: Seated) -> tuple[Message, ...]:
        text = self.game.observe(state.state, state.seat)
        if state.complaint:
            text = f"{state.complaint}\n{text}"
        page = Message(Role.USER, text)
        if self.args.guide:
            return (Message(Role.SYSTEM, self.game.rules(state.seat)), page)
        return (page,)

    def _address(self, task_id: str) -> tuple[int, int]:
        kind, *numbers = task_id.split("/")
        if kind != self.game.name or len(numbers) != 2 or not all(n.isdecimal() for n in numbers):
            raise self.bad_task_id(task_id, f"{self.game.name}/deal/seat")
        deal, seat = map(int, numbers)
        if deal >= N_DEALS or seat >= len(self.game.players):
            raise self.bad_task_id(task_id, f"{self.game.name}/deal/seat")
        return deal, seat


def _verdict(state: Seated) -> Verdict:
    return Verdict.CORRECT if state.returns > 0 else Verdict.INCORRECT


def _said(text: str) -> int | str:
    """A message, or an action by its number, as "#3"."""
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match else text
