"""Chords from end to end: real workers, SQLite and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, chain, chord, group
from fastq.exceptions import ChordError
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

ORCHESTRA = "tests.path.orchestra"
LIMIT = 20.0


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the orchestra with two children."""
    return start_worker(ORCHESTRA)


@pytest.fixture
def play(client: FastQ) -> Callable[..., Any]:
    """Return a function that makes the signature of one of the orchestra's tasks."""
    return lambda name, *args, **kwargs: client.signature(f"play.{name}", args, kwargs)


def lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.usefixtures("worker")
def test_the_body_gets_the_results_in_the_order_of_the_header(client: FastQ, play: Any) -> None:
    result = chord([play("note", pitch) for pitch in range(30)], play("total"), app=client)()
    assert result.get(timeout=LIMIT) == sum(range(30))
    ordered = chord([play("note", pitch) for pitch in "cab"], play("total"), app=client)()
    assert ordered.get(timeout=LIMIT) == ["c", "a", "b"]
    assert ordered.parent.join(timeout=LIMIT) == ["c", "a", "b"]


@pytest.mark.usefixtures("worker")
def test_members_whose_results_nobody_stores_count_too(client: FastQ, play: Any) -> None:
    result = chord([play("silent", 1), play("silent", 2)], play("total"), app=client)()
    assert result.get(timeout=LIMIT) == 3


@pytest.mark.usefixtures("worker")
def test_a_member_that_is_run_again_counts_when_it_ends(client: FastQ, play: Any) -> None:
    result = chord([play("flaky", 1), play("note", 2)], play("total"), app=client)()
    assert result.get(timeout=LIMIT) == 3


@pytest.mark.usefixtures("worker")
def test_headers_and_bodies_may_be_of_any_kind(client: FastQ, play: Any) -> None:
    inner = group(play("note", 1), play("note", 2), app=client)
    nested = chord([inner, chain(play("note", 3), play("encore"), app=client)], play("total"), app=client)()
    assert nested.get(timeout=LIMIT) == [1, 2, ["encore", 3]]
    header = [play("note", 4), play("note", 5)]
    followed = chord(header, chain(play("total"), play("encore"), app=client), app=client)()
    assert followed.get(timeout=LIMIT) == ["encore", 9]
    spread = chord(header, group(play("total"), play("encore"), app=client), app=client)()
    assert spread.get(timeout=LIMIT) == [9, ["encore", [4, 5]]]
    stacked = chord([chord(header, play("total"), app=client), play("note", 1)], play("total"), app=client)()
    assert stacked.get(timeout=LIMIT) == 10
    twice = chord(header, chord([play("total"), play("total")], play("total"), app=client), app=client)()
    assert twice.get(timeout=LIMIT) == 18


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("wrong", "out of tune"),
        ("ignore", "no state is stored"),
        ("reject", "reject requeue=False"),
        ("too_long", "TimeLimitExceeded"),
        ("die", "WorkerLostError"),
        ("die_early", "WorkerLostError"),
        ("nobody_knows", "NotRegistered"),
    ],
)
def test_a_member_that_does_not_return_ends_the_chord(
    client: FastQ, play: Any, file: Callable[[str], str], member: str, text: str
) -> None:
    body = play("total", file=file("ran"))
    body.link_error(play("sorry", file=file("sorry")))
    result = chord([play("note", 1), play(member)], body, app=client)()
    with pytest.raises(ChordError, match=text):
        result.get(timeout=LIMIT)
    wait_for(lambda: lines(file("sorry")) == [result.id], "the errback of the body")
    assert lines(file("ran")) == []


def test_a_member_that_every_worker_dies_with_ends_the_chord(
    client: FastQ, play: Any, start_worker: Callable[..., RunningWorker], file: Callable[[str], str]
) -> None:
    body = play("total", file=file("ran"))
    body.link_error(play("sorry", file=file("sorry")))
    result = chord([play("note", 1), play("pause", file("began"))], body, app=client)()
    for deaths in range(1, 4):
        worker = start_worker(ORCHESTRA, ("-c", "1"))
        wait_for(lambda deaths=deaths: len(lines(file("began"))) == deaths, "the member")  # type: ignore[misc]
        worker.kill()
    start_worker(ORCHESTRA)
    with pytest.raises(ChordError, match=r"3 workers died running it \(task_max_deaths = 3\)"):
        result.get(timeout=LIMIT)
    wait_for(lambda: lines(file("sorry")) == [result.id], "the errback of the body")
    assert lines(file("ran")) == []


def test_a_member_that_has_expired_ends_the_chord(
    client: FastQ, play: Any, start_worker: Callable[..., RunningWorker]
) -> None:
    late = play("note", 2).set(expires=timedelta(milliseconds=1))
    result = chord([play("note", 1), late], play("total"), app=client)()
    start_worker(ORCHESTRA)
    with pytest.raises(ChordError, match="expired"):
        result.get(timeout=LIMIT)


@pytest.mark.usefixtures("worker")
def test_what_was_to_follow_a_chord_fails_with_it(client: FastQ, play: Any) -> None:
    result = chain(group(play("note", 1), play("wrong")), play("total"), play("encore"), app=client)()
    with pytest.raises(ChordError, match="out of tune"):
        result.get(timeout=LIMIT)
    outer = chord([chord([play("wrong")] * 2, play("total"), app=client), play("note", 1)], play("total"), app=client)()
    with pytest.raises(ChordError, match="Dependency"):
        outer.get(timeout=LIMIT)


@pytest.mark.usefixtures("worker")
def test_an_empty_chord_calls_its_body_at_once(client: FastQ, play: Any) -> None:
    assert chord([], play("total"), app=client)().get(timeout=LIMIT) == 0


def test_a_chord_whose_members_have_vanished_ends(
    client: FastQ, play: Any, start_worker: Callable[..., RunningWorker], file: Callable[[str], str]
) -> None:
    lost = play("note", 2).set(queue="lost")
    body = play("total")
    body.link_error(play("sorry", file=file("sorry")))
    result = chord([play("note", 1), lost], body, app=client)()
    start_worker(ORCHESTRA, environment={"FASTQ_RESULT_CHORD_PATIENCE": "0.5"})
    group_id = result.parent.id

    def counted() -> bool:
        record = client.backend.chord_record(group_id)
        return record is not None and record.ended == 1

    wait_for(counted, "the member that runs")
    # What waits is not taken for vanished, however long it takes.
    with pytest.raises(TimeoutError):
        result.get(timeout=2)
    assert client.producer.purge("lost") == 1
    with pytest.raises(ChordError, match="1 of 2 members of the chord have vanished"):
        result.get(timeout=LIMIT)
    wait_for(lambda: lines(file("sorry")) == [result.id], "the errback of the body")
    record = client.backend.chord_record(group_id)
    assert record is not None
    assert record.state == "ended"


def test_a_member_that_is_a_chain_has_not_vanished_while_its_first_step_waits(
    client: FastQ, play: Any, start_worker: Callable[..., RunningWorker]
) -> None:
    waits = chain(play("note", 2).set(queue="later"), play("encore"), app=client)
    result = chord([play("note", 1), waits], play("total"), app=client)()
    start_worker(ORCHESTRA, environment={"FASTQ_RESULT_CHORD_PATIENCE": "0.5"})
    with pytest.raises(TimeoutError):
        result.get(timeout=2)
    start_worker(ORCHESTRA, ("-c", "1", "-Q", "later,celery"))
    assert result.get(timeout=LIMIT) == [1, ["encore", 2]]


def test_members_that_are_chords_have_not_vanished_while_their_own_members_wait(
    client: FastQ, play: Any, start_worker: Callable[..., RunningWorker]
) -> None:
    inner = chord([chord([play("note", 2).set(queue="later")], play("total"), app=client)], play("total"), app=client)
    result = chord([play("note", 1), inner | play("encore")], play("total"), app=client)()
    start_worker(ORCHESTRA, environment={"FASTQ_RESULT_CHORD_PATIENCE": "0.5"})
    with pytest.raises(TimeoutError):
        result.get(timeout=2)
    start_worker(ORCHESTRA, ("-c", "1", "-Q", "later,celery"))
    assert result.get(timeout=LIMIT) == [1, ["encore", 2]]


@pytest.fixture
def apart(tmp_path: Path, redis_server: RedisServer) -> Iterator[FastQ]:
    """Return a client whose broker is a file, and whose results are on a server."""
    redis_server.do("FLUSHALL")
    broker = f"sqlite:///{tmp_path}/apart.db"
    app = FastQ("client", broker=broker, backend=redis_server.url, set_as_current=False)
    yield app
    app.close()


def _serve(app: FastQ, folder: Path, **settings: str) -> RunningWorker:
    places = {"FASTQ_BROKER_URL": app.conf.broker_url, "FASTQ_RESULT_BACKEND": app.conf.result_backend}
    return RunningWorker(ORCHESTRA, folder, environment={**places, **settings})


def _state(app: FastQ, group_id: str) -> str | None:
    record = app.backend.chord_record(group_id)
    return None if record is None else record.state


def test_where_results_are_on_another_server_they_are_counted_there(apart: FastQ, tmp_path: Path) -> None:
    play = lambda name, *args: apart.signature(f"play.{name}", args)  # noqa: E731 - a word for the lines below
    with _serve(apart, tmp_path):
        plain = chord([play("note", pitch) for pitch in range(20)], play("total"), app=apart)()
        assert plain.get(timeout=LIMIT) == sum(range(20))
        within = chord([play("encore"), play("encore")], play("total"), app=apart)
        nested = chain(play("note", 3), chord([within, play("encore")], play("total"), app=apart), app=apart)()
        assert nested.get(timeout=LIMIT) == [[["encore", 3], ["encore", 3]], ["encore", 3]]
        failed = chord([play("note", 1), play("die_early")], play("total"), app=apart)()
        with pytest.raises(ChordError, match="WorkerLostError"):
            failed.get(timeout=LIMIT)
        for group in (plain.parent, failed.parent):
            wait_for(lambda group=group: _state(apart, group.id) == "ended", "the chord has ended")


def test_where_nobody_counts_a_task_looks_for_the_end(tmp_path: Path) -> None:
    broker, results = f"sqlite:///{tmp_path}/queue.db", f"file://{tmp_path}/results"
    app = FastQ("client", broker=broker, backend=results, set_as_current=False)
    app.conf.result_chord_retry_interval = 0.05
    play = lambda name, *args: app.signature(f"play.{name}", args)  # noqa: E731 - a word for the lines below
    with _serve(app, tmp_path, FASTQ_RESULT_CHORD_RETRY_INTERVAL="0.05"):
        result = chord([play("note", 1), play("note", 2)], play("total"), app=app)()
        assert result.get(timeout=LIMIT) == 3
        failed = chord([play("note", 1), play("wrong")], play("total"), app=app)()
        with pytest.raises(ChordError, match="out of tune"):
            failed.get(timeout=LIMIT)
    app.close()
