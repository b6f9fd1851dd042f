"""The raw figures of a run, read back: values by part, case and side, and what is made of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN = "fastq"
Figure = Mapping[str, Any]


@dataclass(frozen=True)
class Values:
    """One number for each turn; None where it could not be taken."""

    turns: tuple[float | None, ...]

    @property
    def taken(self) -> list[float]:
        """The numbers there are."""
        return [value for value in self.turns if value is not None]

    @property
    def median(self) -> float:
        """The middle number."""
        return statistics.median(self.taken)

    def over(self, other: Values) -> Values:
        """Return the ratios to another side's numbers, formed turn by turn."""
        pairs = zip(self.turns, other.turns, strict=False)
        return Values(tuple(mine / theirs if mine is not None and theirs else None for mine, theirs in pairs))

    def text(self, unit: str = "") -> str:
        """Return median and spread."""
        if not self.taken:
            return "–"
        low, middle, high = (short(value) for value in (min(self.taken), self.median, max(self.taken)))
        return f"{middle}{unit}" + (f" ({low} – {high})" if len(self.taken) > 1 else "")


class Figures:
    """What a folder has."""

    def __init__(self, folder: Path) -> None:
        """Read the files.

        Args:
            folder: has PART.json for each part that was measured.
        """
        files = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}
        self.cases: dict[str, dict[str, list[Figure | None]]] = {}
        self.versions: dict[str, str] = {}
        self.machines: set[str] = set()
        for content in files.values():
            self.cases |= content["cases"]
            self.versions |= content["versions"]
            self.machines.add(content["machine"])

    def sides(self, case: str) -> list[str]:
        """Return the sides a case was measured for, with at least one figure."""
        return [side for side, figures in self.cases.get(case, {}).items() if any(figures)]

    def values(self, case: str, side: str, path: str) -> Values | None:
        """Return the numbers at a path, such as load/20/start_ms/p50; None: there are none."""
        found = tuple(_at(figure, path) for figure in self.cases.get(case, {}).get(side, ()))
        return Values(found) if any(value is not None for value in found) else None

    def fastest(self, case: str, path: str, but: Callable[[str], bool]) -> str | None:
        """Return the side with the highest median, leaving out some."""
        medians = {side: values.median for side in self.sides(case) if (values := self.values(case, side, path))}
        return max((side for side in medians if not but(side)), key=medians.__getitem__, default=None)


def short(value: float) -> str:
    """Return a number with three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _at(figure: Figure | None, path: str) -> float | None:
    found: Any = figure
    for name in path.split("/"):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return None if found is None else float(found)


def joined(values: Sequence[Values | None], separator: str = " / ") -> str:
    """Return the medians of several numbers in one cell."""
    return "–" if None in values else separator.join(short(value.median) for value in values if value)
