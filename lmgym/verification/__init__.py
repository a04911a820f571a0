r"""Exact verification of numeric answers; text of a model is parsed, never executed.

The answer is the last complete ``\boxed{...}`` of a response, else its last number; it is right
when it equals the gold exactly. Integers, decimals, thousands separators, plain and LaTeX
fractions are read.
"""

from lmgym.verification.answers import last_number, parse_gold, parse_number, verify_number

__all__ = ["last_number", "parse_gold", "parse_number", "verify_number"]
