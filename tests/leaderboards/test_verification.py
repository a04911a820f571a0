from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmgym.games.deals import start_of
from lmgym.games.matches import play_match
from lmgym.games.records import Cause
from lmgym.games.run import GameRun
from lmgym.games.worlds import find_game
from lmgym.leaderboards.board_folder import BoardFolder
from lmgym.leaderboards.evaluation import Job, PairJob, SeedJob, Worker
from lmgym.leaderboards.references import reference_rows
from lmgym.leaderboards.results.rows import as_fields
from lmgym.leaderboards.season import MatchTrack, SingleTrack
from lmgym.leaderboards.season_files import write_season
from lmgym.leaderboards.verification import Verification, verify_season

from .small_boards import SEASON, forge, played

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    played(root)
    return root


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "board")


def checked(board: Path, sample: float = 0.0) -> Verification:
    return verify_season(board, SEASON, sample=sample, rng=random.Random(0))


def results(board: Path) -> Path:
    return board / "results" / "small.jsonl"


def test_honest_results_replay_and_repeat(board: Path) -> None:
    found = checked(board, sample=1.0)
    assert found.findings == []
    assert (found.n_episodes, found.n_matches) == (2 * 3 * 4, 4)
    assert (found.n_repeated, found.n_same, found.n_again) == (8, 32, 32)


def first_of(rows: Rows, kind: str, entry: str = "") -> dict[str, Any]:
    return next(r for r in rows if r["kind"] == kind and r.get("entry", "") in (entry, ""))


def episodes_of(rows: Rows, entry: str) -> Rows:
    return [r for r in rows if r["kind"] == "episodes" and r["entry"] == entry]


def test_a_forged_score_is_named(board: Path) -> None:
    def change(rows: Rows) -> None:
        episodes_of(rows, "random@1")[0]["episodes"][2]["score"] = 1.0

    forge(results(board), change)
    (finding,) = checked(board).findings
    assert "small.jsonl, row" in finding
    assert "'episodes[2].score': lmgym/Math-v0 gives 0.0, the row says 1.0" in finding


def test_a_forged_verdict_is_named(board: Path) -> None:
    def change(rows: Rows) -> None:
        episodes_of(rows, "random@1")[0]["episodes"][0]["verdict"] = "correct"

    forge(results(board), change)
    assert "'episodes[0].verdict'" in checked(board).findings[0]


def test_better_answers_under_a_name_are_found_by_evaluating_anew(board: Path) -> None:
    def change(rows: Rows) -> None:
        oracle = episodes_of(rows, "oracle@1")
        for row, right in zip(episodes_of(rows, "random@1"), oracle, strict=True):
            row["episodes"] = right["episodes"]

    forge(results(board), change)
    assert checked(board).findings == []
    found = checked(board, sample=1.0)
    assert len(found.findings) == 4  # each seed, and the mean
    assert "random@1 evaluated anew does the same in 0 of 4 episodes" in found.findings[0]


def test_easier_problems_are_found(board: Path) -> None:
    def change(rows: Rows) -> None:
        row = episodes_of(rows, "oracle@1")[0]
        row["episodes"] = row["episodes"][:1] * 4

    forge(results(board), change)
    assert "task_id" in checked(board).findings[0]


def test_problems_left_out_are_found(board: Path) -> None:
    def change(rows: Rows) -> None:
        episodes_of(rows, "oracle@1")[0]["episodes"].pop()

    forge(results(board), change)
    assert "there are 3 episodes, and 4 problems" in checked(board).findings[0]


def replayed_seed(rows: Rows) -> None:
    first, second = episodes_of(rows, "oracle@1")[:2]
    second |= {"seed": first["seed"], "episodes": first["episodes"]}


def twice(rows: Rows) -> None:
    rows.append(dict(episodes_of(rows, "oracle@1")[0]))


def of_another_entry(rows: Rows) -> None:
    episodes_of(rows, "oracle@1")[0]["entry"] = "ghost@1"


def of_another_track(rows: Rows) -> None:
    episodes_of(rows, "oracle@1")[0]["track"] = "nim"


def of_another_phase(rows: Rows) -> None:
    episodes_of(rows, "oracle@1")[0]["phase"] = "final"


def without_a_season(rows: Rows) -> None:
    rows.pop(0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replayed_seed, "'seed': the season's is"),
        (twice, "stands in an earlier row already"),
        (of_another_entry, "'ghost@1' was not entered"),
        (of_another_track, "oracle@1 was not entered in track 'nim'"),
        (of_another_phase, "the secret of season small is not revealed"),
        (without_a_season, "the row of the season comes first"),
    ],
)
def test_old_and_foreign_results_are_refused(
    board: Path, change: Callable[[Rows], None], told: str
) -> None:
    forge(results(board), change)
    assert told in "\n".join(checked(board).findings)


def test_results_of_another_season_are_refused(board: Path) -> None:
    other = replace(SEASON, id="later", commitment=SEASON.commitment[::-1])
    write_season(board, other)
    shutil.copy(results(board), board / "results" / "later.jsonl")
    found = verify_season(board, other, sample=0.0)
    assert "are of 'small', not of 'later'" in found.findings[0]
    assert sum("'seed'" in finding for finding in found.findings) == 7


def test_a_season_that_was_changed_is_found(board: Path) -> None:
    easier = replace(SEASON.tracks[0], args={"difficulty": 1})
    found = verify_season(board, replace(SEASON, tracks=(easier, SEASON.tracks[1])), sample=0.0)
    assert "'tracks'" in found.findings[0]


def row_of(job: Job) -> dict[str, Any]:
    """What would come of a job, were it one of the season's."""
    with Worker(Path(), SEASON) as worker:
        return as_fields(worker.play(job))


def a_seed_too_many(rows: Rows) -> None:
    (oracle,) = (row for row in reference_rows(SEASON) if row.entry == "oracle@1")
    track = SEASON.track("sums")
    assert isinstance(track, SingleTrack)
    rows.append(row_of(SeedJob(track, oracle, track.seeds)))


def another_order(rows: Rows) -> None:
    entries = {row.entry: row for row in reference_rows(SEASON)}
    track = SEASON.track("nim")
    assert isinstance(track, MatchTrack)
    rows.append(row_of(PairJob(track, entries["random@1"], entries["best@1"])))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (a_seed_too_many, "'k': track sums has no seed 3"),
        (another_order, "'entries': the smaller name comes first"),
    ],
)
def test_results_that_the_season_does_not_ask_for_are_refused(
    board: Path, change: Callable[[Rows], None], told: str
) -> None:
    forge(results(board), change)
    (finding,) = checked(board).findings
    assert told in finding


def a_game_less(rows: Rows) -> None:
    first_of(rows, "matches")["records"].pop()


def a_game_more(rows: Rows) -> None:
    records = first_of(rows, "matches")["records"]
    records.append(records[0])


def lost_move(rows: Rows) -> None:
    first_of(rows, "matches")["records"][0]["moves"].pop()


def won_game(rows: Rows) -> None:
    record = first_of(rows, "matches")["records"][1]
    record["returns"] = record["returns"][::-1]


def picked_deal(rows: Rows) -> None:
    records = first_of(rows, "matches")["records"]
    records[2] = dict(records[0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (a_game_less, "'records': there are 3, and 4 games"),
        (a_game_more, "'records': there are 5, and 4 games"),
        (lost_move, "'records[0]'"),
        (won_game, "'records[1]': returns"),
        (picked_deal, "'records[2]': the deal, seed or players"),
    ],
)
def test_forged_games_are_named(board: Path, change: Callable[[Rows], None], told: str) -> None:
    forge(results(board), change)
    assert told in "\n".join(checked(board).findings)


def test_flipped_bytes_are_found_wherever_they_are(board: Path) -> None:
    path = results(board)
    data = path.read_bytes()
    for place in random.Random(0).sample(range(len(data)), 40):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 7)
        path.write_bytes(changed)
        (finding,) = checked(board).findings
        line = data[:place].count(b"\n") + 1
        assert f"line {line} of {path}" in finding


def test_the_final_phase_is_played_with_seeds_of_its_own(board: Path) -> None:
    final = SEASON.revealed("hush")
    write_season(board, final)
    with BoardFolder(board, final) as folder:
        assert folder.write()["tracks"][0]["rows"] == []
        jobs, lacking = folder.jobs()
        assert (len(jobs), lacking) == (7, {})
        folder.play(jobs)
        rows = folder.write()["tracks"][0]["rows"]
    assert [row["entry"] for row in rows] == ["oracle@1", "random@1"]
    found = verify_season(board, final, sample=0.5, rng=random.Random(0))
    assert (found.findings, found.n_episodes, found.n_matches) == ([], 48, 8)


def few_better_answers(rows: Rows) -> None:
    oracle = episodes_of(rows, "oracle@1")
    for row, right in zip(episodes_of(rows, "random@1"), oracle, strict=True):
        row["episodes"][0] = right["episodes"][0]


def an_invented_failure(rows: Rows) -> None:
    episodes_of(rows, "random@1")[0]["episodes"][0]["failure"] = {"cause": "time", "reason": "x"}


def an_oracle_of_ones_own(rows: Rows) -> None:
    row = first_of(rows, "entry", "oracle@1")
    manifest = {**row["manifest"], "name": "mallory"}
    rows.insert(3, {**row, "entry": "mallory@1", "manifest": manifest})


def a_flag_on_a_reference(rows: Rows) -> None:
    first_of(rows, "entry", "oracle@1")["flags"] = ["copy of random@1"]


def lost_on_purpose(rows: Rows) -> None:
    """Games in which the best player plays what the other one wants it to."""
    records = [
        play_match("lmgym/Nim-v0", ["random", "random"], r["deal"], r["seed"], sides=r["sides"])
        for r in first_of(rows, "matches")["records"]
    ]
    for record, told in zip(records, first_of(rows, "matches")["records"], strict=True):
        told |= {**record.as_object(), "players": told["players"]}


def lost_by(cause: Cause, n_games: int = 4) -> Callable[[Rows], None]:
    """Games that the best player is said to have forfeited at its first move."""

    def change(rows: Rows) -> None:
        for told in first_of(rows, "matches")["records"][:n_games]:
            seat = told["players"].index("best@1")
            game = find_game("lmgym/Nim-v0", {}).game
            run = GameRun(game, start_of(game, told["deal"]))
            if seat == 1:
                run.act(told["moves"][0]["said"])
            if cause == "illegal":
                run.act("I pass.")
                run.act("I pass.")
            else:
                run.forfeit(seat, "x")
            told["moves"] = [
                {"player": m.player, "said": m.said} | ({"complaint": m.complaint} if m[2] else {})
                for m in run.moves
            ]
            told["ending"] = {"kind": "forfeit", "seat": seat, "cause": cause}
            told["ending"]["reason"] = run.complaint
            told |= {"returns": list(run.returns), "facts": {}}

    return change


@pytest.mark.parametrize("cause", ["error", "no move", "illegal"])
def test_forfeits_that_never_were_are_found_by_asking_again(board: Path, cause: Cause) -> None:
    forge(results(board), lost_by(cause))
    assert checked(board).findings == []
    assert "best@1 evaluated anew does the same in 0 of 4" in checked(board, 1.0).findings[0]


@pytest.mark.parametrize("cause", ["time", "protocol", "crash"])
def test_references_do_not_fail_as_programs_do(board: Path, cause: Cause) -> None:
    forge(results(board), lost_by(cause, n_games=1))
    (finding,) = checked(board).findings
    assert f"'records[0]': best@1 is said to have forfeited by {cause!r}" in finding


def test_a_few_games_that_were_never_lost_show_in_the_points(tmp_path: Path) -> None:
    track = MatchTrack("nim", "Nim", "lmgym/Nim-v0", games=20, references=("random", "best"))
    season = replace(SEASON, tracks=(track,))
    played(tmp_path, season)
    assert verify_season(tmp_path, season, sample=1.0).findings == []
    forge(results(tmp_path), lost_by("error", n_games=2))
    (finding,) = verify_season(tmp_path, season, sample=1.0).findings
    assert "random@1 evaluated anew scores 0.100 points less than recorded" in finding


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (few_better_answers, "random@1 evaluated anew"),
        (an_invented_failure, "'episodes[0].failure'"),
        (an_oracle_of_ones_own, "mallory@1 is no reference of season small"),
        (a_flag_on_a_reference, "oracle@1 is no reference of season small"),
        (lost_on_purpose, "best@1 evaluated anew does the same in"),
    ],
)
def test_what_only_looks_right_is_found(
    board: Path, change: Callable[[Rows], None], told: str
) -> None:
    forge(results(board), change)
    assert told in "\n".join(checked(board, sample=1.0).findings)


def test_rows_that_are_missing_are_told(board: Path) -> None:
    def change(rows: Rows) -> None:
        rows.remove(episodes_of(rows, "random@1")[1])

    forge(results(board), change)
    (notice,) = checked(board).notices
    assert "1 rows of the season are missing, in sums" in notice


@pytest.mark.parametrize(
    "spoil",
    [
        {"manifest": {}},
        {"entry": "/tmp/x@1"},
        {"entry": "nameless"},
        {"manifest": {"name": "a", "authors": 3}},
    ],
)
def test_rows_that_are_no_entries_are_findings(board: Path, spoil: dict[str, Any]) -> None:
    forge(results(board), lambda rows: rows[1].update(spoil))
    assert checked(board).findings
