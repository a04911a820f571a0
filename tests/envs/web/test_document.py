"""What is read from a document."""

from __future__ import annotations

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.web.document import Control
from lmgym.envs.web.markup import element, say
from lmgym.envs.web.parsing import parse_html

# what a browser's own parser leaves as it is
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cc", "Cs"]),
    max_size=30,
)


def controls(html: str) -> list[Control]:
    return list(parse_html(html).controls)


def only(html: str) -> Control:
    (control,) = controls(html)
    return control


def text(html: str) -> str:
    page = parse_html(html)
    return page.text(page.initial)


@pytest.mark.parametrize(
    ("html", "role"),
    [
        ("<a href=/x>x</a>", "link"),
        ("<button>x</button>", "button"),
        ("<input>", "textbox"),
        ("<input type=text>", "textbox"),
        ("<input type=SEARCH>", "searchbox"),
        ("<input type=checkbox>", "checkbox"),
        ("<input type=radio>", "radio"),
        ("<input type=submit>", "button"),
        ("<input type=hidden>", "hidden"),
        ("<select></select>", "combobox"),
        ("<textarea></textarea>", "textbox"),
    ],
)
def test_roles(html: str, role: str) -> None:
    assert only(html).role == role


def test_a_link_without_an_address_is_text() -> None:
    assert controls("<a>nowhere</a>") == []
    assert text("<a>nowhere</a>") == "nowhere"


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ("<label for=i>City</label><input id=i>", "City"),
        ("<input id=i><label for=i> The\n city </label>", "The city"),
        ("<label>City <input></label>", "City"),
        ("<label><input type=checkbox> Read <b>it</b></label>", "Read it"),
        ("<label>City <select><option>Oslo</select> or so</label>", "City or so"),
        ("<label>More <textarea>old</textarea></label>", "More"),
        ("<input aria-label=' The  city '>", "The city"),
        ("<label for=i>no</label><input id=i aria-label=City>", "City"),
        ("<input title=City>", "City"),
        ("<input placeholder=City>", "City"),
        ("<input title=City placeholder=no>", "City"),
        ("<button> Save <b>all</b> </button>", "Save all"),
        ("<button aria-label=Save>x</button>", "Save"),
        ("<input type=submit value=Save>", "Save"),
        ("<a href=/x>Next <i>page</i></a>", "Next page"),
        ("<input>", ""),
    ],
)
def test_names(html: str, name: str) -> None:
    assert only(html).name == name


def test_elements_are_numbered_in_the_order_of_the_document() -> None:
    html = "<title>x</title><p>one <b>two</b></p><button><i>a</i></button><input><a href=/>b</a>"
    # html 0, head 1, title 2, body 3, p 4, b 5, button 6, i 7
    assert [control.bid for control in controls(html)] == [6, 8, 9]


def test_the_parser_adds_what_browsers_add() -> None:
    # html 0, head 1, body 2, table 3, tbody 4, tr 5, td 6
    assert only("<table><tr><td><button>x</button></table>").bid == 7


def test_fields_belong_to_the_form_around_them() -> None:
    html = (
        "<input name=a><form action=/p method=POST><input name=b><table><tr><td><input name=c>"
        "</table></form><input name=d><form><input name=e></form>"
    )
    page = parse_html(html)
    assert [(c.key, c.form) for c in page.controls] == [
        ("a", -1),
        ("b", 0),
        ("c", 0),
        ("d", -1),
        ("e", 1),
    ]
    assert page.forms == (("/p", "post"), ("", "get"))


def test_what_fields_hold_at_first() -> None:
    html = (
        "<input value=v><input><textarea>\nt\nu</textarea><input type=checkbox checked>"
        "<input type=checkbox><select><option>a<option selected>b</select>"
        "<select><option>a</select>"
    )
    assert parse_html(html).initial == ("v", "", "t\nu", True, False, 1, 0)


def test_of_radio_buttons_that_are_all_checked_the_last_one_is() -> None:
    radio = "<input type=radio name={} checked>"
    html = radio.format("r") * 2 + radio.format("s") + f"<form>{radio.format('r')}</form>"
    assert parse_html(html).initial == (False, True, True, True)


def test_what_fields_are_allowed() -> None:
    controls_ = controls("<input disabled><input required><button disabled>x</button>")
    assert [c.is_disabled for c in controls_] == [True, False, True]
    assert [c.is_required for c in controls_] == [False, True, False]


def test_options_have_values_and_texts() -> None:
    control = only("<select><option value=1>One<option> Two <b>b</b></select>")
    assert control.options == (("1", "One"), ("Two b", "Two b"))


def test_hidden_fields_hold_a_value_but_cannot_be_found() -> None:
    page = parse_html("<form><input type=hidden name=k value=v></form>")
    assert page.initial == ("v",)
    assert (dict(page.by_bid), dict(page.by_name)) == ({}, {})
    assert page.text(page.initial) == ""


def test_blocks_stand_on_lines_of_their_own() -> None:
    html = (
        "<title>no</title><style>no</style><h1>Head</h1>text <b>bold</b><p>one</p>two"
        "<ul><li>a<li><a href=/b>b</a></ul><table><tr><td>c<td>d<tr><td>e</table>"
        "<script>no</script>"
    )
    assert text(html).split("\n") == [
        "# Head",
        "text bold",
        "one",
        "two",
        "a",
        "[11] link 'b'",
        "c | d",
        "e",
    ]


def test_fields_tell_what_they_hold() -> None:
    html = (
        "<label>N <input></label><p><label>C <input type=checkbox></label><p><label>S <select>"
        "<option>a<option>b</select></label><p><label>O <input disabled></label>"
    )
    page = parse_html(html)
    assert page.text(("x'y", True, 1, "")).replace(" (changed)", "").split("\n") == [
        "[4] textbox 'N' value='x\\'y'",
        "[7] checkbox 'C' checked",
        "[10] combobox 'S' value='b' options: 'a' | 'b'",
        "[15] textbox 'O' disabled value=''",
    ]


def test_fields_tell_whether_they_were_changed() -> None:
    page = parse_html("<p><input aria-label=T value=v><p><input type=checkbox aria-label=C>")
    assert page.text(("v", False)) == "[4] textbox 'T' value='v'\n[6] checkbox 'C'"
    changed = "[4] textbox 'T' value='' (changed)\n[6] checkbox 'C' checked (changed)"
    assert page.text(("", True)) == changed


def test_the_same_document_is_the_same_page() -> None:
    assert parse_html("<p>x</p>") is parse_html("<p>x</p>")


def collapsed(text: str) -> str:
    """Only the white space of HTML is; a space that does not break, say, stays."""
    return re.sub("[ \t\n\f\r]+", " ", text).strip(" ")


@given(TEXTS)
def test_a_written_text_is_read_as_one_text_and_nothing_else(said: str) -> None:
    page = parse_html(element("p", say(said)) + element("p", "end"))
    assert page.controls == ()
    assert page.text(()) == "\n".join(filter(None, [collapsed(said), "end"]))


@given(TEXTS)
def test_a_written_attribute_is_read_as_it_was(value: str) -> None:
    page = parse_html(element("input", type="text", value=value, aria_label=value))
    (control,) = page.controls
    assert page.initial == (value,)
    assert control.name == collapsed(value)


@given(TEXTS)
def test_a_written_area_is_read_as_it_was(value: str) -> None:
    assert parse_html(element("textarea", "\n" + say(value))).initial == (value,)


@given(
    st.text(max_size=200),
    st.lists(st.sampled_from(["<>", "/=\"'a", "input", "form", "label", "td"])),
)
def test_any_document_can_be_read(one: str, other: list[str]) -> None:
    for html in (one, "".join(other), escape(one)):
        page = parse_html(html)
        assert len(page.initial) == sum(control.field >= 0 for control in page.controls)
        assert isinstance(page.text(page.initial), str)
