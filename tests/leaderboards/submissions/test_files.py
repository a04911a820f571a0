"""Folders of strangers: walked, hashed and copied without leaving them."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions import files
from lmgym.leaderboards.submissions.files import copy_files, each_file, hash_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "entry"
    (made / "data").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"a" * 3_000_000)
    (made / "data" / "b.txt").write_text("b")
    return made


def problem_of(folder: Path) -> str:
    with pytest.raises(LmgymError) as error:
        hash_files(folder)
    return str(error.value)


def test_files_are_hashed_by_their_paths(folder: Path) -> None:
    assert hash_files(folder) == {
        "a.txt": hashlib.sha256(b"a" * 3_000_000).hexdigest(),
        "data/b.txt": hashlib.sha256(b"b").hexdigest(),
    }


def test_a_copy_has_the_same_files_and_shares_none(folder: Path, tmp_path: Path) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o777)
    target = tmp_path / "copy"
    target.mkdir()
    copy_files(folder, target)
    assert hash_files(target) == hash_files(folder)
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o755
    (folder / "a.txt").write_text("changed")
    assert (target / "a.txt").stat().st_size == 3_000_000


def test_only_what_is_named_is_copied(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("/etc")
    for number in range(files.MOST_FILES):
        (folder / f"{number}.txt").touch()
    target = tmp_path / "copy"
    target.mkdir()
    copy_files(folder, target, ("a.txt",))
    assert list(hash_files(target)) == ["a.txt"]


def test_the_folder_itself_may_be_reached_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert hash_files(tmp_path / "link") == hash_files(folder)


@pytest.mark.parametrize("target", ["/etc/passwd", "a.txt", "nowhere", "/etc", "..", "."])
def test_a_symbolic_link_is_refused(folder: Path, target: str) -> None:
    (folder / "data" / "link").symlink_to(target)
    assert problem_of(folder) == (
        "data/link: is a symbolic link; put what it points to in its place"
    )


def test_a_hard_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.link(tmp_path / "secret", folder / "mine.txt")
    assert problem_of(folder).startswith("mine.txt: is a hard link")


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert problem_of(folder) == "pipe: is no regular file"


def test_a_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # its path has to be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
        assert problem_of(folder).startswith("s: ")


@pytest.mark.parametrize(
    "name",
    [
        ".hidden",
        "a b",
        "new\nline",
        "ünï",
        "x" * 101,
        "nul",
        "COM1.txt",
        "a.",
        "a\\b",
        "-rf",
        "\x1b",
    ],
)
def test_a_name_that_is_no_portable_one_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    told = problem_of(folder)
    assert "the name of a file is made of letters" in told
    assert told.isascii()
    assert "\n" not in told


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff.txt", "wb"):
        pass
    assert "the name of a file is made of letters" in problem_of(folder)


def test_names_that_differ_only_in_case_are_refused(folder: Path) -> None:
    (folder / "A.txt").write_text("x")
    assert "a.txt: clashes with A.txt" in problem_of(folder)


def test_too_many_files_are_refused(folder: Path) -> None:
    for number in range(files.MOST_FILES):
        (folder / "data" / f"{number}.txt").touch()
    assert problem_of(folder) == "data/: more than 200 files and folders"


def test_too_deep_a_folder_is_refused(folder: Path) -> None:
    (folder / "/".join("abcdef")).mkdir(parents=True)
    assert problem_of(folder) == "a/b/c/d/e: lies too deep; 5 levels of folders are allowed"


@pytest.mark.parametrize(
    ("name", "size"),
    [("a.bin", 2**24 + 1), ("tokenizer.json", 2**25 + 1), ("m.safetensors", 2**40)],
)
def test_too_large_a_file_is_refused(folder: Path, name: str, size: int) -> None:
    (folder / name).touch()
    os.truncate(folder / name, size)
    assert problem_of(folder).startswith(f"{name}: has {size} bytes; ")


def test_files_that_are_too_large_together_are_refused(folder: Path) -> None:
    for name in ("y.safetensors", "z.safetensors"):
        (folder / name).touch()
        os.truncate(folder / name, 2**30 + 2**29)
    problems: list[str] = []
    for _ in each_file(folder, problems):  # holes are not read
        pass
    assert problems == [
        f"z.safetensors: brings all files above {2**31} bytes, which are allowed together"
    ]


def test_a_file_that_shrinks_while_it_is_read_is_noticed(folder: Path) -> None:
    for file in each_file(folder, []):
        if file.path == "a.txt":
            os.truncate(folder / "a.txt", 5)
            with pytest.raises(LmgymError, match=r"a.txt: was shortened while it was read"):
                file.sha256()


def test_a_file_that_is_swapped_is_read_as_it_was_opened(folder: Path) -> None:
    for file in each_file(folder, []):
        if file.path == "a.txt":
            (folder / "a.txt").unlink()
            (folder / "a.txt").symlink_to("/etc/passwd")
            assert file.sha256() == hashlib.sha256(b"a" * 3_000_000).hexdigest()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match="is no folder that can be read"):
        hash_files(tmp_path / "nowhere")
