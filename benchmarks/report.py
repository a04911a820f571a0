"""The table of measured claims in `docs/benchmarks.md`, from the results beside the scripts.

Every results file with claims has its part: how it was measured, and each figure beside its bar.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmgym.commands.arguments import parse_options
from lmgym.commands.bench import benchmark_files
from lmgym.commands.files import write_text
from lmgym.errors import LmgymError

HERE = Path(__file__).resolve().parent
START, END = "<!-- results -->\n", "<!-- end of results -->\n"


@dataclass(frozen=True)
class ReportArgs:
    """Arguments of the report."""

    results: str = str(HERE / "results")
    """Folder of the .json files that benchmarks wrote."""
    page: str = str(HERE.parent / "docs" / "benchmarks.md")
    """Page with the table, between two comments."""
    check: bool = False
    """Change nothing; exit with 1 where the page is not up to date."""


def main(argv: Sequence[str]) -> int:
    """Write the table into the page; 1 where it should have been there already."""
    (args,) = parse_options({"report": ReportArgs}, argv, "bench report", __doc__ or "")
    page = Path(args.page)
    text = page.read_text(encoding="utf-8")
    new = with_results(text, render(claims_of(Path(args.results))))
    if args.check:
        print(
            f"{page.name} is {'up to date' if new == text else 'out of date: lmgym bench report'}"
        )
        return int(new != text)
    write_text(page, new)
    return 0


def claims_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The results files that hold claims, by the name of their benchmark."""
    found = {}
    for file in [*sorted(folder.glob("*.json")), *sorted(folder.glob("claims/*.json"))]:
        record = json.loads(file.read_text(encoding="utf-8"))
        if "claims" in record:
            name = file.relative_to(folder).with_suffix("").as_posix()
            found[name.replace("_", "-")] = record
    return found


def render(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Headings and tables in Markdown."""
    return "\n".join(line for name in results for line in _part(name, results[name]))


def _part(name: str, record: Mapping[str, Any]) -> Iterable[str]:
    machine, versions = record["machine"], record["versions"]
    command = f"lmgym bench {name} --out benchmarks/results/{name.replace('-', '_')}.json"
    yield f"### {name}\n"
    if name in benchmark_files():
        yield f"`{command}`\n"
    parts = [f"{package} {version}" for package, version in versions.items() if version]
    yield f"{machine['cpu']}, {machine['cores']} cores; {', '.join(parts)}.\n"
    yield "| what | median (least to greatest) | bar | |"
    yield "|---|---|---|---|"
    for claim in record["claims"]:
        verdict = ("met" if claim["is_met"] else "**missed**") if claim["bar"] else ""
        yield f"| {claim['what']} | {claim['figure']} | {claim['bar']} | {verdict} |"
    yield ""


def with_results(page: str, results: str) -> str:
    """The page with these results in their place."""
    before, found, rest = page.partition(START)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise LmgymError(f"the page has no place for results; put {START!r} and {END!r} into it")
    return f"{before}{START}\n{results}\n{END}{after}"


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
