"""A shop: search, two lists, details, a cart, and an order that closes it."""

from __future__ import annotations

from collections.abc import Sequence

from lmgym.envs.web.base_site import Query, Site, State
from lmgym.envs.web.commands import Command, Target
from lmgym.envs.web.fields import FactField, Kind
from lmgym.envs.web.markup import button, element, form, link, say
from lmgym.envs.web.wording import Wording

__all__ = ["ShopSite"]

_N_PRODUCTS, _MOST = 6, 2
_SHIPPING, _WRAP, _PLACED = 6, 7, 8
_FIRST_LIST = 3
"""Products of the first list; the rest are in the second."""


class ShopSite(Site):
    """A shop with six products.

    An order needs something in the cart and a carrier; once it is placed, nothing can be changed.
    """

    family = "shop"
    keys = (*(f"product {i}" for i in range(_N_PRODUCTS)), "shipping", "wrap", "placed")
    sizes = (*(_MOST + 1,) * _N_PRODUCTS, 3, 2, 2)
    dependent = frozenset({_PLACED})
    kinds = ("home", "list0", "list1", "search", *(f"item{i}" for i in range(_N_PRODUCTS)),
             "cart", "checkout")  # fmt: skip

    def __init__(self, wording: Wording) -> None:
        """Choose words and layout."""
        super().__init__(wording)
        word = wording.word
        self._products = wording.words("products", _N_PRODUCTS)
        quantities = tuple(map(str, range(_MOST + 1)))
        carriers = ("None", *wording.words("carriers", 2))
        amount = word("quantity")
        names = [f"{amount} of {product}" for product in self._products]
        self.labels = (*names, word("shipping"), word("wrap"), word("placed"))
        self.values = (
            *(quantities,) * _N_PRODUCTS,
            carriers,
            ("off", "on"),
            ("no", "yes"),
        )
        self._lists = wording.words("categories", 2)
        concepts = ("home", "cart", "checkout", "search", "add", "remove", "save", "place")
        self._words = {concept: word(concept) for concept in concepts}
        self._remark = word("remarks")
        amounts = quantities[1:]
        draw = FactField.drawn
        kinds: tuple[Kind, ...] = ("select", "radio")
        self._amount = draw(wording, "amount", amount, ["select"], amounts)
        self._carrier = draw(wording, "carrier", self.labels[_SHIPPING], kinds, carriers)
        self._wrap = draw(wording, "wrap", self.labels[_WRAP], ["checkbox"], ("off", "on"))
        self._menu = wording.shuffled(("home", "cart", "checkout"))
        self._shelves = (
            wording.shuffled(range(_FIRST_LIST)),
            wording.shuffled(range(_FIRST_LIST, _N_PRODUCTS)),
        )
        self.commands = tuple(self._commands())

    def _commands(self) -> list[Command]:
        """Links, searches, products, and what forms take."""
        words, said = self._words, []
        for name in (words["home"], words["cart"], words["checkout"], *self._lists):
            said.append(Command("click", Target(role="link", name=name)))
        box = Target(role="searchbox", name=words["search"])
        said += [Command("fill", box, product) for product in self._products]
        said.append(Command("click", Target(role="button", name=f"{words['search']} now")))
        for product in self._products:
            said.append(Command("click", Target(role="link", name=product)))
        said += self._amount.commands
        said.append(Command("click", Target(role="button", name=words["add"])))
        for product in self._products:
            name = f"{words['remove']} {product}"
            said.append(Command("click", Target(role="button", name=name)))
        said += [*self._carrier.commands, *self._wrap.commands]
        for concept in ("save", "place"):
            said.append(Command("click", Target(role="button", name=words[concept])))
        return said

    def get(self, state: State, path: str, query: Query) -> str | None:
        """A page of the shop."""
        kind, _, number = path.removeprefix("/").partition("/")
        if kind == "" and not number:
            return self._page(self._words["home"], *self._home())
        if kind == "search" and not number:
            return self._page(self._words["search"], *self._results(query.get("q", "")))
        if kind in ("cart", "checkout") and not number:
            body = self._cart(state) if kind == "cart" else self._checkout(state)
            return self._page(self._words[kind], *body)
        if kind == "list" and number in ("0", "1"):
            shelf = [self._to_item(i) for i in self._shelves[int(number)]]
            return self._page(self._lists[int(number)], element("ul", *shelf))
        if kind == "item" and number in _ITEMS:
            return self._page(self._products[int(number)], *self._item(state, int(number), query))
        return None

    def post(self, state: State, path: str, form: Query) -> tuple[State, str] | None:
        """Put into the cart, take out, save the delivery, or place the order."""
        kind, _, number = path.removeprefix("/").partition("/")
        if kind not in ("add", "remove", "delivery", "place") or number not in ("", *_ITEMS):
            return None
        if state[_PLACED]:
            return state, "/checkout"
        held = list(state)
        if kind in ("add", "remove") and number:
            item = int(number)
            added = int(self._amount.read(form)) + 1
            held[item] = min(_MOST, int(held[item]) + added) if kind == "add" else 0
            return tuple(held), f"/item/{number}?added=1" if kind == "add" else "/cart"
        if kind == "delivery":
            held[_SHIPPING], held[_WRAP] = self._carrier.read(form), self._wrap.read(form)
            return tuple(held), "/checkout?saved=1"
        if kind == "place" and self._can_place(state):
            held[_PLACED] = 1
        return tuple(held), "/checkout"

    def startable(self, facts: list[int]) -> list[int]:
        """At most one product is in the cart, and nothing is ordered."""
        kept = facts[0] * _N_PRODUCTS // self.sizes[0]
        cart = [facts[i] if i == kept else 0 for i in range(_N_PRODUCTS)]
        return [*cart, facts[_SHIPPING], facts[_WRAP], 0]

    def why_unreachable(self, start: Sequence[int], goal: Sequence[int]) -> str | None:
        """A placed order has something in it, a carrier, and can't be changed."""
        if start[_PLACED] and list(start) != list(goal):
            return "the order is placed at the start, so nothing can be changed"
        if goal[_PLACED] and not self._can_place(tuple(map(int, goal))):
            return "an order can be placed only with a product and a carrier"
        return super().why_unreachable(start, goal)

    def kind_of(self, url: str) -> str:
        """The kind of page, and of which product or list."""
        kind, _, number = url.partition("?")[0].removeprefix("/").partition("/")
        return f"{kind}{number}" or "home"

    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        """The menu, and what products, carrier and order need; no search that is not begun."""
        del url
        search, links, amounts = 11, 12, 18
        add, remove, delivery = amounts + _MOST, amounts + _MOST + 1, 27
        places = {0, 1, 2, search}
        for item in range(_N_PRODUCTS):
            if start[item] != goal[item]:
                in_list = 3 + (item >= _FIRST_LIST)
                places |= {in_list, links + item}
                places |= {*range(amounts, add + 1), remove + item}
        if start[_SHIPPING] != goal[_SHIPPING]:
            places |= {delivery + int(goal[_SHIPPING]), delivery + 5}
        if start[_WRAP] != goal[_WRAP]:
            places |= {delivery + 3 + int(goal[_WRAP]), delivery + 5}
        if start[_PLACED] != goal[_PLACED]:
            places.add(delivery + 6)
        return frozenset(places)

    def _can_place(self, state: State) -> bool:
        return any(state[:_N_PRODUCTS]) and state[_SHIPPING] != 0

    def _home(self) -> list[str]:
        links = [element("li", link(f"/list/{i}", name)) for i, name in enumerate(self._lists)]
        return [self._search(), element("ul", *links), element("p", say(self._remark))]

    def _search(self, text: str = "") -> str:
        word = self._words["search"]
        box = element("input", type="search", name="q", value=text, aria_label=word)
        return form("/search", box, " ", button(f"{word} now"), method="get")

    def _results(self, text: str) -> list[str]:
        wanted = text.strip().lower()
        found = [i for i, name in enumerate(self._products) if wanted and wanted in name.lower()]
        items = [self._to_item(i) for i in found]
        shown = element("ul", *items) if items else element("p", say(f"Nothing found for {text}."))
        return [self._search(text), shown]

    def _to_item(self, item: int) -> str:
        return element("li", link(f"/item/{item}", self._products[item]))

    def _item(self, state: State, item: int, query: Query) -> list[str]:
        shown = [element("p", say(f"In the cart: {state[item]}"))]
        if query.get("added") == "1":
            shown.append(element("p", say("Added.")))
        if not state[_PLACED]:
            send = button(self._words["add"])
            shown.append(form(f"/add/{item}", self._amount.html(0), send))
        return shown

    def _cart(self, state: State) -> list[str]:
        rows = [self._row(state, i) for i in range(_N_PRODUCTS) if state[i]]
        return [element("table", *rows)] if rows else [element("p", say("The cart is empty."))]

    def _row(self, state: State, item: int) -> str:
        cells = [self._products[item], str(state[item])]
        written = [element("td", say(cell)) for cell in cells]
        if not state[_PLACED]:
            name = f"{self._words['remove']} {self._products[item]}"
            written.append(element("td", form(f"/remove/{item}", button(name))))
        return element("tr", *written)

    def _checkout(self, state: State) -> list[str]:
        chosen = f"{self.labels[_SHIPPING]}: {self.values[_SHIPPING][int(state[_SHIPPING])]}"
        if state[_PLACED]:
            return [element("p", say(self.labels[_PLACED])), element("p", say(chosen))]
        fields = (self._carrier.html(state[_SHIPPING]), self._wrap.html(state[_WRAP]))
        shown = [form("/delivery", *fields, button(self._words["save"]))]
        if self._can_place(state):
            return [*shown, form("/place", button(self._words["place"]))]
        return [*shown, element("p", say("An order needs a product and a carrier."))]

    def _page(self, title: str, *body: str) -> str:
        places = {"home": "/", "cart": "/cart", "checkout": "/checkout"}
        menu = [(places[name], self._words[name]) for name in self._menu]
        return self.page(title, menu, *body)


_ITEMS = tuple(map(str, range(_N_PRODUCTS)))
