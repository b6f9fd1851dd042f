"""What is sent of a canvas, and what its result is."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from fastq import GroupResult, chain, chord, group
from fastq.app.task import Task
from fastq.backends.chords import group_of
from fastq.canvas import maybe_signature
from fastq.exceptions import NotSupported, OperationalError

if TYPE_CHECKING:
    from tests.unit.canvas.conftest import Shop


def test_a_chain_sends_its_first_step_which_takes_the_rest_along(shop: Shop) -> None:
    result = chain(shop.add.s(1), shop.add.s(2), shop.add.s(3)).apply_async((7,))
    ((headers, body),) = shop.sent
    assert (headers["id"], body[0]) == (result.parent.parent.id, [7, 1])
    assert [step["options"]["task_id"] for step in body[2]["chain"]] == [result.id, result.parent.id]


def test_options_of_a_chain_are_those_of_its_first_step_or_of_its_last(shop: Shop) -> None:
    workflow = chain(shop.add.s(1), shop.add.s(2))
    result = workflow.apply_async(queue="slow", task_id="the-end", link=shop.echo.s(), link_error=shop.fail.s())
    ((_, body),) = shop.sent
    (last,) = body[2]["chain"]
    assert (result.id, shop.recorder.messages[0][0].routing_key) == ("the-end", "slow")
    assert (last["options"]["task_id"], last["options"]["link"][0]["task"]) == ("the-end", "shop.echo")
    assert [body[2]["errbacks"][0]["task"], last["options"]["link_error"][0]["task"]] == ["shop.fail"] * 2


def test_a_chain_sent_twice_is_two_chains(shop: Shop) -> None:
    workflow = chain(shop.add.s(1), shop.add.s(2))
    assert workflow.delay().id != workflow.delay().id
    assert workflow.freeze().id == workflow.delay().id


def test_a_chain_without_a_step_sends_nothing(shop: Shop) -> None:
    assert chain()() is None
    assert chain().apply_async() is None
    assert shop.sent == []


def test_a_group_sends_its_members_in_order(shop: Shop) -> None:
    result = group(shop.add.s(n) for n in range(3)).apply_async((10,), queue="slow")
    assert [headers["id"] for headers, _ in shop.sent] == [member.id for member in result]
    assert [body[0] for _, body in shop.sent] == [[10, 0], [10, 1], [10, 2]]
    assert [(headers["group"], headers["group_index"]) for headers, _ in shop.sent] == [
        (result.id, n) for n in range(3)
    ]
    assert {message[0].routing_key for message in shop.recorder.messages} == {"slow"}


def test_members_with_options_of_their_own_keep_them(shop: Shop) -> None:
    group(shop.add.s(1).set(queue="own", priority=3), shop.add.s(2)).apply_async(queue="all")
    assert [message[0].routing_key for message in shop.recorder.messages] == ["all", "all"]
    group(shop.add.s(1).set(queue="own"), shop.add.s(2)).delay()
    assert [message[0].routing_key for message in shop.recorder.messages[2:]] == ["own", "celery"]


def test_members_of_a_generator_are_made_as_they_are_sent(shop: Shop) -> None:
    made: list[int] = []
    known: list[int] = []

    def members() -> Any:
        for n in range(1200):
            made.append(n)
            yield shop.add.s(n)

    workflow = group(members())
    assert made == []
    publish = shop.recorder.publish_many
    shop.recorder.publish_many = lambda *args, **options: (known.append(len(made)), publish(*args, **options))[1]
    assert len(workflow.apply_async()) == 1200
    assert known == [501, 1001, 1200]


def test_a_group_sent_twice_is_two_groups(shop: Shop) -> None:
    workflow = group(shop.add.s(n) for n in range(2))
    first, second = workflow.delay(), workflow.delay()
    assert {one.id for one in first}.isdisjoint(one.id for one in second)


def test_a_group_has_no_callbacks(shop: Shop) -> None:
    for key in ("link", "link_error"):
        with pytest.raises(TypeError, match="follow it with a task"):
            group(shop.add.s(1)).apply_async(**{key: shop.echo.s()})


def test_callbacks_of_a_group_hang_on_its_members(shop: Shop) -> None:
    workflow = group(shop.add.s(1), shop.add.s(2))
    assert workflow.link(shop.echo.s()).immutable
    assert [bool(errback.immutable) for errback in workflow.link_error(shop.fail.s())] == [True, True]
    assert [len(member.options.get("link", ())) for member in workflow.tasks] == [1, 0]


def test_a_group_with_nothing_in_it_has_a_result_with_nothing_in_it(shop: Shop) -> None:
    result = group().apply_async()
    assert isinstance(result, GroupResult)
    assert (result.get(timeout=1), shop.sent) == ([], [])


def test_skew_lets_members_begin_one_after_the_other(shop: Shop) -> None:
    workflow = group(shop.add.s(n) for n in range(4)).skew(start=1, stop=2.5, step=0.75)
    assert [member.options["countdown"] for member in workflow.tasks] == [1, 1.75, 2.5, 2.5]


def test_what_was_sent_of_a_group_that_failed_is_told(shop: Shop) -> None:
    publish = shop.recorder.publish_many
    calls: list[int] = []

    def broken(*args: Any, **options: Any) -> None:
        if calls:
            raise OperationalError("gone")
        calls.append(1)
        publish(*args, **options)

    shop.recorder.publish_many = broken
    with pytest.raises(OperationalError) as caught:
        group(shop.add.s(n).set(priority=1) for n in range(600)).apply_async(retry=False)
    assert len(caught.value.sent) == 500


def test_a_task_that_sends_its_calls_its_own_way_does_so_in_a_group(shop: Shop) -> None:
    class Loud(Task[Any, Any]):
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            return super().apply_async(args, kwargs, headers={"loud": True}, **options)

    loud = shop.app.task(name="shop.loud", base=Loud)(lambda x: x)
    group(shop.add.s(1), loud.s(2), shop.add.s(3)).delay()
    assert [(headers["task"], headers.get("loud")) for headers, _ in shop.sent] == [
        ("shop.add", None), ("shop.loud", True), ("shop.add", None),
    ]  # fmt: skip


def test_arguments_of_members_are_checked(shop: Shop) -> None:
    with pytest.raises(TypeError):
        group(shop.add.s(1, 2, 3)).delay()


def test_members_of_a_chord_carry_a_reference_to_its_body(shop: Shop) -> None:
    result = chord([shop.add.s(n) for n in range(2)], shop.total.s()).apply_async()
    for headers, body in shop.sent:
        assert headers["group"] == result.parent.id
        options = {"task_id": result.id, "queue": "celery.fastq"}
        assert body[2]["chord"] == {"task": "fastq.chord_body", "args": [], "options": options}
    assert group_of(result.id) == result.parent.id


def test_a_reference_says_the_header_where_the_id_of_the_body_does_not(shop: Shop) -> None:
    header = group(shop.add.s(n) for n in range(2))
    header.freeze("ours")
    chord([shop.add.s(1)], shop.total.s().set(task_id="mine")).apply_async()
    chord([shop.add.s(1)], shop.total.s()).apply_async(task_id="mine-too")
    chord(header, shop.total.s()).apply_async()
    for headers, body in shop.sent:
        assert body[2]["chord"]["options"]["group_id"] == headers["group"]
    assert [body[2]["chord"]["options"]["task_id"] for _, body in shop.sent][:2] == ["mine", "mine-too"]


def test_a_chord_within_a_workflow_has_short_references_too(shop: Shop) -> None:
    frozen = chain(shop.add.s(1, 1), group(shop.add.s(1), shop.add.s(2)), shop.total.s(), shop.add.s(3))
    frozen.apply_async()
    ((_, body),) = shop.sent
    _, step = body[2]["chain"]
    assert group_of(step["kwargs"]["body"]["options"]["task_id"]) == step["options"]["task_id"]


def test_members_of_a_chord_within_a_chord_name_the_groups_of_those_around_it(shop: Shop) -> None:
    innermost = chord([shop.add.s(1)], shop.total.s())
    inner = chord([innermost], shop.total.s()) | shop.echo.s()
    result = chord([inner, shop.add.s(2)], shop.total.s()).apply_async()
    (_, deep), (_, flat) = shop.sent
    inner_group, outer_group = deep[2]["chord"]["kwargs"]["within"]
    assert outer_group == result.parent.id != inner_group
    assert "kwargs" not in flat[2]["chord"]


def test_members_of_a_chord_carry_its_body_when_the_setting_says_so(shop: Shop) -> None:
    shop.app.conf.task_chord_expand = True
    result = chord([shop.add.s(1)], shop.total.s()).apply_async()
    ((_, body),) = shop.sent
    assert body[2]["chord"]["task"] == "shop.total"
    assert body[2]["chord"]["options"]["task_id"] == result.id


def test_a_chord_is_begun_before_its_last_member_is_sent(shop: Shop) -> None:
    events: list[Any] = []
    shop.app.backend.begin_chord = lambda group_id, size, body, **more: events.append((size, body["task"], more))
    publish = shop.recorder.publish_many
    shop.recorder.publish_many = lambda many, *rest, **options: (events.append(len(many)), publish(many))[1]
    members = [*(shop.add.s(n) for n in range(600)), chain(shop.add.s(1), group(shop.add.s(2), shop.add.s(3)))]
    result = chord(members, shop.total.s()).apply_async()
    assert [event for event in events if isinstance(event, int)] == [500, 101]
    ((size, body, more),) = [event for event in events if not isinstance(event, int)]
    assert (size, body, events.index((size, body, more))) == (602, "shop.total", 1)
    assert more["result"] == result.parent.as_tuple()


def test_places_of_members_are_those_of_the_values_in_the_end(shop: Shop) -> None:
    members = [group(shop.add.s(1), chain(shop.add.s(2), group(shop.add.s(3), shop.add.s(4)))), shop.add.s(5)]
    chord(members, shop.total.s()).apply_async()
    first, second, third = shop.sent
    (inner,) = second[1][2]["chain"]
    assert first[0]["group_index"] == 0
    assert [task["options"]["group_index"] for task in inner["kwargs"]["tasks"]] == [1, 2]
    assert third[0]["group_index"] == 3


def test_a_chord_without_members_calls_its_body_at_once(shop: Shop) -> None:
    result = chord([], shop.total.s()).apply_async()
    ((headers, body),) = shop.sent
    assert (headers["id"], headers["task"], body[0]) == (result.id, "shop.total", [[]])


def test_the_delay_of_a_chord_is_that_of_its_header(shop: Shop) -> None:
    began: list[Any] = []
    shop.app.backend.begin_chord = lambda group_id, size, body, **_: began.append(body)
    chord([shop.add.s(1)], shop.total.s()).apply_async(countdown=60, queue="slow")
    assert shop.recorder.messages[0][0].due is not None
    assert "countdown" not in began[0]["options"]
    assert began[0]["options"]["queue"] == "slow"


def test_a_chord_takes_another_body_when_it_is_called(shop: Shop) -> None:
    shop.app.conf.task_chord_expand = True
    chord([shop.add.s(1)])(shop.total.s())
    assert shop.sent[0][1][2]["chord"]["task"] == "shop.total"
    with pytest.raises(TypeError, match="needs a body"):
        chord([shop.add.s(1)])()


def test_a_chord_needs_results(shop: Shop) -> None:
    from fastq.backends import by_url

    shop.app.backend = by_url("disabled://", app=shop.app)
    with pytest.raises(NotSupported, match="result backend"):
        chord([shop.add.s(1)], shop.total.s()).delay()
    assert shop.sent == []


def test_errbacks_of_a_chord_are_its_members_too_when_the_setting_says_so(shop: Shop) -> None:
    workflow = chord([shop.add.s(1), shop.add.s(2)], shop.total.s())
    workflow.link_error(shop.fail.s())
    assert [one.options.get("link_error") for one in workflow.tasks] == [None, None]
    shop.app.conf.task_allow_error_cb_on_chord_header = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workflow.link_error(shop.echo.s())
    assert [one.options["link_error"][0].immutable for one in workflow.tasks] == [True, True]
    assert len(workflow.body.options["link_error"]) == 2


def test_a_body_that_is_a_chain_becomes_steps_within_a_chain(shop: Shop) -> None:
    inner = chord([shop.add.s(1)], chain(shop.echo.s(), shop.add.s(2)))
    chain(shop.add.s(0), inner, shop.add.s(3)).apply_async()
    ((_, body),) = shop.sent
    *rest, following = body[2]["chain"]
    assert following["kwargs"]["body"]["task"] == "shop.echo"
    assert [step["args"] for step in rest] == [[3], [2]]


def test_maps_send_one_task_routed_as_the_one_they_call(shop: Shop) -> None:
    shop.app.conf.task_routes = {"shop.add": "sums"}
    shop.add.starmap((n, n) for n in range(3)).delay()
    shop.echo.map(range(2)).apply_async()
    (first, first_body), (second, _) = shop.sent
    assert (first["task"], second["task"]) == ("celery.starmap", "celery.map")
    assert first_body[1]["it"] == [[0, 0], [1, 1], [2, 2]]
    assert shop.recorder.messages[0][0].routing_key == "sums"


def test_chunks_send_a_group_of_parts(shop: Shop) -> None:
    result = shop.add.chunks(((n, n) for n in range(5)), 2)()
    assert len(result) == 3
    assert [len(body[1]["it"]) for _, body in shop.sent] == [2, 2, 1]
    with pytest.raises(ValueError, match="1 or more"):
        shop.add.chunks([], 0)


def test_what_is_frozen_keeps_its_ids(shop: Shop) -> None:
    workflow = chord([shop.add.s(1), chain(shop.add.s(2), shop.add.s(3))], chain(shop.total.s(), shop.echo.s()))
    frozen = workflow.freeze()
    result = workflow.apply_async()
    assert (result.id, result.parent.id) == (frozen.id, frozen.parent.id)
    assert result.parent.parent.id == frozen.parent.parent.id
    assert [one.id for one in result.parent.parent] == [one.id for one in frozen.parent.parent]


def test_options_that_say_where_a_signature_belongs_stay(shop: Shop) -> None:
    group(shop.add.s(1).set(group_id="own", stamped_headers=["a"], a=1)).apply_async(stamped_headers=["b"], b=2)
    headers, _ = shop.sent[0]
    assert (headers["group"], headers["stamped_headers"], headers["stamps"]) == ("own", ["a"], {"a": 1})


def test_a_coroutine_sends_the_same(shop: Shop) -> None:
    class Published:
        def __init__(self) -> None:
            self.chunks: list[int] = []

        async def send(self, messages: Any, declare: Any, options: Any) -> None:
            self.chunks.append(len(messages))
            shop.recorder.publish_many(messages)

        def close(self) -> None:
            """Do nothing."""

    import os

    outbox = Published()
    shop.app._outboxes[os.getpid()] = outbox  # type: ignore[assignment]

    async def story() -> Any:
        many = await group(shop.add.s(n) for n in range(600)).adelay()
        one = await chain(shop.add.s(1), shop.add.s(2)).aapply_async()
        return (
            many,
            one,
            await chord([shop.add.s(1)], shop.total.s()).aapply_async(),
            await shop.add.starmap([(1, 2)]).adelay(),
            await shop.add.chunks([(1, 2)], 1).aapply_async(),
        )

    many, one, ended, _, parts = asyncio.run(story())
    assert outbox.chunks == [500, 100, 1, 1, 1, 1]
    assert (len(many), len(parts)) == (600, 1)
    assert one.parent.id == shop.sent[600][0]["id"]
    assert ended.parent.results[0].id == shop.sent[601][0]["id"]


@pytest.mark.parametrize("kind", ["chord", "chain"])
def test_what_takes_the_place_of_a_member_counts_in_its_chord_whatever_it_was_made_for(shop: Shop, kind: str) -> None:
    """A worker of Celery's says that place of the whole, and has made the last task for the chord before."""
    last = shop.echo.s().set(task_id="mine", group_id="before")
    steps = [last] if kind == "chain" else []
    whole: Any = chord(steps, last) if kind == "chord" else chain.of(steps, shop.app)
    outer = dict(shop.add.s(1).set(task_id="outer"))
    described = {**dict(whole), "options": {"chord": outer, "group_id": "around", "group_index": 1}}
    maybe_signature(described, shop.app).apply_async()
    ((headers, body),) = shop.sent
    assert (headers["id"], headers["group"], headers["group_index"]) == ("mine", "around", 1)
    assert body[2]["chord"]["options"]["task_id"] == "outer"
