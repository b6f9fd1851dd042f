"""The outbox: what coroutines send, published by one thread per app.

What comes while the thread waits for the broker goes together the next time, so that a thousand calls at once are a few
round trips. The thread begins when there is something to publish and ends when nothing has come for a second.

`_letters` and `_thread` are written by event loops and by the thread, under the lock; futures are resolved on their own
loops only.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.app.bounds import UNIQUE_KEY
from fastq.app.bulk import CHUNK, CHUNK_BYTES
from fastq.app.publish import producer_of, publish_many, with_queues
from fastq.exceptions import OperationalError
from fastq.exits import close_at_exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq.app.protocol import App, Publisher
    from fastq.app.template import Parts

__all__ = ["Outbox"]

_UNIQUE: Final = UNIQUE_KEY.encode()

LINGER: Final = 1.0
"""Seconds that the thread waits for more before it ends."""
GRACE: Final = 0.5
"""Seconds beyond the time limit that the thread may take to tell how a publish ended."""


class _Manner(NamedTuple):
    """How messages are sent; only what is sent in the same manner goes together."""

    producer: Publisher
    retry: Any
    retry_policy: Any
    timeout: Any

    @property
    def options(self) -> dict[str, Any]:
        return {"retry": self.retry, "retry_policy": self.retry_policy, "timeout": self.timeout}


class _Letter:
    """Messages that one caller waits for."""

    __slots__ = ("future", "is_gone", "is_taken", "loop", "manner", "messages", "queues", "size", "together")

    def __init__(
        self,
        messages: Sequence[Parts],
        queues: Sequence[Any],
        manner: _Manner,
        loop: asyncio.AbstractEventLoop,
        together: bool = False,
    ) -> None:
        self.together = together
        """Whether one that may not go keeps all of these from going; then they go alone."""
        self.messages = messages
        self.queues = queues
        self.manner = manner
        self.loop = loop
        self.future: asyncio.Future[Sequence[tuple[int, str]]] = loop.create_future()
        self.size = sum(len(message[3]) for message in messages)
        self.is_taken = False
        """Whether the thread has begun to send it."""
        self.is_gone = False
        """Whether nobody wants it sent any more."""

    @property
    def is_unique(self) -> bool:
        """Whether a message may not be sent, because another call is under way; it costs a look at each."""
        return any(_UNIQUE in message[1] for message in self.messages)


class Outbox:
    """Publishes what coroutines send, in the process in which it was made."""

    def __init__(self, app: App) -> None:
        """Hold nothing yet; no thread runs."""
        self._app = app
        self._letters: deque[_Letter] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._process = os.getpid()

    async def send(
        self,
        messages: Sequence[Parts],
        queues: Sequence[Any],
        options: Mapping[str, Any],
        together: bool = False,
    ) -> Sequence[tuple[int, str]]:
        """Publish messages together, all or none, and return when the broker has them.

        One that is cancelled before its turn is not sent. In its turn it may be sent all the same.

        Args:
            messages: to send.
            queues: must exist; declared where they have more than a name.
            options: of the call; those that say how to send count.
            together: whether a message of a unique task that may not go keeps all from going; else the others go.

        Returns:
            Place and holder's id of those that may not go.

        Raises:
            OperationalError: the broker could not be reached in time, or so much was to be sent that there was no turn.
        """
        loop = asyncio.get_running_loop()
        producer = producer_of(self._app, options)
        timeout = options.get("timeout")
        manner = _Manner(producer, options.get("retry"), options.get("retry_policy"), timeout)
        letter = _Letter(messages, queues, manner, loop, together)
        within = timeout or self._app.conf.broker_publish_timeout
        timer = loop.call_later(within, self._late, letter, within)
        self._put(letter)
        try:
            return await letter.future
        finally:
            letter.is_gone = True
            timer.cancel()

    def close(self, wait: float = 10.0) -> None:
        """Publish what is there, and end the thread; waits for it, at most `wait` seconds."""
        if self._process != os.getpid():
            return  # its lock may be held by a thread that is not here
        with self._changed:
            thread = self._thread
            self._closing = thread is not None
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    def _put(self, letter: _Letter) -> None:
        with self._changed:
            self._letters.append(letter)
            if self._thread is not None:
                self._changed.notify()
                return
            self._thread = threading.Thread(target=self._run, name="fastq-outbox", daemon=True)
        close_at_exit(self)
        self._thread.start()

    def _late(self, letter: _Letter, within: float) -> None:
        """Give up what has not been published in time; runs on the caller's loop."""
        with self._changed:
            taken = letter.is_taken
            letter.is_gone = not taken
        if letter.future.done():
            return
        if taken:
            letter.loop.call_later(GRACE, self._too_late, letter, within)
            return
        sentence = f"The message had no turn within {within:g} s (broker_publish_timeout), and was not sent."
        letter.future.set_exception(OperationalError(sentence))

    def _too_late(self, letter: _Letter, within: float) -> None:
        if not letter.future.done():
            sentence = f"The broker did not take the message within {within:g} s (broker_publish_timeout); it may yet."
            letter.future.set_exception(OperationalError(sentence))

    # -------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._letters and not self._closing:
                    self._changed.wait(LINGER)
                if not self._letters:
                    self._thread, self._closing = None, False
                    return
                letters = self._take()
            if letters:
                self._publish(letters)

    def _take(self) -> list[_Letter]:
        """Return what goes together: the oldest, and those after it that are sent in the same manner."""
        taken: list[_Letter] = []
        count = size = 0
        while self._letters:
            letter = self._letters[0]
            if letter.is_gone or letter.future.cancelled():
                self._letters.popleft()
                continue
            count, size = count + len(letter.messages), size + letter.size
            if taken and (letter.manner != taken[0].manner or count > CHUNK or size > CHUNK_BYTES):
                break
            if taken and (letter.together or taken[0].together):
                break
            letter.is_taken = True
            taken.append(self._letters.popleft())
        return taken

    def _publish(self, letters: list[_Letter]) -> None:
        manner = letters[0].manner
        error: Exception | None = None
        duplicates: Sequence[tuple[int, str]] = ()
        try:
            queues = [queue for letter in letters for queue in letter.queues]
            messages = [message for letter in letters for message in letter.messages]
            # Messages of several callers go each by itself where they may not go.
            together = letters[0].together or not any(letter.is_unique for letter in letters)
            publish = partial(publish_many, self._app, manner.producer, messages, manner.options, together)
            duplicates = with_queues(self._app, manner.producer, queues, publish)
        except OperationalError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - it belongs to who sent it
            if len(letters) > 1:
                # One of them cannot be sent; the others are not to suffer for it.
                for letter in letters:
                    self._publish([letter])
                return
            error = failure
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Letter, Sequence[tuple[int, str]]]]] = {}
        begin = 0
        for letter in letters:
            end = begin + len(letter.messages)
            own = [(place - begin, holder) for place, holder in duplicates if begin <= place < end]
            by_loop.setdefault(letter.loop, []).append((letter, own))
            begin = end
        for loop, sent in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, sent, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue


def _resolve(letters: list[tuple[_Letter, Sequence[tuple[int, str]]]], error: Exception | None) -> None:
    for letter, duplicates in letters:
        if letter.future.done():
            continue
        if error is None:
            letter.future.set_result(duplicates)
        else:
            letter.future.set_exception(_another(error))


def _another(error: Exception) -> Exception:
    """Return an error like this one: each who waits raises one of its own, for a traceback grows with every raise."""
    try:
        return type(error)(*error.args)
    except Exception:  # noqa: BLE001 - of a class of the user's, whose arguments are unknown
        return error
