"""The arguments of a job, from the body of its message, in any accepted format (protocol.md §1.3, §2, §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq.exceptions import DecodeError, InvalidTaskError, SerializationError
from fastq.serialization import accepted_types, decompress, json, loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastq._core import Job
    from fastq.app.protocol import App

__all__ = ["Arguments", "reader"]

JSON: Final = "application/json"
CHORD_RELEASE: Final = "fastq.chord_release"

Arguments = tuple[list[Any], dict[str, Any], dict[str, Any]]
"""Positional arguments, keyword arguments, and the embed: what follows the run."""


def reader(app: App) -> Callable[[Job], Arguments]:
    """Return the function that reads a job's arguments, as the settings of the app allow.

    It raises ContentDisallowed, DecodeError, SerializerNotInstalled, or InvalidTaskError when the body is no task's.
    """
    accepted = accepted_types(tuple(app.conf.accept_content))
    quick = JSON in accepted
    load = json.loads

    def read(job: Job) -> Arguments:
        if quick and job.content_type == JSON:
            try:
                args, kwargs, embed = load(job.body)
            except (SerializationError, TypeError, ValueError):
                return read_any(job)  # compressed, of another protocol, or damaged
            if type(args) is list and type(kwargs) is dict and type(embed) is dict:
                return args, kwargs, embed
        return read_any(job)

    def read_any(job: Job) -> Arguments:
        body = job.body
        compression = _object(job.headers).get("compression")
        if compression:
            body = decompress(body, str(compression))
        encoding = _object(job.properties).get("content_encoding")
        # What the core sends itself is JSON, whatever the app accepts of others.
        types = accepted | {JSON} if job.name == CHORD_RELEASE else accepted
        return parse(loads(body, job.content_type, encoding, types))

    return read


def parse(body: Any) -> Arguments:
    """Return the parts of a decoded body.

    Raises:
        InvalidTaskError: it is not the body of a task.
    """
    if isinstance(body, dict) and "args" in body:
        # Protocol 1, and what some libraries put together of both (protocol.md §2.6).
        embed = {key: body.get(key) for key in ("callbacks", "errbacks", "chord")}
        body = (body["args"], body.get("kwargs"), embed)
    if not isinstance(body, (list, tuple)) or len(body) != 3:
        raise InvalidTaskError("The body of the message is not [args, kwargs, embed].")
    args, kwargs, embed = body
    args, kwargs, embed = args or [], kwargs or {}, embed or {}
    if not isinstance(args, (list, tuple)):
        raise InvalidTaskError(f"The arguments of the message are a {type(args).__name__}, not a list.")
    if not isinstance(kwargs, dict) or not isinstance(embed, dict):
        raise InvalidTaskError("The keyword arguments or the embed of the message are not a map.")
    return list(args), kwargs, embed


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"The headers of the message are not the JSON they should be: {error}") from error
    return value if isinstance(value, dict) else {}
