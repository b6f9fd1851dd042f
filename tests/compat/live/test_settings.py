"""Settings that change what lies on the server: formats, compression, more fields, prefixes, other names of lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown, Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.live.told import Link

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "msgpack": {"task_serializer": "msgpack", "result_serializer": "msgpack", "task_compression": "zstd"},
    "yaml": {"task_serializer": "yaml", "result_serializer": "yaml", "task_compression": "bzip2"},
    "elsewhere": {
        "result_extended": True,
        "result_expires": None,
        "task_default_priority": 4,
        "broker_transport_options": {"global_keyprefix": "acme:", "priority_steps": [0, 5], "sep": ":"},
        "result_backend_transport_options": {"global_keyprefix": "kept"},
    },
    "extended": {"result_extended": True, "result_compression": "brotli"},
}


@pytest.fixture(scope="module", params=SETTINGS)
def settings(request: pytest.FixtureRequest) -> str:
    """Return the name of settings that all apps of the town have."""
    return str(request.param)


@pytest.fixture(scope="module")
def town(open_town: OpenTown, settings: str, version: str) -> Iterator[Town]:
    """Return a town with these settings."""
    chosen = dict(SETTINGS[settings])
    if version == "5.6":
        chosen.pop("result_compression", None)  # it neither compresses results on Redis nor reads those that are
    with open_town(chosen) as town:
        yield town


@pytest.mark.parametrize("value", [{"text": "grün", "list": [1, 2.5, None, True]}, "x" * 5000], ids=["small", "much"])
def test_a_value_goes_there_and_back(way: Way, value: Any) -> None:
    told = way.client.do(scenes.ask, task="live.who", args=(value,), queue=way.queue)

    assert (told.state, told.value) == ("SUCCESS", [way.runner, value])


def test_exceptions_come_back(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.fail", args=("own",), queue=way.queue)
    assert (told.state, told.raised.name, told.raised.args) == ("FAILURE", "OwnError", ("grün", {"code": 7}, [1, None]))

    told = way.client.do(scenes.ask, task="live.known", args=("ChordError", "because"), queue=way.queue)
    assert (told.raised.module, told.raised.name) == (f"{way.caller}.exceptions", "ChordError")


def test_what_no_run_lives_to_tell_is_told(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.who", queue=way.queue, expires="2020-01-01T00:00:00+00:00")
    assert (told.state, told.raised.name) == ("REVOKED", "TaskRevokedError")

    told = way.client.do(scenes.ask_by_name, task="live.nowhere", queue=way.queue)
    assert (told.state, told.raised.name) == ("FAILURE", "NotRegistered")


@pytest.mark.parametrize("settings", [name for name in SETTINGS if name != "yaml"], indirect=True)
def test_what_follows_arrives(way: Way) -> None:
    """Not in YAML: Celery cannot write a callback in it."""
    link = Link("live.note", ("linked", way.caller, way.runner), {"queue": way.queue})
    told = way.client.do(scenes.ask_linked, task="live.again", args=(1,), queue=way.queue, links=[link])

    assert told.value == [way.runner, 1]
    words = f"{[way.runner, 1]} linked {way.caller} {way.runner}"
    assert way.town.noted(words) == [f"{way.runner} {words}"]


def test_exchanges_are_found(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.who", exchange="shelves", routing_key=f"to-{way.runner}")

    assert told.value == [way.runner, None]


@pytest.mark.parametrize("settings", ["elsewhere", "extended"], indirect=True)
def test_more_fields_are_told(way: Way) -> None:
    fields = ("name", "args", "kwargs", "worker", "retries", "queue")
    told = way.client.do(scenes.ask, task="live.who", args=(1,), queue=way.queue)
    found = dict(zip(fields, way.client.do(scenes.look, task_id=told.id, fields=fields), strict=True))

    assert found.pop("worker").startswith(way.runner)
    assert found == {"name": "live.who", "args": [1], "kwargs": {}, "retries": 0, "queue": way.queue}


@pytest.mark.parametrize("settings", ["elsewhere"], indirect=True)
def test_everything_lies_under_its_prefix(way: Way) -> None:
    way.client.do(scenes.ask, task="live.who", queue=way.queue)
    way.client.do(scenes.send, task="live.who", queue="nobody", priority=7)
    keys = way.town.redis("KEYS", "*")

    assert "acme:nobody:5" in keys
    assert [key for key in keys if not key.startswith(("acme:", "kept_celery-task-meta-"))] == []
    kept = [key for key in keys if key.startswith("kept_")]
    assert {way.town.redis("TTL", key) for key in kept} == {-1}


def test_both_send_the_same(town: Town) -> None:
    names = []
    for caller in (CELERY, FASTQ):
        told = town.client(caller).do(scenes.ask, task="live.describe", queue=FASTQ)
        names.append({name: type(value) for name, value in told.value.items()})

    assert names[0] == names[1]
