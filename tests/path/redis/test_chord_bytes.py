"""What sending a large chord takes, beside the messages of its members alone: bytes, as the server counts them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastq import FastQ, chord, group
from tests.path.redis.conftest import Watched

MEMBERS = 10_000
MOST = 1.2
"""Times the bytes of a group of the same members."""


def received(server: Watched, send: Callable[[], object]) -> int:
    """Return how many bytes the server gets from what is sent."""

    def so_far() -> int:
        found = re.search(rb"total_net_input_bytes:(\d+)", server.do("INFO", "stats"))
        assert found is not None
        return int(found[1])

    before = so_far()
    send()
    return so_far() - before


def test_a_large_chord_takes_a_fifth_more_than_its_members(server: Watched, app: FastQ, add: Any) -> None:
    total = app.task(name="shop.total")(sum)
    body = total.s().set(link=[add.s(n) for n in range(1_000)])
    add.delay(1)

    alone = received(server, lambda: group(add.s(n) for n in range(MEMBERS)).delay())
    whole = received(server, lambda: chord((add.s(n) for n in range(MEMBERS)), body).delay())

    print(f"{alone / MEMBERS:.0f} bytes a member, {whole / MEMBERS:.0f} of a chord: {whole / alone:.3f}")
    assert whole <= MOST * alone
