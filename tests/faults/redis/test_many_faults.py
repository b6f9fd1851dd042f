"""One fault after the other, by chance, under one worker: nothing is lost, nothing repeated, nothing stalls."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from statistics import median

from tests.faults.redis.faults import (
    CUTS,
    Fault,
    loading,
    new_password,
    no_memory,
    no_way,
    replica,
    restart,
    silence,
    too_many_clients,
)
from tests.faults.redis.story import Story

FAULTS: dict[Fault, int] = dict.fromkeys(CUTS, 6) | {
    no_way: 3,
    restart: 3,
    too_many_clients: 2,
    loading: 1,
    new_password: 1,
    no_memory: 1,
    replica: 1,
    silence: 1,
}
"""How often each is chosen. One that outlasts the lease is in `test_broker_faults` only."""


def test_faults_without_end_lose_nothing_and_stall_nothing(story: Story, chance: random.Random, long: bool) -> None:
    count, longest = (int(os.environ.get("FASTQ_FAULTS_COUNT", "1000")), 6.0) if long else (12, 0.1)
    for fault in chance.choices(list(FAULTS), weights=list(FAULTS.values()), k=count):
        story.go_on(chance.randint(0, 40))
        story.suffer(fault, chance.uniform(0, longest) * (chance.random() < 0.3))
    story.end()
    print(report(story))


def report(story: Story) -> str:
    """Return what was counted and measured."""
    calls, refused = len(story.sender.sent), len(story.sender.refused())
    lines = [
        f"{len(story.happened)} faults, {calls} calls, {refused} of them refused, {len(story.place.ledger.repeated())} "
        f"repeated runs; said {story.lost} times lost, {story.back} times back; slowest call "
        f"{max(sent.seconds for sent in story.sender.sent):.2f} s",
        "seconds from the broker's return until the worker ran what had waited:",
    ]
    seconds: dict[str, list[float]] = defaultdict(list)
    for happened in story.happened:
        seconds[happened.fault.__name__].append(happened.seconds)
        seconds["all"].append(happened.seconds)
    for name, taken in sorted(seconds.items()):
        taken.sort()
        p99 = taken[int(0.99 * (len(taken) - 1))]
        lines.append(f"  {name:18} {len(taken):5}  p50 {median(taken):.3f}  p99 {p99:.3f}  slowest {taken[-1]:.3f}")
    return "\n".join(lines)
