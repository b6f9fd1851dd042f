"""The addresses of servers that `scripts/services` runs for the tests."""

from __future__ import annotations

import os

import pytest


def server_url(variable: str) -> str:
    """Return the address in an environment variable; without it the test is skipped, and fails where CI is set.

    Args:
        variable: `FASTQ_TEST_REDIS_URL` or `FASTQ_TEST_RABBITMQ_URL`.
    """
    url = os.environ.get(variable)
    if url:
        return url
    name = variable.removeprefix("FASTQ_TEST_").removesuffix("_URL").lower()
    message = f"no server: run this under `scripts/services run {name} -- …`, which sets {variable}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
