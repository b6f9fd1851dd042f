"""The declaration of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastq.conf.defaults import GROUPS, OPTIONS
from fastq.conf.option import SAME, Option

CELERY: dict[str, Any] = json.loads((Path(__file__).parent / "celery_settings.json").read_text())
"""Name, default and old name of every setting of Celery 5.7."""


@pytest.mark.parametrize("name", CELERY)
def test_every_setting_of_celery_is_declared_with_its_default_and_old_name(name: str) -> None:
    option = OPTIONS[name]
    expected = CELERY[name]["default"]
    default = option.default if option.celery is SAME else option.celery

    assert (list(default) if isinstance(default, tuple) else default) == expected
    assert option.old_names[0] == CELERY[name]["old"]


def test_defaults_that_differ_from_celery_are_these() -> None:
    differing = {name: option.default for name, option in OPTIONS.items() if option.celery is not SAME}

    assert differing == {
        "broker_url": "sqlite:///.fastq/queue.db",
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": "auto",
        "worker_autoscaler": None,
        "worker_consumer": None,
        "beat_scheduler": "fastq.beat:PersistentScheduler",
        "redis_socket_timeout": 5.0,
    }


def test_our_own_settings_are_these() -> None:
    ours = {name: option.default for name, option in OPTIONS.items() if option.ours}

    assert ours == {
        "broker_publish_timeout": 2.0,
        "task_max_deaths": 3,
        "task_chord_expand": False,
        "task_revoke_expires": 10_800.0,
        "result_chord_patience": 3600.0,
        "worker_autoscale": None,
        "worker_processes": None,
        "worker_lease": 10.0,
        "worker_stop_timeout": 25.0,
    }


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_a_declaration_is_complete_and_its_default_fits(option: Option) -> None:
    assert option.description.endswith((".", "`"))
    assert option.description[0].isupper() or option.description[0] in "`2"
    if option.default is not None:
        assert option.kind.convert(option.default) == option.default


def test_a_name_is_declared_once() -> None:
    assert sum(len(group) for group in GROUPS.values()) == len(OPTIONS)


def test_no_old_name_means_two_settings() -> None:
    names = [old for option in OPTIONS.values() for old in option.old_names]

    assert len(names) == len(set(names))


def test_a_default_that_can_change_is_a_copy() -> None:
    option = OPTIONS["beat_schedule"]
    option.fresh_default()["mine"] = 1

    assert option.fresh_default() == {}
