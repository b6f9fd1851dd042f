"""Printing: tables for people at a terminal, plain text elsewhere, JSON for programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson

__all__ = ["ago", "for_terminal", "json_option", "print_json", "print_table", "print_value"]

json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def for_terminal() -> bool:
    """Tell whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know is written as text."""
    click.echo(orjson.dumps(value, default=_as_text, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def print_value(value: Any) -> None:
    """Print a task's result: a text as it is, else JSON, else as Python shows it."""
    if isinstance(value, str):
        click.echo(value)
        return
    try:
        click.echo(orjson.dumps(value))
    except TypeError:
        click.echo(repr(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, no_color: bool = False) -> None:
    """Print rows under headings; numbers stand on the right.

    Args:
        columns: the headings.
        rows: as many values each.
        no_color: whether a terminal is to get no colours.
    """
    table = [[_shown(value) for value in row] for row in rows]
    values = list(zip(*table, strict=True)) if table else [()] * len(columns)
    right = [bool(cells) and all(_is_number(cell) for cell in cells) for cells in values]
    if for_terminal():
        _print_rich(columns, table, right, no_color)
        return
    widths = [max(len(text) for text in (head, *cells)) for head, cells in zip(columns, values, strict=True)]
    for line in ([head.lower() for head in columns], *table):
        cells = [
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _print_rich(columns: Sequence[str], table: list[list[str]], right: list[bool], no_color: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head, is_right in zip(columns, right, strict=True):
        shown.add_column(head, justify="right" if is_right else "left", overflow="fold")
    for line in table:
        shown.add_row(*(Text(text) for text in line))
    Console(no_color=no_color or bool(os.environ.get("NO_COLOR"))).print(shown)


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() or text == "-"


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def ago(moment: float) -> str:
    """Return how long ago a moment (seconds since 1970) was, such as `3 min`."""
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
