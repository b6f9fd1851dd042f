"""What follows canvases: callbacks, errbacks, stamps, members that are added, runs that are replaced."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from fastq import FastQ, chain, chord, group
from fastq.exceptions import ChordError, Ignore


class Shop:
    """Tasks on queues in memory; `told` is what some of them were given."""

    def __init__(self) -> None:
        url = f"memory://{uuid.uuid4().hex}?clock=hand"
        self.app = FastQ("shop", broker=url, backend=url, set_as_current=False)
        self.told: list[Any] = []
        self.add = self.app.task(name="shop.add")(lambda x, y=0: x + y)
        self.total = self.app.task(name="shop.total")(sum)
        self.note = self.app.task(name="shop.note")(lambda *given: self.told.append(given))
        self.fail = self.app.task(name="shop.fail")(self._fail)
        self.forget = self.app.task(name="shop.forget")(self._forget)
        self.stamps = self.app.task(name="shop.stamps", bind=True)(lambda task, *_: task.request.stamps)
        self.grow = self.app.task(name="shop.grow", bind=True)(lambda task, times: self._grow(task, times))

    def worth(self, signature: Any, **options: Any) -> Any:
        """Send a canvas, run all there is, and return its value."""
        result = signature.apply_async(**options)
        self.app.testing.run()
        return result.get(timeout=1)

    def _grow(self, task: Any, times: int) -> int:
        for _ in range(times):
            task.add_to_chord(self.add.s(100))
        return times

    @staticmethod
    def _fail(*_: Any) -> None:
        raise ValueError("broken")

    @staticmethod
    def _forget(*_: Any) -> None:
        raise Ignore


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.app.close()


def test_callbacks_of_workflows_get_their_values(shop: Shop) -> None:
    shop.worth(chain(shop.add.s(1), shop.add.s(2)), link=shop.note.s("chain"))
    shop.worth(chord([shop.add.s(1), shop.add.s(2)], shop.total.s()), link=shop.note.s("chord"))
    assert shop.told == [(3, "chain"), (3, "chord")]


def test_a_callback_may_be_a_workflow(shop: Shop) -> None:
    following = chord([shop.add.s(10), shop.add.s(20)], shop.note.s("chord"))
    shop.worth(shop.add.s(1), link=[following, chain(shop.add.s(5), shop.note.s("chain"))])
    assert sorted(shop.told, key=str) == [(6, "chain"), ([11, 21], "chord")]


def test_errbacks_of_a_chain_are_called_once_for_the_step_that_failed(shop: Shop) -> None:
    workflow = chain(shop.add.s(1), shop.fail.s(), shop.add.s(2)).on_error(shop.note.si("failed"))
    with pytest.raises(ValueError, match="broken"):
        shop.worth(workflow)
    assert shop.told == [("failed",)]


@pytest.mark.parametrize("kind", ["fail", "forget"])
def test_errbacks_of_a_chord_are_called_when_a_member_does_not_return(shop: Shop, kind: str) -> None:
    member = getattr(shop, kind)
    workflow = chord([shop.add.s(1), chain(shop.add.s(1), member.s(), shop.add.s(2))], shop.total.s())
    workflow.link_error(shop.note.si("failed"))
    with pytest.raises(ChordError, match="Dependency"):
        shop.worth(workflow | shop.add.s(1))
    assert shop.told == [("failed",)]


def test_errbacks_of_members_are_called_for_each_that_fails(shop: Shop) -> None:
    workflow = group(shop.fail.s(), shop.add.s(1), shop.fail.s())
    workflow.link_error(shop.note.si("failed"))
    with pytest.raises(ValueError, match="broken"):
        shop.worth(workflow)
    assert shop.told == [("failed",), ("failed",)]


def test_what_was_to_follow_a_chord_that_failed_fails_too(shop: Shop) -> None:
    result = chain(
        chord([shop.fail.s()], shop.total.s()), shop.add.s(1), group(shop.add.s(2), shop.add.s(3))
    ).apply_async()
    shop.app.testing.run()
    assert [type(one) for one in result.get(timeout=1, propagate=False)] == [ChordError, ChordError]
    assert isinstance(result.parent.result, ChordError)


def test_stamps_reach_every_task_of_a_workflow(shop: Shop) -> None:
    workflow = chain(
        shop.stamps.s(), chord([shop.stamps.s(), chain(shop.stamps.s(), shop.stamps.s())], shop.stamps.s())
    )
    workflow.tasks[0].stamp(order="o-1")
    result = workflow.apply_async()
    shop.app.testing.run()
    assert result.get(timeout=1) == {"order": "o-1"}
    assert result.parent.get(timeout=1) == [{"order": "o-1"}, {"order": "o-1"}]


def test_members_can_be_added_while_a_chord_runs(shop: Shop) -> None:
    assert shop.worth(chord([shop.grow.s(2), shop.add.s(1)], shop.total.s())) == 203
    result = shop.grow.delay(1)
    shop.app.testing.run()
    with pytest.raises(ValueError, match="no member of a chord"):
        result.get(timeout=1)


def test_a_run_that_is_replaced_within_a_workflow_passes_on_what_takes_its_place(shop: Shop) -> None:
    @shop.app.task(bind=True, name="shop.become")
    def become(self: Any, x: int) -> Any:
        return self.replace(chain(shop.add.s(x), group(shop.add.s(1), shop.add.s(2))))

    workflow = chord([become.s(5), shop.add.s(1)], shop.app.task(name="shop.same")(lambda value: value).s())
    assert shop.worth(workflow) == [[6, 7], 1]
    assert shop.worth(chain(become.s(5), shop.total.s(), shop.add.s(1))) == 14


def test_children_of_a_run_are_what_it_was_followed_by(shop: Shop) -> None:
    first = chain(shop.add.s(1), group(shop.add.s(2), shop.add.s(3)), shop.total.s()).apply_async().parent.parent
    shop.app.testing.run()
    (children,) = first.children
    assert [member.get(timeout=1) for member in children] == [3, 4]
    assert [value for _, value in first.collect()][:2] == [1, [3, 4]]


def test_what_a_client_of_celery_leaves_behind_a_body_that_is_a_group_follows_it(shop: Shop) -> None:
    same = shop.app.task(name="shop.same")(lambda value, *_: value)
    last, then = same.s(), group(same.s(), shop.total.s())
    result, before = last.freeze(), then.freeze()
    body = group(shop.total.s(), same.si(7)).set(chain=[dict(last), dict(then)])
    chord([shop.add.s(1), shop.add.s(2)], body).apply_async((1,))
    shop.app.testing.run()
    assert before.get(timeout=1) == [[5, 7], 12]
    assert result.get(timeout=1) == [[5, 7], 12]
