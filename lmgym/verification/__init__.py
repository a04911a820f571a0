r"""Exact verification of numeric answers; text of a model is parsed, never executed.

The answer is the last complete ``\boxed{...}`` of a response, which must hold one number, else the
response's last number; it is right when it equals the gold exactly. Integers, decimals, exponents,
thousands separators, plain, LaTeX and mixed fractions are read; a unit is ignored.
"""

from lmgym.verification.answers import last_number, parse_gold, parse_number, verify_number

__all__ = ["last_number", "parse_gold", "parse_number", "verify_number"]
