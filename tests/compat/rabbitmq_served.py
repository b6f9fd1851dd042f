"""The shop on fastq, with one of the topologies: what a worker serves while it is heard."""

from __future__ import annotations

import os

import fastq
from tests.compat.shop import Shop
from tests.compat.topologies import Kinds, topology_of

__all__ = ["KINDS", "app", "open_topology"]

KINDS = Kinds(fastq.Exchange, fastq.Queue, fastq.Broadcast, fastq.binding)


def open_topology(url: str, name: str) -> Shop:
    """Return the tasks on a new app with that topology."""
    made = fastq.FastQ("shop", broker=url, backend="disabled://", set_as_current=False)
    for setting, value in topology_of(name, KINDS).items():
        setattr(made.conf, setting, value)
    return Shop(made)


app = open_topology(os.environ["HEARD_URL"], os.environ["HEARD_TOPOLOGY"]).app if "HEARD_URL" in os.environ else None
