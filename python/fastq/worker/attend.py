"""One handler per Event of the core (rust/core/src/event.rs): a log line, signals, and hooks of the task."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from fastq import signals
from fastq.app import current
from fastq.exceptions import FastQError, NotRegistered, TimeLimitExceeded, WorkerLostError
from fastq.text import plural
from fastq.time import to_iso
from fastq.worker import unstored
from fastq.worker.request import Request

if TYPE_CHECKING:
    from fastq._seam import Event
    from fastq.app.protocol import App

__all__ = ["Attendance"]

_logger: Final = logging.getLogger("celery.worker")

Fields = Mapping[str, Any]


class Attendance:
    """Sees to Events. Called on the worker's main thread only."""

    def __init__(
        self,
        app: App,
        node: str,
        consumer: object,
        on_ready: Callable[[Fields], object],
        on_limit: Callable[..., object] = lambda *_, **__: None,
        on_termination: Callable[[int, str], object] = lambda *_: None,
    ) -> None:
        """Make the handlers.

        Args:
            app: whose tasks have hooks.
            node: name of the worker.
            consumer: the sender of signals that Celery's consumer sends.
            on_ready: called when the worker takes messages.
            on_limit: called with slot, id, seconds and `hard` when a run has passed a limit.
            on_termination: called with slot and id when a run is being ended because its task was called off.
        """
        self._app = app
        self._node = node
        self._consumer = consumer
        self._on_ready = on_ready
        self._on_limit = on_limit
        self._on_termination = on_termination
        self._out_of_reach = False
        """The broker could not be reached when it was last tried: that is said once, and once that it is over."""
        self._deaf_level = logging.WARNING
        """How loudly it was said that nothing can be heard: as loudly is said that it can again."""
        self._cut_off = {True: 0, False: 0}
        """Runs that the stop has cut off: those whose message went back to its queue, and those that have failed."""
        self._stops = False
        self.stopped: Fields | None = None
        """What the core said when it had stopped; None: it runs."""
        self._handlers = self._handlers_by_kind()

    def _handlers_by_kind(self) -> dict[str, Callable[[Fields], object]]:
        return {
            "ready": self._ready,
            "link": self._link,
            "queues": self._queues,
            "child-up": self._child_up,
            "child-gone": self._child_gone,
            "scaled": self._scaled,
            "nursery-gone": self._nursery_gone,
            "received": self._received,
            "lost": self._lost,
            "interrupted": self._interrupted,
            "timed-out": self._timed_out,
            "unknown": self._unknown,
            "expired": self._expired,
            "revoked": self._revoked,
            "terminating": self._terminating,
            "unstored": self._unstored,
            "unheeded": self._unheeded,
            "deaf": self._deaf,
            "hears": self._hears,
            "buried": self._buried,
            "refused": self._refused,
            "recovered": self._recovered,
            "notice": self._notice,
            "bug": self._bug,
            "stopping": self._stopping,
            "stopped": self._stopped,
        }

    def see_to(self, event: Event) -> None:
        """Handle one Event. A handler or hook that raises is logged: the worker goes on."""
        handle = self._handlers.get(event.kind)
        if handle is None:
            _logger.debug("The core told of %s, which nobody handles: %s", event.kind, event.fields)
            return
        try:
            handle(event.fields)
        except Exception:
            _logger.exception("Handling %s failed: %s", event.kind, event.fields)

    # ------------------------------------------------------------ the worker

    def _ready(self, fields: Fields) -> None:
        self._out_of_reach = False
        self._on_ready(fields)

    def _link(self, fields: Fields) -> None:
        state, reason = fields["state"], fields.get("reason", "")
        if state == "backing off":
            if self._out_of_reach:
                _logger.debug("The broker cannot be reached yet: %s. Next try in %.1f s.", reason, fields["retry_in"])
            else:
                _logger.warning("The broker cannot be reached: %s. Trying again until it can.", reason)
            self._out_of_reach = True
        elif state == "open" and self._out_of_reach:
            self._out_of_reach = False
            _logger.warning("The broker can be reached again.")
        elif state == "failed":
            _logger.error("The broker cannot be used: %s", reason)
        elif reason:
            _logger.info("The broker connection is %s: %s", state, reason)
        else:
            _logger.debug("The broker connection is %s.", state)

    def _queues(self, fields: Fields) -> None:
        if fields["reason"]:
            _logger.error("A queue was refused: %s. The worker takes from %s.", fields["reason"], fields["queues"])
        else:
            _logger.info("The worker takes from %s now.", fields["queues"] or "no queue")

    def _child_up(self, fields: Fields) -> None:
        _logger.debug("Child %s is up (pid %s).", fields["slot"] + 1, fields["pid"])

    def _child_gone(self, fields: Fields) -> None:
        if fields["expected"]:
            _logger.debug("Child %s (pid %s) has left.", fields["slot"] + 1, fields["pid"])
            return
        _logger.error(
            "Child %s (pid %s) is gone: %s. Another takes its place.",
            fields["slot"] + 1,
            fields["pid"],
            fields["reason"],
        )

    def _scaled(self, fields: Fields) -> None:
        what = "Jobs wait" if fields["to"] > fields["from"] else "There is less to do"
        _logger.info("%s: from %s to %s processes.", what, fields["from"], fields["to"])

    def _nursery_gone(self, _fields: Fields) -> None:
        _logger.critical(
            "The nursery process is gone, so no child can be replaced: the worker stops, and its tasks go back to "
            "their queues. Was it killed for lack of memory? Start the worker again."
        )

    def _refused(self, fields: Fields) -> None:
        count = fields["count"]
        _logger.warning(
            "%d %s came after this worker had lost its lease and %s dropped: %s elsewhere. "
            "The machine was asleep or overloaded for longer than worker_lease.",
            count,
            plural(count, "outcome"),
            "was" if count == 1 else "were",
            "that task runs again" if count == 1 else "those tasks run again",
        )

    def _recovered(self, fields: Fields) -> None:
        count, buried = fields["recovered"], fields.get("buried", 0)
        if count:
            _logger.warning("%d %s of a dead worker went back to the queue.", count, plural(count, "task"))
        if buried:
            _logger.error(
                "%d %s of a dead worker went to the dead letters, for too many workers have died running them. "
                "See `fastq dead list`.",
                buried,
                plural(buried, "task"),
            )

    def _deaf(self, fields: Fields) -> None:
        self._deaf_level = logging.DEBUG if self._out_of_reach else logging.WARNING
        _logger.log(
            self._deaf_level,
            "This worker cannot hear what is revoked, nor other remote commands, for now: %s. It tries again, and then "
            "learns what it has missed.",
            fields["reason"],
        )

    def _hears(self, _fields: Fields) -> None:
        _logger.log(self._deaf_level, "This worker hears again what is revoked, and remote commands.")

    def _unheeded(self, fields: Fields) -> None:
        _logger.error("A remote command was not obeyed: %s.", fields["reason"])

    def _notice(self, fields: Fields) -> None:
        _logger.warning("The broker: %s", fields["text"])

    def _bug(self, fields: Fields) -> None:
        _logger.error("This should not happen, please report it: %s", fields["reason"])

    def _stopping(self, fields: Fields) -> None:
        self._stops = True
        _logger.debug("The core stops (%s).", fields["how"])

    def _stopped(self, fields: Fields) -> None:
        self.stopped = fields
        self._tell_cut_off()
        if fields.get("reason"):
            _logger.error("The worker has stopped: %s", fields["reason"])

    # -------------------------------------------------------------- the jobs

    def _request(self, fields: Fields) -> Request:
        queue = fields.get("queue")
        return Request(
            id=fields["id"],
            name=fields["name"],
            hostname=self._node,
            task=self._app.tasks.get(fields["name"]),
            delivery_info={"routing_key": queue, "exchange": ""} if queue else {},
            eta=fields.get("eta"),
        )

    def _received(self, fields: Fields) -> None:
        eta = fields.get("eta")
        later = f" It is due at {to_iso(datetime.fromtimestamp(eta, timezone.utc))}." if eta else ""
        _logger.info("Task %s[%s] received.%s", fields["name"], fields["id"], later)
        if signals.task_received:
            signals.task_received.send(sender=self._consumer, request=self._request(fields))

    def _unstored(self, fields: Fields) -> None:
        unstored.store(self._app, fields)

    def _lost(self, fields: Fields) -> None:
        deaths, reason = fields["deaths"], fields["reason"]
        if fields["requeued"]:
            _logger.error(
                "Task %s[%s]: the process that ran it died (%s), the %s time. It runs again.",
                fields["name"],
                fields["id"],
                reason,
                _ordinal(deaths),
            )
            return
        _logger.error("Task %s[%s]: the process that ran it died (%s).", fields["name"], fields["id"], reason)
        self._failed(fields, WorkerLostError(reason))

    def _interrupted(self, fields: Fields) -> None:
        back = bool(fields.get("requeued", True))
        self._cut_off[back] += self._stops
        _logger.log(
            logging.INFO if self._stops else logging.WARNING,
            "Task %s[%s] was cut off %s%s",
            fields["name"],
            fields["id"],
            "by the stop" if self._stops else "with the process that ran it",
            "; it is back in its queue." if back else ": it was acknowledged when it began, and has failed.",
        )

    def _tell_cut_off(self) -> None:
        back, failed = self._cut_off[True], self._cut_off[False]
        if back:
            _logger.warning(
                "%d %s cut off by the stop and %s back in the queue.",
                back,
                "task was" if back == 1 else "tasks were",
                "is" if back == 1 else "are",
            )
        if failed:
            _logger.warning(
                "%d %s cut off by the stop and %s failed, for %s acknowledged at the start.",
                failed,
                "task was" if failed == 1 else "tasks were",
                "has" if failed == 1 else "have",
                "it was" if failed == 1 else "they were",
            )

    def _timed_out(self, fields: Fields) -> None:
        seconds, name, task_id = fields["seconds"], fields["name"], fields["id"]
        self._on_limit(fields["slot"], task_id, seconds, hard=fields["hard"])
        if not fields["hard"]:
            _logger.warning("Task %s[%s] passed its soft time limit of %g s.", name, task_id, seconds)
            return
        _logger.error("Task %s[%s] passed its time limit of %g s and was ended.", name, task_id, seconds)
        self._failed(fields, TimeLimitExceeded(seconds))

    def _failed(self, fields: Fields, error: BaseException) -> None:
        """Do what the process that ran the task would have done, had it lived: its hook, then the signal."""
        request = self._request(fields)
        task = request.task
        if task is None:
            return
        token = current.push(task, request.context())
        try:
            task.on_failure(error, request.id, request.args, request.kwargs, None)
        except Exception:
            _logger.exception("Task %s[%s]: its on_failure failed.", request.name, request.id)
        finally:
            current.pop(token)
        signals.task_failure.send(
            sender=task,
            task_id=request.id,
            exception=error,
            args=request.args,
            kwargs=request.kwargs,
            traceback=None,
            einfo=None,
        )

    def _unknown(self, fields: Fields) -> None:
        name = fields["name"]
        _logger.error(
            "Task %s[%s] is not registered in this worker: its message went to the dead letters of queue %s. Is its "
            "module imported (-I, or the setting `imports`)? See `fastq dead list`.",
            name,
            fields["id"],
            fields["queue"],
        )
        if signals.task_unknown:
            request = self._request(fields)
            signals.task_unknown.send(
                sender=self._consumer, message=request, exc=NotRegistered(name), name=name, id=request.id
            )

    def _terminating(self, fields: Fields) -> None:
        self._on_termination(fields["slot"], fields["id"])
        _logger.info("Task %s[%s] was revoked: its run is ended (%s).", fields["name"], fields["id"], fields["signal"])

    def _revoked(self, fields: Fields) -> None:
        terminated, name = bool(fields["terminated"]), fields.get("signal")
        if not terminated:
            _logger.info("Task %s[%s] was revoked before it began.", fields["name"], fields["id"])
        if signals.task_revoked:
            request = self._request(fields)
            number = getattr(signal, name, None) if name else None
            signals.task_revoked.send(
                sender=request.task, request=request, terminated=terminated, signum=number, expired=False
            )

    def _expired(self, fields: Fields) -> None:
        _logger.info("Task %s[%s] had expired before it could run.", fields["name"], fields["id"])
        if signals.task_revoked:
            request = self._request(fields)
            signals.task_revoked.send(sender=request.task, request=request, terminated=False, signum=None, expired=True)

    def _buried(self, fields: Fields) -> None:
        _logger.error(
            "Task %s[%s] went to the dead letters of queue %s: %s. See `fastq dead list`.",
            fields["name"] or "without a name",
            fields["id"] or "without an id",
            fields["queue"],
            fields["reason"],
        )
        if signals.task_rejected:
            signals.task_rejected.send(
                sender=self._consumer, message=self._request(fields), exc=FastQError(fields["reason"])
            )


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
