"""Pickle: refused unless it is accepted; where it is, values and exceptions cross as what they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compat.calls import MOMENT
from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown, Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.shop import FAILURES

VALUE = {"moment": MOMENT, "set": {1, 2}, "tuple": (3, (4,)), "bytes": b"\xff", "complex": 1j}
CALLERS = pytest.mark.parametrize("caller", [CELERY, FASTQ])


@pytest.fixture(scope="module")
def accepting(open_town: OpenTown) -> Iterator[Town]:
    """Return a town in which everybody accepts pickles, and writes results as such."""
    with open_town({"accept_content": ["json", "pickle"], "result_serializer": "pickle"}) as town:
        yield town


@pytest.fixture
def accepted(pair: tuple[str, str], accepting: Town) -> Way:
    """Return who calls whom in that town."""
    return Way(accepting, *pair)


@CALLERS
def test_a_pickle_that_is_not_accepted_is_kept_and_its_caller_told(town: Town, caller: str) -> None:
    told = town.client(caller).do(scenes.ask, task="live.who", args=(1,), queue=FASTQ, serializer="pickle")

    assert (told.state, told.raised.name) == ("FAILURE", "ContentDisallowed")
    assert "accept_content" in told.raised.text
    letters = town.redis("LRANGE", "{fastq}:fastq:dead", "0", "-1")
    assert any(told.id in letter and "ContentDisallowed" in letter for letter in letters)


@CALLERS
def test_a_worker_that_refuses_a_pickle_goes_on(town: Town, caller: str) -> None:
    for runner in (CELERY, FASTQ):
        town.client(caller).do(scenes.send, task="live.who", queue=runner, serializer="pickle")

        assert town.client(caller).do(scenes.ask, task="live.who", queue=runner).value == [runner, None]


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_values_are_what_they_were(accepted: Way, compression: str | None) -> None:
    told = accepted.client.do(
        scenes.ask,
        task="live.who",
        args=(VALUE,),
        queue=accepted.queue,
        serializer="pickle",
        compression=compression,
    )

    assert told.value == [accepted.runner, VALUE]


@pytest.mark.parametrize("how", [how for how in FAILURES if how != "unwritable"])
def test_exceptions_are_what_they_were(accepted: Way, how: str) -> None:
    told = accepted.client.do(scenes.ask, task="shop.fail", args=(how,), queue=accepted.queue)
    raised = FAILURES[how]()

    assert told.state == "FAILURE"
    assert (told.raised.module, told.raised.name) == (type(raised).__module__, type(raised).__qualname__)
    assert told.raised.text == str(raised)


@pytest.mark.parametrize("name", ["ChordError", "MaxRetriesExceededError", "ImproperlyConfigured"])
def test_an_exception_of_the_libraries_is_the_clients_own(accepted: Way, name: str) -> None:
    told = accepted.client.do(scenes.ask, task="live.known", args=(name, "because"), queue=accepted.queue)

    assert told.raised == accepted.client.do(scenes.own_exception, name=name, args=("because",))


def test_states_on_the_way_are_read(accepted: Way) -> None:
    told = accepted.client.do(scenes.ask, task="live.again", args=(1,), queue=accepted.queue, serializer="pickle")
    assert told.value == [accepted.runner, 1]

    task_id = accepted.client.do(scenes.send, task="shop.flaky", queue=accepted.queue)
    told = accepted.client.do(scenes.state_reached, task_id=task_id, state="RETRY")
    assert (told.name, told.args) == ("OwnError", ("not yet",))


def test_what_no_run_lives_to_tell_is_told(accepted: Way) -> None:
    told = accepted.client.do(scenes.ask_by_name, task="live.nowhere", queue=accepted.queue)
    assert (told.state, told.raised.name) == ("FAILURE", "NotRegistered")

    told = accepted.client.do(scenes.ask, task="live.who", queue=accepted.queue, expires="2020-01-01T00:00:00+00:00")
    assert (told.state, told.raised.name) == ("REVOKED", "TaskRevokedError")
