"""Who drives a canvas's steps: the messages go to the broker, or into the Outcome of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastq.app import current
from fastq.app import send as sender
from fastq.app.publish import declare, publish_many
from fastq.canvas.steps import Call, ChordSent, ChordStart, Trail

if TYPE_CHECKING:
    from fastq._seam import NewChord, OutgoingMessage
    from fastq.app.protocol import App
    from fastq.canvas.steps import Step, Steps

__all__ = ["asend", "collect", "nested", "send"]


def drive(steps: Steps, take: Callable[[Step], object]) -> Any:
    """Hand every step to `take`, and return the result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        take(step)


class _Batch:
    """Calls that are sent together: five hundred, or as many as make four megabytes."""

    def __init__(self, app: App) -> None:
        from fastq.app import bulk, calls  # which import signatures

        self._app = app
        self._most, self._most_bytes = bulk.CHUNK, bulk.CHUNK_BYTES
        self._plain = calls.Calls.apply_async
        self.prepared: list[sender.Prepared] = []
        self._bytes = 0
        self.results: list[Any] = []
        """Of the calls that are sent."""

    def add(self, call: Call) -> bool:
        """Compose the message of a call; return whether it is time to send what there is."""
        task, options = call.task, call.options
        if task is None:
            prepared = sender.prepare_named(call.app, call.name, call.args, call.kwargs, options)
        else:
            check = task.__header__ if task.typing else None
            if check is not None:
                check(*call.args, **call.kwargs)
            prepared = sender.prepare_task(task, call.args, call.kwargs, options)
        self.prepared.append(prepared)
        self._bytes += len(prepared.message.body)
        return len(self.prepared) >= self._most or self._bytes >= self._most_bytes

    def overrides(self, call: Call) -> bool:
        """Tell whether the task's class sends its calls in a way of its own."""
        return call.task is not None and type(call.task).apply_async is not self._plain

    def taken(self) -> list[sender.Prepared]:
        """Return what there is, and begin anew."""
        prepared, self.prepared, self._bytes = self.prepared, [], 0
        return prepared

    def sent(self, prepared: list[sender.Prepared]) -> None:
        """Tell those who want to know that calls were sent."""
        self.results += [one.sent() for one in prepared]


def send(app: App, steps: Steps) -> Any:
    """Send a canvas, and return its result.

    Raises:
        OperationalError: the broker could not be reached in time. As with every error that leaves from here, the
            attribute `sent` has the results of the calls that were sent before.
    """
    batch = _Batch(app)

    def flush() -> None:
        prepared = batch.taken()
        if not prepared:
            return
        producer = prepared[0].producer
        declare(app, producer, [queue for one in prepared for queue in one.draft.declare])
        publish_many(app, producer, [one.message for one in prepared], prepared[0].options)
        batch.sent(prepared)

    def take(step: Step) -> None:
        if isinstance(step, Call):
            if batch.overrides(step):
                flush()
                options = {key: value for key, value in step.options.items() if value is not None}
                batch.results.append(step.task.apply_async(step.args, step.kwargs, **options))
            elif batch.add(step):
                flush()
        elif isinstance(step, ChordSent):
            flush()
            _note(step)
        else:
            _note(step)

    try:
        result = drive(steps, take)
        flush()
    except Exception as error:
        error.sent = batch.results  # type: ignore[attr-defined]  # FastQError has it, others have not
        raise
    return result


async def asend(app: App, steps: Steps) -> Any:
    """Send a canvas from a coroutine, and return its result; errors as from `send`."""
    from asyncio import to_thread

    batch = _Batch(app)

    async def flush() -> None:
        prepared = batch.taken()
        if prepared:
            declared = [queue for one in prepared for queue in one.draft.declare]
            await app.outbox.send([one.message for one in prepared], declared, prepared[0].options)
            batch.sent(prepared)

    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                await flush()
                return end.value
            if isinstance(step, Call):
                if batch.add(step):
                    await flush()
            elif isinstance(step, Trail):
                _note(step)
            else:
                if isinstance(step, ChordSent):
                    await flush()
                await to_thread(_note, step)
    except Exception as error:
        error.sent = batch.results  # type: ignore[attr-defined]
        raise


def _note(step: Step) -> None:
    """Do what is no call."""
    if isinstance(step, Trail):
        parent = current.get_current_worker_task()
        if parent is not None:
            parent.add_trail(step.result)
    elif isinstance(step, ChordStart):
        backend = step.app.backend
        backend.begin_chord(step.group_id, step.size, step.body, result=nested(step.members))
    elif isinstance(step, ChordSent) and not step.app.backend.capability.counts:
        step.app.backend.fallback_chord_unlock(step.members, step.body)


def nested(members: Any) -> Any:
    """Return the result tuple of a chord's header where it has groups inside, so that the body gets lists in lists."""
    flat = all(getattr(member, "results", None) is None for member in members.results)
    return None if flat else members.as_tuple()


def collect(
    steps: Steps, messages: list[OutgoingMessage], chords: list[NewChord], trail: Callable[[Any], object]
) -> Any:
    """Compose the messages of a canvas that follows a run, and return its result; nothing is sent.

    Args:
        steps: of the canvas.
        messages: are added to; they leave with the run's Outcome.
        chords: are added to, likewise.
        trail: gets the results of what the run has followed by.
    """
    from fastq.backends.chords import new_chord

    def take(step: Step) -> None:
        if isinstance(step, Call):
            messages.append(sender.compose(step.app, step.name, step.args, step.kwargs, step.options))
            if step.options.get("add_to_parent", True):
                trail(step.app.AsyncResult(step.options["task_id"], task_name=step.name))
        elif isinstance(step, ChordStart):
            if step.app.backend.capability.counts:
                chords.append(new_chord(step.group_id, step.size, step.body, nested(step.members)))
        elif isinstance(step, Trail):
            trail(step.result)
        else:
            _note(step)

    return drive(steps, take)
