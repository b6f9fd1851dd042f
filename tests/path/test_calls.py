"""From call to result, through a real worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastq._seam import Route
from fastq.app.send import new_id
from fastq.exceptions import TimeLimitExceeded
from tests.path.conftest import SHOP
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from fastq.result import AsyncResult
    from tests.support.worker import RunningWorker

Name = Callable[[str], str]


def depth(client: FastQ, queue: str = "celery") -> dict[str, Any]:
    producer: Any = client.producer
    return next((found for found in producer.depths() if found["queue"] == queue), {})


def dead(client: FastQ) -> list[Any]:
    producer: Any = client.producer
    return producer.dead_letters(None, 100)


def ended(result: AsyncResult[Any]) -> Any:
    return result.get(timeout=20, propagate=False)


def test_a_call_returns_its_result(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.add", (2, 3))
    assert result.get(timeout=20) == 5
    assert (result.state, result.successful()) == ("SUCCESS", True)
    worker.wait_for_log(rf"Task shop.add\[{result.id}\] succeeded in .*: 5")


def test_what_was_sent_before_the_worker_started_is_run(client: FastQ, start_worker: Any) -> None:
    results = [client.send_task("shop.add", (number, 1)) for number in range(20)]
    start_worker(SHOP)
    assert [result.get(timeout=20) for result in results] == list(range(1, 21))


def test_tasks_run_in_children_of_a_nursery_of_the_worker(client: FastQ, worker: RunningWorker) -> None:
    found = client.send_task("shop.who").get(timeout=20)
    assert found["nursery"] == worker.nursery()
    assert found["pid"] in worker.children(2)


def test_keyword_arguments_arrive(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.add", (), {"x": 1, "y": 2}).get(timeout=20) == 3


def test_what_a_task_raises_is_raised_to_who_asks(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.wrong")
    with pytest.raises(ValueError, match="no luck"):
        result.get(timeout=20)
    assert result.state == "FAILURE"
    assert "in wrong" in str(result.traceback)


def test_wrong_arguments_are_a_failure_and_no_dead_letter(client: FastQ, worker: RunningWorker) -> None:
    with pytest.raises(TypeError):
        client.send_task("shop.add", (1, 2, 3)).get(timeout=20)
    assert dead(client) == []


def test_a_task_that_calls_exit_fails_and_its_child_lives_on(client: FastQ, worker: RunningWorker) -> None:
    children = worker.children(2)
    assert isinstance(ended(client.send_task("shop.leave")), BaseException)
    assert worker.children(2) == children


def test_an_ignored_result_is_not_stored(client: FastQ, worker: RunningWorker, file: Name) -> None:
    result = client.send_task("shop.ignored", (file("ran"),))
    wait_for(Path(file("ran")).exists, "the run")
    wait_for(lambda: not depth(client)["in_flight"], "its acknowledgement")
    assert result.state == "PENDING"


def test_a_run_that_asks_to_be_forgotten_stores_nothing(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.forget")
    worker.wait_for_log(rf"{result.id}\] ignored")
    wait_for(lambda: not depth(client)["in_flight"], "its acknowledgement")
    assert result.state == "PENDING"


def test_a_failing_task_is_retried_with_backoff_until_it_succeeds(client: FastQ, worker: RunningWorker) -> None:
    begin = time.monotonic()
    assert client.send_task("shop.flaky", (2,)).get(timeout=20) == 2
    assert time.monotonic() - begin >= 0.05 + 0.1


def test_a_task_that_fails_too_often_fails(client: FastQ, worker: RunningWorker) -> None:
    with pytest.raises(OSError, match="try 3"):
        client.send_task("shop.flaky", (99,)).get(timeout=20)


def test_a_countdown_is_waited_for(client: FastQ, worker: RunningWorker) -> None:
    begin = time.monotonic()
    result = client.send_task("shop.add", (1, 1), countdown=0.5)
    assert result.get(timeout=20) == 2
    assert 0.5 <= time.monotonic() - begin < 3


def test_an_eta_is_waited_for_and_others_go_first(client: FastQ, worker: RunningWorker) -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=0.7)
    later = client.send_task("shop.add", (1, 1), eta=moment)
    assert client.send_task("shop.add", (2, 2)).get(timeout=20) == 4
    assert later.state == "PENDING"
    assert later.get(timeout=20) == 2
    assert datetime.now(timezone.utc) >= moment


def test_a_call_that_expired_before_the_worker_came_is_revoked(client: FastQ, start_worker: Any, file: Name) -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=0.05)
    result = client.send_task("shop.note", (file("notes"), "late"), expires=moment)
    wait_for(lambda: datetime.now(timezone.utc) > moment, "its expiry")
    worker = start_worker(SHOP)
    worker.wait_for_log(rf"shop.note\[{result.id}\] had expired")
    wait_for(lambda: result.state == "REVOKED", "its state")
    assert not Path(file("notes")).exists()


def test_priorities_go_in_the_order_of_the_broker(client: FastQ, start_worker: Any, file: Name) -> None:
    for priority in (1, 9, 5):
        client.send_task("shop.note", (file("notes"), str(priority)), priority=priority)
    start_worker(SHOP, ("-c", "1"))
    notes = Path(file("notes"))
    wait_for(lambda: notes.exists() and len(notes.read_text().split()) == 3, "three notes")
    producer: Any = client.producer
    order = {"highest-first": ["9", "5", "1"], "lowest-first": ["1", "5", "9"]}
    assert notes.read_text().split() == order[producer.capabilities()["priority"]]


def test_progress_is_seen_while_the_task_runs(client: FastQ, worker: RunningWorker, file: Name) -> None:
    result = client.send_task("shop.progress", (file("begun"), file("go on")))
    wait_for(lambda: result.state == "HALFWAY", "the progress")
    assert result.info == {"done": 50}
    Path(file("go on")).touch()
    assert result.get(timeout=20) == "done"


def test_a_run_past_its_soft_limit_may_clean_up(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.careful").get(timeout=20) == "cleaned up"
    worker.wait_for_log("soft time limit of 0.2 s")


def test_a_run_past_its_hard_limit_is_killed_and_has_failed(client: FastQ, worker: RunningWorker) -> None:
    before = worker.children(2)
    result = client.send_task("shop.too_long")
    assert isinstance(ended(result), TimeLimitExceeded)
    assert wait_for(lambda: [pid for pid in worker.children(2) if pid not in before], "a new child")
    assert client.send_task("shop.add", (1, 1)).get(timeout=20) == 2


def test_log_lines_of_tasks_carry_id_and_name(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.speak", ("hello",))
    worker.wait_for_log(rf"WARNING/Child-\d\] shop.speak\[{result.id}\]: logged hello")
    worker.wait_for_log(r"unfinished hello\n")
    worker.wait_for_log(r"WARNING/Child-\d\] printed hello")


def test_a_large_result_comes_back_whole(client: FastQ, worker: RunningWorker) -> None:
    assert len(client.send_task("shop.big", (3_000_000,)).get(timeout=20)) == 3_000_000


def test_an_unknown_task_goes_to_the_dead_letters_and_fails(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.nothing", (1,))
    assert type(ended(result)).__name__ == "NotRegistered"
    letter = wait_for(lambda: dead(client), "the dead letter")[0]
    assert (letter["task_id"], letter["task_name"]) == (result.id, "shop.nothing")
    assert "shop.nothing" in letter["reason"]
    worker.wait_for_log("shop.nothing.* is not registered in this worker")


def test_an_undecodable_body_goes_to_the_dead_letters_and_fails(client: FastQ, worker: RunningWorker) -> None:
    result = _send_raw(client, body=b"\xff not json", content_type="application/json")
    ended(result)
    assert result.state == "FAILURE"
    letter = wait_for(lambda: dead(client), "the dead letter")[0]
    assert (letter["task_id"], letter["body"]) == (result.id, b"\xff not json")
    assert letter["reason"]


def test_a_content_type_that_is_not_accepted_goes_to_the_dead_letters(client: FastQ, worker: RunningWorker) -> None:
    result = _send_raw(client, body=b"cos\nsystem\n.", content_type="application/x-python-serialize")
    ended(result)
    assert result.state == "FAILURE"
    assert "accept_content" in wait_for(lambda: dead(client), "the dead letter")[0]["reason"]


def test_a_refused_message_goes_to_the_dead_letters(client: FastQ, worker: RunningWorker) -> None:
    client.send_task("shop.refuse")
    assert "not wanted" in wait_for(lambda: dead(client), "the dead letter")[0]["reason"]


def test_a_message_refused_with_requeue_comes_again(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.refuse", (True,)).get(timeout=20) == "taken the second time"


def test_a_late_acknowledged_task_is_in_flight_while_it_runs(client: FastQ, worker: RunningWorker, file: Name) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    assert depth(client)["in_flight"] == 1
    Path(file("go on")).touch()
    assert result.get(timeout=20) == "done"
    wait_for(lambda: not depth(client)["in_flight"], "its acknowledgement")


def test_an_early_acknowledged_task_is_gone_from_the_queue_while_it_runs(
    client: FastQ, worker: RunningWorker, file: Name
) -> None:
    result = client.send_task("shop.wait_early", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    wait_for(lambda: not depth(client)["in_flight"], "its acknowledgement")
    assert result.state == "PENDING"
    Path(file("go on")).touch()
    assert result.get(timeout=20) == "done"


def _send_raw(client: FastQ, body: bytes, content_type: str) -> AsyncResult[Any]:
    """Send a message whose body is not what fastq would write."""
    task_id = new_id()
    headers = {"lang": "py", "task": "shop.add", "id": task_id, "root_id": task_id, "parent_id": None, "group": None}
    properties = {"content_type": content_type, "content_encoding": "utf-8", "correlation_id": task_id}
    client.producer.publish(Route("", "celery"), orjson.dumps(headers), orjson.dumps(properties), body)
    return client.AsyncResult(task_id)
