"""New names, old names, namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from fastq.conf import names
from fastq.exceptions import ImproperlyConfigured


@pytest.mark.parametrize(
    ("written", "setting"),
    [
        ("task_serializer", "task_serializer"),
        ("CELERY_TASK_SERIALIZER", "task_serializer"),
        ("CELERYD_PREFETCH_MULTIPLIER", "worker_prefetch_multiplier"),
        ("CELERY_TASK_RESULT_EXPIRES", "result_expires"),
        ("BROKER_URL", "broker_url"),
        ("CELERY_BROKER_URL", "broker_url"),
        ("CELERY_ROUTES", "task_routes"),
        ("WORKER_LEASE", None),
        ("something", None),
    ],
)
def test_a_setting_is_known_by_its_new_and_its_old_name(written: str, setting: str | None) -> None:
    assert names.new_name(written) == setting


def test_old_names_become_new_ones_and_others_stay() -> None:
    found = names.translate({"CELERY_ACKS_LATE": True, "mine": 1}, None, "It")

    assert found == {"task_acks_late": True, "mine": 1}


def test_a_setting_under_both_names_is_no_mixture_and_the_new_one_counts() -> None:
    found = names.translate({"result_expires": 1, "CELERY_TASK_RESULT_EXPIRES": 2}, None, "It")

    assert found == {"result_expires": 1}


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"task_acks_late": 1, "result_expires": 1, "CELERY_ROUTES": 1}, "CELERY_ROUTES is task_routes"),
        (
            {"CELERY_ACKS_LATE": 1, "CELERY_ROUTES": 1, "result_expires": 1},
            "result_expires is CELERY_TASK_RESULT_EXPIRES",
        ),
    ],
)
def test_a_mixture_is_refused_and_the_minority_is_named(written: dict[str, Any], hint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=hint):
        names.translate(written, None, "The configuration shop")


@pytest.mark.parametrize("namespace", ["CELERY", "CELERY_", "celery"])
def test_within_a_namespace_only_its_names_count(namespace: str) -> None:
    written = {
        "CELERY_TASK_SERIALIZER": "yaml",
        "CELERY_BROKER_URL": "redis://h",
        "CELERY_TASK_RESULT_EXPIRES": 1,
        "CELERY_MINE": 2,
        "TASK_ACKS_LATE": True,
        "DEBUG": True,
    }

    assert names.translate(written, namespace, "It") == {
        "task_serializer": "yaml",
        "broker_url": "redis://h",
        "result_expires": 1,
        "mine": 2,
    }


@pytest.mark.parametrize(
    ("name", "near"),
    [("task_serialiser", "task_serializer"), ("CELERY_TASK_SERIALISER", "task_serializer"), ("weather", None)],
)
def test_the_nearest_setting_is_found(name: str, near: str | None) -> None:
    assert names.nearest(name) == near


@pytest.mark.parametrize(
    ("name", "expected"), [("task_serialiser", True), ("CELERY_X", True), ("os", False), ("task_force", False)]
)
def test_only_names_that_look_like_settings_are_complained_about(name: str, expected: bool) -> None:
    assert names.looks_like_a_setting(name) is expected
