"""Word problems: a quantity, and what happens to it in one to three steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .family import Draws, Family, Problem, Room, lines

__all__ = ["SCENES", "Scene", "WordProblems"]


class Scene(NamedTuple):
    """How a story is told.

    Attributes:
        start: of the story, with its quantity {n}.
        events: by operation, a sentence with the number {k}; those of `*` and `/` leave no doubt
            whatever came before.
        question: what is asked at the end.
    """

    start: str
    events: Mapping[str, str]
    question: str


NAMES = ("Ada", "Ben", "Chen", "Dalia", "Emeka", "Finn", "Gita", "Hana", "Ivo", "Jin")

SCENES = (
    Scene(
        "{name} has {n} apples in a basket.",
        {
            "+": "{name} picks {k} more.",
            "-": "{name} eats {k} of them.",
            "*": "Friends come and fill it up to {k} times as many.",
            "/": "{name} shares them equally among {k} baskets and keeps one basket.",
        },
        "How many apples does {name} have?",
    ),
    Scene(
        "A bus leaves with {n} passengers.",
        {"+": "At a stop {k} people get on.", "-": "At a stop {k} people get off."},
        "How many passengers are on the bus?",
    ),
    Scene(
        "{name} has saved {n} euros.",
        {
            "+": "{name} earns {k} euros.",
            "-": "{name} spends {k} euros.",
            "*": "A lucky bet multiplies the savings by {k}.",
            "/": "{name} divides the savings equally among {k} people and keeps one share.",
        },
        "How many euros does {name} have left?",
    ),
    Scene(
        "There are {n} marbles in {name}'s bag.",
        {
            "+": "{name} wins {k} marbles.",
            "-": "{name} loses {k} marbles.",
            "*": "A trade leaves {name} with {k} times as many marbles.",
        },
        "How many marbles are in the bag now?",
    ),
    Scene(
        "A library shelf holds {n} books.",
        {
            "+": "Readers bring back {k} books.",
            "-": "Readers borrow {k} books.",
            "/": "The books are spread evenly over {k} shelves, and we look at one of these.",
        },
        "How many books stand on the shelf?",
    ),
    Scene(
        "A baker has made {n} rolls today.",
        {
            "+": "The baker makes {k} more.",
            "-": "Customers buy {k} rolls.",
            "*": "A big order makes the baker bake until there are {k} times as many.",
            "/": "The rolls are packed evenly into {k} bags, and only one bag stays.",
        },
        "How many rolls does the baker have?",
    ),
    Scene(
        "The score of {name}'s team is {n}.",
        {
            "+": "It scores {k} points.",
            "-": "A penalty costs {k} points.",
            "*": "A bonus multiplies the score by {k}.",
            "/": "A joker of the other team divides the score by {k}.",
        },
        "What is the score at the end?",
    ),
    Scene(
        "A tank contains {n} litres of water.",
        {
            "+": "Rain adds {k} litres.",
            "-": "A leak lets {k} litres out.",
            "*": "A storm leaves {k} times as much in it.",
            "/": "The water is split evenly over {k} tanks, of which this is one.",
        },
        "How many litres does the tank contain now?",
    ),
    Scene(
        "A train sets out with {n} wagons.",
        {"+": "At a station {k} wagons are added.", "-": "At a station {k} wagons stay behind."},
        "How many wagons does the train pull in the end?",
    ),
    Scene(
        "{name} owns {n} stickers.",
        {
            "+": "{name} gets {k} as a present.",
            "-": "{name} gives {k} away.",
            "*": "After a sale {name} owns {k} times as many.",
            "/": "{name} splits them into {k} equal piles and sells all piles but one.",
        },
        "How many stickers are left?",
    ),
    Scene(
        "A car park holds {n} cars in the morning.",
        {"+": "Then {k} cars arrive.", "-": "Then {k} cars drive away."},
        "How many cars are parked there?",
    ),
    Scene(
        "A farm has {n} hens.",
        {
            "+": "The farmer buys {k} hens.",
            "-": "A fox takes {k} hens.",
            "*": "Chicks hatch, and soon there are {k} times as many.",
            "/": "The farmer divides the flock evenly among {k} farms and keeps one part.",
        },
        "How many hens live on the farm?",
    ),
)
"""Twelve stories; the number of people's names is beside the point."""


class WordProblems(Family):
    """A scene, a start, and events that keep the quantity a positive integer."""

    name = "word_problems"
    level = (
        "1 to 3: one step, 4 to 6: two, 7 to 9: three; within these, the digits of the first number"
    )

    def problem(self, draws: Draws, level: int) -> Problem:
        """The derivation is drawn step by step, and told in words."""
        n_steps, digits = _size(level)
        place = draws.below(len(SCENES))
        scene, name = SCENES[place], draws.one_of(NAMES)
        total = start = max(2, draws.digits(digits))
        told, steps, key = [scene.start.format(name=name, n=start)], [], f"{place}:{start}"
        for _ in range(n_steps):
            sign, k, after = _event(draws, scene, total, digits)
            told.append(scene.events[sign].format(name=name, k=k))
            steps.append(f"{total}{sign}{k}={after}")
            key += f"{sign}{k}"
            total = after
        question = " ".join([*told, scene.question.format(name=name)])
        return Problem(question, total, key, lines(*steps, total))

    def room(self, level: int) -> Room:
        """The longest sentences; each step adds a digit at most."""
        n_steps, digits = _size(level)
        number = digits + n_steps
        return Room(100 + (90 + number) * n_steps, (3 * number + 3) * n_steps + number, number)


def _size(level: int) -> tuple[int, int]:
    """How many steps, and the digits of the first number; the level held out has four digits."""
    return (3, 4) if level > 9 else (1 + (level - 1) // 3, 1 + (level - 1) % 3)


def _event(draws: Draws, scene: Scene, total: int, digits: int) -> tuple[str, int, int]:
    """An operation that the scene tells and the total allows, its number, and what comes of it."""
    divisors = [k for k in range(2, 10) if total % k == 0]
    ways = [s for s in scene.events if (s != "-" or total > 2) and (s != "/" or divisors)]
    sign = draws.one_of(ways)
    if sign == "*":
        k = draws.between(2, 5)
        return sign, k, total * k
    if sign == "/":
        k = draws.one_of(divisors)
        return sign, k, total // k
    most = 10**digits - 1  # and never 1, which would call for a singular
    k = draws.between(2, min(most, total - 1)) if sign == "-" else draws.between(2, most)
    return sign, k, total + k if sign == "+" else total - k
