"""The environment."""

from __future__ import annotations

import pytest

from fastq.conf import environment


@pytest.mark.parametrize(
    ("environ", "app"),
    [
        ({}, None),
        ({"FASTQ_APP": ""}, None),
        ({"CELERY_APP": "old"}, "old"),
        ({"FASTQ_APP": "new", "CELERY_APP": "old"}, "new"),
    ],
)
def test_a_variable_is_read_under_celerys_name_when_ours_is_absent(environ: dict[str, str], app: str | None) -> None:
    assert environment.read("APP", environ) == app


def test_every_setting_can_be_given() -> None:
    found = environment.read_settings(
        {"FASTQ_TASK_ACKS_LATE": "0", "FASTQ_NOTHING": "1", "TASK_TRACK_STARTED": "1", "FASTQ_RESULT_EXPIRES": ""}
    )

    assert found == {"task_acks_late": ("0", "FASTQ_TASK_ACKS_LATE")}


def test_celerys_variables_count_when_ours_are_absent() -> None:
    found = environment.read_settings(
        {"CELERY_BROKER_URL": "a", "FASTQ_BROKER_URL": "b", "CELERY_RESULT_BACKEND": "c", "CELERY_TASK_ACKS_LATE": "1"}
    )

    assert found == {"broker_url": ("b", "FASTQ_BROKER_URL"), "result_backend": ("c", "CELERY_RESULT_BACKEND")}


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTQ_APP", "shop")

    assert environment.read("APP") == "shop"
