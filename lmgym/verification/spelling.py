r"""One spelling for all: unicode mathematics and LaTeX's decoration, written plainly.

``½√2 ≤ x`` becomes ``\frac{1}{2}\root 2 <= x``, and ``\left(\dfrac{1}{2}\right)`` becomes
``(\frac{1}{2})``. Every step is one pass over the text.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["THIN", "in_ascii", "plain_spelling"]

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
    "\u00b1": r"\pm ", "\u2213": r"\mp ", "\u2260": "!=", "\u221e": r"\infty ",
    "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ", "\u2205": r"\emptyset ",
    "\u00f8": r"\emptyset ", "\u211d": r"\reals ", "\u2124": r"\integers ",
    "\u03c0": r"\pi ", "\U0001d70b": r"\pi ", "\u00b0": r"\degree ", "\u00ba": r"\degree ",
    "\u221a": r"\root ", "\u221b": r"\cuberoot ", "\u03b8": r"\theta ", "\u03b1": r"\alpha ",
    "\u03b2": r"\beta ", "\u03b3": r"\gamma ", "\u03bb": r"\lambda ", "\u03bc": r"\mu ",
    "\u03c6": r"\phi ", "\u03c9": r"\omega ", "\u03c3": r"\sigma ", "\u27e8": r"\langle ",
    "\u3008": r"\langle ", "\u2329": r"\langle ", "\u27e9": r"\rangle ", "\u3009": r"\rangle ",
    "\u232a": r"\rangle ", "\u2026": r"\dots ", "\u22ef": r"\dots ", "\u2220": r"\angle ",
    "\u2192": r"\to ", "\u2227": " and ", "\u2228": " or ", "\u2223": "|", "\uff05": "%",
    "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u212f": "e", "\u2147": "e", "\u2148": "i",
    "\u230a": r"\lfloor ", "\u230b": r"\rfloor ", "\u2308": r"\lceil ", "\u2309": r"\rceil ",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣᵗ", "0123456789+-=()nixt", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙₓ", "0123456789+-=()nx", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
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
_SCALES = {"C": r"\text{ celsius}", "F": r"\text{ fahrenheit}", "K": r"\text{ kelvin}"}
_TABLE = str.maketrans(_CHARACTERS)

_THIN_COMMAND = re.compile(r"(?<!\\)\\[,;: !]|~|\\thinspace(?![a-zA-Z])")
_NOTHING = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|mathstrut"
    r"|color\{[a-z]{1,20}\}|textcolor\{[a-z]{1,20}\}|phantom\{\}|,|hfill|null|relax)(?![a-zA-Z])\.?"
)
_ALIGNED = re.compile(r"\\(?:begin|end)\{(?:aligned|align\*?|gathered|split|equation\*?)\}")
_SPACE_COMMAND = re.compile(r"\\q?quad(?![a-zA-Z])|\\hspace\*?\{[^{}]*\}|\\\\(?=\s*$)")
_RENAMED = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leq?slant|leqq|leq)(?![a-zA-Z])"), "<="),
    (re.compile(r"\\le(?![a-zA-Z])"), "<="),
    (re.compile(r"\\(?:geq?slant|geqq|geq)(?![a-zA-Z])"), ">="),
    (re.compile(r"\\ge(?![a-zA-Z])"), ">="),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:neq|ne)(?![a-zA-Z])|\\not\s?="), "!="),
    (re.compile(r"\\(?:cdot|times|ast|bullet)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:lbrace)(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace)(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"\\(?:lbrack)(?![a-zA-Z])"), "["),
    (re.compile(r"\\(?:rbrack)(?![a-zA-Z])"), "]"),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])"), r"\\emptyset "),
    (re.compile(r"\\math(?:bb|bf|cal|rm)\s?\{R\}|\\Reals?(?![a-zA-Z])"), r"\\reals "),
    (re.compile(r"\\math(?:bb|bf|cal|rm)\s?\{Z\}"), r"\\integers "),
    (re.compile(r"\\(?:mid|vert|lvert|rvert)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:lor|vee)(?![a-zA-Z])"), " or "),
    (re.compile(r"\\(?:land|wedge)(?![a-zA-Z])"), " and "),
    (re.compile(r"\\(?:ldots|cdots|dotsc|dotsb|dots)(?![a-zA-Z])|\.\.\.+"), r"\\dots "),
    (re.compile(r"\^\s?\{?\s?\\circ(?![a-zA-Z])\s?\}?|\\(?:text)?degree(?![a-zA-Z])"),
     r"\\degree "),
    (re.compile(r"\\bar\{([0-9]+)\}"), r"\\overline{\1}"),
    (re.compile(r"\{,\}|,\\!\s*"), ","),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\s?\{\s*([-+0-9.,/ ]{1,200}?)\s*\}"),
     r" \1 "),
    (re.compile(r"\\dot\s?\{([0-9])\}"), r"\\overline{\1}"),
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
_TIMES_TEN = re.compile(r"(?<=[0-9])(?:\s?[xX]\s?(?=10\s?\^)|\s[xX]\s(?=\$?\.?[0-9]))")
_MANTISSA_SPACE = re.compile(rf"(?<=[0-9])[ {THIN}]+(?=\\overline)")


def plain_spelling(text: str) -> str:
    r"""The text in the spelling that the lexer reads.

    Example:
        >>> plain_spelling(r"\left(\tfrac{1}{2}\right) \leq x") == r"(\frac{1}{2}) <= x"
        True
    """
    text = in_ascii(text)
    if "_" in text or "." in text or "log" in text or "deg" in text:
        for pattern, plain in _PYTHON:
            text = pattern.sub(plain, text)
    if "\\" in text or "~" in text or "{,}" in text or "..." in text:
        if "\\begin" in text and _ALIGNED.search(text):
            text = _ALIGNED.sub(" ", text).replace("&", "").replace("\\\\", ", ").strip(" ,")
        text = _SPACE_COMMAND.sub(" ", _NOTHING.sub("", text))
        text = _THIN_COMMAND.sub(THIN, _NO_SPACE.sub(_comma_or_nothing, text))
        for pattern, plain in _RENAMED:
            text = pattern.sub(plain, text)
        text = _MANTISSA_SPACE.sub("", text)
    if "_" in text or "base" in text:
        text = _IN_BASE.sub(_with_base, _BRACKETED_DIGITS.sub(lambda m: f"{m[1] or m[2]}_", text))
    return _TIMES_TEN.sub("*", text) if "x" in text or "X" in text else text


def _comma_or_nothing(match: re.Match[str]) -> str:
    return "," if match[0][0] == "," else ""


def _with_base(match: re.Match[str]) -> str:
    base = match[1].lower()
    return f"_{{{_BASES.get(base, base)}}}"


def in_ascii(text: str) -> str:
    """Unicode mathematics in ASCII and LaTeX's names; other characters as they are."""
    if text.isascii():
        return text
    text = _TEMPERATURE.sub(lambda m: _SCALES[m[1]], text)
    text = _OVERLINED.sub(lambda m: r"\overline{" + m[1].replace("\u0305", "") + "}", text)
    text = _DOTTED.sub(r"\\overline{\1}", text)
    text = _RAISED.sub(lambda m: "^{" + "".join(map(_SUPERSCRIPTS.__getitem__, m[0])) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + "".join(map(_SUBSCRIPTS.__getitem__, m[0])) + "}", text)
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    return "".join(_character(c) for c in text)


def _character(character: str) -> str:
    """Vulgar fractions, full-width and mathematical letters as plain ones."""
    if character.isascii() or character == THIN:
        return character
    plain = unicodedata.normalize("NFKC", character)
    if unicodedata.category(character) == "No" and "\u2044" in plain:
        numerator, _, denominator = plain.partition("\u2044")
        return rf"\frac{{{numerator}}}{{{denominator}}}"
    return plain.translate(_TABLE) if plain.isascii() else character
