"""Chords whose members are run by workers of both libraries: whoever runs the last one, the body is called once."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.live.told import Link

MEMBERS = 8
FAILS = {"celery": "celery.exceptions", "fastq": "fastq.exceptions"}


def _members(*queues: str) -> list[Link]:
    return [Link("live.who", (number,), {"queue": queues[number % len(queues)]}) for number in range(MEMBERS)]


def _values(*queues: str) -> list[list[Any]]:
    return [[queues[number % len(queues)], number] for number in range(MEMBERS)]


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
@pytest.mark.parametrize("queues", [(CELERY,), (FASTQ,), (CELERY, FASTQ), (FASTQ, CELERY)], ids="-".join)
@pytest.mark.parametrize("body", [CELERY, FASTQ])
def test_the_body_gets_the_values_whoever_has_run_the_members(
    town: Town, caller: str, queues: tuple[str, ...], body: str
) -> None:
    told = town.client(caller).do(scenes.chord, members=_members(*queues), body=Link("live.who", (), {"queue": body}))

    assert told.raised is None
    assert told.value == [body, _values(*queues)]


def test_whoever_runs_the_last_member_the_body_is_called_once(town: Town) -> None:
    names = [uuid.uuid4().hex for _ in range(6)]
    for place, name in enumerate(names):
        members = [Link("live.who", (number,), {"queue": "both"}) for number in range(MEMBERS)]
        body = Link("live.note", (name,), {"queue": (CELERY, FASTQ)[place % 2]}, immutable=True)
        told = town.client((CELERY, FASTQ)[place % 2]).do(scenes.chord, members=members, body=body)
        assert told.raised is None

    assert [len([line for line in town.notes if name in line]) for name in names] == [1] * len(names)


def test_a_body_that_has_an_id_of_its_own_is_called_by_whoever_runs_the_last_member(town: Town) -> None:
    named = Link("live.who", (), {"queue": FASTQ, "task_id": f"mine-{uuid.uuid4().hex}"})
    told = town.client(FASTQ).do(scenes.chord, members=_members(CELERY), body=named)

    assert (told.id, told.value) == (named.options["task_id"], [FASTQ, _values(CELERY)])


def test_a_body_goes_with_the_members_where_that_is_wanted(town: Town) -> None:
    settings = {"task_chord_expand": True}
    told = town.client(FASTQ).do(
        scenes.chord, settings, members=_members(CELERY), body=Link("live.who", (), {"queue": CELERY})
    )

    assert told.value == [CELERY, _values(CELERY)]


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
@pytest.mark.parametrize("queues", [(CELERY, FASTQ), (FASTQ, CELERY), (FASTQ, FASTQ)], ids="-".join)
def test_a_member_that_fails_ends_the_chord(town: Town, caller: str, queues: tuple[str, str]) -> None:
    first, last = queues
    members = [Link("shop.fail", ("key",), {"queue": first}), Link("live.who", (1,), {"queue": last})]
    sent = town.client(caller).do(scenes.chord, members=members, body=Link("live.who", (), {"queue": FASTQ}))
    # Celery's own wait raises what the member has raised, if it sees that first: asked is what is stored of the body.
    raised = town.client(caller).do(scenes.state_reached, task_id=sent.id, state="FAILURE")

    assert (raised.module, raised.name) == (FAILS[caller], "ChordError")
    assert "KeyError('sku-9')" in raised.text


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_the_errback_of_a_body_is_called(town: Town, caller: str) -> None:
    name = uuid.uuid4().hex
    members = [Link("shop.fail", ("key",), {"queue": CELERY}), Link("shop.fail", ("key",), {"queue": FASTQ})]
    body, errback = Link("live.who", (), {"queue": FASTQ}), Link("live.alarm", (name,), {"queue": CELERY})
    told = town.client(caller).do(scenes.chord, members=members[1:], body=body, errback=errback)

    assert town.noted(f"{told.id} {name}") == [f"{CELERY} {told.id} {name}"]
