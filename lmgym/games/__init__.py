"""Games for several players: rules, a game as it is played, players, and worlds for one agent.

`Game` is what a game's rules are, `GameRun` one game with its moves, `Player` what chooses them,
and `GameTask` a game against an opponent as a `Task`. `lmgym.multi_agent` shows games as
environments of PettingZoo.
"""

from lmgym.games.game import Game, IllegalMoveError
from lmgym.games.run import GameRun, Move, Turn

__all__ = ["Game", "GameRun", "IllegalMoveError", "Move", "Turn"]
