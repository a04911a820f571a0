"""The command line: what it offers, what it says about mistakes, and how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

import lmgym
from lmgym.cli import COMMANDS
from lmgym.commands.arguments import parse_options
from lmgym.commands.evaluate import EvalArgs
from lmgym.commands.play import PlayArgs
from lmgym.errors import LmgymError
from lmgym.registry import AGENTS, RESUMABLE, WORLDS, load

RunCli = Callable[..., tuple[int, str, str]]
StartCli = Callable[..., subprocess.Popen[str]]

HEAVY = ("torch", "transformers", "sympy", "matplotlib")
MATH, GUESS = "lmgym/Math-v0", "lmgym/GuessNumber-v0"


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("help",)])
def test_the_overview_names_every_command_agent_and_world(
    run_cli: RunCli, words: Sequence[str]
) -> None:
    code, out, err = run_cli(*words)
    assert (code, err) == (0, "")
    assert all(name in out for name in (*COMMANDS, *AGENTS, *WORLDS))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run_cli: RunCli, name: str) -> None:
    code, out, err = run_cli(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: lmgym {name}")


@pytest.mark.parametrize("agent", AGENTS)
def test_the_help_of_an_agent_shows_every_field_with_its_sentence(
    run_cli: RunCli, agent: str
) -> None:
    args_class = load(AGENTS[agent])
    world = () if agent == "embedded" else ("lmgym/Web-v0",)
    out = run_cli("train", agent, *world, "--help")[1]
    assert f"{agent} options" in out
    unused = getattr(args_class, "unused", ())
    if agent not in RESUMABLE:
        unused = (*unused, "resume", "checkpoint_every")
    for field in fields(args_class):
        shown = re.search(rf"--{field.name.replace('_', '-')}\b(?!-)", out) is not None
        assert shown == (field.name not in unused), field.name


def test_the_worlds_arguments_have_a_group_of_their_own_in_the_help(run_cli: RunCli) -> None:
    out = run_cli("train", "sft", GUESS, "-h")[1]
    assert "--max-turns" in out[out.index(f"{GUESS} options") :]
    assert "--problems" not in out


@pytest.mark.parametrize("world", [world for world in WORLDS if world.startswith("lmgym/")])
@pytest.mark.parametrize("command", [*AGENTS, "eval", "play"])
def test_no_option_of_a_command_has_the_name_of_a_worlds_argument(command: str, world: str) -> None:
    own = {"eval": EvalArgs, "play": PlayArgs}.get(command) or load(AGENTS[command])
    parse_options({command: own, world: WORLDS[world].task_class.Args}, [], command, "")


def test_a_name_that_two_groups_share_is_an_error() -> None:
    @dataclass(frozen=True)
    class Clashing:
        seed: int = 0

    with pytest.raises(LmgymError, match=r"mine and play both have an argument 'seed'"):
        parse_options({"play": PlayArgs, "mine": Clashing}, [], "play", "")


@pytest.mark.parametrize(
    ("words", "steps"), [([], None), (["--steps"], True), (["--no-steps"], False)]
)
def test_a_switch_may_be_left_unset(words: list[str], steps: bool | None) -> None:
    @dataclass(frozen=True)
    class Shown:
        steps: bool | None = None

    assert parse_options({"mine": Shown}, words, "play", "") == [Shown(steps)]


MATCH = ["match", "best", "random", "--env", "lmgym/Debate-v0", "--games", "2"]


@pytest.mark.parametrize(
    "words", [["envs"], ["-h"], ["card", MATH], ["play"], ["eval", "-h"], MATCH]
)
def test_what_needs_no_policy_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from lmgym.cli import main; main(sys.argv[1:]);"
        f"print('heavy:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    root = str(Path(lmgym.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True, cwd=root,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].strip() == "heavy:"


def test_version(run_cli: RunCli) -> None:
    assert run_cli("--version") == (0, f"lmgym {lmgym.__version__}\n", "")


# Mistakes

MISTAKES: list[tuple[str, list[str]]] = [
    ("trian", ["unknown command 'trian'; known: train", "lmgym --help"]),
    ("--modle", ["unknown command '--modle'"]),
    ("train grp", ["unknown agent or environment 'grp'; known: grpo"]),
    ("train ppoo lmgym/Math-v0", ["unknown agent 'ppoo'; known: ppo"]),
    ("train grpo Math-v0", ["unknown environment 'Math-v0'; known: lmgym/Math-v0", "MODULE:ID"]),
    ("train lmgym/Meth-v0", ["unknown environment 'lmgym/Meth-v0'; known: lmgym/Math-v0"]),
    ("train no_such_module:x/Y-v0", ["cannot import 'no_such_module'"]),
    ("train grpo lmgym/Math-v0 more", ["unexpected 'more'", "train [AGENT] [ENV]"]),
    ("train --seed 1 grpo", ["unexpected 'grpo'", "names come first"]),
    ("train embedded lmgym/Math-v0", ["embedded chooses its worlds itself"]),
    ("train --modl x", ["unknown option '--modl'; known: --model", "--help"]),
    ("train -s 3", ["unknown option '-s'"]),
    ("train her --checkpoint-every 5", ["unknown option '--checkpoint-every'"]),
    ("train --seed", ["--seed needs a value, a whole number"]),
    ("train --seed --lr 1", ["--seed needs a value"]),
    ("train --seed x", ["--seed 'x' is not a whole number"]),
    ("train --updates 1.5", ["--updates '1.5' is not a whole number"]),
    ("train --lr fast", ["--lr 'fast' is not a number"]),
    ("train --loss gpro", ["unknown --loss 'gpro'; known: grpo"]),
    ("train --reward verifer", ["unknown reward 'verifer'; known: verifier"]),
    ("train --model no_such_folder", ["unknown model 'no_such_folder'"]),
    ("train --device gpu", ["unknown device 'gpu'; known: cpu"]),
    ("train --dtype int8", ["unknown dtype 'int8'"]),
    ("train --track wandbb", ["wandb"]),
    ("train --problems additon", ["unknown problems 'additon'; known: addition"]),
    ("train --problems no.jsonl", ["no.jsonl"]),
    ("train --problems=", ["problems is '', which names none; write family", "gsm8k"]),
    ("train --difficulty 10", ["difficulty 10 does not exist"]),
    ("train grpo lmgym/Copy-v0 --problems x", ["unknown option '--problems'"]),
    ("train grpo lmgym/Copy-v0 --length 0", ["length 0 is out of range"]),
    ("train --out a_file", ["'a_file' is a file"]),
    ("eval lmgym/Math", ["unknown environment 'lmgym/Math'"]),
    ("eval --split tset", ["unknown split 'tset'; known: test"]),
    ("eval --limit 0", ["--limit 0 is out of range"]),
    ("eval --samples -1", ["--samples -1 is out of range"]),
    ("eval --temperature 0", ["--temperature 0.0 is out of range", "--samples 0"]),
    ("eval --batch-size 0", ["--batch-size 0 is out of range"]),
    ("eval --out results.txt", ["results.txt", ".json"]),
    ("eval --out a_file/results.json", ["'a_file' is a file"]),
    ("eval --model a_file", ["a_file is a file"]),
    ("play --seed -1", ["--seed -1 is out of range"]),
    ("play --max-tokens 0", ["max_tokens=0 is out of range"]),
    ("play --context 2", ["context"]),
    ("play --episodes 0", ["--episodes 0 is out of range"]),
    ("play --task-id addition/x", ["unknown task_id 'addition/x'"]),
    ("play --split all", ["unknown split 'all'"]),
    ("play --model nothing", ["unknown model 'nothing'"]),
    ("card", ["name a world", MATH]),
    ("card lmgym/Cpy-v0", ["unknown environment 'lmgym/Cpy-v0'; known: lmgym/Copy-v0"]),
    ("envs all", ["unexpected 'all'"]),
    ("envs --all", ["unknown option '--all'"]),
    ("bench main-jb", ["unknown benchmark 'main-jb'; known: main-job"]),
    ("bench main-job --seeds 0", ["--seeds 0 is out of range"]),
    ("bench main-job --seed 1", ["unknown option '--seed'; known: --seeds"]),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_in_one_sentence(run_cli: RunCli, line: str, said: list[str]) -> None:
    Path("a_file").write_text("")
    code, out, err = run_cli(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("lmgym: ")
    assert err.count("\n") == 1
    for text in said:
        assert text in err


def test_a_folder_that_cannot_be_written_is_no_traceback(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "runs")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run_cli("eval", "--out", "x/y.json") == (
        2,
        "",
        "lmgym: cannot use 'runs': Permission denied\n",
    )


def test_a_defect_is_not_hidden(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Sequence[str]) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr("lmgym.commands.worlds.list_worlds", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        run_cli("envs")


def test_interrupting_says_so(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str = "") -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    code, _, err = run_cli("play")
    assert (code, err) == (130, "interrupted\n")


def test_a_reader_that_leaves_ends_the_command_quietly(start_cli: StartCli) -> None:
    process = start_cli(["card", MATH])
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (141, "")


def test_a_terminal_without_unicode_gets_escapes(start_cli: StartCli) -> None:
    process = start_cli(["card", MATH], env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.isascii()
