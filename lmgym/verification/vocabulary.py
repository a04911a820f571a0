"""Names of functions, constants, letters and scales; and English words that are as short."""

from __future__ import annotations

__all__ = [
    "ALIASES",
    "CONSTANTS",
    "FUNCTIONS",
    "GREEK",
    "MATRICES",
    "SCALES",
    "SHORT_WORDS",
    "UNKNOWN",
]

UNKNOWN = ("f", "g", "Phi", "phi", "varphi", "Gamma", "zeta", "Psi")
"""What begins the names of functions of which nothing is known, as in f(x + 1) and g_2'(x)."""

FUNCTIONS = frozenset(
    """
    sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh asin acos atan
    ln log lg lb exp sqrt cbrt abs floor ceil cis det max min gcd lcm re im sgn arg
    """.split()  # noqa: SIM905 - a word list
)
"""With a backslash or without."""

ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log", "gcf": "gcd"}
"""Other names of functions."""

CONSTANTS = {
    **{name: name for name in ("pi", "e", "i", "reals", "integers", "emptyset")},
    **dict.fromkeys(("infty", "infinity", "inf", "oo"), "infinity"),
}
"""The constant that a name in lower case stands for."""

GREEK = frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho
    sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
    ell hbar
    """.split()  # noqa: SIM905 - a word list
)
"""Variables of more than one letter."""

MATRICES = frozenset(("matrix", "pmatrix", "bmatrix", "vmatrix", "Bmatrix", "smallmatrix", "array"))
"""Environments of LaTeX that hold rows."""

SCALES = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}
"""Of temperature, by their letters."""

SHORT_WORDS = frozenset(
    """
    and or she has he the we so get to of in it at by you for was had can all him her his its our
    out use how is are no yes not but one two six ten day let now per who why any may new old too
    way off if as an on up do my me us be go am pm mph see set add sum say did due end few got lot
    own put ran sat act cat god dog rat tar art bat tab ten net pat tap top pot car arc eat ate tea
    ear are era map amp
    """.split()  # noqa: SIM905 - a word list
)
"""Words that are no products of variables."""
