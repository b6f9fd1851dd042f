"""The app whose stories are told here. Broker and results come from the environment, or from who imports it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fastq import FastQ, signals
from fastq.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from fastq.log import get_task_logger

app = FastQ("shop", set_as_current=False)
logger = get_task_logger(__name__)


@app.task(name="shop.add")
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


@app.task(name="shop.who")
def who() -> dict[str, int]:
    """Return the process and its parent."""
    return {"pid": os.getpid(), "nursery": os.getppid()}


@app.task(name="shop.note")
def note(file: str, word: str) -> None:
    """Write a line."""
    with Path(file).open("a", encoding="utf-8") as out:
        out.write(f"{word}\n")


@app.task(name="shop.ignored", ignore_result=True)
def ignored(file: str) -> int:
    """Return what nobody stores."""
    Path(file).touch()
    return 7


@app.task(name="shop.wait")
def wait(begun: str, go_on: str, word: str = "done") -> str:
    """Create one file, wait for another, and return the word."""
    Path(begun).touch()
    pause = threading.Event()
    while not Path(go_on).exists():
        pause.wait(0.01)
    return word


@app.task(name="shop.wait_early", acks_late=False)
def wait_early(begun: str, go_on: str) -> str:
    """Wait as above, acknowledged when it starts."""
    return wait(begun, go_on)


@app.task(name="shop.die")
def die(number: int = signal.SIGKILL) -> None:
    """Kill the process that runs this."""
    os.kill(os.getpid(), number)


@app.task(name="shop.die_early", acks_late=False)
def die_early() -> None:
    """Kill the process that runs this, acknowledged when it starts."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shop.die_once", bind=True)
def die_once(self: Any, file: str) -> dict[str, Any]:
    """Kill the process that runs this the first time."""
    if not Path(file).exists():
        Path(file).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"redelivered": self.request.delivery_info["redelivered"], "deaths": self.request.deaths}


@app.task(name="shop.flaky", bind=True, autoretry_for=(OSError,), retry_backoff=0.05, retry_jitter=False, max_retries=3)
def flaky(self: Any, fails: int) -> int:
    """Raise so many times, then return how often it was retried."""
    if self.request.retries < fails:
        raise OSError(f"try {self.request.retries}")
    return int(self.request.retries)


@app.task(name="shop.wrong")
def wrong() -> None:
    """Raise."""
    raise ValueError("no luck")


@app.task(name="shop.leave")
def leave() -> None:
    """Raise what ends a program."""
    raise SystemExit(3)


@app.task(name="shop.forget")
def forget() -> None:
    """Ask to be forgotten."""
    raise Ignore


@app.task(name="shop.refuse", bind=True)
def refuse(self: Any, requeue_once: bool = False) -> str:
    """Refuse the message: for good, or the first time."""
    if requeue_once and self.request.delivery_info["redelivered"]:
        return "taken the second time"
    raise Reject("not wanted", requeue=requeue_once)


@app.task(name="shop.too_long", time_limit=0.3)
def too_long() -> None:
    """Never end."""
    threading.Event().wait()


@app.task(name="shop.fork")
def fork(raises: bool = False) -> dict[str, int]:
    """Fork, and let the copy come back."""
    pid = os.fork()
    if pid == 0:
        if raises:
            raise ValueError("in the copy")
        return {"copy": 1}
    _, status = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(status)}


@app.task(name="shop.careful", soft_time_limit=0.2)
def careful() -> str:
    """End when the soft limit comes."""
    try:
        threading.Event().wait(20)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never interrupted"


@app.task(name="shop.patient", soft_time_limit=0.2)
def patient(begun: str) -> str:
    """Wait in short steps, and end when the soft limit comes."""
    Path(begun).touch()
    pause = threading.Event()
    try:
        while True:
            pause.wait(0.01)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task(name="shop.nap", soft_time_limit=0.2)
async def nap() -> str:
    """Await for long, and end when the soft limit comes."""
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        return "woken"
    return "slept"


@app.task(name="shop.endless", time_limit=0.3)
def endless(stop: str) -> None:
    """End when a file is there."""
    pause = threading.Event()
    while not Path(stop).exists():
        pause.wait(0.01)


@app.task(name="shop.await")
async def await_file(begun: str, go_on: str, word: str = "done") -> str:
    """Create one file, await another, and return the word."""
    Path(begun).touch()
    while not Path(go_on).exists():
        await asyncio.sleep(0.01)
    return word


@app.task(name="shop.sleep", bind=True)
async def sleep(self: Any, seconds: float) -> str:
    """Sleep, and return the id of the task that is current then."""
    await asyncio.sleep(seconds)
    return str(app.current_task.request.id)


@app.task(name="shop.sleepless", time_limit=0.3)
async def sleepless(ended: str) -> None:
    """Await for ever; say when that ends."""
    try:
        await asyncio.sleep(3600)
    finally:
        Path(ended).touch()


@app.task(name="shop.stubborn", time_limit=0.3)
async def stubborn(stop: str) -> None:
    """Do not end when cancelled."""
    while not Path(stop).exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            logger.warning("cancelled, and going on")


@app.task(name="shop.stuck", time_limit=0.3)
async def stuck() -> None:
    """Stop the event loop for ever: but for the tests' sake only once in a message's life."""
    await asyncio.sleep(0)
    threading.Event().wait()


@app.task(name="shop.child", bind=True)
async def child(self: Any, number: int) -> int:
    """Send a task from a coroutine, and fail the first time."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.05)
    await add.adelay(number, 1)
    return number


@app.task(name="shop.mail", rate_limit="10/s")
def mail(number: int) -> float:
    """Return when it ran."""
    return time.monotonic()


@app.task(name="shop.where")
def where() -> tuple[int, str]:
    """Return process and thread."""
    return os.getpid(), threading.current_thread().name


@app.task(name="shop.speak")
def speak(word: str) -> None:
    """Log and print."""
    logger.warning("logged %s", word)
    print("printed", word)
    sys.stderr.write(f"unfinished {word}")


@app.task(name="shop.big")
def big(size: int) -> str:
    """Return so many characters."""
    return "x" * size


@app.task(name="shop.progress", bind=True)
def progress(self: Any, begun: str, go_on: str) -> str:
    """Tell how far it is, wait, and return."""
    self.update_state(state="HALFWAY", meta={"done": 50})
    return wait(begun, go_on)


@app.task(name="shop.tidy")
def tidy(begun: str, tidied: str) -> None:
    """Wait in short steps, for ever; create a file in the end."""
    pause = threading.Event()
    try:
        Path(begun).touch()
        while True:
            pause.wait(0.01)
    except Exception:
        logger.exception("what ends a run is no error")
    finally:
        Path(tidied).touch()


@app.task(name="shop.tidy_later")
async def tidy_later(begun: str, tidied: str) -> None:
    """Await for ever; create a file in the end."""
    try:
        Path(begun).touch()
        await asyncio.sleep(3600)
    finally:
        Path(tidied).touch()


@signals.task_revoked.connect
def _say_revoked(request: Any, terminated: bool, signum: Any, expired: bool, **_named: Any) -> None:
    number = None if signum is None else int(signum)
    logger.info("revoked %s terminated=%s signum=%s expired=%s", request.id, terminated, number, expired)


def _tell(what: str, **_named: Any) -> None:
    """Write a line for a signal, when a file for it is named."""
    place = os.environ.get("SHOP_SIGNALS")
    if place:
        with Path(place).open("a", encoding="utf-8") as out:
            out.write(f"{what} {os.getpid()}\n")


def _teller(what: str) -> Any:
    def tell(**named: Any) -> None:
        _tell(what, **named)

    return tell


for _name in (
    "celeryd_init",
    "celeryd_after_setup",
    "worker_init",
    "worker_ready",
    "worker_shutting_down",
    "worker_shutdown",
    "worker_process_init",
    "worker_process_shutdown",
):
    getattr(signals, _name).connect(_teller(_name), weak=False)
