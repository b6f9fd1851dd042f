"""Random canvases on one queue that a worker of each library takes from: every one ends, and ends as it should."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from tests.canvas.oracle import Verdict, judge
from tests.canvas.trees import Tree, grow, members
from tests.compat.live import canvases
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ

COUNT = 200 if os.environ.get("FASTQ_FAULTS") == "long" else 40

PLAIN = ("mix", "still", "flaky", "map", "starmap", "chain", "pipe", "group", "chord")
KINDS = {
    (FASTQ, "5.6"): (*PLAIN, "chunks", "fail"),
    (FASTQ, "5.7"): (*PLAIN, "chunks", "fail", "become"),
    (CELERY, "5.7"): (*PLAIN, "become"),
}
"""What may occur, by who sends it. The rest is Celery's own:

- a client of 5.6 sends chords that more steps follow so that they end nowhere;
- a worker of 5.6 loses what a task is replaced by, where that ends in a group, or in another that is replaced;
- a client of 5.7 takes a chain with chunks in it for ended before they are, and waits for ever for what follows;
- nor does every canvas of a client of 5.7 in which a task fails end; and where it does the client raises what a member
  has raised where the body of its chord has a ChordError: it looks at parents first.
"""

SETTINGS = {"task_default_queue": "both", "result_chord_patience": 2.0, "task_acks_late": True}
"""A Celery worker that ends a chord by an error does not know what else was to follow: a sweeper finds that."""


@pytest.mark.parametrize("sender", [FASTQ, CELERY])
def test_canvases_of_both_end_as_they_should(open_town: OpenTown, version: str, sender: str) -> None:
    kinds = KINDS.get((sender, version))
    if kinds is None:
        pytest.skip("a client of Celery 5.6 sends chords that more steps follow so that they end nowhere")
    first = int(os.environ.get("FASTQ_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FASTQ_FAULTS_SEED={first}")
    trees = [grow(seed, 4, kinds=kinds) for seed in range(first, first + COUNT)]
    trees = [tree for tree in trees if _is_sent_well(tree, by_celery=sender == CELERY)]
    with open_town(SETTINGS) as town:
        ends = town.client(sender).do(canvases.ends_of, trees=trees, within=30.0)
    wrong = [
        f"{end!r} instead of {judge(tree)!r}, of {tree}"
        for tree, end in zip(trees, ends, strict=True)
        if not _is_right(end, judge(tree))
    ]
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])


def _is_right(end: tuple[str, Any], verdict: Verdict) -> bool:
    how, what = end
    return what in verdict.kinds if how == "error" else not verdict.kinds and what == verdict.value


def _is_sent_well(tree: Tree, *, by_celery: bool) -> bool:
    """Tell whether a canvas is sent as it was meant, where Celery sends it, or what takes the place of a task in it.

    It turns the order of members round that stand in a group in a group or header, lets a group without members be a
    step whose value is a list, and has what follows a chord whose body is a group follow each task of that group.
    Chunks in a group are a list of their own. A chain of nothing but a group is called without what it is to be given.
    Where a chord without members, whose body is a group, stands in a header, each task of that group counts for a
    group that nobody knows, so that the chord around it ends nowhere. A task that is replaced by a chord whose body is
    a group has no result. A chain that is the body of a chord in place of a member counts for the header of that
    chord.
    """
    kind, *rest = tree
    if kind == "chunks":
        return not by_celery
    if kind == "become":
        is_lost = _ends_chord_in_group(rest[1]) or _has_chain_as_body(rest[1])
        return not is_lost and _is_sent_well(rest[1], by_celery=True)
    if kind not in ("chain", "pipe", "group", "chord"):
        return True
    if by_celery and not all(map(members, rest[0])):
        return False
    if by_celery and kind in ("chain", "pipe") and [one[0] for one in rest[0]] == ["group"]:
        return False
    if by_celery and kind in ("chain", "pipe") and any(_ends_chord_in_group(one) for one in rest[0][:-1]):
        return False
    if by_celery and kind in ("group", "chord") and any(one[0] == "group" for one in rest[0]):
        return False
    if by_celery and kind == "chord" and not rest[0] and _ends_in_group(rest[1]):
        return False
    return all(_is_sent_well(one, by_celery=by_celery) for one in [*rest[0], *rest[1:]])


def _ends_chord_in_group(tree: Tree) -> bool:
    kind, *rest = tree
    if kind in ("chain", "pipe"):
        return _ends_chord_in_group(rest[0][-1])
    return kind == "chord" and _ends_in_group(rest[1])


def _ends_in_group(tree: Tree) -> bool:
    kind, *rest = tree
    if kind in ("chain", "pipe"):
        return _ends_in_group(rest[0][-1])
    return kind == "group" or (kind == "chord" and _ends_in_group(rest[1]))


def _has_chain_as_body(tree: Tree) -> bool:
    """Tell whether the body of a chord is a chain somewhere in it, or may become one: by what follows many tasks."""
    kind, *rest = tree
    if kind not in ("chain", "pipe", "group", "chord"):
        return False
    if kind == "chord" and rest[1][0] in ("chain", "pipe"):
        return True
    many = ("group", "chord", "chunks", "chain", "pipe")
    if kind in ("chain", "pipe") and any(one[0] in many for one in rest[0][:-1]):
        return True
    return any(map(_has_chain_as_body, [*rest[0], *rest[1:]]))
