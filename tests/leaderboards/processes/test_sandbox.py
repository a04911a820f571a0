"""The sandbox: what programs of strangers try in it, and that nothing comes of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import lmgym
from lmgym.errors import LmgymError
from lmgym.games.players import PlayerFailure
from lmgym.leaderboards.processes import Limits, ProcessAgent, sandbox, sandbox_problem
from lmgym.leaderboards.processes.jail.filter import filter_program

Make = Callable[..., ProcessAgent]
Ask = Callable[..., Any]

TRIES = """
def tried(attempt):
    try:
        return repr(attempt())
    except BaseException as error:
        return type(error).__name__

def report(**attempts):
    for message in asked():
        act(json.dumps({name: tried(attempt) for name, attempt in attempts.items()}))
"""
"""For programs that try several things and tell what came of each."""


def found(make: Make, ask: Ask, code: str, **words: Any) -> dict[str, str]:
    """What a program says of its attempts."""
    result: dict[str, str] = json.loads(ask(make(TRIES + dedent(code), **words)))
    return result


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def wait_for_end(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"of {pids} some go on"
        time.sleep(0.02)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def supervisor_of(agent: ProcessAgent) -> int:
    assert agent._process is not None
    return agent._process.pid


# What it sees


def test_it_sees_its_folder_python_and_the_system_and_nothing_else(
    make_sandboxed: Make, ask: Ask, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the seed is 4")
    code = f"""
    report(
        top=lambda: sorted(os.listdir("/")),
        folder=lambda: os.listdir(os.getcwd()),
        secret=lambda: open({str(secret)!r}).read(),
        outside=lambda: os.listdir({str(tmp_path)!r}),
        shadow=lambda: open("/etc/shadow").read(),
        package=lambda: os.listdir({str(Path(lmgym.__file__).parent)!r}),
        devices=lambda: sorted(os.listdir("/dev")),
    )
    """
    seen = found(make_sandboxed, ask, code)
    assert seen["folder"] == "['agent.py']"
    assert {seen[name] for name in ("secret", "outside", "shadow")} == {"FileNotFoundError"}
    assert seen["devices"] == "['full', 'null', 'random', 'urandom', 'zero']"
    assert "'agent'" in seen["top"]
    assert not {"'home'", "'var'", "'sys'", "'boot'"} & set(seen["top"].strip("[]").split(", "))


def test_it_has_the_packages_of_our_python(make_sandboxed: Make, ask: Ask) -> None:
    code = "import numpy\nreport(one=lambda: int(numpy.ones(1)[0]))"
    assert found(make_sandboxed, ask, code, has_packages=True) == {"one": "1"}


def test_it_knows_none_of_our_variables(
    make_sandboxed: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMGYM_SECRET", "4711")
    code = """
    report(
        own=lambda: sorted(os.environ),
        all=lambda: [
            place for place in os.listdir("/proc")
            if place.isdecimal() and b"4711" in open(f"/proc/{place}/environ", "rb").read()
        ],
    )
    """
    seen = found(make_sandboxed, ask, code)
    assert seen["own"] == "['HOME', 'LANG', 'OMP_NUM_THREADS', 'PATH', 'USER']"
    assert seen["all"] == "[]"


def test_it_has_none_of_our_open_files(make_sandboxed: Make, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the seed is 4")
    with (tmp_path / "secret.txt").open() as file:
        os.set_inheritable(file.fileno(), True)
        code = """
        def is_open(file):
            try:
                return bool(os.fstat(file))
            except OSError:
                return False
        report(files=lambda: [file for file in range(64) if is_open(file)])
        """
        assert found(make_sandboxed, ask, code) == {"files": "[0, 1, 2]"}


def test_a_link_leads_nowhere(make_sandboxed: Make, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the seed is 4")
    agent = make_sandboxed(TRIES + 'report(linked=lambda: open("link").read())')
    (tmp_path / "agent-0" / "link").symlink_to(tmp_path / "secret.txt")
    assert json.loads(ask(agent)) == {"linked": "FileNotFoundError"}


# Other processes


def test_it_reads_nobodys_memory(make_sandboxed: Make, ask: Ask) -> None:
    code = f"""
    import ctypes
    owner, libc = {os.getpid()}, ctypes.CDLL(None, use_errno=True)
    ATTACH, buffer = 16, ctypes.create_string_buffer(8)

    def called(*arguments):
        return libc.syscall(*map(ctypes.c_long, arguments)), ctypes.get_errno()

    report(
        memory=lambda: open(f"/proc/{{owner}}/mem", "rb").read(1),
        parent=lambda: open(f"/proc/{{os.getppid()}}/mem", "rb").read(1),
        processes=lambda: [place for place in os.listdir("/proc") if place.isdecimal()],
        ptrace=lambda: libc.ptrace(ATTACH, owner, None, None),
        read=lambda: libc.process_vm_readv(owner, buffer, 1, buffer, 1, 0),
        kill=lambda: os.kill(owner, 9),
        kill_parent=lambda: os.kill(os.getppid(), 15),
    )
    """
    seen = found(make_sandboxed, ask, code)
    assert seen["memory"] == seen["parent"] == "FileNotFoundError"
    assert seen["processes"] in ("['1']", "[]")
    assert seen["ptrace"] == seen["read"] == "-1"
    assert seen["kill"] == "ProcessLookupError"


def test_it_cannot_end_other_processes(make_sandboxed: Make, ask: Ask) -> None:
    other = make_sandboxed("for message in asked(): act('yes')")
    ask(other)
    found(make_sandboxed, ask, "report(all=lambda: os.kill(-1, 9), group=lambda: os.killpg(0, 0))")
    assert ask(other) == "yes"


def test_a_fork_bomb_does_not_go_off(make_sandboxed: Make, ask: Ask) -> None:
    code = """
    import subprocess, threading, time

    def bomb():
        while True:
            os.fork()

    def threads():
        try:
            for _ in range(1000):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:
            return threading.active_count()

    report(
        fork=bomb,
        spawn=lambda: os.posix_spawn("/bin/true", ["true"], {}),
        run=lambda: subprocess.run(["/bin/true"]),
        shell=lambda: os.system("true"),
        threads=threads,
    )
    """
    seen = found(make_sandboxed, ask, code, threads=20)
    assert seen["fork"] == seen["spawn"] == seen["run"] == "PermissionError"
    assert seen["shell"] != "0"
    assert seen["threads"] in ("19", "20")  # where root did not start it, the supervisor counts


def test_it_has_no_rights_to_gain_any(make_sandboxed: Make, ask: Ask) -> None:
    code = """
    import ctypes
    libc = ctypes.CDLL(None)
    BOUND, NO_NEW = 23, 39
    report(
        user=lambda: os.getuid(),
        no_new=lambda: libc.prctl(NO_NEW, 0, 0, 0, 0),
        rights=lambda: [right for right in range(64) if libc.prctl(BOUND, right) == 1],
        become=lambda: os.setuid(0),
        unshare=lambda: libc.unshare(0x10000000),
        mount=lambda: libc.mount(b"none", b"/", b"tmpfs", 0, None),
        network=lambda: [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:],
    )
    """
    seen = found(make_sandboxed, ask, code)
    assert seen["user"] != "0"
    assert seen["no_new"] == "1"
    assert seen["rights"] in ("[]", "[2]")  # to read, where root started it
    assert seen["become"] in ("PermissionError", "OSError")
    assert seen["unshare"] == seen["mount"] == "-1"
    assert seen["network"] in ("['lo']", "FileNotFoundError")  # without /proc


# Network and files


@pytest.mark.enable_socket
def test_it_reaches_no_network(make_sandboxed: Make, ask: Ask, tmp_path: Path) -> None:
    code = """
    import socket

    def reach(family, address):
        with socket.socket(family) as client:
            client.connect(address)

    report(
        tcp=lambda: reach(socket.AF_INET, ("127.0.0.1", PORT)),
        path=lambda: reach(socket.AF_UNIX, "/agent/listens"),
        abstract=lambda: reach(socket.AF_UNIX, "\\0lmgym-PORT"),
        name=lambda: socket.create_connection(("localhost", PORT), 1),
        pair=socket.socketpair,
    )
    """
    (tmp_path / "agent-0").mkdir()
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as path:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = str(tcp.getsockname()[1])
        here = Path.cwd()
        os.chdir(tmp_path / "agent-0")
        path.bind("listens")
        os.chdir(here)
        path.listen()
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(f"\0lmgym-{port}")
            abstract.listen()
            seen = found(make_sandboxed, ask, code.replace("PORT", port))
    assert set(seen.values()) <= {"PermissionError", "gaierror"}


def test_nothing_is_writable(make_sandboxed: Make, ask: Ask, tmp_path: Path) -> None:
    code = f"""
    places = ["/agent", "/", "/tmp", "/dev", "/dev/shm", "/usr", "/proc", {sys.prefix!r}, "/root"]

    def write(place):
        return lambda: open(place + "/written", "w").write("x")

    report(
        change=lambda: open("agent.py", "a").write("x"),
        remove=lambda: os.remove("agent.py"),
        mode=lambda: os.chmod("agent.py", 0o777),
        link=lambda: os.symlink("/etc", "/agent/etc"),
        memory=lambda: os.memfd_create("x"),
        **{{place: write(place) for place in places}},
    )
    """
    seen = found(make_sandboxed, ask, code)
    allowed = {"OSError", "PermissionError", "FileNotFoundError"}
    assert set(seen.values()) <= allowed
    assert [path.name for path in (tmp_path / "agent-0").iterdir()] == ["agent.py"]


# Resources


def test_it_cannot_take_all_memory(make_sandboxed: Make, ask: Ask) -> None:
    code = """
    def eat():
        eaten = []
        while True:
            eaten.append(bytearray(2**24))
    report(eaten=eat)
    """
    assert found(make_sandboxed, ask, code, memory_bytes=2**28) == {"eaten": "MemoryError"}


@pytest.mark.slow
def test_it_cannot_compute_for_ever(make_sandboxed: Make, ask: Ask) -> None:
    agent = make_sandboxed("while not None: pass", cpu_seconds=1)
    with pytest.raises(PlayerFailure, match="was killed by signal 9") as failure:
        ask(agent)
    assert failure.value.cause == "crash"


# Ends


@pytest.mark.parametrize("trusted", [False, True])
def test_it_ends_with_its_owner(trusted: bool, tmp_path: Path) -> None:
    if not trusted and sandbox_problem():
        pytest.skip(sandbox_problem())
    (tmp_path / "agent.py").write_text('print(\'{"type": "ready"}\', flush=True)\nwhile 1: pass\n')
    code = f"""
    import sys, time
    from lmgym.leaderboards.processes import ProcessAgent
    agent = ProcessAgent(["python", "agent.py"], {str(tmp_path)!r}, trusted={trusted})
    agent.start("track", "env")
    print(agent._process.pid, flush=True)
    time.sleep(600)
    """
    root = str(Path(lmgym.__file__).resolve().parents[1])
    words = [sys.executable, "-c", dedent(code)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as owner:
        assert owner.stdout is not None
        supervisor = int(owner.stdout.readline())
        program = child_of(supervisor)
        assert is_running(program)
        owner.kill()
    wait_for_end(supervisor, program)


@pytest.mark.parametrize("trusted", [False, True])
def test_it_ends_with_its_supervisor(trusted: bool, make_agent: Make, ask: Ask) -> None:
    if not trusted and sandbox_problem():
        pytest.skip(sandbox_problem())
    agent = make_agent("for message in asked(): act('yes')", trusted=trusted)
    ask(agent)
    program = child_of(supervisor_of(agent))
    os.kill(supervisor_of(agent), signal.SIGKILL)
    wait_for_end(program)
    with pytest.raises(PlayerFailure):
        ask(agent)
    assert ask(agent) == "yes"


def test_children_of_a_trusted_program_end_with_it(make_agent: Make, ask: Ask) -> None:
    agent = make_agent("""
    import subprocess
    for message in asked():
        act(str(subprocess.Popen(["sleep", "600"]).pid))
    """)
    child = int(ask(agent))
    assert is_running(child)
    agent.close()
    wait_for_end(child)


# Refusals


def test_without_a_sandbox_only_what_is_trusted_runs(
    make_agent: Make, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.sandbox_problem.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "plan9")
        with pytest.raises(LmgymError, match=r"no sandbox .* here: it needs Linux.*--trusted"):
            ProcessAgent(["python", "agent.py"], tmp_path)
    sandbox.sandbox_problem.cache_clear()
    assert ask(make_agent("for message in asked(): act('yes')", trusted=True)) == "yes"


def test_a_step_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sandbox_problem():
        pytest.skip(sandbox_problem())
    monkeypatch.setattr(sandbox, "_trees", lambda folder: [("/no/such/folder", "/agent")])
    with pytest.raises(LmgymError, match=r"read mounts: No such file .*\(/no/such/folder\)"):
        sandbox.launch(["python"], tmp_path, Limits())


def test_an_unknown_processor_has_no_filter() -> None:
    with pytest.raises(OSError, match="knows the calls of x86_64 and aarch64, and not of vax"):
        filter_program("vax")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"command": []}, "must be a program and its arguments"),
        ({"command": ["python", "a\0b"]}, "must be a program and its arguments"),
        ({"folder": "nowhere"}, "'nowhere' is no folder"),
    ],
)
def test_what_cannot_be_an_agent_is_refused(words: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"command": ["python", "agent.py"], "folder": ".", **words}
    with pytest.raises(LmgymError, match=said):
        ProcessAgent(**given, trusted=True)
