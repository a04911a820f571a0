"""Manifests: read with all that is wrong in them, written so that they can be read."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions.manifest import (
    Endpoint,
    Manifest,
    Process,
    Training,
    Weights,
    examined_manifest,
    parse_manifest,
    read_manifest,
    unknown_tracks,
)
from lmgym.leaderboards.submissions.manifest_text import manifest_text, write_manifest

SHA = "0" * 64
WHOLE = Manifest(
    name="sft-math",
    version=3,
    authors=("Zoë", 'Ann "x" \\'),
    license="MIT",
    kind="weights",
    tracks=("math-addition", "nim"),
    contact="zoe@example.org",
    summary="<script>alert('1')</script>",
    weights=Weights("llama", SHA),
    training=Training("sft", "abcdef0", "lmgym/Math-v0", 29, 7),
)
TEXT = manifest_text(WHOLE)


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(LmgymError) as error:
        parse_manifest(text.encode() if isinstance(text, str) else text)
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    "manifest",
    [
        WHOLE,
        replace(WHOLE, weights=Weights("llama", SHA, guide=False)),
        replace(WHOLE, kind="process", weights=None, process=Process(("python", "a.py", "--n=3"))),
        replace(
            WHOLE,
            kind="endpoint",
            weights=None,
            endpoint=Endpoint("https://example.org/v1", "large"),
            training=None,
        ),
    ],
)
def test_what_is_written_is_read_again(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.toml"]


@settings(max_examples=50)
@given(st.text(max_size=500))
def test_any_summary_is_read_again_or_refused(summary: str) -> None:
    text = manifest_text(replace(WHOLE, summary=summary))
    problems: list[str] = []
    found = examined_manifest(text.encode("utf-8", "surrogatepass"), problems)
    assert problems or found == replace(WHOLE, summary=unicodedata.normalize("NFC", summary))


def test_markup_stays_plain_text() -> None:
    assert parse_manifest(TEXT.encode()).summary == "<script>alert('1')</script>"


def test_the_entry_is_named_with_its_version() -> None:
    assert WHOLE.entry == "sft-math@3"


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = TEXT.replace("schema = 1", "schema = 2").replace('"MIT"', "7")
    text = text.replace('"sft-math"', '"../x"').replace("seed = 7", "seed = -7\nsede = 1")
    found = problems_of(text)
    assert [line.split()[1] for line in found] == [
        "schema",
        "name",
        "license",
        "training.seed",
        "training.sede",
    ]
    assert all(line.startswith("manifest.toml: ") for line in found)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "sft-math"', "", "name is missing"),
        ('"sft-math"', '"Sft"', "name is 'Sft'; small letters, digits and hyphens"),
        ('"sft-math"', '"../../etc"', "name is '../../etc'"),
        ('"sft-math"', '"a\\u0000b"', "name U+0000 is a control character"),
        ('"sft-math"', '"-a"', "name is '-a'"),
        ('"sft-math"', '"sft-m\\u0430th"', "mixes Cyrillic and Latin letters"),
        ('"sft-math"', '"sft\\n"', "name U+000A is a control character"),
        ("version = 3", "version = 0", "version is 0; a whole number from 1 to 1000000"),
        ("version = 3", "version = true", "version is True"),
        ("version = 3", "version = 3.0", "version is 3.0"),
        ("version = 3", "version = 2026-01-01", "version is a date"),
        ("version = 3", f"version = {'9' * 5000}", "is no TOML"),
        ("version = 3", f"version = 0x{'f' * 5000}", "a whole number of 20000 bits"),
        ("version = 3", "version = nan", "version is nan"),
        ("version = 3", "version = 9999-99-99", "is no TOML"),
        ('["math-addition", "nim"]', "[]", "tracks is a list of 0"),
        ('["math-addition", "nim"]', '"nim"', "tracks is 'nim'; a list"),
        ('["math-addition", "nim"]', '["nim", "nim"]', "tracks names a track twice"),
        ('["math-addition", "nim"]', '["../nim"]', "tracks[0] is '../nim'"),
        ('kind = "weights"', 'kind = "pickle"', "kind is 'pickle'; allowed: weights, process"),
        ('kind = "weights"', 'kind = "process"', "process is missing"),
        ('kind = "weights"', 'kind = "process"', "weights does not go with kind"),
        (f'"{SHA}"', '"abc"', "weights.sha256 is 'abc'; 64 hexadecimal digits"),
        (f'"{SHA}"', f'"{SHA}"\nguide = 1', "weights.guide is 1; true and false are allowed"),
        ("schema = 1", "schema = 1\ncolour = 1", "colour is unknown; known: schema, name"),
        ("schema = 1", 'schema = 1\n"\\u202e" = 1', "'\\u202e' is unknown"),
        ("[training]", "[training.deep]", "training.deep is unknown"),
        ('"abcdef0"', '"HEAD"', "training.commit is 'HEAD'; 7 to 64 hexadecimal"),
        ('"zoe@example.org"', '"' + "x" * 121 + '"', "contact is a text of 121 characters"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_its_rule(old: str, new: str, told: str) -> None:
    assert old in TEXT
    found = problems_of(TEXT.replace(old, new))
    assert any(told in line and line.startswith("manifest.toml: ") for line in found), found


@pytest.mark.parametrize(
    "word", ["../x", "/bin/sh", "a/../../b", "~/x", "--f=/etc/passwd", "C:\\x"]
)
def test_a_command_stays_within_the_folder(word: str) -> None:
    made = replace(WHOLE, kind="process", weights=None, process=Process(("python", word)))
    (line,) = problems_of(manifest_text(made))
    assert line.startswith("manifest.toml: process.command[1] names a path that leads out")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("file:///etc/passwd", "is no address"),
        ("javascript:alert(1)", "is no address"),
        ("http://example.org", "has scheme 'http'; https is allowed"),
        ("ftp://example.org", "has scheme 'ftp'"),
        ("https://user:secret@example.org", "holds a user, a password"),
        ("https://example.org/?key=1", "a query"),
        ('https://example.org/"><b>', "is no address"),
        ("https://[::1", "is no address"),
        ("https://example.org:x/", "is no address"),
        ("https://ex\u0430mple.org", "mixes Cyrillic and Latin"),
    ],
)
def test_an_address_that_is_refused(url: str, told: str) -> None:
    made = replace(WHOLE, kind="endpoint", weights=None, endpoint=Endpoint(url, "m"))
    (line,) = problems_of(manifest_text(made))
    assert "manifest.toml: endpoint.url" in line
    assert told in line


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "is no UTF-8 at byte 0"),
        (b"a = " + b"[" * 8000, "nested too deeply"),
        (b"a = " + b"{b=" * 2000, "nested too deeply"),
        (b"a" + b".a" * 2000 + b" = 1", "a is unknown"),
        (b"a = 1\na = 2", "is no TOML"),
        (b"\0", "is no TOML"),
        (b"x" * 9000, "has more than 8192 bytes"),
        (b"", "schema is missing"),
    ],
)
def test_a_file_that_is_no_manifest(content: bytes, told: str) -> None:
    assert any(told in line for line in problems_of(content))


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.toml").open("wb") as file:
        os.truncate(file.fileno(), 2**33)
    with pytest.raises(LmgymError, match=r"manifest.toml: has 8589934592 bytes; 8192 at most"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(TEXT)
    (tmp_path / "manifest.toml").symlink_to(tmp_path / "there")
    with pytest.raises(LmgymError, match=r"manifest.toml: cannot be opened, or is a link"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.toml")
    with pytest.raises(LmgymError, match=r"manifest.toml: is no regular file"):
        read_manifest(tmp_path)


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match=r"name is missing"):
        write_manifest(replace(WHOLE, name=""), tmp_path)
    assert not list(tmp_path.iterdir())


def test_tracks_that_a_board_lacks_are_named() -> None:
    (line,) = unknown_tracks(WHOLE, ("nim", "web"))
    assert line == "manifest.toml: tracks names 'math-addition', which is unknown; known: nim, web"
