"""Texts that people will read."""

from __future__ import annotations

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions.texts import checked_text


@pytest.mark.parametrize(
    "text",
    [
        "Ada Lovelace",
        "Zoë Strauß-Çelik",
        "Лев Толстой",
        "山田太郎",
        "אדה לאבלייס",
        "می‌خواهم",
        "👩‍🔬",
        "Nguyễn Thị Ánh",
        "Ada (Αθήνα)",
        "<script>alert(1)</script>",
    ],
)
def test_a_name_in_any_script_is_kept(text: str) -> None:
    assert checked_text(text, 80) == text


def test_a_text_is_given_in_nfc() -> None:
    assert checked_text("e\u0301", 80) == "é"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\nb", "U+000A is a control character"),
        ("a\0b", "U+0000 is a control character"),
        ("\x1b[31mred", "U+001B is a control character"),
        ("abc\u202ecba", "U+202E is an invisible or direction-changing"),
        ("a\u2066b", "U+2066 is an invisible or direction-changing"),
        ("pass\u200bword", "U+200B is an invisible"),
        ("a\u200db", "U+200D is an invisible"),
        ("\ufeffAda", "U+FEFF is an invisible"),
        ("a\u00a0b", "U+00A0 is a space other than the usual one"),
        ("a\u2028b", "U+2028 is a line separator"),
        ("\ue000", "U+E000 is a private character"),
        ("\ud800", "U+D800 is half of a surrogate pair"),
        (" Ada", "begins or ends with a space"),
        ("z" + "\u0335" * 30, "more than 4 combining marks"),
        ("p\u0430ypal", "mixes Cyrillic and Latin letters"),
        ("\u0391da", "mixes Greek and Latin letters"),
        ("x" * 81, "81 characters; 80 at most"),
    ],
)
def test_a_text_that_is_not_what_it_looks_like_is_refused(text: str, told: str) -> None:
    with pytest.raises(LmgymError) as error:
        checked_text(text, 80)
    assert told in str(error.value)


def test_a_text_is_too_short() -> None:
    with pytest.raises(LmgymError, match="has 0 characters; from 1 to 80"):
        checked_text("", 80, least=1)
