r"""Where in a response the answer stands: the last box, a tag, behind an announcement, or the end.

Every search is one pass over the text. What is found is cut down in steps by `clauses`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lmgym.verification.lexing import MAX_LENGTH

__all__ = ["MAX_END", "UNIT_BEHIND", "Extracted", "cleaned", "extract"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer as it stands in a response.

    Attributes:
        text: of the answer.
        method: box, tag, marker, or end, where nothing announces it.
    """

    text: str
    method: str


MAX_END = 4000
"""Characters at the end of a response in which an answer that nothing announces is looked for."""
_MAX_BOXES = 64
"""Boxes that are looked at, from the last on."""
_MAX_GAP = 40
"""Characters between boxes that make a list."""
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\boxed\s+([-+]?[0-9A-Za-z.]+)")
_BETWEEN_BOXES = re.compile(
    r"(?:[\s$,;.&*()]|\\(?:text\{[^{}]*\}|q?quad(?![a-z])|[,;:()\[\]\\ ])"
    r"|and|or|maybe|possibly|perhaps)*"
)
UNIT_BEHIND = re.compile(r"\s?(?:\\?%|\\text\s?\{[^{}]{1,40}\}|\^\s?\{?\\circ\}?|\u00b0)")
"""A sign or a unit directly behind a value that stands in delimiters."""
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_CALCULATION = re.compile(r"<<[^<>]{1,200}>>")
"""The notes of a calculator in the solutions of GSM8K."""
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")
_BULLET = re.compile(r"(?:[-*\u2022]|[0-9]{1,2}[.)])\s+(.+)")
_THOUGHTS = ("think", "thought", "reasoning")
_THOUGHT = re.compile(
    r"[<\[\u25c1]\|?(/?|end_of_|begin_of_)(?:think|thinking|thought|reasoning)\|?[>\]\u25b7]",
    re.IGNORECASE,
)
_THOUGHT_END = re.compile(
    r"[<\[\u25c1]\|?(?:/|end_of_)(?:think|thinking|thought|reasoning)\|?[>\]\u25b7]", re.IGNORECASE
)
_LONG_SPACE = re.compile(r"\s{50,}")
_FOREIGN = ("antwort", "respuesta", "r\u00e9ponse", "risposta", "resposta")
_KEYS = ("answer", "####", "solution", "result", "a:", "\u7b54\u6848", *_FOREIGN)
"""What phrases that announce an answer hold; the commonest first, the others behind it."""
_MARKER = re.compile(
    r"####|A:|\u7b54\u6848(?:\u662f|\u4e3a)?\s?[\uff1a:]?"
    r"|(?:antwort|respuesta|r\u00e9ponse|risposta|resposta)\s?"
    r"(?::|(?:ist|es|est|\u00e9|\u00e8)(?![A-Za-z]))"
    r"|(?:answers?|solutions?|results?)"
    r"(?:\s(?:choice|option|value))?(?:\s(?:to|of|for|in)\s[^.:=\n]{1,80}?)?"
    r"[*_`\"]{0,3}\s?(?:[*_]{0,2}[:=][*_]{0,2}"
    r"|\s?(?:is|are|was|equals?|must be|should be|would be|will be|comes? (?:out )?to(?: be)?"
    r"|turns out to be|therefore is|then is)(?![A-Za-z])(?:\s?:)?"
    r"(?:\s(?:therefore|thus|simply|then|just|equal to|exactly|given by|option|choice)"
    r"(?![A-Za-z]))?)",
    re.IGNORECASE,
)
_MAX_MARKERS = 64
"""Phrases that are looked at, from the last on."""
_HEADINGS = ("solution", "result")
"""Words that may announce a solution instead of the answer."""
_LINE = re.compile(r"[^\n]+")
_SPOKEN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_SPACE_AT_END = re.compile(r"(?:\\[,;:! ]|\\q?quad|~|\s){1,20}$")
_DOLLAR = re.compile(r"(?<!\\)\$")
_PLAIN_DIGITS = re.compile(r"[0-9]*\.[0-9]*")
_COMMON_ENDS = " \t\r\n.,;:"
_DELIMITERS = (
    *(("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("**", "**"), ("__", "__"), ("`", "`")),
    *(('"', '"'), ("\u201c", "\u201d"), ("'", "'")),
)
_STARTS = frozenset(start[0] for start, _ in _DELIMITERS)


def extract(response: str) -> Extracted | None:
    r"""The answer of a response, or None where there is nothing.

    Example:
        >>> extract(r"So $x$ is \boxed{3}.")
        Extracted(text='3', method='box')
        >>> extract("The answer is 4, because it is even.").method
        'marker'
    """
    text = _without_asides(response.strip())
    boxed = _last_boxes(text) if "\\" in text else None
    if boxed is not None:
        return Extracted(boxed, "box")
    tagged = _tagged(text) if "nswer>" in text or "NSWER>" in text else None
    if tagged is not None:
        return Extracted(tagged, "tag")
    if len(text) > MAX_END and _PLAIN_DIGITS.fullmatch(text):
        return Extracted(text, "end")
    announced = _announced(text[-MAX_END:])
    if announced:
        return Extracted(announced, "marker")
    tail = text[-MAX_END:].strip()
    return Extracted(tail, "end") if tail else None


def _without_asides(text: str) -> str:
    """The text without long spaces, the notes of a calculator, and thoughts."""
    if len(text) > MAX_END and (" " * 10 in text or "\n" * 5 in text):
        text = _LONG_SPACE.sub("\n", text)
    if "~~" in text:
        text = _STRUCK.sub("", text)
    if "<<" in text:
        text = _CALCULATION.sub("", text)
    if _may_hold_thoughts(text):
        text = _without_thoughts(text)
    return text


def _may_hold_thoughts(text: str) -> bool:
    """Whether it is worth looking for tags of thoughts."""
    if ">" not in text and "]" not in text and "\u25b7" not in text:
        return False
    lowered = text.lower()
    return any(word in lowered for word in _THOUGHTS)


def cleaned(text: str) -> str:
    """The text without the delimiters, the emphasis and the full stop around it.

    Example:
        >>> cleaned("**$x = 5$**."), cleaned("007")
        ('x = 5', '7')
    """
    text = _without_zeros(_trimmed(text))
    if text[:1] in _STARTS:
        text = _without_delimiters(text)
    if "$" in text and _has_formulas(text):
        text = _DOLLAR.sub("", text)
    return text.replace("\\(", "(").replace("\\)", ")") if "\\(" in text else text


def _without_zeros(text: str) -> str:
    """A numeral without the zeros that make it long."""
    if text[:2] == "00" and text.isdigit():
        return text.lstrip("0") or "0"
    is_long = len(text) > MAX_LENGTH and "." in text
    return text.strip("0") if is_long and _PLAIN_DIGITS.fullmatch(text) else text


def _without_delimiters(text: str) -> str:
    """What stands within one pair of delimiters or several around each other."""
    is_changed = True
    while is_changed:
        is_changed = False
        for start, end in _DELIMITERS:
            if text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end):
                inside = text[len(start) : len(text) - len(end)]
                if start not in inside:
                    text, is_changed = _trimmed(inside), True
        if _dollars(text) == 2 and text[0] == "$" and text[-1] == "$":
            text, is_changed = _trimmed(text[1:-1]), True
    return text


def _dollars(text: str) -> int:
    """How many signs stand around formulas, not for money."""
    return text.count("$") - text.count("\\$")


def _has_formulas(text: str) -> bool:
    """Whether some of a text stands between dollar signs, and none of that is prose."""
    return _dollars(text) > 1 and not _SPOKEN.search("".join(text.split("$")[1::2]))


def _trimmed(text: str) -> str:
    text = _SPACE_AT_END.sub("", text) if "\\" in text[-40:] else text
    if text[-3:] == "..." and text[-4:-3].isdigit():
        return text.lstrip(" \t\r\n,;:*")
    return text.rstrip(_COMMON_ENDS + "*").lstrip(" \t\r\n,;:*")


def _announced(text: str) -> str | None:
    """What stands behind the last phrase that announces an answer, in its line or the next."""
    lowered = text.lower()
    end = len(text)
    for _ in range(_MAX_MARKERS):
        place, key = -1, ""
        for candidate in _KEYS:
            found = lowered.rfind(candidate, place + 1, end)
            if found >= 0:
                place, key = found, candidate
        if place < 0:
            return None
        end = place + len(key) - 1  # what lies before, also where keys overlap
        match = _MARKER.match(text, place)
        if match is None or (key.isascii() and text[place - 1 : place].isalpha()):
            continue
        line = _LINE.search(text, match.end())
        rest = "" if line is None else line[0].strip(" \t*_")
        if line is not None and key in _HEADINGS and text[line.end() :].strip().count("\n"):
            continue  # the heading of a solution
        if rest:
            return _listed(text, line) if line is not None and line.start() > match.end() else rest
    return None


def _listed(text: str, line: re.Match[str]) -> str:
    """A line behind an announcement; the items of a list with bullets that begins with it."""
    items = []
    for below in text[line.start() :].splitlines():
        bullet = _BULLET.fullmatch(below.strip())
        if bullet is None:
            break
        items.append(bullet[1].strip())
    return ", ".join(items) if len(items) > 1 else line[0].strip(" \t*_")


def _without_thoughts(text: str) -> str:
    """What stands outside of the thoughts; one that does not end goes on to the end."""
    outside: list[str] = []
    place = 0
    while tag := _THOUGHT.search(text, place):
        if tag[1] and not tag[1].lower().startswith("begin"):
            outside.clear()  # the end of a thought that began before the text
            place = tag.end()
            continue
        outside.append(text[place : tag.start()])
        end = _THOUGHT_END.search(text, tag.end())
        if end is None:
            return "".join(outside)
        place = end.end()
    return "".join((*outside, text[place:]))


def _tagged(text: str) -> str | None:
    """What stands between the last pair of answer tags."""
    start, found = -1, None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start >= 0:
            found, start = text[start : tag.start()].strip(), -1
    return found


def _last_boxes(text: str) -> str | None:
    """The content of the complete box that opens last; adjacent boxes make a list."""
    boxes = _boxes(text)
    last = next(boxes, None)
    if last is None:
        bare = list(_BARE_BOX.finditer(text[-MAX_END:]))
        return bare[-1][1] if bare else None
    start, end, outer = last
    parts = [text[start:end] + _unit_behind(text, end + 1)]
    for before_start, before_end, before_outer in boxes:
        if before_end >= outer:  # a box around the box
            parts, outer = [text[before_start:before_end]], before_outer
            continue
        gap = text[before_end + 1 : outer]
        if len(gap) > _MAX_GAP or "\n\n" in gap or _BETWEEN_BOXES.fullmatch(gap) is None:
            break
        parts.insert(0, text[before_start:before_end])
        outer = before_outer
    if text[outer - 1 : outer] == "-" and len(parts) == 1:
        return f"-({parts[0]})"
    return ", ".join(parts)


def _boxes(text: str) -> Iterator[tuple[int, int, int]]:
    """Complete boxes from the last on: where their contents begin and end, and where they begin."""
    places = {name: text.rfind(name) for name in ("\\boxed", "\\fbox")}
    for _ in range(_MAX_BOXES):
        name = max(places, key=places.__getitem__)
        place = places[name]
        if place < 0:
            return
        places[name] = text.rfind(name, 0, place)
        opening = _BOX.match(text, place)
        end = None if opening is None else _closing(text, opening.end())
        if opening is not None and end is not None:
            yield opening.end(), end, place


def _closing(text: str, start: int) -> int | None:
    """Where the brace closes that was opened before `start`."""
    depth = 1
    for brace in _BRACE.finditer(text, start, start + MAX_LENGTH):
        if brace[0] in "{}":
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                return brace.start()
    return None


def _unit_behind(text: str, place: int) -> str:
    match = UNIT_BEHIND.match(text, place)
    return match[0] if match else ""
