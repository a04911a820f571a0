"""From what was extracted to what can be read: shorter and shorter clauses, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmgym.verification.extraction import MAX_END, UNIT_BEHIND, Extracted, cleaned, extract
from lmgym.verification.lexing import MAX_LENGTH
from lmgym.verification.number_words import in_digits
from lmgym.verification.spelling import spaced_digits

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
"""Where an explanation of an answer begins."""
_MATHS = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$"
    r"|\\\(((?:[^\\]|\\[^()]){1,2000})\\\)|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]"
)
"""Mathematics within its delimiters."""
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_WORD = re.compile(r"[A-Za-z]{4,}[,.:;!?]?|[A-Za-z]+[,.:;!?]|[A-Za-z]+'[a-z]+")
"""A word of prose."""
_KNOWN = frozenset(
    """
    sqrt cbrt infinity sinh cosh tanh arcsin arccos arctan floor ceil math sin cos tan cot sec csc
    log ln exp pi abs max min gcd lcm det cis
    """.split()  # noqa: SIM905 - a word list
)
"""Words that mathematics may begin with."""
_COPULAS = frozenset(
    """
    is are be equals equal get gets gives give yields obtain becomes = :
    """.split()  # noqa: SIM905 - a word list
)
"""Before a value."""
_UNITS = frozenset(("ft", "km", "cm", "mm", "in", "kg", "mg", "lb", "oz", "hr", "min", "ml"))
"""No products of variables."""
_JOINING = frozenset(("and", "or", "the", "for", "to", "is"))
"""Words of prose between dollar signs: these are prices."""
_JOINTS = ("", "+", "-", "*", "/", "^", "=", "<", ">")
"""Signs behind a variable or a product; nothing at the end."""
_SIGN = re.compile(r"[0-9=+*/^<>\\\[\](){}\u221a\u03c0\u221e\u2205\u211d]")
"""What mathematics holds."""
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_.,/^])[-+\u2212]?\\?[$\u20ac\u00a3\u00a5\u20b9]?"
    r"(?:[0-9][0-9,\u2009\u202f\u00a0]*(?:\.[0-9]+)?|\.[0-9]+)(?:\([0-9]+\))?"
    r"(?:[eE][-+]?[0-9]+(?![0-9A-Za-z]))?(?:\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?(?:\s?\\?%|\s?\u00b0)?"
)
_OPERATORS = frozenset("+*/^&_<>\\")
"""Before a number they make it a part of something that could not be read."""
_CALCULATION = re.compile(
    r"(?:[0-9.,%$()+\-*/\u00d7\u00f7\u00b7\u2212\s]|\s[xX](?=\s))*[0-9%)]\s*$"
)
"""Nothing but numbers and operations, at the end."""
_VARIABLE = re.compile(r"(?:^|[^A-Za-z])[A-Za-z]\s?$|[0-9][A-Za-z]$")
"""At the end of what is before a calculation: it is an equation."""
_TURNED = re.compile(
    r"(?<![A-Za-z])(?:not|isn't|never|cannot|can't|minus|negative|less|fewer|smaller|greater|larger"
    r"|bigger|more|than|least|most|twice|thrice|double|triple|half|third|quarter|below|above|under"
    r"|over|outside|beyond|before|after|except|unlike|anything|square|cube|root|reciprocal|inverse"
    r"|opposite|complement|negation|factorial|logarithm|between|sine|cosine|tangent|derivative"
    r"|integral|multiple|divisor|different|sides)"
    r"(?:\s(?:of|than|the|an?|to|equal|be|that|by|number|value|root|but|from))*[\s$(\\\[{]*$"
    r"|between\s\S{1,20}\sand[\s$]*$",
    re.IGNORECASE,
)
"""Words before a value that make it another one, or none: "the root of", "at least"."""
_CONTINUED = re.compile(
    r"\s?(?:(?:(?:ten|hundred|thousand|four|fif|six|seven|eigh|nin|twelf)ths|halves|thirds|quarters"
    r"|squared|cubed|mod|modulo|except|excluding|unless|without|otherwise|choose|factorial)"
    r"(?![A-Za-z])|together\swith|to\sthe\s(?:power|[0-9])"
    r"|(?:plus|minus|times|over|(?:divided|multiplied)\sby|raised\sto|to"
    r"|(?:greater|less|more|fewer|smaller|larger|bigger)\sthan)"
    r"\s(?:[$\\(]|[0-9]|[B-HJ-Zb-z](?![A-Za-z])|pi(?![A-Za-z])))",
    re.IGNORECASE,
)
"""Words behind a value that make it another one: "squared", "divided by 4"."""
_MAX_NEAR = 120
"""Characters before a value that are looked at."""
_MAX_BEFORE = 10
"""Words before a value that are looked at."""
_SIGNED = re.compile(
    r"((?:^|[=(,:]|\b(?:is|are|be|equals|of|or|and|to|was|by|from))\s*)(?:\\text\s?\{\s*)?"
    r"(?:negative|minus)\s(?:\s?\})?\s?(\$?)\s?(?=[0-9.\\])",
    re.IGNORECASE,
)
"""A sign in words."""
_ALTERNATIVE = re.compile(
    r"[0-9][^.\n]{0,40}?(?:\b(?:or|maybe|perhaps|alternatively|otherwise|else)\b"
    r"|\band\s(?:then|also|again)\b)"
    r"[^.\n0-9]{0,30}$",
    re.IGNORECASE,
)
"""Before a last number: it is only one of several."""
_TAKEN_BACK = re.compile(r"\b(?:wait|correction|scratch that|no, actually)\b", re.IGNORECASE)
"""In an announced answer: it is no longer one."""
_NOT_OTHER = re.compile(r",?\s\(?not\s[^\s,.()]{1,20}\)?(?=[\s.]*$)", re.IGNORECASE)
"""At the end: what the answer is not."""
_DEPENDS = re.compile(
    r"(?<!since )\b(?:otherwise|else)\b|\b(?:and|or)\s\S{1,20}\s(?:if|when|for)\b", re.IGNORECASE
)
"""In an announced answer: it is another one in other cases."""
_GOES_ON = re.compile(
    r"\s?(?!\*\*)(?:[+*/^_\u2211\u222b\u221a]|-\s?[A-Za-z0-9(\\]"
    r"|\\(?!text|mathrm|mbox|q?quad|[%$,;:! )\]\\]))"
)
"""Behind a number: it is a part of something."""
_UNREADABLE = re.compile(
    r"\\(?!text|mathrm|mbox|q?quad|[%$,;:! ()\[\]\\])|[\u2211\u222b\u220f\u221c\u2260^_]"
)
"""Mathematics that could not be read."""
_EQUATED = re.compile(
    r"(?:(?:half|twice|double|square|third|quarter)\s(?:of\s)?[A-Za-z]|[0-9][A-Za-z]"
    r"|[A-Za-z]\s?\^\s?\{?[0-9]+\}?|[A-Za-z][\u00b2\u00b3]|[-+*/]\s?[0-9A-Za-z]+)\s"
    r"(?:is|are|equals?)\s?$",
    re.IGNORECASE,
)
"""Before a number: what it is the value of is an expression, as in 2x is 5."""
_QUALIFIED = re.compile(
    r"\s?(?:or (?:more|less|fewer|so|higher|lower)|is (?:wrong|incorrect|not)|isn't|\\pmod|\\bmod"
    r"|mod(?![a-z])|\+(?:\s|$)|\||[0-9])",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"[,;(\s-]+(?:or(?:\s(?:maybe|possibly|perhaps|else|even))?|maybe|possibly|perhaps|alternatively"
    r"|and\s(?:also|then|again|possibly|maybe)"
    r"|but (?:it )?(?:might|may|could)(?: also)? be|as well as|else)\s\(?"
    r"([-\u2212$\\(]*[0-9][^\s,;)]*|\([^()]*\)|no solutions?)",
    re.IGNORECASE,
)
"""An answer that is followed by another one."""
_ABOUT = re.compile(
    r",?\s\(?(?:which is|that is|or)?\s?(?:about|approximately|roughly|around)"
    r"\s\$?[0-9][0-9.,]{0,20}\$?\)?\.?$"
)
"""A rounded value at the end, behind an exact one."""
_EXACT = re.compile(r"\\(?:sqrt|pi|frac)|[\u221a\u03c0/^]|sqrt|(?<![a-z])pi(?![a-z])")
"""An exact value that is not a whole number."""
_SPACES = re.compile(r"[ \t\r\n]+")
_SENTENCE = re.compile(
    r"[.!?;]\s|:\s|\s(?:->|=>|\u2192|\u21d2|\\to|\\Rightarrow)\s|\u2014|\s-\s(?=[A-Za-z])"
)
"""Between sentences, or steps of a calculation."""


def clauses(found: Extracted) -> Iterator[str]:
    """Shorter and shorter readings of what was extracted; the first that can be read counts.

    Example:
        >>> list(clauses(extract("The answer is 4, as it is even.")))[:2]
        ['4, as it is even', '4']
    """
    if len(found.text) <= MAX_LENGTH:
        text = spaced_digits(found.text)
        if "inus" in text or "egative" in text:
            text = _SIGNED.sub(r"\1\2-", text)
        if text != found.text:
            found = Extracted(text, found.method)
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
    numbers = list(_NUMBER.finditer(plain)) if plain != found.text else []
    is_told = len(numbers) == 1 and _PROSE.search(plain[: numbers[0].start()])
    if is_told and not (_UNREADABLE.search(plain) or _is_qualified(plain, numbers[0])):
        yield cleaned(plain[numbers[0].start() :])  # the only number, behind words


def _announced(clause: str) -> Iterator[str]:
    """Readings of what stands behind an announcement: it comes first, explanations after it."""
    hedge = _HEDGE.search(clause)
    if hedge:  # both, so that they are seen to be two
        yield cleaned(f"{clause[: hedge.start()].strip(' ,;(')} or {hedge[1]}")
        return
    if _DEPENDS.search(clause) or _TAKEN_BACK.search(clause):
        return
    clause = _NOT_OTHER.sub("", clause)
    cut = _BECAUSE.search(clause)
    short = cleaned(clause[: cut.start()]) if cut else cleaned(clause)
    yield short
    maths = _maths(clause)
    if maths:
        start = clause.index(maths[0])
        behind = clause[start + len(maths[0]) :].lstrip("$\\)] ")
        if not (_is_turned(clause[:start]) or _CONTINUED.match(behind)):
            yield cleaned(maths[0])
        return
    yield from _beginnings(short)
    yield from _ends(short)
    number = _NUMBER.search(clause)
    is_part = number is not None and (
        _is_a_part(clause, number.start())
        or ("," in number[0] and clause[number.start() - 1 : number.start()] in ("(", "["))
        or _UNREADABLE.search(clause[: number.end() + _MAX_AROUND])
    )
    if number and not is_part and not _is_qualified(clause, number):
        yield cleaned(clause[number.start() :].partition(". ")[0])
        yield number[0].strip()


def _of_the_end(text: str) -> Iterator[str]:
    """Readings of a response that announces nothing: the mathematics that it ends with."""
    text = _NOT_OTHER.sub("", text.rstrip()) if "not" in text[-_MAX_AROUND:] else text
    text = _ABOUT.sub("", text.rstrip()) if _EXACT.search(text[-_MAX_CLAUSE:]) else text
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
        if not _is_turned(text[: maths[-1].start()]):
            yield from _formula(maths[-1])
        return
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        yield from _told(last)
    elif not (
        _is_a_part(text, numbers[-1].start())
        or _ALTERNATIVE.search(text[: numbers[-1].start()][-_MAX_NEAR:])
        or _is_closed_behind(text, numbers[-1].end())
        or _is_qualified(text, numbers[-1])
    ):
        yield numbers[-1][0].strip()


def _told(line: str) -> Iterator[str]:
    """The number that a line without one in digits tells in words, where it is one."""
    told = in_digits(line)
    numbers = list(_NUMBER.finditer(told))
    if len(numbers) == 1 and not _is_qualified(told, numbers[0]):
        yield numbers[0][0].strip()


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
        before = " ".join(words[max(0, place - _MAX_BEFORE) : place]) + " "
        if place and words[place - 1][-1:].isdigit() and word[:1].isdigit():
            return
        if place and (_is_turned(before) or _ALTERNATIVE.search(before[-_MAX_NEAR:])):
            return
        if place and _is_operator(words[place - 1]):
            continue
        rest = cleaned(" ".join(words[place:]))
        if _SIGN.search(rest) or (place and words[place - 1].lower() in _COPULAS):
            yield rest


def _is_operator(word: str) -> bool:
    """Whether what stands behind a word belongs to it: a sign other than =, or a command."""
    return (
        word[-1:] in _OPERATORS
        or word.startswith("\\")
        or word in ("\u2260", "\u2265", "\u2264", "-")
    )


def _is_turned(before: str) -> bool:
    """Whether the words before a value make it another one, as in "the root of" and "2x is"."""
    near = before[-_MAX_NEAR:]
    return bool(_EQUATED.search(near) or _TURNED.search(near))


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
            if not (_CONTINUED.match(rest) or _QUALIFIED.match(f" {rest}") or _NUMBER.match(rest)):
                yield cleaned(" ".join(words[:place]))


def _is_qualified(text: str, number: re.Match[str]) -> bool:
    """Whether words around a number make it another one, as in "less than 5" and "5 or more"."""
    before = text[max(0, number.start() - 2 * _MAX_AROUND) : number.start()]
    return (
        _is_turned(before)
        or before.rstrip()[-1:] == "|"
        or _CONTINUED.match(text, number.end()) is not None
        or _QUALIFIED.match(text, number.end()) is not None
    )


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
    return before[-2:] != "**" and _is_operator(before.rpartition(" ")[2])


def _is_closed_behind(text: str, place: int) -> bool:
    """Whether a brace closes or an operation goes on behind a number: it could not be read."""
    is_closed = text[place : place + _MAX_AROUND].lstrip()[:1] == "}"
    return is_closed or _GOES_ON.match(text, place) is not None
