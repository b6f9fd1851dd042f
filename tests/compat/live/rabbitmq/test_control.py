"""Remote control on RabbitMQ: what holds on Redis holds here."""

from __future__ import annotations

from tests.compat.live.test_control import (
    test_a_broadcast_does_no_harm_to_a_worker_of_fastq,
    test_a_destination_names_the_only_worker_that_obeys,
    test_a_worker_of_celery_ends_the_run_that_fastq_terminates,
    test_a_worker_of_celery_obeys_what_fastq_revokes,
    test_a_worker_of_fastq_ends_the_run_that_celery_terminates,
    test_a_worker_of_fastq_obeys_what_celery_revokes_and_remembers_it_for_others,
    test_a_worker_of_fastq_obeys_what_celery_revokes_by_stamps,
    test_an_inspection_shows_the_workers_that_answer,
    test_celery_sees_what_a_worker_of_fastq_does,
    test_workers_of_both_decide_alike_which_of_them_a_pattern_means,
    town,
)

__all__ = [
    "test_a_broadcast_does_no_harm_to_a_worker_of_fastq",
    "test_a_destination_names_the_only_worker_that_obeys",
    "test_a_worker_of_celery_ends_the_run_that_fastq_terminates",
    "test_a_worker_of_celery_obeys_what_fastq_revokes",
    "test_a_worker_of_fastq_ends_the_run_that_celery_terminates",
    "test_a_worker_of_fastq_obeys_what_celery_revokes_and_remembers_it_for_others",
    "test_a_worker_of_fastq_obeys_what_celery_revokes_by_stamps",
    "test_an_inspection_shows_the_workers_that_answer",
    "test_celery_sees_what_a_worker_of_fastq_does",
    "test_workers_of_both_decide_alike_which_of_them_a_pattern_means",
    "town",
]
