"""What commands do to a tab."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.web.base_site import Query, Site, State
from lmgym.envs.web.browsing import Refusal, Tab, execute, open_tab
from lmgym.envs.web.commands import parse_command, quoted
from lmgym.envs.web.markup import button, element, form
from lmgym.envs.web.wording import Wording

LINKS = "<a href=/a>A</a><a href=/b>B</a><a href=/>Home</a>"
FORM = (
    "<form action=/send method=post><input name=t aria-label=T value=v><textarea name=a"
    " aria-label=A>x</textarea><input type=checkbox name=c aria-label=C><input type=radio name=r"
    " value=1 aria-label=One><input type=radio name=r value=2 aria-label=Two checked><select name=s"
    " aria-label=S><option value=1>One<option value=2 selected>Two</select><input aria-label=N"
    " value=nameless><input name=d aria-label=D value=off disabled><input type=hidden name=h"
    " value=k><button name=b value=1>Go</button><button name=b value=2>Stay</button></form>"
)


class PlainSite(Site):
    """Pages by path; what is posted becomes the state, and leads to "/sent"."""

    family, kinds = "plain", ("page",)
    keys, sizes, texts = ("last",), (1,), frozenset({0})
    labels, values, commands = ("last",), (("",),), ()

    def __init__(self, pages: Mapping[str, str]) -> None:
        super().__init__(Wording(0))
        self.pages = {"/sent": "<p>sent", **pages}

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def get(self, state: State, path: str, query: Query) -> str | None:
        del state
        return escape(json.dumps(dict(query))) if path == "/query" else self.pages.get(path)

    def post(self, state: State, path: str, form: Query) -> tuple[State, str] | None:
        del state
        return None if path == "/refuse" else ((json.dumps(dict(form)),), "/sent")

    def kind_of(self, url: str) -> str:
        del url
        return "page"

    def useful(self, start: Sequence[int], goal: Sequence[int], url: str) -> frozenset[int]:
        del start, goal, url
        return frozenset()


def shown(html: str, **pages: str) -> Tab:
    """A tab that shows a page; others by their path without its slash."""
    named = {f"/{name}": page for name, page in pages.items()}
    return open_tab(PlainSite({"/": html, **named}), ("",))


def after(tab: Tab, *commands: str) -> Tab:
    for command in commands:
        tab = execute(tab, parse_command(command))
    return tab


def refused(tab: Tab, command: str) -> str:
    """Why a command is refused."""
    with pytest.raises(Refusal) as refusal:
        after(tab, command)
    return str(refusal.value)


def sent(tab: Tab) -> dict[str, str]:
    """The form that the server got last."""
    found: dict[str, str] = json.loads(str(tab.state[0]))
    return found


def linked() -> Tab:
    return shown(LINKS, a=LINKS, b=LINKS)


# links and history


def test_a_link_leads_to_its_page() -> None:
    tab = after(linked(), "click(link 'A')")
    assert (tab.url, tab.back, tab.forward) == ("/a", ("/",), ())


def test_pages_can_be_gone_back_to_and_forward_again() -> None:
    tab = after(linked(), "click(link 'A')", "click(link 'B')")
    urls = []
    for command in ("go_back()", "go_back()", "go_forward()", "go_forward()"):
        tab = after(tab, command)
        urls.append((tab.url, tab.back, tab.forward))
    assert urls == [
        ("/a", ("/",), ("/b",)),
        ("/", (), ("/b", "/a")),
        ("/a", ("/",), ("/b",)),
        ("/b", ("/", "/a"), ()),
    ]


def test_a_new_page_ends_the_way_forward() -> None:
    tab = after(linked(), "click(link 'A')", "go_back()", "click(link 'B')")
    assert (tab.back, tab.forward) == (("/",), ())


def test_the_same_address_takes_its_own_place_in_the_history() -> None:
    tab = after(linked(), "click(link 'A')", "click(link 'A')", "goto('/a')")
    assert (tab.url, tab.back) == ("/a", ("/",))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("go_back()", "there is no page to go back to"),
        ("go_forward()", "there is no page to go forward to"),
    ],
)
def test_there_is_an_end_to_the_history(command: str, why: str) -> None:
    assert refused(linked(), command) == why


def test_coming_back_shows_what_the_server_knows_now_and_fresh_fields() -> None:
    tab = after(shown(FORM), "fill(textbox 'T', 'new')", "click(button 'Go')", "go_back()")
    assert tab.values == tab.page.initial
    assert sent(tab)["t"] == "new"


def test_a_page_that_is_not_there_leads_home() -> None:
    tab = after(linked(), "goto('/nowhere')", "click(link 'Start')")
    assert (tab.url, tab.back) == ("/", ("/", "/nowhere"))


def test_links_to_elsewhere_are_refused() -> None:
    tab = shown("<a href='https://example.org/'>X</a><a href=#top>Y</a>")
    assert refused(tab, "click(link 'X')").startswith("the link leads away from this site")
    assert refused(tab, "click(link 'Y')").startswith("the link leads away from this site")


@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/a/", "/a?b=c&d=e+f", "/a?", "/a-b_c?x=%41*"])
def test_addresses_of_the_site_can_be_gone_to(path: str) -> None:
    assert after(linked(), f"goto({quoted(path)})").url == path


@pytest.mark.parametrize(
    "path",
    ["", "a", "//example.org", "/a//b", "https://example.org", "javascript:x", "/a#b", "/ä", "/a b",
     "/../a", "/a\n", "/a?b'", "\\a"],
)  # fmt: skip
def test_other_addresses_are_refused(path: str) -> None:
    assert "is no address of this site, such as /cart" in refused(linked(), f"goto({quoted(path)})")


@pytest.mark.parametrize("piece", ["a", "a/", "a-", "/", "-_"])
def test_long_addresses_are_looked_at_in_linear_time(piece: str) -> None:
    path = "/" + piece * (900 // len(piece)) + "!"
    started = time.process_time()
    refused(linked(), f"goto('{path}')")
    assert time.process_time() - started < 0.2


# fields


def test_a_text_is_filled_in_and_cleared() -> None:
    tab = after(shown(FORM), "fill(textbox 'T', 'new')")
    assert tab.values[0] == "new"
    assert after(tab, "clear(textbox 'T')").values[0] == ""


def test_only_areas_keep_line_breaks() -> None:
    tab = after(shown(FORM), "fill(textbox 'T', 'a\\nb')", "fill(textbox 'A', 'a\\nb')")
    assert tab.values[:2] == ("a b", "a\nb")


@pytest.mark.parametrize("option", ["One", "1"])
def test_options_are_chosen_by_text_or_value(option: str) -> None:
    assert after(shown(FORM), f"select_option(combobox 'S', '{option}')").values[5] == 0


def test_a_checkbox_is_checked_unchecked_and_switched() -> None:
    tab = shown(FORM)
    said = ("check", "check", "uncheck", "uncheck", "click", "click")
    held = []
    for verb in said:
        tab = after(tab, f"{verb}(checkbox 'C')")
        held.append(tab.values[2])
    assert held == [True, True, False, False, True, False]


@pytest.mark.parametrize("verb", ["check", "click"])
def test_of_a_group_of_radio_buttons_one_is_checked(verb: str) -> None:
    tab = after(shown(FORM + FORM), f"{verb}('7')")
    assert tab.values[3:5] == (True, False)
    assert tab.values[12:14] == (False, True)  # those of the other form


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("click('999')", "there is no element '999' on this page"),
        ("click('0')", "element '0' is nothing that can be acted on"),
        ("click(link 'Nowhere')", "there is no link 'Nowhere' on this page"),
        ("click(button 'T')", "there is no button 'T' on this page"),
        ("fill(textbox 'D', 'x')", "textbox 'D' is disabled"),
        ("fill(checkbox 'C', 'x')", "a checkbox takes no text; fill a textbox"),
        ("clear(combobox 'S')", "a combobox takes no text; fill a textbox"),
        ("select_option(textbox 'T', 'x')", "a textbox has no options; select in a combobox"),
        ("select_option(combobox 'S', 'x')", "there is no option 'x'; there are One, Two"),
        ("check(button 'Go')", "a button cannot be checked"),
        ("uncheck(radio 'Two')", "a radio cannot be unchecked; only a checkbox can"),
        ("press(textbox 'T', 'Tab')", "the key 'Tab' does nothing here; press 'Enter'"),
        ("press(textbox 'A', 'Enter')", "Enter does nothing in this textbox"),
        ("press(combobox 'S', 'Enter')", "Enter does nothing in this combobox"),
        ("click(hidden '')", "there is no hidden '' on this page"),
    ],
)
def test_what_cannot_be_done_is_told(command: str, why: str) -> None:
    assert refused(shown(FORM), command) == why


def test_a_name_that_two_elements_have_is_refused_with_their_numbers() -> None:
    why = refused(shown("<a href=/a>X</a><a href=/b>X</a>"), "click(link 'X')")
    assert why == "link 'X' is not one element; give a number: 3, 4"


def test_refusals_of_long_texts_are_short() -> None:
    for command in (f"click(link '{'x' * 999}')", f"select_option(combobox 'S', '{'x' * 999}')"):
        assert len(refused(shown(FORM), command)) < 150


# forms


def test_a_form_sends_the_fields_that_browsers_send() -> None:
    tab = after(shown(FORM), "click(button 'Stay')")
    assert sent(tab) == {"t": "v", "a": "x", "r": "2", "s": "2", "h": "k", "b": "2"}
    assert (tab.url, tab.back) == ("/sent", ("/",))


def test_a_form_sends_what_its_fields_hold() -> None:
    tab = after(
        shown(FORM),
        "fill(textbox 'T', '<&\"+ä\\\\n')",
        "fill(textbox 'A', 'one\\ntwo')",
        "check(checkbox 'C')",
        "check(radio 'One')",
        "select_option(combobox 'S', 'One')",
        "click(button 'Go')",
    )
    fields = {"t": '<&"+ä\\n', "a": "one\ntwo", "c": "on", "r": "1", "s": "1", "h": "k", "b": "1"}
    assert sent(tab) == fields


@pytest.mark.parametrize("element_", ["textbox 'T'", "checkbox 'C'", "radio 'Two'", "button 'Go'"])
def test_enter_presses_the_first_button(element_: str) -> None:
    assert sent(after(shown(FORM), f"press({element_}, 'Enter')"))["b"] == "1"


def test_enter_follows_a_link() -> None:
    assert after(linked(), "press(link 'A', 'Enter')").url == "/a"


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<input>", "Enter does nothing in this textbox"),
        ("<form><input></form>", "this form has no button"),
        ("<form><input><button disabled>x</button></form>", "the button of this form is disabled"),
    ],
)
def test_enter_needs_a_button(html: str, why: str) -> None:
    bid = 3 + html.startswith("<form>")
    assert refused(shown(html), f"press('{bid}', 'Enter')") == why


def test_a_get_form_goes_to_an_encoded_address_with_line_breaks_as_browsers_send_them() -> None:
    box = element("textarea", name="q", aria_label="Q")
    tab = shown(form("/query", box, button("Go"), method="get"))
    tab = after(tab, "fill(textbox 'Q', 'a b&c=d+é~*\\n.')", "click(button 'Go')")
    assert tab.url == "/query?q=a+b%26c%3Dd%2B%C3%A9%7E*%0D%0A."
    assert tab.back == ("/",)


def test_a_get_form_forgets_the_query_of_its_action() -> None:
    tab = shown(form("/query?old=1", '<input name="q" value="1">', button("Go"), method="get"))
    assert after(tab, "click(button 'Go')").url == "/query?q=1"


def test_a_required_field_keeps_its_form_from_being_sent() -> None:
    tab = shown(
        "<form method=post action=/s><input aria-label=T name=t required><button>Go</button>"
    )
    for command in ("click(button 'Go')", "press(textbox 'T', 'Enter')"):
        assert refused(tab, command) == "textbox 'T' must be filled in first"
    assert sent(after(tab, "fill(textbox 'T', ' ')", "click(button 'Go')")) == {"t": " "}


def test_a_form_that_nothing_takes_shows_so_and_changes_nothing() -> None:
    tab = after(shown(form("/refuse", button("Go"))), "click(button 'Go')")
    assert (tab.url, tab.back, tab.state) == ("/refuse", ("/",), ("",))
    assert "There is nothing here." in tab.text


def test_a_button_outside_of_forms_does_nothing() -> None:
    tab = shown("<button>x</button>")
    assert after(tab, "click(button 'x')") is tab


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=30))
def test_any_text_arrives_at_the_server_as_it_was_typed(text: str) -> None:
    tab = after(shown(FORM), f"fill(textbox 'A', {quoted(text)})", "click(button 'Go')")
    assert sent(tab)["a"] == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=30))
def test_any_text_arrives_by_an_address_too(text: str) -> None:
    box = element("textarea", name="q", aria_label="Q")
    tab = shown(form("/query", box, button("Go"), method="get"))
    tab = after(tab, f"fill(textbox 'Q', {quoted(text)})", "click(button 'Go')")
    shown_ = json.loads(tab.page.nodes[-1].text)
    assert shown_ == {"q": text.replace("\n", "\r\n")}


# values


def test_a_tab_is_a_value() -> None:
    tab = linked()
    one, other = after(tab, "click(link 'A')"), after(tab, "click(link 'A')")
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest


def test_a_command_that_changes_nothing_leaves_the_same_tab() -> None:
    tab = shown(FORM)
    for command in ("noop()", "fill(textbox 'T', 'v')", "uncheck(checkbox 'C')", "click('4')"):
        assert after(tab, command).values == tab.values
