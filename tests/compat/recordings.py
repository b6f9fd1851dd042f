"""What `scripts/golden.py` has recorded: commands, envelopes and result documents; and how two of them are compared."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["VERSIONS", "Envelope", "Recording", "open_recording", "settled"]

FOLDER = Path(__file__).parent / "golden"
VERSIONS = ("5.6", "5.7")

_VOLATILE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("id", re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:-\d+\b)?")),
    ("origin", re.compile(r"gen\d+@[\w.-]+")),
    ("time", re.compile(r"20(?!37)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z)?")),
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it lies on Redis."""

    key: str
    text: str
    document: Mapping[str, Any]

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.document["headers"])

    @property
    def properties(self) -> dict[str, Any]:
        """What the sender says; without what the transport adds for itself, and the priority it always writes."""
        own = {"body_encoding", "delivery_info", "delivery_tag", "priority"}
        return {key: value for key, value in self.document["properties"].items() if key not in own}

    @property
    def priority(self) -> int:
        return int(self.document["properties"]["priority"])

    @property
    def content(self) -> tuple[str, str]:
        return self.document["content-type"], self.document["content-encoding"]

    @property
    def sent_at(self) -> datetime | None:
        """When it was sent, as far as it says: its expiry is there as a time and as what was left of it."""
        expires, left = self.headers["expires"], self.properties.get("expiration")
        return datetime.fromisoformat(expires) - timedelta(milliseconds=int(left) + 0.5) if expires and left else None

    @property
    def body(self) -> bytes:
        return base64.b64decode(self.document["body"])


@dataclass(frozen=True, slots=True)
class Recording:
    """The commands that belong to one call or run."""

    description: str
    commands: list[list[str | bytes]]

    @property
    def envelopes(self) -> list[Envelope]:
        """The messages that were sent, in order."""
        return [
            Envelope(key, text, json.loads(text))
            for verb, key, text in (command for command in self.commands if command[0] == "LPUSH")
            if isinstance(key, str) and isinstance(text, str)
        ]

    @property
    def documents(self) -> list[tuple[str, bytes]]:
        """The results that were stored, in order: task ids and documents."""
        stored = [command for command in self.commands if command[0] in ("SET", "SETEX")]
        return [
            (str(command[1]).removeprefix(_RESULT_KEY), _bytes(command[2 if command[0] == "SET" else 3]))
            for command in stored
            if str(command[1]).startswith(_RESULT_KEY)
        ]


_RESULT_KEY = "celery-task-meta-"


def open_recording(version: str, name: str) -> Recording:
    """Return the recording of that name made with that version of Celery."""
    document = json.loads((FOLDER / version / f"{name}.json").read_text())
    commands = [[word if isinstance(word, str) else base64.b64decode(word["base64"]) for word in command]
                for command in document["commands"]]  # fmt: skip
    return Recording(document["description"], commands)


def settled(*texts: str) -> list[str]:
    """Return texts with ids, senders and times replaced by numbered marks: `<id 1>` is the same id wherever it stands.

    What is left equal then is everything but what differs from call to call.
    """
    marks: dict[str, str] = {}
    return [_marked(text, marks) for text in texts]


def _marked(text: str, marks: dict[str, str]) -> str:
    for kind, pattern in _VOLATILE:
        text = pattern.sub(_marker(kind, marks), text)
    return text


def _marker(kind: str, marks: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def mark(found: re.Match[str]) -> str:
        if kind == "time":
            return "<time>"
        count = sum(1 for known in marks.values() if known.startswith(f"<{kind}")) + 1
        return marks.setdefault(found.group(), f"<{kind} {count}>")

    return mark


def _bytes(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word
