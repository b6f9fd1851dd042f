from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from fastq._seam import Policy
from fastq.exceptions import ImproperlyConfigured
from fastq.worker.policy import policies, policy


def made(options: dict[str, Any] | None = None, **settings: Any) -> Policy:
    app = FastQ("shop", set_as_current=False, **settings)

    @app.task(name="shop.add", **(options or {}))
    def add() -> None:
        """Do nothing."""

    return policy(app.tasks["shop.add"], app.conf.task_max_deaths)


def test_a_task_that_says_nothing_has_the_settings_defaults() -> None:
    assert made() == Policy(
        name="shop.add",
        acks_late=True,
        acks_on_failure=True,
        acks_on_timeout=True,
        reject_on_worker_lost=True,
        max_deaths=3,
        ignore_result=False,
        store_errors_even_if_ignored=False,
        time_limit=None,
        soft_time_limit=None,
        rate_limit=None,
    )


@pytest.mark.parametrize(
    ("attribute", "setting"),
    [
        ("acks_late", "task_acks_late"),
        ("acks_on_failure", "task_acks_on_failure"),
        ("acks_on_timeout", "task_acks_on_timeout"),
        ("reject_on_worker_lost", "task_reject_on_worker_lost"),
        ("ignore_result", "task_ignore_result"),
        ("store_errors_even_if_ignored", "task_store_errors_even_if_ignored"),
    ],
)
@pytest.mark.parametrize("value", [True, False])
def test_the_tasks_word_wins_over_the_setting(attribute: str, setting: str, value: bool) -> None:
    assert getattr(made(**{setting: value}), attribute) is value
    assert getattr(made({attribute: value}, **{setting: not value}), attribute) is value


def test_the_older_setting_for_failure_and_timeout_counts_where_the_newer_ones_say_nothing() -> None:
    older = made(task_acks_on_failure_or_timeout=False)
    assert (older.acks_on_failure, older.acks_on_timeout) == (False, False)
    both = made(task_acks_on_failure_or_timeout=False, task_acks_on_timeout=True)
    assert (both.acks_on_failure, both.acks_on_timeout) == (False, True)
    own = made({"acks_on_failure_or_timeout": False, "acks_on_failure": True})
    assert (own.acks_on_failure, own.acks_on_timeout) == (True, False)


def test_limits_are_seconds_and_zero_is_none() -> None:
    limited = made({"time_limit": 3, "soft_time_limit": 0}, task_soft_time_limit=2)
    assert (limited.time_limit, limited.soft_time_limit) == (3.0, None)


def test_a_soft_limit_above_the_hard_one_is_refused_by_the_tasks_name() -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"Task shop\.add: soft_time_limit \(5 s\) is above time_limit \(3 s\)"
    ):
        made({"time_limit": 3}, task_soft_time_limit=5)


def test_a_limit_that_is_no_number_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Task shop\.add: time_limit is 'soon'"):
        made(task_annotations={"shop.add": {"time_limit": "soon"}})


def test_every_task_of_the_app_has_a_policy() -> None:
    app = FastQ("shop", set_as_current=False)
    assert {found.name for found in policies(app)} == set(app.tasks)


@pytest.mark.parametrize(("limit", "rate"), [("10/s", 10.0), ("30/m", 0.5), (2, 2.0), (None, None), (0, None)])
def test_a_rate_limit_is_runs_per_second(limit: object, rate: float | None) -> None:
    assert made({"rate_limit": limit}).rate_limit == rate


def test_the_setting_is_the_limit_of_tasks_without_one_and_another_turns_all_off() -> None:
    assert made({}, task_default_rate_limit="6/m").rate_limit == 0.1
    assert made({"rate_limit": "10/s"}, worker_disable_rate_limits=True).rate_limit is None


def test_limits_that_all_workers_keep_are_the_tasks() -> None:
    limited = made({"rate_limit": "30/m", "rate_limit_scope": "global", "max_concurrency": 3})
    assert (limited.rate_limit, limited.rate_is_global, limited.max_concurrency) == (0.5, True, 3)
    local = made({"rate_limit": "30/m"})
    assert (local.rate_is_global, local.max_concurrency) == (False, None)
    off = made({"rate_limit": "30/m", "rate_limit_scope": "global"}, worker_disable_rate_limits=True)
    assert off.rate_limit is None


def test_a_key_for_a_rate_that_each_worker_keeps_is_an_error() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"shop\.add: rate_limit_key .* rate_limit_scope='global'"):
        made({"rate_limit": "30/m", "rate_limit_key": "{tenant}"})


def test_a_run_that_is_lost_is_retried_as_often_as_the_task_may_be() -> None:
    assert made().retries_when_lost is None
    assert made({"retry_on_worker_lost": True, "max_retries": 5}).retries_when_lost == 5
    assert made({"max_retries": None}, task_retry_on_worker_lost=True).retries_when_lost == 2**32 - 1


def test_results_that_the_core_cannot_write_are_elsewhere(tmp_path: Path) -> None:
    files = f"file://{tmp_path}/results"
    assert not made(result_backend=f"sqlite:///{tmp_path}/queue.db").results_elsewhere
    assert made(result_backend=files).results_elsewhere
    assert not made(result_backend="disabled://").results_elsewhere, "there are none"
