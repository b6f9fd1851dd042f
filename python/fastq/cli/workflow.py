"""`fastq workflow`: what a task has sent, and how all of it stands."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import ago, for_terminal, json_option, print_json

if TYPE_CHECKING:
    from fastq.result.outline import Node

__all__ = ["command"]

_SHOWN: Final = 20
"""More members of a group are counted, and not shown one by one."""
_COLOURS: Final[Mapping[str, str]] = {
    "SUCCESS": "green",
    "FAILURE": "red",
    "REVOKED": "red",
    "RETRY": "yellow",
    "STARTED": "cyan",
    "PENDING": "bright_black",
}
_DOT: Final[Mapping[str, str]] = {"SUCCESS": "palegreen3", "FAILURE": "salmon", "REVOKED": "salmon"}


@click.command("workflow")
@app_options()
@click.argument("task_id", metavar="ID")
@click.option("--whole", is_flag=True, help="Begin with the first task of the workflow that ID belongs to.")
@click.option("--all", "everything", is_flag=True, help="Show every member of large groups.")
@click.option("--dot", is_flag=True, help="Print it in the language of Graphviz.")
@json_option
@chosen
def command(choice: Chosen, task_id: str, whole: bool, everything: bool, dot: bool, as_json: bool) -> None:
    """Print the workflow of the task or group ID: which task has sent which, and how each stands.

    The exit code is 1 when one of them has failed, and 75 while one has not ended.
    """
    from fastq.cli.failure import EXIT_NOT_YET, Failure
    from fastq.result.outline import outline
    from fastq.states import READY_STATES, SUCCESS

    if dot and as_json:
        raise click.UsageError("Choose one of --json and --dot.")
    if not task_id.strip():
        raise click.UsageError("ID is empty: give the id of a task or group.")
    root = outline(choice.load(), task_id, whole=whole)
    if root is None:
        raise Failure(
            f"Nothing is known of {task_id}: it has not run yet, it stores no result, or there is no such task.",
            EXIT_NOT_YET,
        )
    if as_json:
        print_json(root.as_dict())
    elif dot:
        click.echo("\n".join(_dot(root)))
    else:
        _print_tree(root, everything)
    states = [node.state for node in root.walk()]
    if any(state in READY_STATES and state != SUCCESS for state in states):
        raise SystemExit(1)
    if any(state not in READY_STATES for state in states):
        raise SystemExit(EXIT_NOT_YET)


def _print_tree(root: Node, everything: bool) -> None:
    if not for_terminal():
        for line in _lines(root, "", "", everything):
            click.echo(line)
        return
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def label(node: Node) -> Text:
        return Text.assemble((f"{node.state} ", _COLOURS.get(node.state, "magenta")), _words(node))

    shown = Tree(label(root))
    pending: list[tuple[Node, Any]] = [(root, shown)]
    while pending:
        node, branch = pending.pop()
        children, rest = _cut(node, everything)
        pending += [(child, branch.add(label(child))) for child in children]
        if rest:
            branch.add(Text(rest, "bright_black"))
    Console(no_color=bool(os.environ.get("NO_COLOR"))).print(shown)


def _lines(node: Node, head: str, indent: str, everything: bool) -> Iterator[str]:
    """Yield the lines of a node and what is below it."""
    pending: list[tuple[Node | str, str, str]] = [(node, head, indent)]
    while pending:
        found, head, indent = pending.pop()
        if isinstance(found, str):
            yield f"{head}{found}"
            continue
        yield f"{head}{found.state} {_words(found)}"
        children, rest = _cut(found, everything)
        below: list[Node | str] = [*children, *([rest] if rest else [])]
        lines = (
            [
                (child, f"{indent}{'└── ' if last else '├── '}", f"{indent}{'    ' if last else '│   '}")
                for child, last in zip(below, [False] * (len(below) - 1) + [True], strict=True)
            ]
            if below
            else []
        )
        pending += reversed(lines)


def _cut(node: Node, everything: bool) -> tuple[list[Node], str]:
    """Return the children that are shown, and a line for the others."""
    children = node.children
    if everything or len(children) <= _SHOWN:
        return children, ""
    bodies = [child for child in children if child.kind == "body"]
    rest = Counter(child.state for child in children[_SHOWN:] if child.kind != "body")
    counts = ", ".join(f"{count} {state}" for state, count in rest.most_common())
    first = [child for child in children[:_SHOWN] if child.kind != "body"]
    return [*first, *bodies], f"… and {sum(rest.values())} more: {counts} (--all shows them)"


def _words(node: Node) -> str:
    """Return what a line says of a node beside its state."""
    what = {"group": "group", "body": "body"}.get(node.kind, "")
    words = [what, node.name or "", node.id, f"({node.note})" if node.note else "", _when(node), node.error or ""]
    return " ".join(word for word in words if word)


def _when(node: Node) -> str:
    from fastq.time import from_iso

    if node.date_done is None:
        return ""
    try:
        moment = from_iso(node.date_done)
    except ValueError:
        return node.date_done
    return f"{moment:%Y-%m-%d %H:%M:%S} ({ago(moment.timestamp())} ago)"


def _dot(root: Node) -> Iterator[str]:
    """Yield the lines of the graph in the language of Graphviz."""
    yield "digraph workflow {"
    for node in root.walk():
        label = "\\n".join(part for part in (node.name or node.kind, node.id, node.state, node.date_done or "") if part)
        shape = "box" if node.kind == "group" else "oval"
        colour = _DOT.get(node.state, "white")
        yield f'  "{_escaped(node.id)}" [label="{_escaped(label)}", shape={shape}, style=filled, fillcolor={colour}];'
    for node in root.walk():
        for child in node.children:
            yield f'  "{_escaped(node.id)}" -> "{_escaped(child.id)}";'
    yield "}"


def _escaped(text: str) -> str:
    return text.replace('"', "'")
