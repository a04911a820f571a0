"""From what was extracted to what can be read: shorter and shorter clauses, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmgym.verification.extraction import MAX_END, UNIT_BEHIND, Extracted, cleaned, extract
from lmgym.verification.lexing import MAX_LENGTH

__all__ = ["clauses"]

_MAX_CLAUSE = 400
"""Characters of an answer within prose."""
_MAX_AROUND = 40
"""Characters around a number that say whether it is a part of something."""
_MAX_WORDS = 40
"""Words at the end of a sentence among which its mathematics is looked for."""
_BECAUSE = re.compile(
    r"(?:,|;|\.|\s[-\u2013\u2014])?\s(?:because|since|which|so that|where|when|as|so|thus|due to"
    r"|meaning|i\.e\.|given|after|if|for)(?![A-Za-z])"
    r"|\.(?=\s|$)|[.!]\s|;\s|\s\(|\s[-\u2013\u2014]\s(?=[A-Za-z])",
    re.IGNORECASE,
)
_MATHS = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$"
    r"|\\\(((?:[^\\]|\\[^()]){1,2000})\\\)|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]"
)
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_WORD = re.compile(r"[A-Za-z]{4,}[,.:;!?]?|[A-Za-z]+[,.:;!?]|[A-Za-z]+'[a-z]+")
_KNOWN = frozenset(
    """
    sqrt cbrt infinity sinh cosh tanh arcsin arccos arctan floor ceil math sin cos tan cot sec csc
    log ln exp pi abs max min gcd lcm det cis
    """.split()  # noqa: SIM905 - a word list
)
_COPULAS = frozenset(
    """
    is are be equals equal get gets gives give yields obtain becomes = :
    """.split()  # noqa: SIM905 - a word list
)
_UNITS = frozenset(("ft", "km", "cm", "mm", "in", "kg", "mg", "lb", "oz", "hr", "min", "ml"))
_JOINING = frozenset(("and", "or", "the", "for", "to", "is"))
_JOINTS = ("", "+", "-", "*", "/", "^", "=", "<", ">")
_SIGN = re.compile(r"[0-9=+*/^<>\\\[\](){}\u221a\u03c0\u221e\u2205\u211d]")
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_.,/^])[-+\u2212]?[$\u20ac\u00a3\u00a5\u20b9]?"
    r"(?:[0-9][0-9,\u2009\u202f\u00a0]*(?:\.[0-9]+)?|\.[0-9]+)(?:\([0-9]+\))?"
    r"(?:[eE][-+]?[0-9]+(?![0-9A-Za-z]))?(?:\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?(?:\s?\\?%|\s?\u00b0)?"
)
_OPERATORS = frozenset("+*/^&_<>\\")
"""Before a number they make it a part of something that could not be read."""
_CALCULATION = re.compile(
    r"(?:[0-9.,%$()+\-*/\u00d7\u00f7\u00b7\u2212\s]|\s[xX](?=\s))*[0-9%)]\s*$"
)
_VARIABLE = re.compile(r"(?:^|[^A-Za-z])[A-Za-z]\s?$|[0-9][A-Za-z]$")
_QUALIFIERS = frozenset(
    """
    not isn't never minus negative less fewer greater than least most twice thrice double half below
    above under over before after except unlike
    """.split()  # noqa: SIM905 - a word list
)
"""Before a number they make it another one, or none."""
_QUALIFIED = re.compile(
    r"\s?(?:or (?:more|less|fewer|so|higher|lower)|is (?:wrong|incorrect|not)|isn't|\\pmod|\\bmod"
    r"|mod(?![a-z])|\+(?:\s|$)|\|)",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"[,;(\s-]+(?:or(?:\s(?:maybe|possibly|perhaps|else|even))?|maybe|possibly|perhaps|alternatively"
    r"|but (?:it )?(?:might|may|could)(?: also)? be|as well as|else)\s\(?"
    r"([-$\\(]*[0-9][^\s,;)]*|\([^()]*\)|no solutions?)",
    re.IGNORECASE,
)
"""An answer that is followed by another one."""
_SPACES = re.compile(r"[ \t\r\n]+")
_SENTENCE = re.compile(
    r"[.!?;]\s|:\s|\s(?:->|=>|\u2192|\u21d2|\\to|\\Rightarrow)\s|\u2014|\s-\s(?=[A-Za-z])"
)


def clauses(found: Extracted) -> Iterator[str]:
    """Shorter and shorter readings of what was extracted; the first that can be read counts.

    Example:
        >>> list(clauses(extract("The answer is 4, as it is even.")))[:2]
        ['4, as it is even', '4']
    """
    whole = cleaned(found.text)
    if len(whole) <= MAX_LENGTH:
        yield whole
    if found.method in ("box", "tag"):
        yield from _inside(found)
    elif found.method == "end":
        if len(found.text) <= MAX_END:
            yield from _of_the_end(found.text)
    else:
        yield from _announced(found.text[:_MAX_CLAUSE])


def _inside(found: Extracted) -> Iterator[str]:
    """What is announced within a box or a tag."""
    plain = _TEXT.sub(r" \1 ", found.text)
    inner = extract(plain) if plain != found.text or found.method == "tag" else None
    if inner is not None and inner.method in ("marker", "box"):
        yield from clauses(inner)


def _announced(clause: str) -> Iterator[str]:
    """Readings of what stands behind an announcement: it comes first, explanations after it."""
    hedge = _HEDGE.search(clause)
    if hedge:  # both, so that they are seen to be two
        yield cleaned(f"{clause[: hedge.start()].strip(' ,;(')} or {hedge[1]}")
        return
    cut = _BECAUSE.search(clause)
    short = cleaned(clause[: cut.start()]) if cut else cleaned(clause)
    yield short
    maths = _maths(clause)
    if maths:
        yield cleaned(maths[0])
        return
    yield from _beginnings(short)
    yield from _ends(short)
    number = _NUMBER.search(clause)
    is_part = number is not None and _is_a_part(clause, number.start())
    if number and not is_part and not _is_qualified(clause, number):
        yield cleaned(clause[number.start() :].partition(". ")[0])
        yield number[0].strip()


def _of_the_end(text: str) -> Iterator[str]:
    """Readings of a response that announces nothing: the mathematics that it ends with."""
    line = text.rstrip().rpartition("\n")[2]
    if line != text.strip():
        yield cleaned(line[-_MAX_CLAUSE:])
    last = _without_delimiters(line[-_MAX_CLAUSE:])
    pieces = [piece for piece in _SENTENCE.split(last) if piece.strip()]
    right = _right_side(last)
    if right is not None:
        yield cleaned(right)
    if pieces:
        yield from _ends(cleaned(pieces[-1]))
    maths = list(_MATHS.finditer(text))
    if maths and not _NUMBER.search(text, maths[-1].end()):
        yield from _formula(maths[-1])
        return
    numbers = list(_NUMBER.finditer(text))
    if numbers and not (
        _is_a_part(text, numbers[-1].start())
        or _is_closed_behind(text, numbers[-1].end())
        or _is_qualified(text, numbers[-1])
    ):
        yield numbers[-1][0].strip()


def _formula(maths: re.Match[str]) -> Iterator[str]:
    """What stands between delimiters, with a unit behind them; and its right side."""
    content = cleaned(next(filter(None, maths.groups())))
    behind = UNIT_BEHIND.match(maths.string, maths.end())
    yield content + (behind[0] if behind else "")
    if "=" in content:
        yield cleaned(content.rpartition("=")[2])


def _ends(text: str) -> Iterator[str]:
    """The text from each of its last words on, the longest first; words of prose begin none."""
    words = _SPACES.split(text)[-_MAX_WORDS:]
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if not _may_begin(word, words[place - 1] if place else "", following):
            continue
        if place and words[place - 1][-1:].isdigit() and word[:1].isdigit():
            return
        if _QUALIFIERS & {before.lower().strip(",") for before in words[max(0, place - 2) : place]}:
            return
        rest = cleaned(" ".join(words[place:]))
        if _SIGN.search(rest) or (place and words[place - 1].lower() in _COPULAS):
            yield rest


def _may_begin(word: str, before: str, following: str) -> bool:
    """Whether mathematics may begin with a word: prose, a unit or a sign that joins do not."""
    bare = word.strip(",.:;!?*")
    if word in ("=", ",") or (_WORD.fullmatch(word) and bare not in _KNOWN):
        return False
    if len(bare) == 1 or not bare.isalpha() or bare.lower() in _KNOWN:
        return True
    is_product = following[:1] in _JOINTS and bare not in _UNITS
    return is_product and (len(bare) == 2 or before.lower() in _COPULAS)


def _right_side(piece: str) -> str | None:
    """What a calculation at the end comes to, as 62 in "pays $100 - $38 = $62"."""
    left, sign, right = piece.rpartition("=")
    if not sign or left[-1:] in ("<", ">", "!", "\\") or not _SIGN.search(right):
        return None
    calculation = _CALCULATION.search(left)
    if calculation is None:
        return None
    before = left[: calculation.start()]
    is_equation = before[-1:] in ("^", "_", "\\", "{", "}") or _VARIABLE.search(before) is not None
    return None if is_equation else right


def _beginnings(text: str) -> Iterator[str]:
    """The text up to each of its words, the longest first, where it begins with mathematics."""
    words = _SPACES.split(text)[:_MAX_WORDS]
    if words and not _WORD.fullmatch(words[0]):
        for place in range(len(words) - 1, 0, -1):
            rest = " ".join(words[place:])
            if not (_QUALIFIED.match(f" {rest}") or _NUMBER.match(rest)):
                yield cleaned(" ".join(words[:place]))


def _is_qualified(text: str, number: re.Match[str]) -> bool:
    """Whether words around a number make it another one, as in "less than 5" and "5 or more"."""
    before = text[max(0, number.start() - 30) : number.start()].lower().split()[-2:]
    is_turned = bool(_QUALIFIERS & {word.strip(",") for word in before}) or before[-1:] == ["|"]
    return is_turned or _QUALIFIED.match(text, number.end()) is not None


def _maths(text: str) -> list[str]:
    """What stands between delimiters of mathematics; between two prices stands none."""
    found = [next(filter(None, match.groups())) for match in _MATHS.finditer(text)]
    return [content for content in found if not _is_prose(content)]


def _is_prose(content: str) -> bool:
    return any(word[0].lower() in _JOINING for word in _PROSE.finditer(content))


def _without_delimiters(line: str) -> str:
    """The line with its mathematics bare, so that it can be read over several pieces."""
    if _maths(line) and len(_maths(line)) == len(list(_MATHS.finditer(line))):
        return _MATHS.sub(lambda m: f" {next(filter(None, m.groups()))} ", line)
    return line


def _is_a_part(text: str, place: int) -> bool:
    """Whether a number belongs to mathematics that could not be read as a whole."""
    before = text[max(0, place - _MAX_AROUND) : place].rstrip()
    return before[-1:] in _OPERATORS and before[-2:] != "**"


def _is_closed_behind(text: str, place: int) -> bool:
    """Whether a brace closes behind a number, as that of a fraction that could not be read."""
    return text[place : place + _MAX_AROUND].lstrip()[:1] == "}"
