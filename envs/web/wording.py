"""`Wording`: the words and the layout of one site, from its seed.

A concept has several words; some of them are held out from training, so that a policy can be
tested on a site that says the same in words it has not met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["POOLS", "Wording"]

T = TypeVar("T")

POOLS: dict[str, str] = {
    # what can be clicked
    "home": "Start / Home | Front page",
    "save": "Save / Apply / Update | Store changes / Confirm",
    "search": "Search / Find | Look up",
    "filter": "Filter / Show | Narrow down",
    "next": "Next page / Next | Further",
    "previous": "Previous page / Back | Earlier",
    "help": "Help / About / Contact | Imprint / Questions",
    "move": "Move / Move item | Put there",
    "rename": "Rename / Change name | Give name",
    # settings
    "profile": "Profile / Account | Personal data",
    "notices": "Notices / Messages | Alerts",
    "privacy": "Privacy / Safety | Protection",
    "display name": "Display name / Nickname | Shown name",
    "people": (
        "Ann / Ben / Cleo / Dan / Eva / Finn / Gia / Hal / Ida / Jon |"
        " Kim / Lea / Max / Nia / Ole / Pia"
    ),
    "language": "Language / Site language | Tongue",
    "languages": (
        "English / French / German / Spanish / Polish / Greek | Danish / Turkish / Dutch / Welsh"
    ),
    "newsletter": "Newsletter / Weekly letter | Bulletin",
    "frequency": "Frequency / How often | Rhythm",
    "frequencies": "Hourly / Daily / Weekly / Monthly / Never | At once / Each quarter / Yearly",
    "channel": "Channel / Send by | Way of contact",
    "channels": "Email / Text message / Phone / Letter | Fax / Push / Pager",
    "visibility": "Visibility / Seen by | Who may look",
    "audiences": "Everyone / Friends / Nobody / Members | Team / Family / Guests",
    "two factor": "Two-step login / Second factor | Login code",
    "bio": "About me / Biography | Self-portrait",
    "bios": (
        "I like tea / I sing / I hike a lot / I paint / I build boats | I run far / I cook / I sew"
    ),
    # shop
    "cart": "Cart / Basket | Trolley",
    "checkout": "Checkout / Order | Till",
    "categories": "Kitchen / Garden / Office / Toys | Bath / Sports / Travel",
    "products": (
        "Red mug / Blue bowl / Steel pan / Oak spoon / Tea pot / Glass jar / Green hose / Rake /"
        " Seed box / Desk lamp / Stapler / Note pad | Soap dish / Towel / Tennis ball / Rope /"
        " Suitcase / Map / Bath mat"
    ),
    "quantity": "Quantity / Amount | How many",
    "add": "Add to cart / Buy | Take it",
    "remove": "Remove / Delete | Drop",
    "shipping": "Shipping / Delivery | Transport",
    "carriers": "Post / Courier / Pick-up / Drone | Bike / Ferry / Train",
    "wrap": "Gift wrap / Wrap it | Present paper",
    "place": "Place order / Order now | Commit",
    "placed": "Order placed / Ordered | Committed",
    # mail
    "inbox": "Inbox / Received | In tray",
    "archive": "Archive / Kept | Store room",
    "bin": "Bin / Trash | Rubbish",
    "folder": "Folder / Place | Tray",
    "subjects": (
        "Lunch on Friday / Your invoice / Boat trip / New keys / Book club / Lost cat / Choir"
        " practice / Rent | Flu jab / Piano lesson / Old bikes / Tax form / Garden fence"
    ),
    "starred": "Starred / Important | Marked",
    "reply": "Reply / Answer | Response",
    "replies": "Yes, gladly / No, thanks / Maybe later | Count me in / I must decline / Ask again",
    "send": "Send / Send off | Dispatch",
    # calendar
    "events": (
        "Dentist / Team lunch / Yoga / Budget talk / Swim / Haircut / Review / Tea with Bo |"
        " Opera / Tune-up / Sprint / Checkup / Bingo"
    ),
    "day": "Day / Weekday | Date",
    "hour": "Time / Hour | Begins at",
    "remind": "Reminder / Remind me | Wake me",
    # table
    "records": (
        "Printer / Router / Scanner / Laptop / Camera / Server / Monitor / Tablet | Beamer /"
        " Switch / Plotter / Modem / Drive"
    ),
    "status": "Status / State | Condition",
    "statuses": "Open / Closed / Waiting / In work | New / Done / On hold",
    "owner": "Owner / Assigned to | In charge",
    "owners": "Ravi / Sue / Tom / Uma / Vic | Wes / Xena / Yan / Zoe",
    # files
    "folders": "Reports / Photos / Music / Drafts / Plans | Letters / Scans / Films",
    "file names": (
        "summer / budget / notes / poem / letter / trip / list / song / plan / recipe / story /"
        " chart / sketch / memo / draft / photo | winter / speech / menu / index / puzzle / diary /"
        " essay / novel / paper / script / score / graph"
    ),
    "name": "File name / Name | Called",
    "shared": "Shared / Public | Open to all",
    # what only distracts
    "remarks": (
        "The library is closed on Monday. / Parking is free after six. /"
        " Thank you for your visit. / Our phones are busy at noon. |"
        " The lift is being repaired. / Dogs are welcome."
    ),
}
"""Words for each concept; those behind the bar are held out from training."""

_WORDS = {
    name: tuple(tuple(map(str.strip, side.split("/"))) for side in text.split("|"))
    for name, text in POOLS.items()
}


class Wording:
    """Words and layout of one site.

    Args:
        seed: of the site.
        is_held_out: whether words are those that training never shows.

    Example:
        >>> Wording(3).word("save") in ("Save", "Apply", "Update")
        True
        >>> Wording(3, is_held_out=True).word("search")
        'Look up'
    """

    def __init__(self, seed: int, *, is_held_out: bool = False) -> None:
        """Seed the choices."""
        self.seed = seed
        self.is_held_out = is_held_out
        self._rng = np.random.default_rng((seed, int(is_held_out)))

    def word(self, concept: str) -> str:
        """A word for a concept."""
        return self.words(concept, 1)[0]

    def words(self, concept: str, n: int) -> tuple[str, ...]:
        """Different words for one concept, in any order."""
        known = _WORDS[concept][self.is_held_out]
        chosen = self._rng.permutation(len(known))[:n]
        return tuple(known[int(place)] for place in chosen)

    def shuffled(self, items: Sequence[T]) -> tuple[T, ...]:
        """The same items in any order."""
        return tuple(items[int(place)] for place in self._rng.permutation(len(items)))

    def flip(self) -> bool:
        """Heads or tails."""
        return bool(self._rng.integers(2))
