from __future__ import annotations

import pytest

from fastq import FastQ
from fastq.exceptions import ImproperlyConfigured
from fastq.pool.choose import pool_class
from fastq.worker.config import concurrency, processes
from fastq.worker.options import WorkerOptions


def test_queues_and_modules_may_be_one_text_with_commas() -> None:
    options = WorkerOptions.of({"queues": "mail, reports,", "include": "shop.tasks"})
    assert (options.queues, options.include) == (("mail", "reports"), ("shop.tasks",))


def test_an_unknown_option_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"no option 'concurency'.* mean concurrency"):
        WorkerOptions.of({"concurency": 2})


def test_options_become_settings_and_those_not_given_leave_them() -> None:
    app = FastQ("shop", set_as_current=False, worker_concurrency=3, task_time_limit=9, include=["one"])
    WorkerOptions.of({"soft_time_limit": 2.0, "pool": "solo", "include": "two"}).apply(app)
    conf = app.conf
    assert (conf.worker_concurrency, conf.task_time_limit, conf.task_soft_time_limit) == (3, 9, 2.0)
    assert (conf.worker_pool, list(conf.include)) == ("solo", ["one", "two"])


@pytest.mark.parametrize(("pool", "value"), [("prefork", 0), ("prefork", 5000), ("asyncio", 0), ("asyncio", 200_000)])
def test_a_concurrency_that_cannot_be_is_refused(pool: str, value: int) -> None:
    app = FastQ("shop", set_as_current=False, worker_concurrency=value)
    with pytest.raises(ImproperlyConfigured, match=f"worker_concurrency is {value}"):
        concurrency(app, pool_class(pool))


def test_a_loop_runs_thousands_at_once() -> None:
    app = FastQ("shop", set_as_current=False, worker_concurrency=5000)
    assert concurrency(app, pool_class("asyncio")) == 5000
    assert concurrency(FastQ("shop", set_as_current=False), pool_class("asyncio")) == 100


@pytest.mark.parametrize(("pool", "value", "words"), [("prefork", 2, "means nothing"), ("asyncio", 0, "0")])
def test_processes_that_cannot_be_are_refused(pool: str, value: int, words: str) -> None:
    app = FastQ("shop", set_as_current=False, worker_processes=value)
    with pytest.raises(ImproperlyConfigured, match=rf"worker_processes.*{words}"):
        processes(app, pool_class(pool))


@pytest.mark.parametrize("value", [None, "auto"])
def test_without_a_number_there_is_a_slot_per_processor(value: str | None) -> None:
    app = FastQ("shop", set_as_current=False, worker_concurrency=value)
    assert concurrency(app, pool_class("prefork")) >= 1
    assert processes(app, pool_class("asyncio")) >= 1
