"""When a message of fastq counts as the one that Celery sent.

Two texts of JSON are the same here when Python's own `json` makes the same text of both: Celery puts a blank behind
every comma and colon and escapes what is not ASCII, fastq does neither and so sends fewer bytes, which no reader of
JSON can tell apart. Order, numbers and types all have to agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastq._seam import OutgoingMessage
from fastq.serialization import decompress, loads
from tests.compat.recordings import Envelope, settled
from tests.compat.support import ACCEPTED

__all__ = ["compare"]

REPEATED = {"argsrepr", "kwargsrepr", "origin"}
"""Options that Celery, having put them into the headers, also leaves among the properties, where nobody reads them."""


def compare(
    ours: OutgoingMessage, theirs: Envelope, differently: Mapping[str, Any] | None = None, unless: Iterable[str] = ()
) -> None:
    """Assert that a message is the recorded one, but for ids, senders and times.

    Args:
        ours: the message.
        theirs: the recorded one.
        differently: headers that are other than recorded, and how.
        unless: headers whose values may differ.
    """
    own_headers = json.loads(ours.headers)
    properties = json.loads(ours.properties)
    content = properties.pop("content_type"), properties.pop("content_encoding")
    headers = {**theirs.headers, **(differently or {}), **{name: own_headers[name] for name in unless}}
    expected = {key: value for key, value in theirs.properties.items() if key not in REPEATED}
    info = theirs.document["properties"]["delivery_info"]

    assert content == theirs.content
    assert (ours.route.exchange, ours.route.routing_key) == (info["exchange"], info["routing_key"])
    assert (ours.route.priority or 0) == properties.pop("priority", 0) == theirs.priority
    assert settled(json.dumps(own_headers), json.dumps(properties), _text(ours.body, content, headers)) == (
        settled(json.dumps(headers), json.dumps(expected), _text(theirs.body, content, headers))
    )


def _text(body: bytes, content: tuple[str, str], headers: dict[str, Any]) -> str:
    """Return a body as text.

    JSON as Python writes it; msgpack byte for byte; of the others what they mean, for Celery pickles tuples where fastq
    pickles lists, and escapes in yaml what is not ASCII.
    """
    if "compression" in headers:
        body = decompress(body, headers["compression"])
    if content[0] == "application/json":
        return json.dumps(json.loads(body))
    if content[0] == "application/x-msgpack":
        return repr(body)
    args, kwargs, embed = loads(body, *content, accept=ACCEPTED)
    return repr([list(args), kwargs, embed])
