"""Canvases that are run here and now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fastq import GroupResult, chain, chord, group
from fastq.exceptions import ChordError
from fastq.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.canvas.conftest import Shop

VALUES: dict[str, tuple[Callable[[Shop], Any], Any]] = {
    "chain": (lambda s: chain(s.add.s(1, 1), s.add.s(2), s.add.s(3)), 7),
    "group": (lambda s: group(s.add.s(n, n) for n in range(3)), [0, 2, 4]),
    "nested groups": (lambda s: group(group(s.add.s(1), s.add.s(2)), group(), s.add.s(3)), [1, 2, 3]),
    "chain with a group": (lambda s: s.add.s(1) | group(s.add.s(1), s.add.s(2)), [2, 3]),
    "chord": (lambda s: chord([s.add.s(1), s.add.s(2)], s.total.s()), 3),
    "chord in a chain": (lambda s: s.add.s(1) | group(s.add.s(1), s.add.s(2)) | s.total.s() | s.add.s(10), 15),
    "chord without members": (lambda s: chord([], s.echo.s()), []),
    "chord of chords": (lambda s: chord([chord([s.add.s(1)], s.total.s()), s.add.s(2)], s.total.s()), 3),
    "body is a group": (lambda s: group(s.add.s(1), s.add.s(2)) | group(s.total.s(), s.echo.s()), [3, [1, 2]]),
    "map": (lambda s: s.echo.map([1, 2]), [1, 2]),
    "starmap": (lambda s: s.add.starmap([(1, 2), (3, 4)]), [3, 7]),
    "chunks": (lambda s: s.add.chunks([(1, 2), (3, 4), (5, 6)], 2), [[3, 7], [11]]),
    "empty group": (lambda s: group(), []),
}


@pytest.mark.parametrize("name", VALUES)
def test_applied_it_is_worth(shop: Shop, name: str) -> None:
    make, value = VALUES[name]
    assert make(shop).apply().get() == value
    assert shop.sent == []


@pytest.mark.parametrize("name", VALUES)
def test_with_task_always_eager_every_call_runs_here(shop: Shop, name: str) -> None:
    make, value = VALUES[name]
    shop.app.conf.task_always_eager = True
    assert make(shop).delay().get() == value

    async def story() -> Any:
        return (await make(shop).adelay()).get()

    assert asyncio.run(story()) == value


def test_results_know_their_parents(shop: Shop) -> None:
    result: Any = chain(shop.add.s(1), group(shop.add.s(1), shop.add.s(2)), shop.total.s(), task_id="end").apply()
    assert (result.id, result.get()) == ("end", 5)
    assert isinstance(result.parent, GroupResult)
    assert result.parent.parent.get() == 1


def test_a_step_that_fails_is_the_failure_of_the_chain(shop: Shop) -> None:
    result = chain(shop.add.s(1), shop.fail.s(), shop.add.s(1)).apply(task_id="end")
    assert (result.id, result.state) == ("end", FAILURE)
    with pytest.raises(ValueError, match="broken"):
        result.get()
    with pytest.raises(ValueError, match="broken"):
        chain(shop.add.s(1), shop.fail.s(), shop.add.s(1)).apply(throw=True)


def test_a_member_that_fails_is_the_failure_of_the_chord(shop: Shop) -> None:
    for header in ([shop.fail.s(), shop.add.s(1)], [group(shop.add.s(1), chain(shop.fail.s(), shop.add.s(1)))]):
        result = chord(header, shop.total.s()).apply()
        assert isinstance(result.result, ChordError)
        assert "ValueError('broken')" in str(result.result)


def test_callbacks_and_errbacks_run_once(shop: Shop) -> None:
    called: list[Any] = []
    note = shop.app.task(name="shop.note")(lambda *args: called.append(args[-1]))
    shop.app.conf.task_always_eager = True
    chain(shop.add.s(1), shop.add.s(2)).apply(link=note.s())
    assert called == [note.name] or called == [3]
    called.clear()
    chord([shop.add.s(1)], shop.total.s()).apply(link=note.si("after the body"))
    assert called == ["after the body"]
    called.clear()
    chain(shop.fail.s(), shop.add.s(1)).apply(link_error=note.si("failed"))
    assert called == ["failed"]


def test_a_run_can_be_replaced_by_a_canvas(shop: Shop) -> None:
    @shop.app.task(bind=True)
    def become(self: Any, what: str) -> Any:
        made = {
            "chain": chain(shop.add.s(1, 1), shop.add.s(2)),
            "group": group(shop.add.s(1), shop.add.s(2)),
            "chord": chord([shop.add.s(1), shop.add.s(2)], shop.total.s()),
            "chain with a group": chain(shop.add.s(1), group(shop.add.s(1), shop.add.s(2))),
        }
        return self.replace(made[what])

    found = {what: become.s(what).apply() for what in ("chain", "group", "chord", "chain with a group")}
    assert {what: result.get() for what, result in found.items()} == {
        "chain": 4, "group": [1, 2], "chord": 3, "chain with a group": [2, 3],
    }  # fmt: skip
    assert {result.state for result in found.values()} == {SUCCESS}
    assert become("group") == [1, 2]
