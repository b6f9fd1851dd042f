from __future__ import annotations

import pytest

from fastq.platforms.green import is_wanted


@pytest.mark.parametrize(
    ("words", "environment", "wanted"),
    [
        ("worker -P gevent", {}, True),
        ("-A shop worker -Pgevent -c 5", {}, True),
        ("worker --pool gevent", {}, True),
        ("worker --pool=gevent", {}, True),
        ("worker", {"FASTQ_WORKER_POOL": "gevent"}, True),
        ("worker -P threads", {}, False),
        ("worker -n gevent", {}, False),
        ("call gevent -P gevent", {}, False),
        ("worker", {}, False),
    ],
)
def test_green_threads_are_wanted_by_the_option_of_a_worker(
    words: str, environment: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(words.split(), environment) is wanted
