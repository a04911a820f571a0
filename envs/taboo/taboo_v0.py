"""Adversarial Taboo in PettingZoo: `taboo_v0.env()`."""

from functools import partial

from lmgym.multi_agent import make_aec

from .rules import Taboo

__all__ = ["env", "raw_env"]

env = raw_env = partial(make_aec, Taboo)
