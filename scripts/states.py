"""Draw docs/design/states.md from the tables at the heads of the core's state machines.

    scripts/states.py            write the page
    scripts/states.py --check    fail when the page is not what the tables say

The tables are the `//!` lines of three files: a Markdown table for jobs, arrows (`State --input--> State`) for slots
and links. They stand beside the code that keeps them; this page only makes pictures of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/design/states.md"

SLOT_STATES = ("Starting", "Idle", "Busy", "Draining", "Closed", "Gone")
LINK_STATES = ("Closed", "Opening", "Open", "BackingOff", "Draining", "Failed")

HEAD = """\
# States

Three state machines decide what a worker does. Each is one file of the core, without clock, socket or thread; all
that changes a state is in that file, and an input that does not fit is an error that names state and input.

This page is drawn from the tables at the heads of those files (`scripts/states.py`).
"""

JOB = """\
## A job, in a worker's hands

`rust/core/src/dispatch/machine.rs`. A job begins when its message arrives and ends when its delivery is settled; what
it was before and is afterwards is the broker's business ([sqlite.md](sqlite.md)).
"""

SLOT = """\
## A slot: a place where one job runs at a time

`rust/core/src/pool/slot.rs`. *Closed*: the parent has taken back what the slot had not started
([processes.md](processes.md#the-slot-page)); nothing is assigned until what did start has finished.
"""

LINK = """\
## A link: the connection to the broker

`rust/core/src/consumer/link.rs`. A temporary fault is tried again after a pause that doubles from 50 ms to 2 s, with
jitter. Once a session was open no fault is permanent: the worker keeps trying.
"""


class Arrow(NamedTuple):
    """One change of state."""

    source: str
    event: str
    target: str


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; return the exit code."""
    page = draw(ROOT / "rust/core/src")
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        print(f"{PAGE.relative_to(ROOT)} is not what the tables say: run scripts/states.py")
        return 1
    return 0


def draw(source: Path) -> str:
    """Return the page."""
    rows = table(head(source / "dispatch/machine.rs"))
    parts = [HEAD, JOB, diagram(list(job_arrows(rows))), markdown(rows)]
    parts += [SLOT, diagram(list(arrows(head(source / "pool/slot.rs"), SLOT_STATES)))]
    parts += [LINK, diagram(list(arrows(head(source / "consumer/link.rs"), LINK_STATES)))]
    return "\n".join(parts)


def head(file: Path) -> list[str]:
    """Return the lines of a file's head comment."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("//!").strip() for line in lines if line.startswith("//!")]


def table(lines: Sequence[str]) -> list[list[str]]:
    """Return the cells of a Markdown table, row by row, its heading first."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if not set("".join(row)) <= set("-: ")]


def job_arrows(rows: Sequence[Sequence[str]]) -> Iterator[Arrow]:
    """Yield the changes of a job's state that the table tells; `–` is the outside, `settled` and `gone` the end."""
    outside = {"–": "[*]", "settled": "[*]", "gone": "[*]"}
    for states, event, target, _ in rows[1:]:
        for state in states.split(", "):
            if state != "any" and not target.startswith("as it was"):
                became = target.split(",")[0]
                yield Arrow(outside.get(state, state), event, outside.get(became, became))


def arrows(lines: Sequence[str], states: Sequence[str]) -> Iterator[Arrow]:
    """Yield the changes of state of a block of arrows; remarks in brackets are dropped."""
    for line in lines:
        hops = re.split(r"\s--([^>]+?)-->\s", re.sub(r"\s{2,}\(.*\)$", "", line))
        for index in range(0, len(hops) - 2, 2):
            target = hops[index + 2].strip()
            for source in sources(hops[index], states, target):
                yield Arrow(source, hops[index + 1], target)


def sources(text: str, states: Sequence[str], target: str) -> list[str]:
    """Return the states that `A`, `A, B`, `any` or `any but A` stands for; `any` leaves out where it leads."""
    if not text.startswith("any"):
        return text.strip().split(", ")
    excluded = text.removeprefix("any").removeprefix(" but ").strip()
    return [state for state in states if state not in (excluded, target)]


def diagram(changes: Sequence[Arrow]) -> str:
    """Return a Mermaid drawing; changes between the same two states share an arrow."""
    gathered: dict[tuple[str, str], list[str]] = {}
    for source, event, target in changes:
        if source != target or source == "Draining":
            gathered.setdefault((source, target), []).append(event)
    lines = [
        f"    {source} --> {target}: {'; '.join(dict.fromkeys(events))}"
        for (source, target), events in gathered.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    heading, *others = rows
    lines = [heading, ["---"] * len(heading), *others]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
