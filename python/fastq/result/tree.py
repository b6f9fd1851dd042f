"""Walking the results of a workflow: from a task to those it has sent, and on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from fastq.exceptions import IncompleteStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq.result.graph import DependencyGraph, GraphFormatter

__all__ = ["Tree", "leaves"]


class Tree:
    """A result from which others can be reached."""

    id: str

    if TYPE_CHECKING:

        @property
        def children(self) -> list[Any] | None:
            """The results of what this one has sent, or of its members."""

        def ready(self) -> bool:
            """Tell whether all of it has ended."""

        def get(self) -> Any:
            """Wait and return the value."""

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield pairs of a result and one that it has sent, the nearer ones first; the first pair is (None, this one).

        Args:
            intermediate: go on below results that are there, whatever others are not.

        Raises:
            IncompleteStream: a task has not ended, so that it is not known what it will send.
        """
        stack: deque[tuple[Any, Any]] = deque([(None, self)])
        while stack:
            parent, node = stack.popleft()
            yield parent, node
            if node.ready():
                stack.extend((node, child) for child in node.children or ())
            elif not intermediate:
                raise IncompleteStream(f"Task {node.id} has not ended: it is not known what it will send.")

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[Any, Any]]:
        """Yield every result that can be reached from here with its value, waiting for each.

        Args:
            intermediate: as of `iterdeps`.
            **options: those of `get`.
        """
        for _, node in self.iterdeps(intermediate):
            yield node, node.get(**options)

    def get_leaf(self) -> Any:
        """Return the value of the last result that can be reached from here: of the end of the workflow."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()
        return value

    def build_graph(self, intermediate: bool = False, formatter: GraphFormatter | None = None) -> DependencyGraph:
        """Return the graph of the results that can be reached from here; errors as from `iterdeps`.

        Args:
            intermediate: whether tasks that have not ended are leaves, and no error.
            formatter: how `to_dot` writes it.
        """
        from fastq.result.graph import DependencyGraph, GraphFormatter

        graph = DependencyGraph(formatter or GraphFormatter(root=self.id))
        for parent, node in self.iterdeps(intermediate):
            graph.add_arc(node)
            if parent is not None:
                graph.add_edge(parent, node)
        return graph

    @property
    def graph(self) -> DependencyGraph:
        """The graph of the results that can be reached from here by now; tasks that have not ended are leaves."""
        return self.build_graph(intermediate=True)


def leaves(result: Any) -> Iterator[Any]:
    """Yield a result; those of its members in place of a group's."""
    members = getattr(result, "results", None)
    if members is None:
        yield result
        return
    for member in members:
        yield from leaves(member)
