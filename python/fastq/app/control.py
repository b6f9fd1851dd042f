"""Remote control: calling off tasks that were sent, and telling workers.

What is called off is written into a record of the broker's, which lasts for `task_revoke_expires`, and workers are told
of it; so one that starts later obeys it, too. On a broker that Celery's workers share the same is broadcast as Celery
broadcasts it (protocol.md §6), and they obey it for as long as they remember it.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

from fastq._seam import Route
from fastq.app import publish
from fastq.app.topology import Broadcast, Exchange
from fastq.exceptions import NotSupported
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["TERM", "Control"]

TERM: Final = "SIGTERM"
"""What ends a run where nothing else is asked for."""

_REPLIES: Final = "waiting for replies of workers is not part of this version"


class Control:
    """Tells the workers of an app what to do: `app.control`."""

    def __init__(self, app: App) -> None:
        """Tell nothing yet."""
        self._app = app

    def revoke(
        self,
        task_id: str | UUID | Any | Iterable[str | UUID | Any],
        destination: Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int = TERM,
        *,
        pattern: str | None = None,
        matcher: str | None = None,
        expires: float | None = None,
        **options: Any,
    ) -> None:
        """Call off one task, or many.

        One that has not begun never runs: its state becomes REVOKED when a worker comes to its message, and `get`
        raises TaskRevokedError. One that runs goes on, unless `terminate` is given. What would follow it is not sent.

        Args:
            task_id: id of the task, its result, or several of either.
            destination: names of the only workers that are to be told; they tell no other, and one that starts later
                does not know. Only where the broker carries remote commands (Redis, RabbitMQ).
            terminate: also end the run, if it has begun: that very run, never another one that follows it.
            signal: sent to the process that runs the task in the prefork pool; docs/pools.md has the others.
            pattern: as `destination`, for names that match it.
            matcher: how: `glob`, as file names in a shell (`*`, `?`, `[…]`), the default; or `pcre`, as `re.match`.
            expires: seconds for which it is remembered; `task_revoke_expires` by default.
            **options: accepted as Celery accepts them: `timeout`, `connection` and the like have no meaning here.

        Raises:
            ValueError: there is no such signal or matcher, or the pattern is no regular expression.
            NotSupported: `destination` or `pattern` on a broker without remote commands; or `reply`.
            OperationalError: the broker could not be reached in time.
        """
        ids = _ids(task_id)
        name = _signal(signal)
        arguments = {"task_id": ids, "terminate": terminate, "signal": name}
        mark = {"signal": name} if terminate else {}
        self._call_off(
            [{"id": one, **mark} for one in ids],
            "revoke",
            arguments,
            _Receivers.of(destination, pattern, matcher),
            expires,
            options,
        )

    def terminate(
        self,
        task_id: str | UUID | Any | Iterable[str | UUID | Any],
        destination: Iterable[str] | None = None,
        signal: str | int = TERM,
        **options: Any,
    ) -> None:
        """Call off tasks and end their runs: `revoke(…, terminate=True)`."""
        self.revoke(task_id, destination=destination, terminate=True, signal=signal, **options)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Iterable[str] | None = None,
        terminate: bool = False,
        signal: str | int = TERM,
        *,
        pattern: str | None = None,
        matcher: str | None = None,
        expires: float | None = None,
        **options: Any,
    ) -> None:
        """Call off every task that bears one of these stamps; arguments and errors are those of `revoke`.

        Args:
            headers: stamps by name: a value, or a list of values of which one is enough.
            destination: as for `revoke`.
            terminate: as for `revoke`.
            signal: as for `revoke`.
            pattern: as for `revoke`.
            matcher: as for `revoke`.
            expires: as for `revoke`.
            **options: as for `revoke`.
        """
        name = _signal(signal)
        mark = {"signal": name} if terminate else {}
        stamps = [{"stamp": key, "value": one, **mark} for key, value in headers.items() for one in _listed(value)]
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": name}
        receivers = _Receivers.of(destination, pattern, matcher)
        self._call_off(stamps, "revoke_by_stamped_headers", arguments, receivers, expires, options)

    async def arevoke(self, task_id: Any, *arguments: Any, **options: Any) -> None:
        """Call off tasks from a coroutine, as `revoke` does; the event loop goes on meanwhile."""
        import asyncio

        await asyncio.to_thread(self.revoke, task_id, *arguments, **options)

    async def aterminate(self, task_id: Any, *arguments: Any, **options: Any) -> None:
        """Call off tasks from a coroutine and end their runs, as `terminate` does."""
        import asyncio

        await asyncio.to_thread(self.terminate, task_id, *arguments, **options)

    async def arevoke_by_stamped_headers(self, headers: Mapping[str, Any], *arguments: Any, **options: Any) -> None:
        """Call off tasks by their stamps from a coroutine, as `revoke_by_stamped_headers` does."""
        import asyncio

        await asyncio.to_thread(self.revoke_by_stamped_headers, headers, *arguments, **options)

    def revoked(self) -> list[dict[str, Any]]:
        """Return what is called off: `id`, or `stamp` and `value`; `signal` where runs are ended, too; and `until`."""
        found: list[dict[str, Any]] = orjson.loads(self._producer.revoked())
        return found

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Iterable[str] | None = None,
        reply: bool = False,
        *,
        pattern: str | None = None,
        matcher: str | None = None,
        **options: Any,
    ) -> None:
        """Tell workers a remote command, those of Celery too. Nobody knows who hears it.

        Args:
            command: its name.
            arguments: its arguments.
            destination: names of the only workers that are to obey; None: all.
            reply: not part of this version.
            pattern: only workers whose names match it.
            matcher: how they are matched: `glob`, the default, or `pcre`; as for `revoke`.
            **options: accepted as Celery accepts them.

        Raises:
            ValueError: there is no such matcher, or the pattern is no regular expression.
            NotSupported: the broker carries no remote commands; or `reply`.
            OperationalError: the broker could not be reached in time.
        """
        if reply or options.get("callback"):
            raise NotSupported(f"broadcast({command!r}, reply=True): {_REPLIES}; `fastq status` shows the workers.")
        self._tell(command, arguments, _Receivers.of(destination, pattern, matcher))

    def _tell(self, command: str, arguments: Mapping[str, Any] | None, receivers: _Receivers) -> None:
        if not self._producer.capabilities()["mailbox"]:
            raise NotSupported(
                f"The broker carries no remote commands, so {command!r} reaches no worker: give no destination and no "
                "pattern to revoke(), which needs none."
            )
        body = {
            "method": command,
            "arguments": dict(arguments or {}),
            **receivers._asdict(),
        }
        name = f"{self._app.conf.control_exchange}.pidbox"
        properties = b'{"content_type":"application/json","content_encoding":"utf-8","delivery_mode":2}'
        message = (Route(name, ""), b'{"clock":0,"expires":0}', properties, orjson.dumps(body, default=str))
        # As Celery's workers declare it: it is gone with a restart of RabbitMQ, and there before the first worker.
        listeners = Broadcast(queue=name, exchange=Exchange(name, "fanout", durable=False))
        send = partial(publish.publish_one, self._app, self._producer, message)
        publish.with_queues(self._app, self._producer, [listeners], send)

    @property
    def _producer(self) -> Any:
        return self._app.producer

    def _call_off(
        self,
        demands: list[dict[str, Any]],
        command: str,
        arguments: Mapping[str, Any],
        receivers: _Receivers,
        expires: float | None,
        options: Mapping[str, Any],
    ) -> None:
        if options.get("reply"):
            raise NotSupported(f"revoke(reply=True): {_REPLIES}; the result's state tells.")
        if not demands:
            return
        conf, can = self._app.conf, self._producer.capabilities()
        if receivers.are_all and can["revocations"]:
            self._producer.revoke(
                orjson.dumps(demands, default=str), conf.task_revoke_expires if expires is None else expires
            )
            if not (can["mailbox"] and conf.worker_enable_remote_control):
                return
        self._tell(command, arguments, receivers)


class _Receivers(NamedTuple):
    """Which workers a command is for, as the message says it: each decides for itself."""

    destination: list[str] | None
    pattern: str | None
    matcher: str | None

    @classmethod
    def of(cls, destination: Iterable[str] | None, pattern: str | None, matcher: str | None) -> _Receivers:
        """Return them, as a caller has named them.

        Raises:
            ValueError: there is no such matcher, or the pattern is no regular expression.
        """
        if matcher not in (None, "glob", "pcre"):
            raise ValueError(f"There is no matcher {matcher!r}: use 'glob' or 'pcre'.")
        if matcher == "pcre" and pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"The pattern {pattern!r} is no regular expression: {error}.") from None
        if pattern is not None and matcher is None:
            matcher = "glob"  # Celery's workers look at a pattern only where a matcher is named
        return cls(None if destination is None else _listed(destination), pattern, matcher)

    @property
    def are_all(self) -> bool:
        """Every worker is meant."""
        return self.destination is None and self.pattern is None


def _ids(given: Any) -> list[str]:
    several = given if isinstance(given, Iterable) and not isinstance(given, (str, UUID)) else [given]
    ids = [str(getattr(one, "id", one)) for one in several if one is not None]
    if any(not one for one in ids) or given is None:
        raise ValueError(f"revoke() needs the id of a task, or several; not {saferepr(given, 100)}.")
    return ids


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _signal(given: str | int) -> str:
    """Return the name of a signal, for workers that may run on another system.

    Raises:
        ValueError: there is no such signal.
    """
    try:
        if isinstance(given, int):
            return signals.Signals(given).name
        name = given.upper()
        return signals.Signals[name if name.startswith("SIG") else f"SIG{name}"].name
    except (KeyError, ValueError, AttributeError):
        raise ValueError(f"There is no signal {given!r}: use a name such as 'SIGTERM' or 'SIGKILL'.") from None
