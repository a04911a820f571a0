"""The page in Chromium: safe with hostile boards, usable by keyboard, readable, and quiet."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmgym.leaderboards.page import write_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.enable_socket,  # Playwright talks to the browser
]

PAYLOAD = (
    '<script>window.ran=1</script> "onmouseover="window.ran=1" autofocus onfocus=\'window.ran=1\''
    "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>"
    "<svg onload=window.ran=1>"
    "<iframe srcdoc='<script>parent.ran=1</script>'>javascript:window.ran=1//{{script}}<!--"
)
STRUCTURE = {"kind": {"single", "match"}, "phase": {"open", "final", "public"}}
"""Words that decide what the page shows: replaced, there would be less to look at."""
AXE = os.environ.get("LMGYM_AXE", "")
"""The path of axe.min.js of npm's axe-core."""

Open = Callable[..., Any]


class Console(list[str]):
    """What a page has complained about, and what it has asked for."""

    def watch(self, page: Any) -> None:
        page.on("console", lambda message: self.append(message.text))
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("request", lambda request: self.append(f"request for {request.url:.80}"))


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """Writes the page of a board, once for each."""
    folder = tmp_path_factory.mktemp("pages")
    written: list[tuple[dict[str, Any], Path]] = []

    def write(board: dict[str, Any]) -> Path:
        for known, path in written:
            if known is board:
                return path
        written.append((board, write_page(board, folder / f"{len(written)}.html")))
        return written[-1][1]

    return write


@pytest.fixture
def show(chromium: Any, page_of: Callable[[dict[str, Any]], Path]) -> Iterator[Open]:
    """Opens the page of a board; at the end nothing may have gone wrong in it."""
    context, console = None, Console()

    def open_page(board: dict[str, Any], address: str = "", **options: Any) -> Any:
        nonlocal context
        path = page_of(board)
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        console.watch(page)
        page.goto(path.as_uri() + address)
        return page

    yield open_page
    if context is not None:
        context.close()
    assert [line for line in console if not line.startswith("request for file:///")] == []


def hostile(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """The same board with every string changed, keys of arguments included."""
    if isinstance(value, str):
        return value if value in STRUCTURE.get(key, ()) else change(value)
    if isinstance(value, dict):
        is_free = key == "args"
        return {change(k) if is_free else k: hostile(v, change, k) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(item, change, key) for item in value]
    return value


def draw_all(page: Any) -> None:
    """Have all sections drawn, as for printing, and open what is folded."""
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.evaluate("document.querySelector('.steps button:last-child')?.click()")


def go(page: Any, **words: str) -> None:
    page.evaluate("words => { location.hash = new URLSearchParams(words) }", words)
    page.wait_for_timeout(50)


def vocabulary(page: Any) -> set[str]:
    """Tags, and tags with attributes, of all that is there."""
    found = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one =>"
        " [one.localName, ...one.getAttributeNames().map(name => `${one.localName} ${name}`)])"
    )
    return set(found)


def tour(page: Any, board: dict[str, Any]) -> tuple[set[str], str]:
    """All tracks and a panel; what they are made of, and what they say."""
    words, text = vocabulary(page), page.evaluate("document.body.innerText")
    for track in board["tracks"]:
        go(page, track=track["id"])
        draw_all(page)
        words |= vocabulary(page)
        text += page.evaluate("document.querySelector('main').innerText")
    go(page, entry=board["tracks"][0]["rows"][3]["entry"])
    draw_all(page)
    page.hover("#panel h2")
    text += page.evaluate("document.querySelector('#panel').innerText")
    return words | vocabulary(page), text


@pytest.fixture(scope="module")
def usual(chromium: Any, synthetic: Any, page_of: Callable[[dict[str, Any]], Path]) -> set[str]:
    """Tags and attributes of a board that nobody has tampered with."""
    page = chromium.new_page()
    page.goto(page_of(synthetic()).as_uri())
    words, _ = tour(page, synthetic())
    page.close()
    return words


@pytest.mark.parametrize(
    ("own", "payload"), [("", PAYLOAD), ("{}", PAYLOAD + "\u2028"), ("", "__proto__")]
)
def test_no_text_of_a_board_becomes_markup(
    own: str, payload: str, show: Open, synthetic: Any, usual: set[str]
) -> None:
    board = hostile(synthetic(8), lambda text: own.format(text) + payload)
    page = show(board)
    words, text = tour(page, board)
    assert page.evaluate("window.ran") is None
    assert words <= usual
    assert not [word for word in words if re.search(r" (on\w+|src|srcdoc|action)$", word)]
    assert page.evaluate("[...document.links].every(link => link.getAttribute('href')[0] === '#')")
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1
    assert payload.replace("\u2028", "U+2028") in text


def test_markup_cannot_be_made_of_a_text_at_all(chromium: Any, boards: Any, tmp_path: Path) -> None:
    page = chromium.new_page()
    page.goto(write_page(boards.empty_board(), tmp_path / "index.html").as_uri())
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")
    page.close()


def test_what_cannot_be_seen_is_spelled_out(show: Open, synthetic: Any) -> None:
    board = copy.deepcopy(synthetic(4))
    row = board["tracks"][0]["rows"][1]
    row["summary"] = "abc\u202edef\u0000\x1b[31m\u200b\ud800 👨\u200d👩\u200d👧 naïve"
    page = show(board, f"#track=math-addition&entry={row['entry']}")
    shown = page.evaluate("document.querySelector('#panel .summary').textContent")
    assert shown == "abcU+202EdefU+0000U+001B[31mU+200BU+D800 👨\u200d👩\u200d👧 naïve"
    assert page.locator("#panel .summary .hidden-character").count() == 5


def test_a_track_without_entries_says_so(show: Open, boards: Any) -> None:
    page = show(boards.empty_board())
    page.locator(".card a").first.click()
    assert page.locator("h2").first.inner_text() == "Addition"
    assert "No entries yet" in page.locator("main").inner_text()


def test_two_entries_are_enough_for_a_track(show: Open, synthetic: Any) -> None:
    page = show(synthetic(2), "#track=debate")
    draw_all(page)
    assert entries_of(page) == [row["entry"] for row in synthetic(2)["tracks"][4]["rows"]]


def test_a_board_without_tracks_says_so(show: Open, boards: Any) -> None:
    page = show({**boards.empty_board(), "tracks": []})
    assert "no tracks yet" in page.locator("main").inner_text()


def entries_of(page: Any) -> list[str]:
    titles: list[str] = page.evaluate(
        "[...document.querySelectorAll('.ranking tbody .entry')].map(one => one.title)"
    )
    return titles


def test_a_heading_sorts_by_mouse_and_keyboard(show: Open, synthetic: Any) -> None:
    board = synthetic()
    page = show(board, "#track=math-addition")
    rows = board["tracks"][0]["rows"]
    assert entries_of(page) == [row["entry"] for row in rows]
    page.click("th:has-text('Success') button")
    assert page.get_attribute("th:has-text('Success')", "aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert page.get_attribute("th:has-text('Success')", "aria-sort") == "ascending"
    assert entries_of(page) == [r["entry"] for r in sorted(rows, key=lambda r: r["score"])]


def test_unrated_entries_come_last_in_both_directions(show: Open, synthetic: Any) -> None:
    board = synthetic()
    page = show(board, "#track=debate")
    unrated = {row["entry"] for row in board["tracks"][4]["rows"] if row["rating"] is None}
    for _ in range(2):
        page.click("th:has-text('Rating') button")
        assert set(entries_of(page)[-len(unrated) :]) == unrated


def test_the_filter_and_the_switch_choose_rows(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=math-addition")
    page.fill("input[type=search]", "longest")
    assert entries_of(page) == ["the-entry-with-the-very-longest-name-40c@3"]
    page.fill("input[type=search]", "")
    page.uncheck("text=Reference entries")
    assert not {"random@1", "oracle@1"} & set(entries_of(page))
    page.fill("input[type=search]", "no such entry")
    assert page.locator(".ranking tbody").inner_text() == "No entry matches."


def test_scores_are_shown_with_and_without_forfeits(show: Open, synthetic: Any) -> None:
    board = synthetic()
    [row, *_] = [row for row in board["tracks"][0]["rows"] if row["forfeits"]]
    page = show(board, "#track=math-addition")
    value = page.locator(f"tr:has([title='{row['entry']}']) .value")
    assert value.inner_text().startswith(f"{100 * row['score']:.1f}")
    page.uncheck("text=Count forfeits")
    assert value.inner_text() == f"{100 * row['score_without_forfeits']:.1f}"
    assert "forfeits left out" in page.locator(".ranking thead").inner_text()


def test_many_entries_come_in_pages(show: Open, synthetic: Any) -> None:
    board = synthetic(60)
    last = board["tracks"][0]["rows"][-1]["entry"]
    page = show(board, "#track=math-addition")
    assert page.locator(".status").inner_text() == "1\u201350 of 60 entries"
    page.click("text=Next")
    assert page.locator(".status").inner_text() == "51\u201360 of 60 entries"
    assert page.evaluate("document.activeElement.textContent") == "Previous"
    page.click("text=Show all 60")
    assert len(entries_of(page)) == 60
    go(page, track="gsm8k")
    go(page, track="math-addition", entry=last)
    assert page.locator("tr.marked .entry").get_attribute("title") == last


def test_an_address_leads_to_an_entry_and_escape_back(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=nim&entry=oracle%401")
    assert page.locator("#panel h2").inner_text() == "oracle @1"
    assert page.locator("#panel .results tbody tr").count() == 6
    page.keyboard.press("Escape")
    page.wait_for_function("location.hash === '#track=nim'")
    assert not page.evaluate("document.querySelector('#panel').open")


def test_the_panel_leads_to_opponents_and_replays(show: Open, synthetic: Any) -> None:
    track = synthetic()["tracks"][4]
    a, b = track["matrix"]["entries"][1:3]
    page = show(synthetic(), f"#track=gsm8k&entry={a.replace('@', '%40')}")
    page.click("#panel summary:has-text('Debate')")
    points = f"{100 * track['matrix']['points'][1][2]:.1f} %"
    line = page.locator(f"#panel .opponents tr:has([title='{b}'])")
    assert line.locator("td").all_inner_texts() == [points, "20"]
    page.click("#panel tr:has-text('Debate') a.more")
    page.wait_for_selector(".replay-list")
    assert page.locator(".replay-list li").count() == 2
    assert not page.evaluate("document.querySelector('#panel').open")


def test_an_address_of_nothing_says_so(show: Open, synthetic: Any) -> None:
    page = show(synthetic(3), "#track=chess&entry=nobody")
    assert "has no track chess" in page.locator("main").inner_text()
    assert "no entry nobody" in page.locator("#panel").inner_text()


def test_choosing_an_entry_draws_its_curve(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=math-addition&view=curves")
    lines = page.locator("[data-view=curves] path.line")
    page.wait_for_function("document.querySelector('[data-view=curves] path.line')")
    before = lines.count()
    box = page.locator("tr:has(.entry[title='krill-krill@2']) input")
    box.focus()
    page.keyboard.press("Space")
    assert lines.count() == before + 1
    assert "krill-krill" in page.locator("[data-view=curves] .legend").inner_text()
    assert page.evaluate("document.activeElement.type") == "checkbox"


def test_a_chart_is_read_by_keyboard(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=math-addition&view=curves")
    page.focus("[data-view=curves] .plot")
    page.keyboard.press("Home")
    assert (
        page.locator("[data-view=curves] .where").inner_text() == "validation reward at 0 seconds"
    )
    page.keyboard.press("ArrowRight")
    assert "at 4.07 seconds" in page.locator("[data-view=curves] .where").inner_text()


def test_few_entries_meet_in_a_table_and_many_in_a_picture(show: Open, synthetic: Any) -> None:
    board = synthetic(60)
    matrix = board["tracks"][4]["matrix"]
    page = show(board, "#track=debate&view=matrix")
    heat = page.locator("[data-view=matrix]")
    assert heat.locator("table.matrix tbody tr").count() == 24
    heat.locator("select").select_option(label="all 60")
    assert heat.locator("table.matrix").count() == 0
    heat.locator(".picture").focus()
    for key in ("ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    a, b = (board["tracks"][4]["rows"][k]["entry"] for k in (0, 1))
    i, j = (matrix["entries"].index(entry) for entry in (a, b))
    expected = (
        f"{a} took {100 * matrix['points'][i][j]:.1f} % of the points against {b}, in 20 games"
    )
    assert heat.locator(".readout").inner_text() == expected


def test_a_game_is_replayed_move_by_move(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=debate&view=replays&replay=1")
    stage = page.locator(".stage")
    assert stage.locator(".step").count() == 1
    page.focus(".steps button >> nth=1")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert stage.locator(".step").count() == 3
    assert "Not allowed: no sentence of the document is quoted" in stage.inner_text()
    page.click("text=Show all")
    assert stage.locator(".step").count() == 5
    assert "The judge rejects the claim" in stage.locator(".ending").inner_text()
    page.get_by_text("What the player saw").first.click()
    assert "You are Con." in stage.inner_text()


def test_a_walk_is_replayed_page_by_page(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=web-mail-comp&view=replays&replay=0")
    stage = page.locator(".stage")
    assert stage.locator(".location").inner_text() == "/folder/0"
    assert stage.locator(".target").inner_text() == "19\nLost cat"
    page.click("[aria-label='Next step']")
    assert stage.locator(".location").inner_text() == "/item/0"
    assert stage.locator(".target").inner_text() == "17\n○\nKept"
    assert "Finn O'Hara" in stage.locator(".changed").inner_text()
    assert stage.locator(".command").inner_text().endswith("check('17')")
    page.click("[aria-label='Next step']")
    assert "there is no element '99'" in stage.locator(".about-error").inner_text()


def test_an_answer_is_shown_with_its_problem(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=gsm8k&view=replays&replay=2")
    assert "A farm has 9 hens" in page.locator(".asked").inner_text()
    assert page.locator(".answered mark").inner_text() == "\\boxed{18}"
    assert "correct" in page.locator(".ending").inner_text()


@pytest.mark.parametrize("width", [360, 800, 1440])
def test_no_width_makes_the_page_scroll_sideways(width: int, show: Open, synthetic: Any) -> None:
    board = hostile(synthetic(), lambda text: text + "W" * 60)
    page = show(board, viewport={"width": width, "height": 800})
    for track in board["tracks"][2:5]:
        go(page, track=track["id"])
        draw_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_colours_follow_the_system_until_somebody_chooses(show: Open, boards: Any) -> None:
    page = show(boards.empty_board(), color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.click(".theme")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.reload()
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.click(".theme")
    assert page.evaluate(paper) == dark


def test_paper_has_all_sections_in_light_colours(show: Open, synthetic: Any) -> None:
    page = show(synthetic(), "#track=math-addition", color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("path.line").count() > 4
    assert page.locator(".part.waiting").count() == 0


@pytest.mark.skipif(not Path(AXE).is_file(), reason="LMGYM_AXE names no axe.min.js")
@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_axe_finds_nothing_serious(scheme: str, width: int, show: Open, synthetic: Any) -> None:
    board = synthetic()
    page = show(board, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    addresses = [{}, *({"track": track["id"]} for track in board["tracks"])]
    for words in [*addresses, {"track": "nim", "entry": "delta-delta@1"}]:
        go(page, **words)
        draw_all(page)
        found = page.evaluate("axe.run().then(result => result.violations)")
        grave = [
            (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert grave == []
