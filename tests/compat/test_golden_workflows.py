"""Workflows: the same canvas makes the same messages as Celery's does."""

from __future__ import annotations

import pytest

from fastq import canvas
from tests.compat.calls import WORKFLOWS, Call
from tests.compat.compare import compare
from tests.compat.recordings import VERSIONS, open_recording
from tests.compat.shop import Shop
from tests.compat.support import open_shop

PLACES: dict[tuple[str, int], dict[str, int]] = {("group-of-groups", 2): {"group_index": 2}}
"""Headers that are other than Celery's: it counts the members of each nested group from 0, and so gives two tasks of
one group the same place."""

OTHERWISE = {
    ("5.6", "chord-in-chain"): "5.6 writes the body of a chord that is still to come into each of its members",
    ("5.6", "chord-chain-body"): "the same, and the body is not unrolled",
    ("5.6", "chord-of-chords"): "Celery leaves options of its own calls in the body: add_to_parent, root_id",
    ("5.7", "chord-of-chords"): "the same",
    (
        "5.6",
        "stamped-chord",
    ): "Celery stamps a body only for a visitor; it gets the stamps of a member later",
    ("5.7", "stamped-chord"): "the same",
}
"""Recordings that fastq's messages differ from, and how."""

BY_VERSION = [
    pytest.param(version, call, id=f"{version}-{call.name}")
    for version in VERSIONS
    for call in WORKFLOWS
    if (version, call.name) not in OTHERWISE
]


@pytest.mark.parametrize(("version", "call"), BY_VERSION)
def test_the_same_canvas_makes_the_same_messages(version: str, call: Call) -> None:
    theirs = open_recording(version, f"message-{call.name}").envelopes
    with open_shop({"task_chord_expand": True}, now=theirs[0].sent_at) as (shop, sent):
        call.send(Shop(shop.app, canvas))

    assert len(sent.messages) == len(theirs)
    for number, (ours, their) in enumerate(zip(sent.messages, theirs, strict=True)):
        compare(ours, their, PLACES.get((call.name, number)))
