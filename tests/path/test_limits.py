"""Limits that all workers keep together, with real workers, and with workers that are killed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import TaskRevokedError, WorkerLostError
from tests.path import limits_shop
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq import FastQ
    from tests.support.worker import RunningWorker

Start = Callable[..., "RunningWorker"]
SHOP = "tests.path.limits_shop"


@pytest.fixture
def shop(database_url: str) -> Iterator[FastQ]:
    """Return the app of the shop, on the broker of this test."""
    app = limits_shop.app
    app.conf.update(broker_url=database_url, result_backend=database_url)
    app.producer, app.backend = None, None
    yield app
    app.close()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return the file in which runs write down what they do."""
    return tmp_path / "journal"


def lines(journal: Path) -> list[list[str]]:
    return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []


def most_at_once(journal: Path, without: set[int] | None = None) -> dict[str, int]:
    """Return for each tenant the most runs that went on at the same time; those of killed processes end never."""
    going: dict[str, set[tuple[str, str]]] = defaultdict(set)
    most: dict[str, int] = defaultdict(int)
    for _, what, tenant, number, pid in sorted(lines(journal), key=lambda line: float(line[0])):
        if without and int(pid) in without:
            continue
        if what == "begin":
            going[tenant].add((number, pid))
        else:
            going[tenant].discard((number, pid))
        most[tenant] = max(most[tenant], len(going[tenant]))
    return most


def begin_apart(times: list[float], every: float) -> None:
    """Assert that in no time more runs began than the rate allows, and one; a little for the time it takes to begin."""
    times = sorted(times)
    for count in (2, 5, 10, 20):
        for first, last in zip(times, times[count:], strict=False):
            assert last - first >= count * every - every / 10 - 0.03, (count, last - first)


# ------------------------------------------------------------------------- rates


@pytest.mark.usefixtures("shop")
def test_two_workers_keep_a_rate_together(start_worker: Start, journal: Path) -> None:
    results = [limits_shop.paced.delay(str(journal), number) for number in range(60)]
    workers = [start_worker(SHOP) for _ in range(2)]
    others = [limits_shop.unlimited.delay(number) for number in range(50)]
    assert [other.get(timeout=20) for other in others] == list(range(50))
    assert not all(result.ready() for result in results), "the others passed them"
    assert [result.get(timeout=30) for result in results] == list(range(60))
    times = [float(time) for time, _ in lines(journal)]
    begin_apart(times, 0.05)
    assert max(times) - min(times) < 59 * 0.05 * 1.5, "the rate is made use of"
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.usefixtures("shop")
def test_a_rate_is_kept_while_workers_are_killed(start_worker: Start, journal: Path) -> None:
    results = [limits_shop.paced.delay(str(journal), number) for number in range(60)]
    victim, survivor = start_worker(SHOP), start_worker(SHOP)
    wait_for(lambda: len(lines(journal)) >= 15, "some runs")
    victim.kill()
    assert [result.get(timeout=40) for result in results] == list(range(60))
    begin_apart([float(time) for time, _ in lines(journal)], 0.05)
    assert survivor.stop() == 0


def test_keys_have_rates_of_their_own(shop: FastQ, start_worker: Start, journal: Path) -> None:
    for _ in range(12):
        for tenant in ("acme", "bolt"):
            limits_shop.paced_by.delay(str(journal), tenant)
    limits_shop.paced_by.apply_async((str(journal), "acme"), rate_limit_key="apart")
    worker = start_worker(SHOP)
    wait_for(lambda: len(lines(journal)) == 25, "all runs")
    by_tenant: dict[str, list[float]] = defaultdict(list)
    for time, tenant in lines(journal):
        by_tenant[tenant].append(float(time))
    begin_apart(by_tenant["bolt"], 0.1)
    every = [time for times in by_tenant.values() for time in times]
    assert max(every) - min(every) < 2.0, "the tenants do not wait for each other"
    assert worker.stop() == 0
    assert sum(depth["ready"] + depth["delayed"] for depth in depths(shop)) == 0


def depths(app: FastQ) -> list[Any]:
    producer: Any = app.producer
    return list(producer.depths())


# ------------------------------------------------------------------- concurrency


@pytest.mark.usefixtures("shop")
def test_no_more_runs_of_a_key_go_on_than_may_and_all_come_to_their_end(start_worker: Start, journal: Path) -> None:
    workers = [start_worker(SHOP, ("-c", "4")) for _ in range(2)]
    args = [(str(journal), tenant, number) for number in range(30) for tenant in ("acme", "bolt")]
    results = limits_shop.few.apply_async_many(args)
    other = limits_shop.unlimited.delay(7)
    assert other.get(timeout=5) == 7, "what waits for a token keeps no slot"
    assert [result.get(timeout=30) for result in results] == [number for _, _, number in args]
    assert most_at_once(journal) == {"acme": 2, "bolt": 2}
    times = [float(line[0]) for line in lines(journal)]
    assert max(times) - min(times) < 15 * 0.05 * 3, "a token that is free is soon taken"
    by_process = defaultdict(int)
    for line in lines(journal):
        by_process[line[4]] += 1
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.usefixtures("shop")
def test_the_tokens_of_a_worker_that_is_killed_are_free_again(start_worker: Start, journal: Path) -> None:
    victim = start_worker(SHOP, ("-c", "4"))
    held = [limits_shop.few.delay(str(journal), "acme", number, 600) for number in range(2)]
    wait_for(lambda: len(lines(journal)) == 2, "both tokens to be taken")
    survivor = start_worker(SHOP, ("-c", "4"))
    # The messages of the dead one come first again, and would keep the tokens.
    for result in held:
        assert not result.ready()
    killed = set(victim.kill())
    wait_for(lambda: len(lines(journal)) == 4, "both runs to be repeated")
    assert most_at_once(journal, without=killed) == {"acme": 2}
    survivor.kill()
    last = start_worker(SHOP, ("-c", "4", "-Q", "another"))
    waiting = [limits_shop.few.apply_async((str(journal), "acme", number), queue="another") for number in range(10, 20)]
    assert [result.get(timeout=30) for result in waiting] == list(range(10, 20))
    assert last.stop() == 0


@pytest.mark.usefixtures("shop")
def test_coroutines_are_counted_too(start_worker: Start, journal: Path) -> None:
    workers = [start_worker(SHOP, ("-P", "asyncio", "-c", "20")) for _ in range(2)]
    results = [limits_shop.few_coroutines.delay(str(journal), number) for number in range(30)]
    assert [result.get(timeout=30) for result in results] == list(range(30))
    assert most_at_once(journal) == {"all": 3}
    assert [worker.stop() for worker in workers] == [0, 0]


# ------------------------------------------------------------------------ unique


def free(task: Any, *args: Any) -> bool:
    """Tell whether a call would be sent now; it is not sent, for its message has expired when it comes."""
    result = task.apply_async(args, expires=-1)
    if not result.duplicate:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=20)
    return not result.duplicate


@pytest.mark.usefixtures("shop")
def test_a_unique_task_is_under_way_once_until_it_has_ended(start_worker: Start, tmp_path: Path) -> None:
    go_on, begun = tmp_path / "go on", tmp_path / "begun"
    first = limits_shop.only.delay("a", str(go_on), str(begun))
    assert limits_shop.only.delay("a").id == first.id, "it waits in its queue"
    worker = start_worker(SHOP)
    wait_for(begun.exists, "its run")
    again = limits_shop.only.delay("a")
    assert (again.id, again.duplicate) == (first.id, True), "it runs"
    go_on.touch()
    assert again.get(timeout=20) == "a"
    assert free(limits_shop.only, "a"), "it has ended"
    assert worker.stop() == 0


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("pool", ["prefork", "asyncio"])
def test_a_lock_outlives_retries_and_ends_with_any_ending(pool: str, start_worker: Start, tmp_path: Path) -> None:
    worker = start_worker(SHOP, ("-P", pool, "-c", "2"))
    go_on = tmp_path / "go on"
    retried = limits_shop.again.delay(str(go_on))
    wait_for(lambda: retried.state == "RETRY", "a retry")
    assert limits_shop.again.delay(str(go_on)).id == retried.id
    go_on.touch()
    assert retried.get(timeout=20) >= 1
    assert free(limits_shop.again, str(go_on))
    failed = limits_shop.wrong.delay()
    with pytest.raises(ValueError, match="no luck"):
        failed.get(timeout=20)
    assert free(limits_shop.wrong)
    limits_shop.wrong.delay(True)
    assert wait_for(lambda: free(limits_shop.wrong, True), "the end of the one that was rejected")
    assert free(limits_shop.only, "never ran"), "what has expired has ended"
    assert free(limits_shop.only, "never ran")
    assert worker.stop() == 0


def test_a_lock_outlives_killed_workers_and_ends_with_the_last_try(
    shop: FastQ, start_worker: Start, tmp_path: Path
) -> None:
    go_on, begun = tmp_path / "go on", tmp_path / "begun"
    first = limits_shop.only.delay("a", str(go_on), str(begun))
    victim = start_worker(SHOP)
    wait_for(begun.exists, "its run")
    victim.kill()
    assert limits_shop.only.delay("a").id == first.id
    worker = start_worker(SHOP)
    go_on.touch()
    assert first.get(timeout=20) == "a"
    assert free(limits_shop.only, "a")
    deadly = limits_shop.deadly.delay()
    with pytest.raises(WorkerLostError):
        deadly.get(timeout=30)
    assert free(limits_shop.deadly), "it was set aside"
    assert worker.stop() == 0
    limits_shop.only.delay("b")
    producer: Any = shop.producer
    assert producer.purge("celery") == 1
    assert not limits_shop.only.delay("b").duplicate, "it was purged"


# ------------------------------------------------------------------- lost workers


@pytest.mark.usefixtures("shop")
def test_a_run_whose_process_died_is_retried_where_its_task_says_so(start_worker: Start) -> None:
    worker = start_worker(SHOP)
    assert limits_shop.mortal.delay(2).get(timeout=20) == 2
    hopeless = limits_shop.mortal.delay(9)
    with pytest.raises(WorkerLostError):
        hopeless.get(timeout=30)
    assert limits_shop.unlimited.delay(7).get(timeout=20) == 7
    assert worker.stop() == 0
