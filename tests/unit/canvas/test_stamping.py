"""Stamps: who gets them, and how they travel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastq import chain, chord, group
from fastq.canvas import StampingVisitor

if TYPE_CHECKING:
    from tests.unit.canvas.conftest import Shop


class Visitor(StampingVisitor):
    """Stamps every part with the name of what it is."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        self.seen.append(sig.task)
        return {"sig": "s"}

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        self.seen.append("group")
        return {"side": "g"}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        self.seen.append("/group")

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any]:
        self.seen.append("chain")
        return {"line": "c"}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        self.seen.append("/chain")

    def on_chord_body(self, sig: Any, **header: Any) -> dict[str, Any]:
        self.seen.append("body")
        return {"body": "b"}

    def on_callback(self, callback: Any, **header: Any) -> dict[str, Any]:
        return {"callback": "k"}

    def on_errback(self, errback: Any, **header: Any) -> dict[str, Any]:
        return {"errback": "e"}


def stamps(signature: Any) -> dict[str, Any]:
    options = signature.options
    return {name: options[name] for name in sorted(options.get("stamped_headers", ()))}


def test_stamps_are_options_that_are_listed(shop: Shop) -> None:
    signature = shop.add.s(1)
    assert signature.stamp(order="o-1", batch=7) is signature
    assert signature.options == {"order": "o-1", "batch": 7, "stamped_headers": ["order", "batch"]}


def test_what_is_not_listed_is_an_option_and_no_stamp(shop: Shop) -> None:
    signature = shop.add.s(1).stamp(order="o-1", priority=3, stamped_headers=["order"])
    assert (stamps(signature), signature.options["priority"]) == ({"order": "o-1"}, 3)


@pytest.mark.parametrize(
    ("first", "second", "append", "left"),
    [
        (1, 2, False, 2),
        (1, 2, True, [2, 1]),
        ([1], [2], False, [2, 1]),
        ([1], [2], True, [2, 1]),
        ([1], 2, True, [2, [1]]),
        ({"a": 1}, {"b": 2}, False, {"a": 1, "b": 2}),
    ],
)
def test_a_stamp_given_twice(shop: Shop, first: Any, second: Any, append: bool, left: Any) -> None:
    signature = shop.add.s(1).stamp(order=first)
    signature.stamp(append_stamps=append, order=second)
    assert signature.options["order"] == left


def test_what_follows_gets_the_stamps_given_but_not_those_of_the_task(shop: Shop) -> None:
    signature = shop.add.s(1).stamp(own=1)
    signature.link(shop.echo.s())
    signature.link_error(shop.fail.s())
    signature.stamp(Visitor(), order="o")
    assert stamps(signature) == {"order": "o", "own": 1, "sig": "s"}
    assert stamps(signature.options["link"][0]) == {"callback": "k", "order": "o", "sig": "s"}
    assert stamps(signature.options["link_error"][0]) == {"errback": "e", "order": "o", "sig": "s"}


def test_links_that_came_as_dictionaries_are_stamped_too(shop: Shop) -> None:
    signature = shop.add.s(1).set(link=[dict(shop.echo.s())]).stamp(order="o")
    assert stamps(signature.options["link"][0]) == {"order": "o"}


def test_a_visitor_sees_every_part_in_order(shop: Shop) -> None:
    visitor = Visitor()
    workflow = chain(shop.add.s(1), group(shop.echo.s(), shop.total.s()), shop.fail.s())
    workflow.stamp(visitor, order="o")
    assert visitor.seen == [
        "chain", "shop.add", "group", "shop.echo", "shop.total", "/group", "body", "shop.fail", "/chain",
    ]  # fmt: skip
    first, ended = workflow.tasks
    assert stamps(first) == {"line": "c", "order": "o", "sig": "s"}
    assert stamps(ended.tasks.tasks[0]) == {"line": "c", "order": "o", "side": "g", "sig": "s"}
    assert stamps(ended.body) == {"body": "b", "line": "c", "order": "o", "side": "g", "sig": "s"}


def test_members_that_are_not_made_yet_are_stamped_when_they_are(shop: Shop) -> None:
    made: list[int] = []

    def members() -> Any:
        for n in range(2):
            made.append(n)
            yield shop.add.s(n)

    workflow = group(members())
    workflow.stamp(order="o")
    assert made == []
    workflow.delay()
    assert [headers["stamps"] for headers, _ in shop.sent] == [{"order": "o"}] * 2
    later = chord((shop.add.s(n) for n in range(2)), shop.total.s()).stamp(order="o")
    assert [stamps(member) for member in later.tasks.tasks] == [{"order": "o"}] * 2


def test_what_a_stamped_run_sends_has_its_stamps(shop: Shop) -> None:
    @shop.app.task(bind=True)
    def sends(self: Any) -> None:
        group(shop.add.s(n) for n in range(2)).delay()
        chain(shop.add.s(1), shop.add.s(2)).delay()

    sends.apply(stamped_headers=["order"], order="o")
    assert [headers["stamps"] for headers, _ in shop.sent] == [{"order": "o"}] * 3


def test_the_body_of_a_chord_has_the_stamps_of_the_run_that_sent_it(shop: Shop) -> None:
    began: list[Any] = []
    shop.app.backend.begin_chord = lambda group_id, size, body, **_: began.append(body)

    @shop.app.task(bind=True)
    def sends(self: Any) -> None:
        chord([shop.add.s(1)], shop.total.s().stamp(own=1)).delay()

    sends.apply(stamped_headers=["order"], order="o")
    assert stamps(began[0]) == {"order": "o", "own": 1}
