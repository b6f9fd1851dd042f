"""What fastq says to RabbitMQ, heard by the same tap as Celery was, and the recordings of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amqp_tap import AmqpTap, Command
from tests.compat.recordings import settled
from tests.support.rabbitmq_server import RabbitMQNode, rabbitmq_vhost

__all__ = ["Heard", "agree", "listening", "recorded"]

_SENDER = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-")
"""How the name begins under which a sender awaits answers, when the call has not given another."""
_FOLDER = Path(__file__).parent / "golden" / "rabbitmq"


class Heard:
    """A virtual host with a tap before it.

    Args:
        node: the server.
        vhost: the virtual host.
        tap: stands before it.
        commands: what the tap has heard.
    """

    def __init__(self, node: RabbitMQNode, vhost: str, tap: AmqpTap, commands: list[Command]) -> None:
        self.node, self.vhost = node, vhost
        self.url = node.url_of(vhost).replace(f":{node.port}/", f":{tap.port}/")
        self._tap, self._commands = tap, commands

    def since(self) -> list[Command]:
        """Return what was said since this was asked last."""
        found: list[Command] = []

        def take() -> None:
            found.extend(self._commands)
            self._commands.clear()

        self._tap.mark(take)
        return found


@contextmanager
def listening() -> Iterator[Heard]:
    """Have a virtual host of one's own, and hear what is said to it."""
    commands: list[Command] = []
    with rabbitmq_vhost() as (node, vhost):
        tap = AmqpTap(node.port, commands.append)
        try:
            yield Heard(node, vhost, tap, commands)
        finally:
            tap.close()


def recorded(version: str, name: str) -> list[Command]:
    """Return what that version of Celery has said."""
    document = json.loads((_FOLDER / version / f"{name}.json").read_text())
    commands: list[Command] = document["commands"]
    return commands


def agree(ours: Command, theirs: Command, *, differently: Mapping[str, Any], for_people: bool = False) -> None:
    """Assert that a message of fastq's is the recorded one, but for ids, senders and times.

    Letters of types count as well. Not compared: that fastq asks for what no queue takes to come back (`mandatory`),
    which whoever receives the message cannot tell.

    Args:
        ours: what was heard.
        theirs: what was recorded.
        differently: headers that are other than recorded, and how.
        for_people: whether representations of arguments may differ.
    """
    headers = {**theirs["properties"]["headers"], **differently}
    own = ours["properties"]["headers"]
    if for_people:
        headers.update({name: own[name] for name in ("argsrepr", "kwargsrepr")})
    assert (ours["exchange"], ours["routing_key"]) == (theirs["exchange"], theirs["routing_key"])
    for mine, other in zip(_texts(own, ours), _texts(headers, theirs), strict=True):
        assert mine == other, f"{mine}\nis not\n{other}"


def _texts(headers: Mapping[str, Any], command: Command) -> list[str]:
    properties = {key: value for key, value in command["properties"].items() if key != "headers"}
    properties.setdefault("priority", 0)  # to RabbitMQ the same; kombu leaves it out where a call names a new queue
    if _SENDER.match(properties.get("reply_to", "")):
        properties["reply_to"] = "<sender>"
    body = command["body"]
    is_json = properties.get("content_type") == "application/json" and isinstance(body, str)
    text = json.dumps(json.loads(body)) if is_json and "compression" not in headers else ""
    ordered = dict(sorted(properties.items()))
    return settled(json.dumps(headers), json.dumps(ordered), text)
