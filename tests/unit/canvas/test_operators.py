"""What `a | b` makes."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from fastq import chain, chord, chunks, group, maybe_signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.canvas.conftest import Shop


def shape(signature: Any) -> Any:
    """Return what a canvas is made of: tasks by their first argument."""
    kind = signature.subtask_type
    if kind == "chord":
        return {"header": [shape(one) for one in members(signature.tasks)], "body": shape(signature.body)}
    if kind == "group":
        return [shape(one) for one in signature.tasks]
    return tuple(shape(one) for one in signature.tasks) if kind == "chain" else signature.args[0]


def members(header: Any) -> Any:
    return header.tasks if isinstance(header, group) else header


JOINED: dict[str, tuple[Callable[..., Any], Any]] = {
    "task | task": (lambda a, b, c, d: a | b, (1, 2)),
    "task | chain": (lambda a, b, c, d: a | (b | c), (1, 2, 3)),
    "task | group": (lambda a, b, c, d: a | group(b, c), (1, [2, 3])),
    "task | group of one": (lambda a, b, c, d: a | group(b), (1, 2)),
    "task | empty group": (lambda a, b, c, d: a | group(), (1,)),
    "task | empty chain": (lambda a, b, c, d: a | chain(), (1,)),
    "task | chord": (lambda a, b, c, d: a | chord([b, c], d), (1, {"header": [2, 3], "body": 4})),
    "chain | task": (lambda a, b, c, d: (a | b) | c, (1, 2, 3)),
    "chain | chain": (lambda a, b, c, d: (a | b) | (c | d), (1, 2, 3, 4)),
    "chain with a group | task": (lambda a, b, c, d: (a | group(b, c)) | d, (1, {"header": [2, 3], "body": 4})),
    "chain with a group | group": (lambda a, b, c, d: (a | group(b, c)) | group(a, d), (1, [2, 3], [1, 4])),
    "chain with a chord | task": (
        lambda a, b, c, d: (a | chord([b, c], d)) | a, (1, {"header": [2, 3], "body": (4, 1)})),
    "chain with a chord | group": (
        lambda a, b, c, d: (a | chord([b], c)) | group(d, a), (1, {"header": [2], "body": (3, [4, 1])})),
    "chain with a chord | chord": (
        lambda a, b, c, d: (a | chord([b], c)) | chord([d], a),
        (1, {"header": [2], "body": 3}, {"header": [4], "body": 1})),
    "group | task": (lambda a, b, c, d: group(a, b) | c, {"header": [1, 2], "body": 3}),
    "group of one | task": (lambda a, b, c, d: group(a) | b, {"header": [1], "body": 2}),
    "group | group": (lambda a, b, c, d: group(a, b) | group(c, d), {"header": [1, 2], "body": [3, 4]}),
    "group | empty group": (lambda a, b, c, d: group(a, b) | group(), [1, 2]),
    "group | chain": (lambda a, b, c, d: group(a, b) | (c | d), {"header": [1, 2], "body": (3, 4)}),
    "empty group | task": (lambda a, b, c, d: group() | a, {"header": [], "body": 1}),
    "chord | task": (lambda a, b, c, d: chord([a, b], c) | d, {"header": [1, 2], "body": (3, 4)}),
    "chord | group of one": (lambda a, b, c, d: chord([a, b], c) | group(d), {"header": [1, 2], "body": (3, 4)}),
    "chord | group": (lambda a, b, c, d: chord([a], b) | group(c, d), ({"header": [1], "body": 2}, [3, 4])),
    "chord | chain": (lambda a, b, c, d: chord([a], b) | (c | d), ({"header": [1], "body": 2}, 3, 4)),
    "chord | chord": (
        lambda a, b, c, d: chord([a], b) | chord([c], d), {"header": [1], "body": (2, {"header": [3], "body": 4})}),
    "chain()": (lambda a, b, c, d: chain(), ()),
    "chain(a)": (lambda a, b, c, d: chain(a), (1,)),
    "chain(group)": (lambda a, b, c, d: chain(group(a, b)), ([1, 2],)),
    "chain([group])": (lambda a, b, c, d: chain([group(a, b)]), [1, 2]),
    "chain(group, a)": (lambda a, b, c, d: chain(group(a, b), c), {"header": [1, 2], "body": 3}),
    "chain(group of one, a)": (lambda a, b, c, d: chain(group(a), b), (1, 2)),
    "chain(group of one) | task": (lambda a, b, c, d: chain(group(a)) | b, ({"header": [1], "body": 2},)),
    "chain of an iterator": (lambda a, b, c, d: chain(iter([a, b])), (1, 2)),
    "groups in the middle": (
        lambda a, b, c, d: chain(a, group(b, c), group(a, d), d), (1, [2, 3], {"header": [1, 4], "body": 4})),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINED)
def test_what_is_joined_makes(shop: Shop, name: str) -> None:
    join, expected = JOINED[name]
    assert shape(join(*(shop.add.s(n) for n in range(1, 5)))) == expected


def test_operands_stay_as_they_are(shop: Shop) -> None:
    parts = [shop.add.s(1) | group(shop.add.s(2), shop.add.s(3)), chord([shop.add.s(4)], shop.add.s(5)), shop.add.s(6)]
    before = [shape(part) for part in parts]
    reduce(operator.or_, parts).freeze()
    assert [shape(part) for part in parts] == before
    assert "task_id" not in parts[2].options


def test_one_signature_twice_in_a_chain_is_two_tasks(shop: Shop) -> None:
    same = shop.add.s(1)
    result = chain(same, same).freeze()
    assert result.id != result.parent.id


def test_what_joins_may_be_a_dictionary(shop: Shop) -> None:
    assert shape(shop.add.s(1) | dict(shop.add.s(2))) == (1, 2)


def test_chunks_join_as_the_group_they_are(shop: Shop) -> None:
    made = shop.add.chunks([(1, 2), (3, 4), (5, 6)], 2) | shop.total.s()
    assert [len(member.kwargs["it"]) for member in made.tasks.tasks] == [2, 1]
    assert made.body.task == "shop.total"


def test_callbacks_of_a_chain_move_to_its_steps_when_it_is_joined(shop: Shop) -> None:
    first = shop.add.s(1) | shop.add.s(2)
    first.link(shop.echo.s())
    first.link_error(shop.fail.s())
    made = first | shop.add.s(3)
    assert [len(step.options.get("link", ())) for step in made.tasks] == [0, 1, 0]
    assert [len(step.options.get("link_error", ())) for step in made.tasks] == [1, 1, 0]


@pytest.mark.parametrize("name", JOINED)
def test_a_canvas_survives_its_way_as_a_dictionary(shop: Shop, name: str) -> None:
    import json

    made = JOINED[name][0](*(shop.add.s(n) for n in range(1, 5)))
    again = maybe_signature(json.loads(json.dumps(made)), shop.app)
    assert (type(again), shape(again)) == (type(made), shape(made))


def test_chunks_survive_too(shop: Shop) -> None:
    again = maybe_signature(dict(shop.add.chunks([(1, 2)], 1)), shop.app)
    assert isinstance(again, chunks)
