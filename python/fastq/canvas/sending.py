"""Who drives a canvas's steps: the messages go to the broker, or into the Outcome of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastq.app import current
from fastq.app import send as sender
from fastq.app.options import merge
from fastq.app.publish import declare, publish_many
from fastq.app.template import family, make_template
from fastq.canvas.steps import Call, ChordSent, ChordStart, Trail
from fastq.signals import after_task_publish, before_task_publish

if TYPE_CHECKING:
    from fastq._seam import NewChord, OutgoingMessage
    from fastq.app.protocol import App, Publisher
    from fastq.app.template import Family, Parts, Template
    from fastq.canvas.steps import Step, Steps

__all__ = ["asend", "collect", "nested", "send"]

_OF_ONE_MEMBER: Final = frozenset({"task_id", "group_index"})
_SENDERS: Final = frozenset({"producer", "publisher"})


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
        self._templates: dict[Any, Template | None] = {}
        self._above: Family | None = None
        self.results: list[Any] = []
        """Of the calls that are sent; of those that a template made there are none."""
        self._clear()

    def _clear(self) -> None:
        self.messages: list[Parts] = []
        self.prepared: list[sender.Prepared] = []
        self.declare: list[Any] = []
        self.options: Mapping[str, Any] = {}
        """Of one of the calls: all have the same ones that say how to send."""
        self._bytes = 0

    def add(self, call: Call) -> bool:
        """Compose the message of a call; return whether it is time to send what there is."""
        task, options = call.task, call.options
        check = task.__header__ if task is not None and task.typing else None
        if check is not None:
            check(*call.args, **call.kwargs)
        template = None if call.common is None else self._template(call)
        if template is not None:
            above, who = self._above, sender.identity()
            task_id, index = options["task_id"], options["group_index"]
            message: Parts = template.message(task_id, call.args, call.kwargs, above, who, index)
        else:
            prepared = _prepare(call)
            message = prepared.message
            self.prepared.append(prepared)
            self.declare += prepared.draft.declare
            self.options = prepared.options
        self.messages.append(message)
        self._bytes += len(message[3])
        return len(self.messages) >= self._most or self._bytes >= self._most_bytes

    def _template(self, call: Call) -> Template | None:
        """Return what makes the messages of calls like this one; None: each is made by itself."""
        key = call.common, call.name
        if key in self._templates:
            return self._templates[key]
        parent = current.get_current_worker_task()
        stamped = parent is not None and parent.request.stamped_headers
        template = None
        given = {name: value for name, value in call.options.items() if name not in _OF_ONE_MEMBER}
        if not (before_task_publish or after_task_publish or stamped or _SENDERS & given.keys()):
            self._above = None if parent is None else family(parent.request)
            task, app, name = call.task, call.app, call.name
            merged = sender.merge_named(app, name, given) if task is None else merge(task, given)
            template = make_template(app, task, name, merged, given, indexed=True)
        self._templates[key] = template
        if template is not None:
            self.declare += template.declare
        return template

    def overrides(self, call: Call) -> bool:
        """Tell whether the task's class sends its calls in a way of its own."""
        return call.task is not None and type(call.task).apply_async is not self._plain

    def producer(self) -> Publisher:
        """Return what sends what there is."""
        return self.prepared[0].producer if self.prepared else self._app.producer

    def sent(self) -> None:
        """Tell those who want to know that the calls were sent, and begin anew."""
        self.results += [one.sent() for one in self.prepared]
        self._clear()


def _prepare(call: Call) -> sender.Prepared:
    if call.task is None:
        return sender.prepare_named(call.app, call.name, call.args, call.kwargs, call.options)
    return sender.prepare_task(call.task, call.args, call.kwargs, call.options)


def send(app: App, steps: Steps) -> Any:
    """Send a canvas, and return its result.

    Raises:
        OperationalError: the broker could not be reached in time. As with every error that leaves from here, the
            attribute `sent` has the results of the calls that were sent before.
    """
    batch = _Batch(app)

    def flush() -> None:
        if batch.messages:
            producer = batch.producer()
            declare(app, producer, batch.declare)
            publish_many(app, producer, batch.messages, batch.options)
            batch.sent()

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
        if batch.messages:
            await app.outbox.send(batch.messages, batch.declare, batch.options)
            batch.sent()

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
        shape = nested(step.members)
        if shape is not None:
            backend.save_header(step.group_id, step.members)
        backend.begin_chord(step.group_id, step.size, step.body, result=shape)
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
                shape = nested(step.members)
                if shape is not None:
                    step.app.backend.save_header(step.group_id, step.members)
                chords.append(new_chord(step.group_id, step.size, step.body, shape))
        elif isinstance(step, Trail):
            trail(step.result)
        else:
            _note(step)

    return drive(steps, take)
