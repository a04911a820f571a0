"""Memory of 4096 environments of 4096 tokens each, beside the 64 MiB that the tokens need.

Batches of `lmgym/Copy-v0` that hand out views and start again in the next step, in fresh processes:
one traces what Python and NumPy allocate, another looks how much the process grows. Both make a
batch of two rows first, so that what is loaded once is there already, then the large one, and take
steps with one id in 32 the end of the text. `steady` is what is held after the steps, `peak` the
most that was held on the way, the reset included.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from loops import COPY, ids_of, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, show_costs

BAR = 1.15
MIB = 1 << 20
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class VectorMemoryArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 3
    """Pairs of processes."""
    rows: int = 4096
    """Environments of the batch."""
    context: int = 4096
    """Tokens of each."""
    steps: int = 300
    """Steps after the reset."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if min(self.rows, self.steps) < 1:
            raise LmgymError("--rows and --steps count; each must be 1 or more")


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options(
        {"vector-memory": VectorMemoryArgs}, argv, "bench vector-memory", __doc__ or ""
    )
    sizes = measure(args)
    show_costs({f"{args.rows} x {args.context}": sizes}, "MiB")
    return claimed(claims(sizes, args.rows * args.context * 4 / MIB), args, mebibytes=sizes)


def measure(args: VectorMemoryArgs) -> Costs:
    """MiB of each kind, one number a process."""
    sizes: Costs = {}
    kinds = ("traced", "resident") if _STATUS.is_file() else ("traced",)
    for _ in range(args.repetitions):
        for kind in kinds:
            for name, size in in_a_process(kind, args).items():
                sizes.setdefault(f"{kind}, {name}", []).append(size)
    return sizes


def claims(sizes: Mapping[str, Sequence[float]], tokens: float) -> Iterable[Claim]:
    """Each size over that of the tokens."""
    for name, values in sizes.items():
        yield Claim(name, [value / tokens for value in values], most=BAR)


def in_a_process(kind: str, args: VectorMemoryArgs) -> dict[str, float]:
    """What `grown` returns in a fresh process."""
    numbers = f"{args.rows}, {args.context}, {args.steps}, {args.seed}"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import vector_memory;"
        f" vector_memory.tell(vector_memory.{kind}, {numbers})"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    sizes: dict[str, float] = json.loads(done.stdout)
    return sizes


def tell(
    look: Callable[[], tuple[float, float]], rows: int, context: int, steps: int, seed: int
) -> None:
    """Print how many MiB a batch adds to a process, in the end and at the most."""
    _play(2, context, 2, seed)
    gc.collect()
    before, _ = look()
    env = _play(rows, context, steps, seed)
    gc.collect()
    steady, peak = look()
    print(json.dumps({"steady": (steady - before) / MIB, "peak": (peak - before) / MIB}))
    del env


def traced() -> tuple[float, float]:
    """Bytes that Python and NumPy hold now, and the most that they held since the last call."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    sizes = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    return sizes


def resident() -> tuple[float, float]:
    """Bytes of the process in memory now, and the most that there ever were."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    now, most = (float(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def _play(rows: int, context: int, steps: int, seed: int) -> object:
    """A batch after some steps."""
    env = make_vec(COPY, rows, context=context, max_tokens=context, copy=False)
    env.reset(seed=seed)
    for ids in ids_of(steps, rows, 1 / 32, seed):
        env.step(ids)
    return env


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
