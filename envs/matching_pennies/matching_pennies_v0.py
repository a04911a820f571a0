"""Iterated matching pennies in PettingZoo: `matching_pennies_v0.env()`."""

from functools import partial

from lmgym.multi_agent import make_aec, make_parallel

from .rules import MatchingPennies

__all__ = ["env", "parallel_env", "raw_env"]

env = raw_env = partial(make_aec, MatchingPennies)
parallel_env = partial(make_parallel, MatchingPennies)
