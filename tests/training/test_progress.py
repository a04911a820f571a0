import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lmgym.errors import LmgymError
from lmgym.training.progress import Sample, TrainingDisplay, visible

METRICS = {"reward": 0.5, "accuracy": 0.25, "entropy": 1.234, "tokens_per_second": 12345.6}


def console(is_terminal: bool, encoding: str = "utf-8") -> tuple[Console, io.BytesIO]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    return Console(file=file, force_terminal=is_terminal, width=100, height=30, _environ={}), raw


def shown(is_terminal: bool, *samples: Sample, encoding: str = "utf-8") -> str:
    out, raw = console(is_terminal, encoding)
    with TrainingDisplay("grpo", 10, "updates", console=out, every_updates=1) as display:
        display.update(3, METRICS, samples)
    return raw.getvalue().decode(encoding)


def test_a_pipe_gets_one_plain_line() -> None:
    assert shown(False) == (
        "grpo: 3/10 updates, reward 0.500, accuracy 25.0%, entropy 1.234, tokens/s 12,346\n"
    )


def test_lines_come_each_n_updates_and_the_last_state_at_the_end() -> None:
    out, raw = console(False)
    with TrainingDisplay("sft", 7, "updates", console=out, every_updates=3) as display:
        for done in range(1, 8):
            display.update(done, {})
    lines = raw.getvalue().decode().splitlines()
    assert [line.split()[1] for line in lines] == ["3/7", "6/7", "7/7"]


def test_lines_come_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out, raw = console(False)
    with TrainingDisplay("sft", 20.0, "seconds", console=out, every_seconds=5) as display:
        for step in range(13):
            now = float(step)
            display.update(now, {})
    done = [line.split()[1] for line in raw.getvalue().decode().splitlines()]
    assert done == ["0/20", "5/20", "10/20", "12/20"]


def test_metrics_left_out_keep_their_value() -> None:
    out, raw = console(False)
    with TrainingDisplay("grpo", 2, console=out, every_updates=2) as display:
        display.update(1, {"reward": 0.5})
        display.update(2, {"entropy": 0.1})
    assert raw.getvalue().decode() == "grpo: 2/2 updates, reward 0.500, entropy 0.100\n"


def test_a_terminal_gets_bar_metrics_and_answers() -> None:
    text = shown(True, Sample("1+1=", "2", True), Sample("2+2=", "5", False), Sample("hi", "yo"))
    for part in ("grpo", "3/10 updates", "reward", "0.500", "1+1=", "2+2="):
        assert part in text
    assert "\x1b[32m2" in text  # green
    assert "\x1b[31m5" in text  # red


def test_answers_are_never_markup() -> None:
    text = shown(True, Sample("[bold]q[/]", "[red]x[/red] [/nonsense]", True))
    assert "[bold]q[/]" in text
    assert "[red]x[/red] [/nonsense]" in text


def test_titles_are_never_markup() -> None:
    out, raw = console(False)
    with TrainingDisplay("[red]t\n", 2, "[u]", console=out) as display:
        display.update(1, {})
    assert raw.getvalue().decode() == "[red]t\\n: 1/2 [u]\n"


def test_an_answer_cannot_command_the_terminal() -> None:
    text = shown(True, Sample("p\x07", "\x1b[2J\x9b31m\r\nforged\u202e", True))
    assert r"\x1b[2J\x9b31m\r\nforged\u202e" in text
    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_any_encoding_of_the_output_will_do() -> None:
    text = shown(True, Sample("é", "→ 😀", None), encoding="ascii")
    assert r"\xe9" in text
    assert r"\u2192 \U0001f600" in text


def test_long_words_fold_in_any_encoding() -> None:
    text = shown(True, Sample("q" * 500, "a" * 500, True), encoding="ascii")
    assert "q" * 20 in text
    assert "..." in text


def test_only_the_first_answers_are_shown() -> None:
    text = shown(True, *(Sample(f"q{n}", "a") for n in range(9)))
    assert "q3" in text
    assert "q4" not in text


def test_an_update_without_answers_keeps_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmgym.training.progress._REFRESH_SECONDS", 0)
    out, raw = console(True)
    with TrainingDisplay("grpo", 10, console=out) as display:
        display.update(1, {}, [Sample("question", "a")])
        display.update(2, {})
    assert raw.getvalue().decode().count("question") >= 2


def test_a_line_can_be_printed_above() -> None:
    out, raw = console(False)
    with TrainingDisplay("grpo", 10, console=out) as display:
        display.print("saved [bold]\x1b")
    assert raw.getvalue().decode() == "saved [bold]\\x1b\n"


def test_the_total_must_be_above_zero() -> None:
    with pytest.raises(LmgymError, match="above 0 seconds; given 0"):
        TrainingDisplay("grpo", 0, "seconds")


@given(st.text(), st.integers(3, 50))
def test_visible_text_is_one_short_printable_line(text: str, limit: int) -> None:
    line = visible(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert all(c.isprintable() or c.isspace() for c in line)


def test_long_texts_are_cut() -> None:
    assert visible("a" * 1000, 10) == "a" * 7 + "..."
    assert visible("a" * 10, 10) == "a" * 10


def test_visible_keeps_what_can_be_read() -> None:
    assert visible("Grüße, \\boxed{5} → 日本") == "Grüße, \\boxed{5} → 日本"


def test_a_plain_line_shows_an_answer() -> None:
    plain, raw = console(is_terminal=False)
    with TrainingDisplay("grpo", 2, "updates", console=plain, every_updates=1) as show:
        show.update(1, {"reward": 0.5}, [Sample("1+1=", "3\x1b", is_correct=False)])
    assert raw.getvalue().decode().rstrip().endswith("| - 1+1= -> 3\\x1b")
