"""Kuhn poker in PettingZoo: `kuhn_poker_v0.env()`."""

from functools import partial

from lmgym.multi_agent import make_aec

from .rules import KuhnPoker

__all__ = ["env", "raw_env"]

env = raw_env = partial(make_aec, KuhnPoker)
