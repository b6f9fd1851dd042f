"""Random canvases on one queue that a worker of each library takes from: every one ends, with the same value."""

from __future__ import annotations

import os
import random

import pytest

from tests.canvas.oracle import judge
from tests.canvas.trees import Tree, grow, members
from tests.compat.live import canvases
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ

COUNT = 200 if os.environ.get("FASTQ_FAULTS") == "long" else 40

KINDS = ("mix", "still", "flaky", "map", "starmap", "chain", "pipe", "group", "chord")
"""Celery lets a chain with chunks in it end before they do, and loses a task that is replaced by a chain which ends in
a group; nor does every canvas in which a task fails end there."""

SETTINGS = {"task_default_queue": "both", "task_chord_expand": True}


@pytest.mark.parametrize("sender", [FASTQ, CELERY])
def test_canvases_of_both_end_as_they_should(open_town: OpenTown, version: str, sender: str) -> None:
    if (sender, version) == (CELERY, "5.6"):
        pytest.skip("a client of Celery 5.6 sends chords that more steps follow so that they end nowhere")
    first = int(os.environ.get("FASTQ_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FASTQ_FAULTS_SEED={first}")
    trees = [grow(seed, 4, failing=False, kinds=KINDS) for seed in range(first, first + COUNT)]
    if sender == CELERY:
        trees = [tree for tree in trees if _is_sent_well(tree)]
    with open_town(SETTINGS) as town:
        ends = town.client(sender).do(canvases.ends_of, trees=trees, within=25.0)
    wrong = [
        f"{end!r} instead of {judge(tree).value!r}, of {tree}"
        for tree, end in zip(trees, ends, strict=True)
        if end != ("value", judge(tree).value)
    ]
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])


def _is_sent_well(tree: Tree) -> bool:
    """Tell whether a client of Celery's sends a canvas as it was meant.

    It turns the order of members round that stand in a group in a group or header.
    """
    kind, *rest = tree
    if kind not in ("chain", "pipe", "group", "chord"):
        return True
    if kind in ("group", "chord") and any(one[0] == "group" or not members(one) for one in rest[0]):
        return False
    return all(map(_is_sent_well, [*rest[0], *rest[1:]]))
