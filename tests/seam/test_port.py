"""Port: jobs in, outcomes out, over a pipe whose other end is driven by hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from fastq import _core
from fastq._seam import DONE, RETRIED, Outcome, OutgoingMessage, Record, Route
from fastq.exceptions import DecodeError, FastQError, ImproperlyConfigured
from tests.seam.pipe import BYE, DROPPED, FINISHED, HELLO, STARTED, STORE, Fields, Parent

REDELIVERED, REPORT_START, IGNORE_RESULT = 1, 2, 4
CLAIM, TAG = 0, 1
CLOSED = 1 << 63


def test_a_job_shows_everything_that_was_sent(parent: Parent) -> None:
    parent.send(
        1,
        flags=REDELIVERED | IGNORE_RESULT,
        priority=7,
        deaths=2,
        limits=(1_500_000_000, 250_000_000),
        body=b"[[1], {}]",
    )

    job = parent.port.next(5)

    assert job is not None
    assert (job.id, job.name, job.queue, job.exchange, job.routing_key) == ("id-1", "shop.add", "celery", "", "key")
    assert (job.headers, job.body) == (b'{"task":"shop.add"}', b"[[1], {}]")
    assert (job.properties, job.content_type) == (b'{"content_type":"application/json"}', "application/json")
    assert (job.priority, job.deaths, job.redelivered, job.ignore_result) == (7, 2, True, True)
    assert job.time_limits == (1.5, 0.25)


def test_a_plain_job_has_no_priority_and_no_limits(parent: Parent) -> None:
    parent.send(1)

    job = parent.port.next(5)

    assert job is not None
    assert (job.priority, job.redelivered, job.ignore_result, job.time_limits) == (None, False, False, (None, None))


def test_a_job_handed_out_is_marked_as_started_on_the_page(parent: Parent) -> None:
    parent.send(1, tag=4711)

    parent.port.next(5)

    assert (parent.word(CLAIM), parent.word(TAG)) == (1, 4711)


def test_a_job_taken_back_on_the_page_is_not_handed_out(parent: Parent) -> None:
    os.pwrite(parent.page.fileno(), CLOSED.to_bytes(8, "little"), 0)
    parent.send(1)

    assert parent.port.next(0) is None
    assert [parent.hear().kind for _ in range(2)] == [HELLO, DROPPED]


def test_an_outcome_arrives_with_its_records_and_messages(parent: Parent) -> None:
    parent.send(1)
    job = parent.port.next(5)
    assert job is not None
    record = Record("id-1", "RETRY", "application/json", b'{"status":"RETRY"}')
    plain = OutgoingMessage(Route("", "celery"), b"{}", b"{}", b"[]")
    later = OutgoingMessage(Route("x", "k", 3, 1_700_000_000.0005), b'{"a":1}', b'{"b":2}', b"\x00")

    parent.port.finish(job, Outcome(RETRIED, (record,), (plain, later), "again"))
    parent.port.flush()

    assert parent.hear().kind == HELLO
    frame = parent.hear()
    read = Fields(frame.payload)
    assert (frame.kind, frame.tag, read.number("B")) == (FINISHED, 10, RETRIED)
    assert read.number("Q") > 0, "the run took time"
    assert (read.field(), read.number("I")) == (b"again", 1)
    assert [read.field() for _ in range(4)] == [b"id-1", b"RETRY", b"application/json", b'{"status":"RETRY"}']
    assert read.number("I") == 2
    assert [read.field(), read.field(), read.number("h"), read.number("q")] == [b"", b"celery", -1, -(2**63)]
    assert [read.field() for _ in range(3)] == [b"{}", b"{}", b"[]"]
    assert [read.field(), read.field(), read.number("h"), read.number("q")] == [b"x", b"k", 3, 1_700_000_000_001]
    assert [read.field() for _ in range(3)] == [b'{"a":1}', b'{"b":2}', b"\x00"]
    assert read.at_end()


def test_an_outcome_is_sent_before_the_next_wait(parent: Parent) -> None:
    parent.send(1)
    job = parent.port.next(5)
    assert job is not None
    parent.port.finish(job, Outcome(DONE))

    assert parent.port.next(0) is None

    assert [parent.hear().kind for _ in range(2)] == [HELLO, FINISHED]


def test_an_outcome_is_sent_while_the_next_job_runs(parent: Parent) -> None:
    parent.send(1)
    parent.send(2)
    job = parent.port.next(5)
    assert job is not None
    parent.port.finish(job, Outcome(DONE))

    assert parent.port.next(5) is not None

    assert [parent.hear().kind for _ in range(2)] == [HELLO, FINISHED]


def test_a_start_that_matters_is_told(parent: Parent) -> None:
    parent.send(1, flags=REPORT_START)

    parent.port.next(5)

    assert [parent.hear().kind for _ in range(2)] == [HELLO, STARTED]


def test_states_of_a_run_that_goes_on_are_sent_at_once(parent: Parent) -> None:
    parent.port.store([Record("id-1", "STARTED", "application/json", b"{}")])

    assert parent.hear().kind == STORE


def test_an_executor_that_retires_says_so_and_gets_no_more(parent: Parent) -> None:
    parent.send(1)

    parent.port.retire()

    assert parent.hear().kind == BYE
    with pytest.raises(EOFError):
        parent.port.next(5)
    assert parent.word(CLAIM) == 0


def test_the_end_of_the_parent_is_the_end_of_the_file(parent: Parent) -> None:
    parent.close()

    with pytest.raises(EOFError):
        parent.port.next()


def test_finishing_after_the_end_of_the_parent_is_no_error(parent: Parent) -> None:
    parent.send(1)
    job = parent.port.next(5)
    assert job is not None
    parent.close()

    parent.port.finish(job, Outcome(DONE))
    parent.port.flush()


def test_a_job_ends_once(parent: Parent) -> None:
    parent.send(1)
    job = parent.port.next(5)
    assert job is not None
    parent.port.finish(job, Outcome(DONE))

    with pytest.raises(FastQError, match=r"finished twice .*id-1"):
        parent.port.finish(job, Outcome(DONE))


@pytest.mark.parametrize(
    ("outcome", "named"),
    [
        ("done", "an Outcome"),
        ((DONE,), "an Outcome"),
        (Outcome(99), "ending"),
        (Outcome(DONE, (Record("1", "SUCCESS", "application/json", "text"),)), "a Record field 3"),  # type: ignore[arg-type]
        (Outcome(DONE, (), (OutgoingMessage(Route("", 5), b"", b"", b""),)), "a Route field 1"),  # type: ignore[arg-type]
        (Outcome(DONE, 5), "records"),  # type: ignore[arg-type]
    ],
)
def test_an_outcome_of_the_wrong_shape_is_named_and_can_be_mended(parent: Parent, outcome: Outcome, named: str) -> None:
    parent.send(1)
    job = parent.port.next(5)
    assert job is not None

    with pytest.raises(TypeError, match=named):
        parent.port.finish(job, outcome)
    parent.port.finish(job, Outcome(DONE))


def test_properties_that_cannot_be_read_are_a_decode_error(parent: Parent) -> None:
    parent.send(1, properties=b"\xff")
    job = parent.port.next(5)
    assert job is not None

    with pytest.raises(DecodeError):
        _ = job.content_type


def test_nonsense_on_the_pipe_is_a_decode_error(parent: Parent) -> None:
    parent.socket.sendall(b"\xff" * 32)

    with pytest.raises(DecodeError):
        parent.port.next(5)


def test_a_number_that_is_no_descriptor_is_refused() -> None:
    for number in (-1, 999_999):
        with pytest.raises(ImproperlyConfigured, match="fd"):
            _core.Port.from_fd(number, number, 0)


@contextmanager
def alarm(handler: signal.Handlers | object, seconds: float) -> Iterator[None]:
    """Call `handler` by signal after some time."""
    previous = signal.signal(signal.SIGALRM, handler)  # type: ignore[arg-type]
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_signal_handler_runs_while_the_port_waits_and_the_wait_goes_on(parent: Parent) -> None:
    def send_a_job(number: int, frame: FrameType | None) -> None:
        parent.send(1)

    with alarm(send_a_job, 0.02):
        assert parent.port.next(5) is not None


def test_an_exception_of_a_signal_handler_ends_the_wait(parent: Parent) -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(3)

    with alarm(leave, 0.02), pytest.raises(SystemExit):
        parent.port.next()


def test_a_fork_of_the_executor_cannot_use_its_port(parent: Parent) -> None:
    child = os.fork()
    if child == 0:
        try:
            parent.port.next(0)
        except RuntimeError as error:
            said = str(error)
            os._exit(0 if str(os.getpid()) in said and str(os.getppid()) in said else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
