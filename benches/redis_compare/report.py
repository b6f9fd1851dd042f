"""Turn the raw figures of `make bench-compare` into one table (report.py [FOLDER])."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

OWN = "fastq"


def write_report(folder: Path) -> None:
    """Print the table, and write it to FOLDER/report.md."""
    lines = ["| figure | side | median | lowest – highest | fastq ÷ side |", "|---|---|--:|--:|--:|"]
    for name in ("drain", "publish"):
        file = folder / f"{name}.json"
        if file.exists():
            for case, sides in json.loads(file.read_text(encoding="utf-8"))["cases"].items():
                lines += rows(case, sides)
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def rows(case: str, sides: Mapping[str, Sequence[dict[str, Any] | None]]) -> Iterator[str]:
    """Yield a row for each side; ratios are formed turn by turn."""
    for side, figures in sides.items():
        rates = [figure["rate"] for figure in figures if figure]
        pairs = zip(sides.get(OWN, ()), figures, strict=False)
        ratios = [own["rate"] / other["rate"] for own, other in pairs if own and other]
        if rates:
            spread = f"{min(rates):,.0f} – {max(rates):,.0f}"
            ratio = f"{statistics.median(ratios):.1f}" if ratios else ""
            yield f"| {case} | {side} | {statistics.median(rates):,.0f} /s | {spread} | {ratio} |"


if __name__ == "__main__":
    write_report(Path(sys.argv[1]))
