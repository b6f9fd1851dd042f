"""Printing: tables for people at a terminal, plain text elsewhere, JSON for programs."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson

__all__ = [
    "ago",
    "for_terminal",
    "json_option",
    "print_json",
    "print_table",
    "print_value",
    "timeout_option",
    "warnings_in_a_line",
]

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def timeout_option(*names: str) -> Callable[[Function], Function]:
    """Return the option that says how long to wait for a result."""
    how: dict[str, Any] = {"type": click.FloatRange(0), "metavar": "SECONDS"}
    return click.option(*names, help="How long to wait; implies --wait.", **how)


def for_terminal() -> bool:
    """Tell whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Print the warnings of a block as people read them: without file, line and code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        click.echo(f"Warning: {warning.message}", err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know is written as text."""
    try:
        click.echo(orjson.dumps(value, default=_as_text, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    except TypeError:
        click.echo(_standard(value, indent=2))


def print_value(value: Any) -> None:
    """Print a task's result: a text as it is, else JSON, else as Python shows it."""
    if isinstance(value, str):
        # A lone surrogate has no UTF-8: it is shown as Python writes it.
        click.echo(value.encode("utf-8", "backslashreplace"))
        return
    try:
        click.echo(orjson.dumps(value))
    except TypeError:
        try:
            click.echo(_standard(value))
        except (TypeError, ValueError, RecursionError):
            click.echo(ascii(value))


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


def _standard(value: Any, indent: int | None = None) -> str:
    """Return JSON of what orjson refuses: integers beyond 64 bits, lone surrogates."""
    import json

    separators = None if indent else (",", ":")
    return json.dumps(value, indent=indent, separators=separators, default=_as_text if indent else None)


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def ago(moment: float) -> str:
    """Return how long ago a moment (seconds since 1970) was, such as `3 min`."""
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
