"""Signals: who is told what."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest

from fastq import signals
from fastq.proxy import Promise
from fastq.signals import Signal


class Sender:
    def __init__(self, name: str = "") -> None:
        self.name = name


@pytest.fixture
def signal() -> Signal:
    return Signal("test", ("value",))


@pytest.fixture
def heard(signal: Signal) -> list[Any]:
    found: list[Any] = []

    def receiver(**named: Any) -> str:
        found.append(named.get("value"))
        return "answer"

    signal.connect(receiver, weak=False)
    return found


def test_a_receiver_is_called_with_signal_sender_and_arguments(signal: Signal) -> None:
    calls: list[dict[str, Any]] = []

    @signal.connect(weak=False)
    def receiver(**named: Any) -> None:
        calls.append(named)

    signal.send("me", value=1)

    assert calls == [{"signal": signal, "sender": "me", "value": 1}]


def test_a_signal_is_false_until_someone_listens(signal: Signal) -> None:
    assert not signal
    assert signal.send("me") == []

    @signal.connect
    def receiver(**_: Any) -> None: ...

    assert signal
    assert signal.has_listeners()


def test_sending_returns_what_the_receivers_answer(signal: Signal, heard: list[Any]) -> None:
    ((_, answer),) = signal.send("me", value=2)

    assert answer == "answer"
    assert heard == [2]


def test_an_exception_of_a_receiver_is_logged_and_returned(signal: Signal, caplog: pytest.LogCaptureFixture) -> None:
    @signal.connect
    def broken(**_: Any) -> None:
        raise ValueError("oh")

    with caplog.at_level(logging.ERROR):
        ((receiver, answer),) = signal.send("me")

    assert receiver is broken
    assert isinstance(answer, ValueError)
    assert "oh" in caplog.text


def test_a_system_exit_of_a_receiver_is_raised(signal: Signal) -> None:
    @signal.connect
    def leave(**_: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        signal.send("me")


def test_a_receiver_that_takes_no_unknown_arguments_is_refused(signal: Signal) -> None:
    with pytest.raises(ValueError, match=r"must accept keyword arguments"):
        signal.connect(lambda sender: None)


def test_a_receiver_hears_only_the_sender_it_asked_for(signal: Signal) -> None:
    wanted, other, calls = Sender(), Sender(), []
    signal.connect(lambda sender, **_: calls.append(sender), sender=wanted, weak=False)

    signal.send(other)
    signal.send(wanted)

    assert calls == [wanted]
    assert signal.has_listeners(wanted)
    assert not signal.has_listeners(other)


@pytest.mark.parametrize("sender", ["shop.add", Sender("shop.add")])
def test_a_sender_given_as_text_is_that_text_or_a_task_of_that_name(signal: Signal, sender: Any) -> None:
    calls = []
    signal.connect(lambda **_: calls.append(1), sender="shop.add", weak=False)

    signal.send(sender)
    signal.send("shop.other")

    assert calls == [1]


def test_a_dead_sender_is_never_taken_for_a_new_one(signal: Signal) -> None:
    calls = []
    sender = Sender()
    signal.connect(lambda **_: calls.append(1), sender=sender, weak=False)

    del sender
    gc.collect()
    for _ in range(100):
        signal.send(Sender())
    signal.send(None)

    assert calls == []


def test_a_task_that_is_not_made_yet_is_waited_for(signal: Signal) -> None:
    sender, calls = Sender(), []
    promise: Promise[Sender] = Promise(lambda: sender)
    signal.connect(lambda **_: calls.append(1), sender=promise, weak=False)
    assert not signal

    assert promise.name == ""  # it is made at first use
    signal.send(sender)

    assert calls == [1]


def test_a_receiver_nobody_holds_is_forgotten(signal: Signal) -> None:
    def receiver(**_: Any) -> None: ...

    signal.connect(receiver)
    del receiver
    gc.collect()

    assert not signal


def test_a_bound_method_lives_as_long_as_its_object(signal: Signal) -> None:
    class Listener:
        def hear(self, **_: Any) -> str:
            return "heard"

    listener = Listener()
    signal.connect(listener.hear)
    assert [answer for _, answer in signal.send("me")] == ["heard"]

    del listener
    gc.collect()

    assert not signal


def test_a_receiver_is_connected_once(signal: Signal, heard: list[Any]) -> None:
    def receiver(**_: Any) -> None: ...

    signal.connect(receiver)
    signal.connect(receiver)

    assert len(signal.receivers) == 2


def test_two_receivers_of_one_uid_are_connected_once(signal: Signal) -> None:
    signal.connect(lambda **_: 1, weak=False, dispatch_uid="once")
    signal.connect(lambda **_: 2, weak=False, dispatch_uid="once")

    assert [answer for _, answer in signal.send("me")] == [1]
    assert signal.disconnect(dispatch_uid="once")
    assert not signal


def test_a_disconnected_receiver_is_not_called(signal: Signal) -> None:
    def receiver(**_: Any) -> None: ...

    signal.connect(receiver, sender="me")

    assert not signal.disconnect(receiver)
    assert signal.disconnect(receiver, sender="me")
    assert not signal


def test_a_receiver_with_retry_is_tried_again(signal: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_RETRY_PAUSES", (0.0, 0.0))
    tries = []

    @signal.connect(retry=True)
    def receiver(**_: Any) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError
        return "at last"

    assert [answer for _, answer in signal.send("me")] == ["at last"]


def test_all_signals_of_celery_exist_and_are_listed() -> None:
    found = {name for name, value in vars(signals).items() if isinstance(value, Signal)}

    assert found == set(signals.__all__) - {"Signal"}
    assert len(found) == 36  # 34 of celery.signals and the camera's two
    assert all(getattr(signals, name).name == name for name in found)
