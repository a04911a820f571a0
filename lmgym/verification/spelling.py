r"""One spelling for all: unicode mathematics and LaTeX's decoration, written plainly.

``½√2 ≤ x`` becomes ``\frac{1}{2}\root 2 <= x``, and ``\left(\dfrac{1}{2}\right)`` becomes
``(\frac{1}{2})``. Every step is one pass over the text.
"""

from __future__ import annotations

import re
import unicodedata

from lmgym.verification.vocabulary import SCALES

__all__ = ["THIN", "in_ascii", "plain_spelling", "spaced_digits"]

THIN = "\u2009"
"""Stands for every space that groups digits."""

_CHARACTERS = {
    **dict.fromkeys("\u2212\u2012\u2013\u2014\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00d7\u22c5\u00b7\u2219\u2217\u2a2f\u2022", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044", "/"),
    **dict.fromkeys("\u2032\u2019\u02b9", "'"),
    **dict.fromkeys("\u2264\u2a7d\u2266", "<="),
    **dict.fromkeys("\u2265\u2a7e\u2267", ">="),
    **dict.fromkeys("\u00a0\u2009\u202f\u2008\u2006\u2005", THIN),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u2061\u2062\u2063", ""),
    "\u2248": r"\approx ", "\u2261": r"\equiv ",
    "\u00b1": r"\pm ", "\u2213": r"\mp ", "\u2260": "!=", "\u221e": r"\infty ",
    "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ", "\u2205": r"\emptyset ",
    "\u00f8": r"\emptyset ", "\u211d": r"\reals ", "\u2124": r"\integers ",
    "\u03c0": r"\pi ", "\U0001d70b": r"\pi ", "\u00b0": r"\degree ", "\u00ba": r"\degree ",
    "\u221a": r"\root ", "\u221b": r"\cuberoot ", "\u03b8": r"\theta ", "\u03b1": r"\alpha ",
    "\u03b2": r"\beta ", "\u03b3": r"\gamma ", "\u03bb": r"\lambda ", "\u03bc": r"\mu ",
    "\u00b5": r"\mu ",
    "\u03c6": r"\phi ", "\u03c9": r"\omega ", "\u03c3": r"\sigma ", "\u27e8": r"\langle ",
    "\u3008": r"\langle ", "\u2329": r"\langle ", "\u27e9": r"\rangle ", "\u3009": r"\rangle ",
    "\u232a": r"\rangle ", "\u2026": r"\dots ", "\u22ef": r"\dots ", "\u2220": r"\angle ",
    "\u2192": r"\to ", "\u2227": " and ", "\u2228": " or ", "\u2223": "|", "\uff05": "%",
    "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u212f": "e", "\u2147": "e", "\u2148": "i",
    "\u2030": "/1000", "\u03d5": r"\phi ", "\u03b4": r"\delta ", "\u03b5": r"\epsilon ",
    "\u03c1": r"\rho ", "\u03c4": r"\tau ", "\u03c8": r"\psi ", "\u03c7": r"\chi ",
    "\u03b7": r"\eta ", "\u0394": r"\Delta ", "\u03a9": r"\Omega ", "\u03a6": r"\Phi ",
    "\u00ee": r"\hat{i}", "\u0135": r"\hat{j}",
    "\u230a": r"\lfloor ", "\u230b": r"\rfloor ", "\u2308": r"\lceil ", "\u2309": r"\rceil ",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣᵗ", "0123456789+-=()nixt", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙₓ", "0123456789+-=()nx", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_SMALL_FRACTION = re.compile(
    "([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)[/\u2044]([\u2080-\u2089]+)"
)
_HATTED = re.compile("([ijk])\u0302")
_OVERLINED = re.compile("((?:[0-9]\u0305)+)")
_DOTTED = re.compile("([0-9])\u0307")
_PYTHON = (
    (re.compile(r"(?<![0-9A-Za-z_])([0-9]{1,3})_(?=[0-9]{3}(?:_|(?![0-9])))"), r"\1,"),
    (re.compile(r"(?<=,[0-9]{3})_(?=[0-9]{3})"), ","),
    (re.compile(r"(?<![A-Za-z])(?:c?math|np|numpy|sympy|sp)\.(?=[a-z])"), ""),
    (re.compile(r"(?<![A-Za-z\\])log(10|2)(?=\s?\()"), r"\\log_{\1}"),
    (re.compile(r"(?<=[0-9])\s?deg(?:rees?)?(?![a-z])"), r"\\degree "),
)
_NO_SPACE = re.compile(r",\\!\s*|\\!")
_TEMPERATURE = re.compile("\u00b0\\s?([CFK])(?![a-z])")
_TABLE = str.maketrans(_CHARACTERS)

_THIN_COMMAND = re.compile(r"(?<!\\)\\[,;: !]|~|\\thinspace(?![a-zA-Z])")
_NOTHING = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|mathstrut"
    r"|color\{[a-z]{1,20}\}|textcolor\{[a-z]{1,20}\}|phantom\{[^{}]*\}|large|Large|LARGE|huge|Huge|small|normalsize|,|hfill|null|relax)(?![a-zA-Z])\.?"
)
_ALIGNED = re.compile(r"\\(?:begin|end)\{(?:aligned|align\*?|gathered|split|equation\*?)\}")
_SPACE_COMMAND = re.compile(r"\\q?quad(?![a-zA-Z])|\\hspace\*?\{[^{}]*\}|\\\\(?=\s*$)")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_COMMANDS = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), r"\frac"),
    **dict.fromkeys(("le", "leq", "leqq", "leqslant", "leslant"), "<="),
    **dict.fromkeys(("ge", "geq", "geqq", "geqslant", "geslant"), ">="),
    **{"lt": "<", "gt": ">", "ne": "!=", "neq": "!=", "div": "/"},
    **dict.fromkeys(("cdot", "times", "ast", "bullet"), "*"),
    **{"lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]"},
    **dict.fromkeys(("varnothing", "O"), r"\emptyset "),
    **dict.fromkeys(("Real", "Reals"), r"\reals "),
    **dict.fromkeys(("mid", "vert", "lvert", "rvert"), "|"),
    **dict.fromkeys(("lor", "vee"), " or "),
    **dict.fromkeys(("land", "wedge"), " and "),
    **dict.fromkeys(("ldots", "cdots", "dotsc", "dotsb", "dots"), r"\dots "),
    **dict.fromkeys(("degree", "textdegree"), r"\degree "),
}
"""LaTeX's commands by the sign or the command that is read."""
_RENAMED = (
    (re.compile(r"\\not\s?="), "!="),
    (re.compile(r"\\math(?:bb|bf|cal|rm)\s?\{R\}"), r"\\reals "),
    (re.compile(r"\\math(?:bb|bf|cal|rm)\s?\{Z\}"), r"\\integers "),
    (re.compile(r"\.\.\.+"), r"\\dots "),
    (re.compile(r"\^\s?\{?\s?\\circ(?![a-zA-Z])\s?\}?"), r"\\degree "),
    (re.compile(r"\\bar\{([0-9]+)\}"), r"\\overline{\1}"),
    (re.compile(r"\{,\}|,\\!\s*"), ","),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\s?\{\s*([-+0-9.,/ ]{1,200}?)\s*\}"),
     r" \1 "),
    (re.compile(r"\\dot\s?\{?([0-9])\}?([0-9]{0,60})\\dot\s?\{?([0-9])\}?"), r"\\overline{\1\2\3}"),
    (re.compile(r"\\dot\s?\{?([0-9])\}?"), r"\\overline{\1}"),
    (re.compile(r"\\(?:mathrm|operatorname)\s?\{\s?([dei])\s?\}"), r" \1 "),
    (re.compile(r"\^\s?\{?\s?\\prime(?![a-z])\s?\}?"), "'"),
    (re.compile(r"\\\\\[[0-9.]+\s?[a-z]{2}\]"), r"\\\\ "),
)  # fmt: skip
_BASES = {
    **{"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8"},
    **{"nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16"},
}
_BRACKETED_DIGITS = re.compile(
    r"\(([0-9A-Fa-f.]{1,300})\)_|\\(?:text|mathrm)\{([0-9A-Fa-f.]{1,300})\}_"
)
_IN_BASE = re.compile(
    rf"(?:(?<=[0-9A-Z])\s?\(?(?:in )?base[ -]?|(?<=[0-9A-Z}}])_\s?\{{?(?:\\text|\\mathrm)?\s?\{{?)"
    rf"([0-9]{{1,2}}|{'|'.join(_BASES)})(?![0-9a-z])(?:\}}\}}?|\))?"
)
_CHOSEN = re.compile(
    r"(?:\{\}\s?)?[\^_]\s?\{?([0-9]{1,4})\}?\s?C_\s?\{?([0-9]{1,4})(?![0-9])\}?"
    r"|(?<![0-9A-Za-z.])([0-9]{1,4})C([0-9]{1,4})(?![0-9A-Za-z])"
)
"""Combinations, as in ^5C_2 and 5C2."""
_SPACED = re.compile(
    r"(?<![0-9A-Za-z.,/^_\\])([1-9][0-9]{0,2}(?: [0-9]{3}){1,20})(?!\s?/|[0-9,A-Za-z]| [0-9])"
)
"""Digits that are grouped by plain spaces, as 12 345 678."""
_QUANTOR = r"(?:(?:for|where|with)\s)?\s*(?:(?:any|all|every|some)\s)?\s*"
_WHOLE = (
    (re.compile(r"\\(?:text|mathrm)\s?\{([^{}]{1,60})\}"), r" \1 "),
    (
        re.compile(rf"{_QUANTOR}integers?\s(?:values\sof\s)?\$?([A-Za-z])(?![A-Za-z])"),
        r"\1 \\in \\integers",
    ),
    (re.compile(r"(?<![A-Za-z])([A-Za-z])\s{1,4}is\s(?:an|any)\sinteger"), r"\1 \\in \\integers"),
    (
        re.compile(
            r"[\s,;(\[]{0,9}"
            + _QUANTOR
            + r"(?<![A-Za-z\\])([A-Za-z])\s*\\in\s*(?:\\integers|Z)(?![A-Za-z])\s?[)\]]?"
        ),
        r", \1 \\in \\integers ",
    ),
)
"""How it is said of a variable that it is whole, and how it is written."""
_MODULO = re.compile(
    r"\(\s?(?:\\text\s?\{\s?)?\\?(?:mod|modulo)\s?\}?\s?([0-9]{1,99})\s?\)|\\p?mod\s?\{?([0-9]{1,99})\}?"
)
_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|vec|boldsymbol|hat|widehat|overrightarrow)\s?\{\s?(?:\\(?:mathbf|hat)\s?\{)?\s?\\?([ijk])"
    r"(?:math)?\s?\}{1,2}|\\hat\s?([ijk])(?![a-z])"
)
"""The unit vectors along the axes."""
_ENGINEERING = re.compile(r"(?<=[0-9])[jJ](?![A-Za-z0-9_])")
"""The imaginary unit in programs."""
_CROSS = re.compile(r"\\times(?=\s*\\(?:vec|mathbf|boldsymbol|overrightarrow)(?![a-z]))")
"""A product of vectors, which is none of numbers."""
_TIMES_TEN = re.compile(r"(?<=[0-9])(?:\s?[xX]\s?(?=10\s?\^)|\s[xX]\s(?=\$?\.?[0-9]))")
_MANTISSA_SPACE = re.compile(rf"(?<=[0-9])[ {THIN}]+(?=\\overline)")


def plain_spelling(text: str) -> str:
    r"""The text in the spelling that the lexer reads.

    Example:
        >>> plain_spelling(r"\left(\tfrac{1}{2}\right) \leq x") == r"(\frac{1}{2}) <= x"
        True
    """
    text = spaced_digits(in_ascii(text))
    if "_" in text or "." in text or "log" in text or "deg" in text:
        for pattern, plain in _PYTHON:
            text = pattern.sub(plain, text)
    if "\\" in text or "~" in text or "{,}" in text or "..." in text:
        text = _without_latex(text)
    if "_" in text or "base" in text:
        text = _IN_BASE.sub(_with_base, _BRACKETED_DIGITS.sub(lambda m: f"{m[1] or m[2]}_", text))
    text = _of_numbers(text)
    return _TIMES_TEN.sub("*", text) if "x" in text or "X" in text else text


def _without_latex(text: str) -> str:
    """LaTeX's many spellings as one."""
    if "\\begin" in text and _ALIGNED.search(text):
        text = _ALIGNED.sub(" ", text).replace("&", "").replace("\\\\", ", ").strip(" ,")
    if "times" in text:
        text = _CROSS.sub(r"\\cross ", text)
    if "hat" in text or len(set(_UNIT_VECTOR.findall(text))) > 1:
        text = _UNIT_VECTOR.sub(lambda m: rf"\unit_{m[1] or m[2]} ", text)
    text = _SPACE_COMMAND.sub(" ", _NOTHING.sub("", text))
    text = _THIN_COMMAND.sub(THIN, _NO_SPACE.sub(_comma_or_nothing, text))
    text = _COMMAND.sub(lambda m: _COMMANDS.get(m[1], m[0]), text)
    for pattern, plain in _RENAMED:
        text = pattern.sub(plain, text)
    return _MANTISSA_SPACE.sub("", text)


def _of_numbers(text: str) -> str:
    """Congruences, whole variables, combinations and the imaginary unit in one spelling."""
    if "mod" in text:
        text = _MODULO.sub(lambda m: rf"\pmod{{{m[1] or m[2]}}}", text)
    if "integer" in text or "\\in Z" in text:
        for pattern, plain in _WHOLE:
            text = pattern.sub(plain, text)
    if "C" in text:
        text = _CHOSEN.sub(lambda m: rf"\binom{{{m[1] or m[3]}}}{{{m[2] or m[4]}}}", text)
    if "j" in text and "i" not in text:
        text = _ENGINEERING.sub("i", text)
    return text


def spaced_digits(text: str) -> str:
    """The text with thin spaces in numerals that are grouped by plain ones.

    Example:
        >>> spaced_digits("12 345 of 3 400") == f"12{THIN}345 of 3{THIN}400"
        True
    """
    return _SPACED.sub(lambda m: m[0].replace(" ", THIN), text) if " " in text else text


def _comma_or_nothing(match: re.Match[str]) -> str:
    return "," if match[0][0] == "," else ""


def _with_base(match: re.Match[str]) -> str:
    base = match[1].lower()
    return f"_{{{_BASES.get(base, base)}}}"


def in_ascii(text: str) -> str:
    """Unicode mathematics in ASCII and LaTeX's names; other characters as they are."""
    if text.isascii():
        return text
    text = _TEMPERATURE.sub(lambda m: rf"\text{{ {SCALES[m[1]]}}}", text)
    text = text.replace("\u00b3\u221a", "\u221b")
    text = _HATTED.sub(r"\\hat{\1}", _SMALL_FRACTION.sub(_small_fraction, text))
    text = _OVERLINED.sub(lambda m: r"\overline{" + m[1].replace("\u0305", "") + "}", text)
    text = _DOTTED.sub(r"\\overline{\1}", text)
    text = _RAISED.sub(lambda m: "^{" + "".join(map(_SUPERSCRIPTS.__getitem__, m[0])) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + "".join(map(_SUBSCRIPTS.__getitem__, m[0])) + "}", text)
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    return "".join(_character(c) for c in text)


def _small_fraction(match: re.Match[str]) -> str:
    numerator = "".join(map(_SUPERSCRIPTS.__getitem__, match[1]))
    return rf"\frac{{{numerator}}}{{{''.join(map(_SUBSCRIPTS.__getitem__, match[2]))}}}"


def _character(character: str) -> str:
    """Vulgar fractions, full-width and mathematical letters as plain ones."""
    if character.isascii() or character == THIN:
        return character
    plain = unicodedata.normalize("NFKC", character)
    if unicodedata.category(character) == "No" and "\u2044" in plain:
        numerator, _, denominator = plain.partition("\u2044")
        return rf"\frac{{{numerator}}}{{{denominator}}}"
    return plain.translate(_TABLE) if plain.isascii() else character
