"""Random canvases on one queue that a worker of each library takes from: every one ends, with the same value."""

from __future__ import annotations

import os
import random

import pytest

from tests.canvas.oracle import judge
from tests.canvas.trees import grow
from tests.compat.live import canvases
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ

COUNT = 200 if os.environ.get("FASTQ_FAULTS") == "long" else 40

KINDS = ("mix", "still", "flaky", "map", "starmap", "chain", "pipe", "group", "chord")
"""Celery lets a chain with chunks in it end before they do, and loses a task that is replaced by a chain which ends in
a group; nor does every canvas in which a task fails end there."""

SETTINGS = {"task_default_queue": "both", "task_chord_expand": True}


@pytest.mark.parametrize("sender", [FASTQ, CELERY])
def test_canvases_of_both_end_as_they_should(open_town: OpenTown, sender: str) -> None:
    first = int(os.environ.get("FASTQ_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FASTQ_FAULTS_SEED={first}")
    seeds = range(first, first + COUNT)
    trees = [grow(seed, 4, failing=False, kinds=KINDS) for seed in seeds]
    with open_town(SETTINGS) as town:
        ends = town.client(sender).do(canvases.ends_of, trees=trees, within=35.0)
    wrong = [
        f"seed {seed}: {end!r} instead of {judge(tree).value!r}, of {tree}"
        for seed, tree, end in zip(seeds, trees, ends, strict=True)
        if end != ("value", judge(tree).value)
    ]
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])
