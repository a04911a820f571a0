"""Negotiation in PettingZoo: `negotiation_v0.env()`."""

from functools import partial

from lmgym.multi_agent import make_aec

from .rules import Negotiation

__all__ = ["env", "raw_env"]

env = raw_env = partial(make_aec, Negotiation)
