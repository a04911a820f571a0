r"""Exact verification of mathematical answers; text of a model is parsed, never executed.

`verify` reads all kinds of mathematics: docs/verification.md. The functions of numbers read less
and are faster: the answer is the last complete ``\boxed{...}`` of a response, which must hold one
number, else the response's last number; it is right when it equals the gold exactly. Integers,
decimals, exponents up to 400, thousands apart by commas or spaces, plain, LaTeX and mixed fractions
are read. A box may name its number (``x = 5``) and give it a unit, which is ignored, as a percent
sign is; roots, powers, products, sums, variables and repeating decimals are no answers. A gold has
no unit.
"""

from lmgym.verification.answers import (
    last_box,
    last_number,
    parse_gold,
    parse_number,
    verify_number,
)
from lmgym.verification.arithmetic import evaluate
from lmgym.verification.reasons import Reason
from lmgym.verification.trl_reward import trl_reward
from lmgym.verification.verifier import Policy, Verdict, read_gold, verify, verify_batch

__all__ = [
    "Policy",
    "Reason",
    "Verdict",
    "evaluate",
    "last_box",
    "last_number",
    "parse_gold",
    "parse_number",
    "read_gold",
    "trl_reward",
    "verify",
    "verify_batch",
    "verify_number",
]
