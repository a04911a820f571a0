r"""Verdicts a second beside math-verify 0.9.0: integer answers, and hard LaTeX.

Each pair is judged once a repetition, with all caches empty, first by the one and then by the
other, in CPU time of the process; ratios are taken round by round. math-verify reads LaTeX and
plain expressions, boxes first, and its timeouts are off. Integer answers are golds of GSM8K behind
their worked solutions where LMGYM_DATA has `gsm8k/test.jsonl`, else behind generated ones, each
gold once; every fourth answer is wrong.

It is installed for measuring alone, apart from everything else:

    pip install --no-deps --target /tmp/mv math-verify==0.9.0 latex2sympy2_extended==1.11.0 \
        antlr4-python3-runtime==4.13.2
    PYTHONPATH=/tmp/mv lmgym bench verification
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.verification import verify
from measuring import Claim, Costs, MeasuringArgs, claimed, in_turn, ratios

__all__ = ["HARD", "Pair", "VerificationArgs", "integer_pairs", "main"]


@dataclass(frozen=True)
class VerificationArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    integers: int = 300
    """Integer answers, as many as have different golds."""


@dataclass(frozen=True)
class Pair:
    """A response, its gold, and whether it is right."""

    response: str
    gold: str
    is_right: bool = True


Judge = Callable[[Pair], bool]


@dataclass
class Side:
    """One verifier: what it said, and how long each pair took it, one list a repetition."""

    judge: Judge
    forget: Callable[[], None]
    verdicts: dict[str, list[bool]] = field(default_factory=dict)
    seconds: dict[str, list[list[float]]] = field(default_factory=dict)

    def measure(self, name: str, pairs: Sequence[Pair]) -> float:
        """CPU seconds of all pairs, each judged once with nothing remembered."""
        self.forget()
        spent, verdicts = [], []
        for pair in pairs:
            start = time.process_time()
            verdict = self.judge(pair)
            spent.append(time.process_time() - start)
            verdicts.append(verdict)
        self.seconds.setdefault(name, []).append(spent)
        self.verdicts[name] = verdicts
        return sum(spent)

    def percentile(self, name: str, q: float) -> list[float]:
        """Milliseconds of a percentile of the pairs, one number a repetition."""
        rounds = self.seconds[name][1:]  # as `in_turn`, without the first
        return [1e3 * float(np.percentile(spent, q)) for spent in rounds]

    def accuracy(self, name: str, pairs: Sequence[Pair]) -> float:
        """Percent of the pairs that are judged as they are."""
        return _percent([pair.is_right for pair in pairs], self.verdicts[name])


INTEGERS, LATEX = "integers", "hard LaTeX"


def main(argv: Sequence[str]) -> int:
    """Measure in turn, print, write; 1 where a bar is missed."""
    options = {"verification": VerificationArgs}
    (args,) = parse_options(options, argv, "bench verification", __doc__ or "")
    ours = Side(lambda pair: verify(pair.response, pair.gold).correct, _forget_ours)
    theirs = Side(*_math_verify())
    kinds = {INTEGERS: integer_pairs(args.integers, args.seed), LATEX: list(HARD)}
    costs: dict[str, Costs] = {}
    for name, pairs in kinds.items():
        sides = {"ours": ours, "math-verify": theirs}
        measures = {who: partial(side.measure, name, pairs) for who, side in sides.items()}
        costs[name] = in_turn(measures, args.repetitions)
    claims = [
        claim for name in kinds for claim in _claims(name, kinds[name], costs[name], ours, theirs)
    ]
    differ = {name: _different(pairs, name, ours, theirs) for name, pairs in kinds.items()}
    return claimed(claims, args, seconds=costs, differ=differ)


def _claims(
    name: str, pairs: Sequence[Pair], costs: Costs, ours: Side, theirs: Side
) -> list[Claim]:
    least = {INTEGERS: 50, LATEX: 30}[name]
    return [
        Claim(
            f"{name}: CPU, math-verify / ours",
            ratios(costs["math-verify"], costs["ours"]),
            least=least,
        ),
        Claim(f"{name}: ours", [len(pairs) / cost for cost in costs["ours"]], "verdicts/s"),
        Claim(f"{name}: ours, median", ours.percentile(name, 50), "ms"),
        Claim(f"{name}: ours, 99th percentile", ours.percentile(name, 99), "ms", most=5),
        Claim(f"{name}: math-verify, median", theirs.percentile(name, 50), "ms"),
        Claim(f"{name}: math-verify, 99th percentile", theirs.percentile(name, 99), "ms"),
        Claim(f"{name}: ours agrees with the label", [ours.accuracy(name, pairs)], "%"),
        Claim(f"{name}: math-verify agrees with the label", [theirs.accuracy(name, pairs)], "%"),
        Claim(f"{name}: both agree", [_percent(ours.verdicts[name], theirs.verdicts[name])], "%"),
    ]


def _percent(a: Sequence[bool], b: Sequence[bool]) -> float:
    return 100 * float(np.mean([x == y for x, y in zip(a, b, strict=True)]))


def _different(pairs: Sequence[Pair], name: str, ours: Side, theirs: Side) -> list[dict[str, Any]]:
    """The pairs that the two judge differently."""
    rows = zip(pairs, ours.verdicts[name], theirs.verdicts[name], strict=True)
    return [
        {
            "response": p.response[-200:],
            "gold": p.gold,
            "is_right": p.is_right,
            "ours": a,
            "theirs": b,
        }
        for p, a, b in rows
        if a != b
    ]


def _caches(*packages: str) -> list[Any]:
    """Every cached function of some packages that are loaded."""
    modules = [
        m
        for name, m in sys.modules.items()
        if name.partition(".")[0] in packages or name.startswith(packages)
    ]
    found = {id(f): f for m in modules for f in vars(m).values() if hasattr(f, "cache_clear")}
    return list(found.values())


def _forget_ours() -> None:
    for function in _caches("lmgym.verification"):
        function.cache_clear()


def _math_verify() -> tuple[Judge, Callable[[], None]]:
    """math-verify as well as it can be configured, and what empties its caches and sympy's."""
    if importlib.util.find_spec("math_verify") is None:
        raise LmgymError(
            "this benchmark needs math-verify; run: pip install --no-deps --target /tmp/mv"
            " math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2,"
            " and then: PYTHONPATH=/tmp/mv lmgym bench verification"
        )
    theirs: Any = importlib.import_module("math_verify")
    clear_sympy: Callable[[], None] = importlib.import_module("sympy.core.cache").clear_cache
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns of timeouts that are off
    latex, plain = (
        theirs.LatexExtractionConfig(boxed_match_priority=0),
        theirs.ExprExtractionConfig(),
    )

    def judge(pair: Pair) -> bool:
        gold = f"${pair.gold}$" if "\\" in pair.gold or not pair.gold.isdecimal() else pair.gold
        golds, answers = (
            theirs.parse(text, extraction_config=[latex, plain], parsing_timeout=None)
            for text in (gold, pair.response)
        )
        return bool(theirs.verify(golds, answers, timeout_seconds=None))

    def forget() -> None:
        clear_sympy()
        for function in _caches("math_verify", "latex2sympy2_extended"):
            function.cache_clear()

    return judge, forget


_ENDS = (
    "The answer is {}.",
    "#### {}",
    r"So the answer is \boxed{{{}}}.",
    "Therefore, the final answer is: ${}$",
)
_CALCULATION = re.compile(r"<<[^<>]*>>")


def integer_pairs(n: int, seed: int) -> list[Pair]:
    """Integers behind worked solutions, each gold once; every fourth answer is wrong.

    Example:
        >>> integer_pairs(2, seed=0)[0].is_right
        True
    """
    pairs: list[Pair] = []
    for gold, solution in list(_solutions(n, seed).items())[:n]:
        is_right = len(pairs) % 4 != 3
        answer = gold if is_right else str(int(gold) + 1 + len(pairs) % 9)
        end = _ENDS[len(pairs) // 4 % 4].format(answer)
        pairs.append(Pair(f"{solution}\n{end}", gold, is_right))
    return pairs


def _solutions(n: int, seed: int) -> dict[str, str]:
    """Worked solutions by their integer answers."""
    path = Path(os.environ.get("LMGYM_DATA", "")) / "gsm8k" / "test.jsonl"
    if not path.is_file():
        return _generated(n, seed)
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        solution, _, gold = _CALCULATION.sub("", json.loads(line)["answer"]).rpartition("\n#### ")
        if gold.isdecimal():
            found.setdefault(gold, solution)
    return found


def _generated(n: int, seed: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < n:
        price, count, rest = (int(x) for x in rng.integers(2, 1_000, 3))
        total = price * count
        found[str(total + rest)] = (
            f"The {count} boxes cost {price} * {count} = ${total}.\nWith the {rest} dollars that"
            f" were left she had {total} + {rest} = ${total + rest} at first."
        )
    return found


def _boxed(rows: str) -> list[Pair]:
    """Pairs from lines `answer  ==  gold` and `answer  !=  gold`."""
    pairs = []
    for row in filter(None, map(str.strip, rows.splitlines())):
        answer, sign, gold = re.split(r"\s{2,}(==|!=)\s{2,}", row)
        text = (
            f"Putting both together, we find the value that was asked for: $\\boxed{{{answer}}}$."
        )
        pairs.append(Pair(text, gold, sign == "=="))
    return pairs


HARD = _boxed(r"""
    \frac{\sqrt{2}}{2}                              ==  \frac{1}{\sqrt{2}}
    \sqrt{5+2\sqrt{6}}                              ==  \sqrt{2}+\sqrt{3}
    \frac{1}{\sqrt{7}-\sqrt{3}}                     ==  \frac{\sqrt{7}+\sqrt{3}}{4}
    \sqrt[3]{16}+\sqrt[3]{54}                       ==  5\sqrt[3]{2}
    \frac{3+\sqrt{17}}{4}                           !=  \frac{3+\sqrt{17}}{2}
    2\sqrt{13}                                      !=  \sqrt{26}
    \frac{\sqrt{6}-\sqrt{2}}{4}                     ==  \sin\frac{\pi}{12}
    \cos\left(\frac{\pi}{5}\right)                  ==  \frac{1+\sqrt{5}}{4}
    \tan 15^\circ                                   ==  2-\sqrt{3}
    \arctan\frac{1}{2}+\arctan\frac{1}{3}           ==  \frac{\pi}{4}
    \sin^2 x                                        ==  \frac{1-\cos 2x}{2}
    \sin 2x                                         ==  2\sin x\cos x
    \cos 2x                                         !=  2\cos^2 x
    \ln 12                                          ==  2\ln 2+\ln 3
    \log_2 3+\log_2 5                               ==  \log_2 15
    \frac{\ln 8}{\ln 4}                             ==  \frac{3}{2}
    \log_{10} 2                                     !=  \ln 2
    e^{2\ln 3}                                      ==  9
    (x+1)^3                                         ==  x^3+3x^2+3x+1
    (x-2)(x+3)(x-5)                                 ==  x^3-4x^2-11x+30
    \frac{x^2-4}{x-2}                               ==  x+2
    \frac{1}{x}+\frac{1}{y}                         ==  \frac{x+y}{xy}
    \frac{a^3-b^3}{a-b}                             ==  a^2+ab+b^2
    (a+b+c)^2                                       ==  a^2+b^2+c^2+2ab+2bc+2ca
    (x+y)^4                                         !=  x^4+4x^3y+6x^2y^2+4xy^3-y^4
    x^3-3x^2+3x-1                                   !=  (x+1)^3
    \frac{n(n+1)(2n+1)}{6}                          ==  \frac{2n^3+3n^2+n}{6}
    2^{n+1}-2                                       ==  2(2^n-1)
    \frac{4^n-1}{3}                                 !=  \frac{4^n-1}{4}
    \binom{20}{10}                                  ==  184756
    \frac{12!}{6!\,6!}                              ==  924
    \binom{52}{5}                                   !=  2598961
    2^{100}                                         ==  1267650600228229401496703205376
    2^{100}                                         !=  1267650600228229401496703205377
    \frac{355}{113}                                 !=  \pi
    0.1\overline{6}                                 ==  \frac{1}{6}
    3\frac{3}{7}                                    ==  \frac{24}{7}
    1.2\times 10^{-3}                               ==  \frac{3}{2500}
    (-\infty,-2)\cup(3,\infty)                      ==  (-\infty,-2)\cup(3,\infty)
    x\in(-\infty,-2)\cup(3,\infty)                  ==  x<-2\text{ or }x>3
    \left[-\frac{1}{2},\frac{3}{4}\right)           ==  -\frac{1}{2}\le x<\frac{3}{4}
    [0,\sqrt{2}]                                    !=  [0,\sqrt{2})
    (2,5)\cup(5,8)                                  !=  (2,8)
    \{1,\sqrt{2},-3\}                               ==  \{-3,1,\sqrt{2}\}
    x=\frac{-1\pm\sqrt{13}}{6}                      ==  -\frac{1+\sqrt{13}}{6},\frac{\sqrt{13}-1}{6}
    \{2,3\}                                         !=  \{2,3,5\}
    x=1,\ x=-\frac{5}{2}                            ==  -\frac{5}{2},1
    \left(\frac{3}{2},-\sqrt{5}\right)              ==  (1.5,-\sqrt{5})
    (3,-4)                                          !=  (-4,3)
    \left(3,\frac{\pi}{2}\right)                    ==  (3,\frac{1}{2}\pi)
    \begin{pmatrix}1&2\\3&4\end{pmatrix}            ==  \begin{bmatrix}1&2\\3&4\end{bmatrix}
    \begin{pmatrix}\frac12&0\\0&2\end{pmatrix}      ==  \begin{pmatrix}0.5&0\\0&2\end{pmatrix}
    \begin{pmatrix}1&3\\2&4\end{pmatrix}            !=  \begin{pmatrix}1&2\\3&4\end{pmatrix}
    \begin{pmatrix}-7\\16\\5\end{pmatrix}           ==  \begin{pmatrix}-7\\16\\5\end{pmatrix}
    \frac{1}{1+i}                                   ==  \frac{1}{2}-\frac{i}{2}
    (2+3i)^2                                        ==  -5+12i
    e^{i\pi/3}                                      ==  \frac{1}{2}+\frac{\sqrt{3}}{2}i
    3-4i                                            !=  3+4i
    y=2x-3                                          ==  2x-y-3=0
    x^2+y^2-6x+4y=12                                ==  (x-3)^2+(y+2)^2=25
    f(x)=\frac{1}{2}x^2-x                           ==  \frac{x(x-2)}{2}
    y=3x+1                                          !=  y=3x-1
    \frac{9\pi}{4}-\frac{9\sqrt{3}}{8}              ==  \frac{9}{8}(2\pi-\sqrt{3})
    \frac{\pi^2}{6}                                 !=  1.6449340668
    \left|{-3-\sqrt{2}}\right|                      ==  3+\sqrt{2}
    \lfloor 7\pi\rfloor                             ==  21
    \frac{\dfrac{1}{2}+\dfrac{1}{3}}{\dfrac{1}{4}}  ==  \frac{10}{3}
    \sqrt{x^2+2x+1}                                 !=  x+1
    (x-1)(x^4+x^3+x^2+x+1)                          ==  x^5-1
    50\%                                            ==  \frac{1}{2}
    12.5\text{ cm}                                  ==  \frac{25}{2}
    10!                                             !=  3628801
""")
"""Answers in boxes, their golds, and whether they are worth the same."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
