"""The graph of a workflow's results: what was sent by what, and how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TextIO

__all__ = ["DependencyGraph", "GraphFormatter"]

_COLOURS: Final[Mapping[str, str]] = {"SUCCESS": "palegreen3", "FAILURE": "salmon", "REVOKED": "salmon"}


class GraphFormatter:
    """Writes a graph in the language of Graphviz.

    Args:
        root: id of the result it begins with.
        name: of the graph.
    """

    def __init__(self, root: Any = None, name: str = "workflow") -> None:
        """Keep what is written."""
        self.root = root
        self.name = name

    def node(self, result: Any) -> str:
        """Return the line of a result."""
        state = str(getattr(result, "state", "GROUP"))
        label = f"{getattr(result, 'name', None) or 'task'}\\n{result}\\n{state}"
        shape = "box" if getattr(result, "results", None) is not None else "oval"
        colour = _COLOURS.get(state, "white")
        return f'  "{result}" [label="{_escaped(label)}", shape={shape}, style=filled, fillcolor={colour}];'

    def edge(self, above: Any, below: Any) -> str:
        """Return the line of one result that was sent by another."""
        return f'  "{above}" -> "{below}";'


class DependencyGraph:
    """Results, and which of them were sent by which.

    Args:
        formatter: how `to_dot` writes it.
    """

    def __init__(self, formatter: GraphFormatter | None = None) -> None:
        """Hold nothing yet."""
        self.formatter = formatter or GraphFormatter()
        self.adjacent: dict[Any, list[Any]] = {}
        """Of each result those that it has sent."""

    def add_arc(self, result: Any) -> None:
        """Add a result."""
        self.adjacent.setdefault(result, [])

    def add_edge(self, above: Any, below: Any) -> None:
        """Note that `above` has sent `below`."""
        self.adjacent.setdefault(above, []).append(below)

    def valency_of(self, result: Any) -> int:
        """Return how many results can be reached from one, itself included."""
        return 1 + sum(self.valency_of(below) for below in self.adjacent[result])

    def topsort(self) -> list[Any]:
        """Return the results in an order in which each stands before those it has sent."""
        order: list[Any] = []
        seen: set[Any] = set()
        pending = [(result, False) for result in reversed(self.adjacent)]
        while pending:
            result, done = pending.pop()
            if done:
                order.append(result)
            elif result not in seen:
                seen.add(result)
                pending.append((result, True))
                pending += [(below, False) for below in self.adjacent.get(result, ())]
        order.reverse()
        return order

    def edges(self) -> Iterable[Any]:
        """Return the results that have sent others."""
        return (result for result, below in self.adjacent.items() if below)

    def items(self) -> Iterator[tuple[Any, list[Any]]]:
        """Iterate over the results, and those that each has sent."""
        return iter(self.adjacent.items())

    iteritems = items

    def to_dot(self, out: TextIO, formatter: GraphFormatter | None = None) -> None:
        """Write the graph in the language of Graphviz."""
        shown = formatter or self.formatter
        out.write(f"digraph {shown.name} {{\n")
        for result in self.adjacent:
            out.write(f"{shown.node(result)}\n")
        for above, below in self.adjacent.items():
            for one in below:
                out.write(f"{shown.edge(above, one)}\n")
        out.write("}\n")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.adjacent)

    def __getitem__(self, result: Any) -> list[Any]:
        return self.adjacent[result]

    def __contains__(self, result: Any) -> bool:
        return result in self.adjacent

    def __len__(self) -> int:
        return len(self.adjacent)

    def __repr__(self) -> str:
        lines = [f"{above}({len(below)})" for above, below in self.adjacent.items()]
        return f"<DependencyGraph: {', '.join(lines)}>"


def _escaped(text: str) -> str:
    return text.replace('"', "'")
