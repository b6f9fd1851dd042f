"""The outline of a workflow as the result store knows it: which task has sent which, and how each stands.

Unlike the graph of a result (`result.graph`), it is made from an id alone, in any program, while the workflow goes on.
Records are read level by level, so that ten thousand members of a group are read together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from fastq.backends.again import tried
from fastq.backends.chords import body_id
from fastq.states import FAILURE, PENDING, READY_STATES, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastq.app.protocol import App
    from fastq.backends.base import Meta

__all__ = ["Node", "outline"]

_HIGHEST: Final = 1000
"""So many parents are climbed: a circle in what is stored must not keep us for ever."""


@dataclass(slots=True)
class Node:
    """A task, or a group of tasks."""

    id: str
    kind: Literal["task", "group", "body"] = "task"
    """A body is the task that a chord calls when its group has ended."""
    state: str = PENDING
    name: str | None = None
    """Where it is stored (`result_extended`), or known from a signature."""
    date_done: str | None = None
    """When it ended: ISO 8601."""
    error: str | None = None
    """What it raised, in a line."""
    note: str | None = None
    """What else is known, such as how far a chord has come."""
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """Yield it and all that is below, the nearer ones first on each way down."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.children))

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can write."""
        shown = {key: getattr(self, key) for key in ("id", "kind", "state", "name", "date_done", "error", "note")}
        return {**shown, "children": [child.as_dict() for child in self.children]}


def outline(app: App, task_id: str, *, whole: bool = False) -> Node | None:
    """Return the outline of a workflow; None where nothing is known of it.

    Args:
        app: whose result store is asked.
        task_id: of a task, or of a group that was saved or is the header of a chord.
        whole: begin with the task that the workflow began with, as far as the store knows it.

    Raises:
        OperationalError: the store failed.
    """
    if whole:
        task_id = _first(app, task_id)
    root = Node(task_id)
    (meta,) = _metas(app, (task_id,))
    if meta is None and not _read_group(app, root):
        return None
    level, seen = ([root] if meta is not None else root.children), {task_id}
    while level:
        tasks = [node for node in level if node.kind != "group"]
        for node, meta in zip(tasks, _metas(app, [node.id for node in tasks]), strict=True):
            if meta is not None:
                _read_task(node, meta)
        for node in level:
            if node.kind == "group":
                _read_chord(app, node)
        below = [child for node in level for child in node.children]
        level = [node for node in below if node.id not in seen]
        seen.update(node.id for node in level)
    _sum_up(root)
    return root


def _first(app: App, task_id: str) -> str:
    for _ in range(_HIGHEST):
        (meta,) = _metas(app, (task_id,))
        parent = meta.get("parent_id") if meta is not None else None
        if not parent:
            group_id = meta.get("group_id") if meta is not None else None
            return group_id if group_id and _read_group(app, Node(group_id)) else task_id
        task_id = parent
    return task_id


def _metas(app: App, task_ids: Sequence[str]) -> list[Meta | None]:
    if not task_ids:
        return []
    backend = app.backend
    records = tried(app.conf, lambda: backend.load(task_ids))
    return [None if record is None else backend.decode(record) for record in records]


def _read_task(node: Node, meta: Meta) -> None:
    node.state = meta["status"]
    node.name = meta.get("name") or node.name
    node.date_done = meta.get("date_done")
    result = meta.get("result")
    if isinstance(result, BaseException):
        node.error = f"{type(result).__name__}: {result}"
    node.children += [_of_tuple(child) for child in meta.get("children") or ()]


def _of_tuple(stored: Any) -> Node:
    """Return the node of a result tuple (protocol.md §7.3)."""
    (task_id, _), members = stored
    if members is None:
        return Node(task_id)
    return Node(task_id, "group", children=[_of_tuple(member) for member in members])


def _read_group(app: App, node: Node) -> bool:
    """Read a group that was saved, or the header of a chord; whether there is one."""
    saved = app.backend.restore_group(node.id)
    if saved is not None:
        node.kind, node.children = "group", _of_tuple(saved.as_tuple()).children
    else:
        node.children = [Node(member.task_id, state=member.state) for member in app.backend.chord_members(node.id)]
    is_chord = _read_chord(app, node)
    node.kind = "group" if saved is not None or is_chord else "task"
    return saved is not None or is_chord


def _read_chord(app: App, node: Node) -> bool:
    """Read how far the chord of a group has come, and which task its body is; whether it is one."""
    record = app.backend.chord_record(node.id)
    body = (record.body if record is not None else None) or _ended_body(app, node.id)
    if record is not None and record.state != "ended":
        node.note = f"{record.ended} of {'?' if record.size is None else record.size} have ended"
    elif body and not node.children:
        node.note = "its members are not known any more"
    task_id = ((body or {}).get("options") or {}).get("task_id")
    if isinstance(task_id, str) and all(child.kind != "body" for child in node.children):
        node.children.append(Node(task_id, "body", name=(body or {}).get("task")))
    return record is not None or body is not None


def _ended_body(app: App, group_id: str) -> dict[str, Any] | None:
    """Return what is known of the body of a chord that has ended: its id, where it had none of its own.

    The record of a chord goes with its end; what is left are results.
    """
    task_id = body_id(group_id)
    found = _metas(app, (task_id,))[0] if task_id is not None else None
    return None if found is None else {"options": {"task_id": task_id}}


def _sum_up(root: Node) -> None:
    """Give groups the state that their members have together, the inner ones first."""
    for node in reversed(list(root.walk())):
        members = [child for child in node.children if child.kind != "body"]
        if node.kind != "group":
            continue
        if not members:
            # Known by what came of them alone: a body begins when all have returned.
            for body in node.children:
                has_failed = (body.error or "").startswith("ChordError")
                node.state = FAILURE if has_failed else node.state if body.state == PENDING else SUCCESS
            continue
        states = Counter(child.state for child in members)
        done = [child.date_done for child in members if child.date_done]
        if all(state == SUCCESS for state in states):
            node.state = SUCCESS
        elif all(state in READY_STATES for state in states):
            node.state = next(state for state in states if state != SUCCESS)
        if node.state in READY_STATES and len(done) == len(members):
            node.date_done = max(done)
        if node.note is None:
            node.note = ", ".join(f"{count} {state}" for state, count in states.most_common())
