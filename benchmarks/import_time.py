"""CPU time of `import lmgym` against `import gymnasium`, in fresh processes, in turn."""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError
from lmgym.training.records import versions

BAR = 1.3
"""The largest ratio that is still light."""


@dataclass(frozen=True)
class ImportTimeArgs:
    """Arguments of the benchmark."""

    repetitions: int = 15
    """Pairs of processes."""
    out: str | None = None
    """Write the results to this .json file as well."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options(
        {"import-time": ImportTimeArgs}, argv, "bench import-time", __doc__ or ""
    )
    if args.repetitions < 1:
        raise LmgymError("--repetitions counts pairs; it must be 1 or more")
    if args.out is not None:
        check_file(args.out)
    seconds("import gymnasium, lmgym")  # compiles what is not compiled yet
    pairs = [
        (seconds("import gymnasium"), seconds("import lmgym")) for _ in range(args.repetitions)
    ]
    ratios = [ours / reference for reference, ours in pairs]
    ratio = statistics.median(ratios)
    print(f"import gymnasium  {statistics.median(p[0] for p in pairs):.3f} s of CPU time, median")
    print(f"import lmgym      {statistics.median(p[1] for p in pairs):.3f} s")
    print(f"ratio, in pairs   {ratio:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    if args.out is not None:
        facts = {"versions": versions(), "machine": platform.machine(), "ratio": ratio}
        write_json(args.out, {**facts, "seconds": pairs})
    return 0 if ratio <= BAR else 1


def seconds(code: str) -> float:
    """CPU time of a Python process that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
