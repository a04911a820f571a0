"""`GameRun`: one game as it is played, with retries, forfeits and a record of every move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from lmgym.games.game import Game, IllegalMoveError
from lmgym.games.messages import tamed

__all__ = ["GameRun", "Move", "Turn"]

S = TypeVar("S")


class Move(NamedTuple):
    """What a player did.

    Attributes:
        player: its seat.
        said: the action's number, or the message.
        complaint: why it was not allowed; empty where it was.
    """

    player: int
    said: int | str
    complaint: str = ""


class Turn(NamedTuple):
    """What a player is asked: to move in a state of a game.

    Attributes:
        game: the rules.
        state: of the game. Players are trusted with it, and look at their own side only.
        seat: who is to move.
        complaint: why the last try was not allowed; empty where there was none.
    """

    game: Game[Any]
    state: Any
    seat: int
    complaint: str = ""

    @property
    def text(self) -> str:
        """All that the player knows, in words, after the complaint."""
        seen = self.game.observe(self.state, self.seat)
        return f"{self.complaint}\n{seen}" if self.complaint else seen


class GameRun(Generic[S]):
    """A game as it is played.

    A move that is not allowed changes nothing; the player is told why and may try once more. The
    second one in a row forfeits: the game is over, and the player loses as much as one can.

    Args:
        game: the rules.
        state: the start.

    Attributes:
        state: of the game.
        moves: all that was tried.
        mover: who moves next; None once the game is over.
        complaint: why the mover's last try was not allowed; empty where it was.
        forfeited: the player who forfeited.
        returns: what each player has won so far.

    Example:
        >>> from lmgym.envs.tic_tac_toe.rules import TicTacToe
        >>> game = TicTacToe()
        >>> run = GameRun(game, game.start(None))
        >>> for said in ("b2", "b2"):
        ...     run.act(said)
        >>> run.mover, run.complaint
        (1, 'b2 is taken; free are a1, a2, a3, b1, b3, c1, c2, c3')
        >>> run.act("b2")
        >>> run.mover, run.forfeited, run.returns
        (None, 1, (1.0, -1.0))
    """

    def __init__(self, game: Game[S], state: S) -> None:
        self.game = game
        self.state = state
        self.moves: list[Move] = []
        self.mover = game.mover(state)
        self.complaint = ""
        self.forfeited: int | None = None
        self.returns = game.returns(state)

    def act(self, said: int | str) -> None:
        """Let the mover do something: an action's number, or a message."""
        player = self.mover
        assert player is not None, "the game is over"
        try:
            state = self._after(self.state, said)
        except IllegalMoveError as error:
            self._complain(player, said, tamed(str(error)))  # it may repeat what was said
            return
        self.state, self.complaint = state, ""
        self.moves.append(Move(player, said))
        self.mover = self.game.mover(state)
        self.returns = self.game.returns(state)

    def act_at_once(self, said: Sequence[int | str]) -> None:
        """Let all players move, none of whom has seen what the others do.

        A move that is not allowed cannot be tried again, since the others have moved: it forfeits,
        and where nobody's is allowed the game ends with nothing won.
        """
        state, wrong = self.state, {}
        for player, each in enumerate(said):
            try:
                state = self._after(state, each)
            except IllegalMoveError as error:
                wrong[player] = tamed(str(error))
                state = self.game.play(state, self.game.legal(state)[0])  # so that others are read
        if not wrong:
            for each in said:
                self.act(each)
            return
        for player, reason in wrong.items():
            self._note(player, said[player], reason)
        self.forfeit(*next(iter(wrong.items())))
        if len(wrong) == len(said):
            self.forfeited, self.returns = None, (0.0,) * len(said)

    def turn(self) -> Turn:
        """What the mover is asked."""
        assert self.mover is not None, "the game is over"
        return Turn(self.game, self.state, self.mover, self.complaint)

    def forfeit(self, player: int, reason: str) -> None:
        """End the game, because a player cannot go on."""
        self.complaint, self.forfeited, self.mover = reason, player, None
        self.returns = self.game.forfeit(player)

    def facts(self) -> dict[str, Any]:
        """What is told once the game is over."""
        if self.forfeited is None:
            is_void = bool(self.complaint)
            return {"reason": self.complaint} if is_void else dict(self.game.facts(self.state))
        return {"forfeit": self.game.players[self.forfeited], "reason": self.complaint}

    def _after(self, state: S, said: int | str) -> S:
        if not isinstance(said, str):
            return self.game.play(state, self.game.check_action(state, said))
        if len(said.encode("utf-8", "surrogatepass")) > self.game.max_message:
            raise IllegalMoveError(
                f"the message is too long; write {self.game.max_message} bytes at most"
            )
        return self.game.tell(state, said)

    def _complain(self, player: int, said: int | str, reason: str) -> None:
        self._note(player, said, reason)
        if self.complaint:
            self.forfeit(player, reason)
        self.complaint = reason

    def _note(self, player: int, said: int | str, reason: str) -> None:
        kept = said[: self.game.max_message] if isinstance(said, str) else said
        self.moves.append(Move(player, kept, reason))
