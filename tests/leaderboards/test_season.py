from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.season import MatchTrack, Season, SingleTrack, commitment_to
from lmgym.leaderboards.season_files import (
    SHIPPED,
    read_season,
    season_text,
    tracks_digest,
    write_season,
)

SEASON = Season(
    id="spring",
    title='Spring "27"',
    opens=date(2027, 3, 1),
    closes=date(2027, 6, 1),
    commitment=commitment_to("hush"),
    secret="",
    tracks=(
        SingleTrack("sums", "Sums", "lmgym/Math-v0", {"problems": "addition"}, seeds=3),
        MatchTrack("nim", "Nim", "lmgym/Nim-v0", games=4, references=("random", "mcts:50")),
    ),
)


def test_a_season_comes_back_from_its_file(tmp_path: Path) -> None:
    assert read_season(write_season(tmp_path, SEASON)) == SEASON
    final = SEASON.revealed("hush")
    assert read_season(write_season(tmp_path, final)) == final


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_seasons_can_be_read(path: Path) -> None:
    season = read_season(path)
    assert {type(track) for track in season.tracks} == {SingleTrack, MatchTrack}


def test_seeds_are_of_the_secret_once_it_is_known() -> None:
    final = SEASON.revealed("hush")
    assert final.seed("sums", 0, phase="open") == SEASON.seed("sums", 0)
    assert final.seed("sums", 0) != SEASON.seed("sums", 0)
    assert len({final.seed("sums", k) for k in range(50)}) == 50
    with pytest.raises(LmgymError, match="not revealed"):
        SEASON.seed("sums", 0, phase="final")


def test_another_secret_is_refused() -> None:
    with pytest.raises(LmgymError, match="committed"):
        SEASON.revealed("loud")


def test_the_digest_is_of_all_that_must_not_change() -> None:
    digest = tracks_digest(SEASON)
    assert tracks_digest(SEASON.revealed("hush")) == digest
    assert tracks_digest(replace(SEASON, tracks=SEASON.tracks[:1])) != digest
    assert tracks_digest(replace(SEASON, commitment=commitment_to("loud"))) != digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "spring"', 'id = "other"', "spring.toml"),
        ("schema = 1", "schema = 2", "'schema'"),
        ("closes = 2027-06-01", "closes = 2026-06-01", "'closes'"),
        ("opens = 2027-03-01", 'opens = "today"', "'opens'.*date"),
        ("commitment = ", "commitment = 1 #", "'commitment'"),
        ('secret = ""', 'secret = "loud"', "committed"),
        ("seeds = 3", "seeds = 0", "'seeds' of track sums"),
        ("seeds = 3", "sedes = 3", "'sedes'"),
        ("games = 4", "games = 3", "odd"),
        ('id = "nim"', 'id = "sums"', "twice"),
        ('id = "nim"', 'id = "../nim"', "'../nim' is no name"),
        ('kind = "match"', 'kind = "duel"', "unknown kind 'duel'"),
        ('{ problems = "addition" }', "{ problems = [1] }", "'args'"),
        ("title", "title = = 1", "no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_field(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = tmp_path / "spring.toml"
    text = season_text(SEASON)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(LmgymError, match=told) as caught:
        read_season(path)
    assert str(path) in str(caught.value)
