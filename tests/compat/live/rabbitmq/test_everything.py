"""What holds on Redis and does not look into it holds on RabbitMQ."""

from __future__ import annotations

from tests.compat.live.test_calls import (
    test_a_call_by_name_reaches_a_task_that_the_caller_does_not_know,
    test_a_countdown_is_kept,
    test_a_result_that_is_ignored_is_not_stored,
    test_a_value_goes_there_and_back,
    test_an_unknown_task_fails_with_not_registered,
    test_every_format_is_read_compressed_or_not,
    test_messages_of_both_callers_say_the_same,
    test_what_does_not_expire_yet_is_run,
    test_what_has_expired_is_not_run,
    test_wrong_arguments_fail_with_a_type_error,
)
from tests.compat.live.test_events import test_a_monitor_hears_what_a_task_tells
from tests.compat.live.test_fleet import (
    test_both_take_their_part,
    test_every_task_runs_once_whoever_takes_it,
    test_tries_callbacks_and_chains_run_wherever_there_is_room,
    test_what_one_is_too_busy_for_the_other_runs,
)
from tests.compat.live.test_routing import (
    test_a_direct_exchange_goes_by_the_key,
    test_a_fanout_exchange_goes_to_everybody,
    test_a_queue_that_nobody_declared_waits_for_its_worker,
    test_a_route_of_the_settings_is_taken,
    test_a_topic_exchange_goes_by_a_pattern,
    test_a_topic_goes_to_everybody_whose_pattern_it_matches,
    test_a_worker_is_reached_by_its_own_queue,
    test_each_purges_the_queues_of_the_other,
)

__all__ = [
    "test_a_call_by_name_reaches_a_task_that_the_caller_does_not_know",
    "test_a_countdown_is_kept",
    "test_a_direct_exchange_goes_by_the_key",
    "test_a_fanout_exchange_goes_to_everybody",
    "test_a_monitor_hears_what_a_task_tells",
    "test_a_queue_that_nobody_declared_waits_for_its_worker",
    "test_a_result_that_is_ignored_is_not_stored",
    "test_a_route_of_the_settings_is_taken",
    "test_a_topic_exchange_goes_by_a_pattern",
    "test_a_topic_goes_to_everybody_whose_pattern_it_matches",
    "test_a_value_goes_there_and_back",
    "test_a_worker_is_reached_by_its_own_queue",
    "test_an_unknown_task_fails_with_not_registered",
    "test_both_take_their_part",
    "test_each_purges_the_queues_of_the_other",
    "test_every_format_is_read_compressed_or_not",
    "test_every_task_runs_once_whoever_takes_it",
    "test_messages_of_both_callers_say_the_same",
    "test_tries_callbacks_and_chains_run_wherever_there_is_room",
    "test_what_does_not_expire_yet_is_run",
    "test_what_has_expired_is_not_run",
    "test_what_one_is_too_busy_for_the_other_runs",
    "test_wrong_arguments_fail_with_a_type_error",
]
