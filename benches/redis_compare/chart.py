"""The chart: how many tasks a second each side runs, as an SVG written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from figures import Figures, short
from sides import SIDES

CASES = (("drain", "no results", "#9db8d2"), ("drain, results", "results stored", "#2b5d8c"))
LEFT, WIDTH, RIGHT, TOP, ROW, BAR = 150, 560, 90, 56, 40, 14
"""Pixels: the names, the bars, the numbers; above the first side, for each side, for each bar."""


def chart(figures: Figures) -> str:
    """Return the picture: two bars for each side on a logarithmic scale, with their spread; nothing without drains."""
    rates = {
        (side, case): values
        for case, _, _ in CASES
        for side in figures.sides(case)
        if (values := figures.values(case, side, "rate"))
    }
    if not rates:
        return ""
    sides = sorted(
        {side for side, _ in rates}, key=lambda side: max(v.median for (s, _), v in rates.items() if s == side)
    )
    top = 10 ** math.ceil(math.log10(max(max(values.taken) for values in rates.values())))
    height = TOP + ROW * len(sides) + 30
    parts = [*_frame(height, top, TOP + ROW * len(sides)), *_legend()]
    for number, side in enumerate(sides):
        y = TOP + ROW * number
        parts.append(f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end">{escape(SIDES[side].title)}</text>')
        for bar, (case, _, colour) in enumerate(CASES):
            if values := rates.get((side, case)):
                parts += _bar(y + bar * (BAR + 1), colour, top, min(values.taken), values.median, max(values.taken))
    return "\n".join((*parts, "</svg>", ""))


def _frame(height: int, top: float, bottom: int) -> Iterator[str]:
    """Yield the background, the heading and a line for each power of ten."""
    width = LEFT + WIDTH + RIGHT
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" fill="#222">'
    )
    yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
    yield '<text x="10" y="20" font-size="15">No-op tasks a second, two processes on two cores shared with Redis</text>'
    for power in range(1, round(math.log10(top)) + 1):
        x = _x(10**power, top)
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#666">{10**power:,}</text>'


def _legend() -> Iterator[str]:
    for number, (_, text, colour) in enumerate(CASES):
        x = LEFT + number * 130
        yield f'<rect x="{x}" y="31" width="12" height="12" fill="{colour}"/><text x="{x + 18}" y="42">{text}</text>'


def _bar(y: int, colour: str, top: float, low: float, middle: float, high: float) -> Iterator[str]:
    """Yield a bar to the median, a line from the lowest to the highest value, and the median's digits."""
    end, centre = _x(middle, top), y + BAR / 2
    yield f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
    yield f'<path d="M{_x(low, top):.1f} {centre}H{_x(high, top):.1f}" stroke="#222"/>'
    yield f'<text x="{_x(high, top) + 6:.1f}" y="{centre + 4}" font-size="11">{short(middle)}</text>'


def _x(value: float, top: float) -> float:
    """Return where a value stands: 10 at the left end, `top` at the right."""
    return LEFT + WIDTH * max(0.0, math.log10(max(value, 1.0)) - 1) / (math.log10(top) - 1)
