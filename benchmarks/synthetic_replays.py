"""Replays for boards that nobody has played: answers, walks through pages, games."""

from __future__ import annotations

from typing import Any

__all__ = ["debate", "nim", "preferred_reply", "sum_of_two", "web_walk", "word_problem"]

_TASK = (
    "Task: Set 'Place of Lost cat' to 'Kept' and 'Starred of Your invoice' to 'on'.\n"
    "Done: nothing yet.\n"
)
_MENU = "[6] link 'Kept' [7] link 'Trash' [8] link 'Inbox' [9] link 'About'\n"
_PLACE = "# Lost cat\nPlace\n"
_WALK = [
    f"{_TASK}/folder/0\n{_MENU}# Inbox\n[16] link 'Your invoice'\n[19] link 'Lost cat'\n"
    "[22] link 'Book club' | Starred",
    "click(link 'Lost cat')",
    f"{_TASK}/item/0\n{_MENU}{_PLACE}"
    "[15] radio 'Inbox' checked [17] radio 'Kept' [19] radio 'Trash'\n[21] button 'Move item'\n"
    "[25] checkbox 'Starred'\n[26] button 'Update'\n"
    "[30] combobox 'Language' value='French' options: 'German' | 'Greek' | 'French'\n"
    "[33] textbox 'Nickname' value='Finn O\\'Hara' (changed)",
    "check('17')",
    f"{_TASK}Error: there is no element '99' on this page\n/item/0\n{_MENU}{_PLACE}"
    "[15] radio 'Inbox' [17] radio 'Kept' checked (changed) [19] radio 'Trash'\n"
    "[21] button 'Move item'",
    "click(button 'Move item')",
]

_QUESTION = (
    "A farm has 9 hens. A fox takes 3 hens, and the next morning the farmer buys twice as many as"
    " are left. How many hens live on the farm?"
)
_SOLUTION = (
    "The fox leaves 9 - 3 = 6 hens.\nThe farmer buys 2 * 6 = 12 hens.\n"
    "So 6 + 12 = 18 hens live on the farm.\n\n\\boxed{18}"
)
_INSTRUCTIONS = "Solve the problem. Write your steps, and the answer in \\boxed{}. " * 6

_DOCUMENT = (
    "Claim: The old mill still works.\n[1] Pia says that the old mill has stopped for good.\n"
    "[2] Jana says that Pia came by train.\n[3] Xena proved Milo mistaken.\n"
    "[4] Quin says that Pia is wrong.\nYou are {side}.\nQuote."
)
_QUOTES = [
    ("“Pia says that the old mill has stopped for good.”", ""),
    ("But see [4].", ""),
    ("The mill is closed, trust me.", "no sentence of the document is quoted; quote one"),
    ("[3]", ""),
    ("“Quin says that Pia is wrong.”", ""),
]
_TAKEN = [(0, 2), (1, 3), (2, 4), (0, 1), (1, 1), (2, 1)]


def sum_of_two(number: int) -> dict[str, Any]:
    """A sum in steps; each fourth is wrong."""
    is_right = number % 4 != 3
    answer = f"5+7=12; 5+8+1=14; 4+5+1=10; {1042 if is_right else 1032}"
    verdict = "correct" if is_right else "incorrect"
    return _problem(f"addition/3/0/{number}", ["455+587=", answer], verdict, float(is_right))


def word_problem(number: int) -> dict[str, Any]:
    """A long problem under long instructions."""
    problem = _problem(f"gsm8k/test/{number}", [_QUESTION, _SOLUTION], "correct", 1.0)
    system = {"role": "system", "content": _INSTRUCTIONS}
    return problem | {"messages": [system, *problem["messages"]]}


def web_walk(number: int) -> dict[str, Any]:
    """One to three pages of a mail box."""
    texts = _WALK[: 2 * (1 + (number + 2) % 3)]
    is_right = number % 2 == 0
    verdict = "correct" if is_right else "unfinished"
    return _problem(f"mail/{number}/2/0", texts, verdict, float(is_right))


def preferred_reply(number: int) -> dict[str, Any]:
    """A reply that has a grade and no verdict of right or wrong."""
    reply = "The parcel is on its way, and should be with you on Thursday. I am sorry."
    return _problem(f"preference/{number}", ["Where is my parcel?", reply], "graded", 1.27)


def debate(pair: list[str], number: int) -> dict[str, Any]:
    """Four quotes, and a message that is none."""
    moves = []
    seat = 0
    for text, complaint in _QUOTES:
        page = _DOCUMENT.format(side=("Con", "Pro")[seat])
        moves.append(_move(pair, seat, page, text, complaint))
        seat = seat if complaint else 1 - seat
    ending = "The judge rejects the claim, and is right."
    return _game(pair, 17 + number, moves, [1.0, -1.0], ending)


def nim(pair: list[str], number: int) -> dict[str, Any]:
    """Six moves in three heaps."""
    heaps, moves = [3, 4, 5], []
    for turn, (heap, taken) in enumerate(_TAKEN):
        page = f"Heaps: {', '.join(map(str, heaps))}.\nWho takes the last object wins."
        moves.append(_move(pair, turn % 2, page, f"take {taken} from heap {heap + 1}"))
        heaps[heap] -= taken
    return _game(pair, number, moves, [-1.0, 1.0], "finished")


def _problem(task_id: str, texts: list[str], verdict: str, score: float) -> dict[str, Any]:
    """Texts of the world and of the agent in turn."""
    messages = [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts)
    ]
    return {"task_id": task_id, "messages": messages, "score": score, "verdict": verdict}


def _move(pair: list[str], seat: int, page: str, text: str, complaint: str = "") -> dict[str, Any]:
    return {"player": pair[seat], "seat": seat, "page": page, "text": text, "complaint": complaint}


def _game(
    pair: list[str], deal: int, moves: list[dict[str, Any]], returns: list[float], ending: str
) -> dict[str, Any]:
    return {"entries": pair, "deal": deal, "moves": moves, "returns": returns, "ending": ending}
