"""The debate in PettingZoo: `debate_v0.env()`."""

from functools import partial

from lmgym.multi_agent import make_aec

from .rules import Debate

__all__ = ["env", "raw_env"]

env = raw_env = partial(make_aec, Debate)
