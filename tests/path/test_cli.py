"""The commands, as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import TaskRevokedError
from tests.path.conftest import SHOP
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastq import FastQ
    from tests.support.worker import RunningWorker

CLONE = Path(__file__).resolve().parents[2]

WHATEVER_THE_BROKER = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what no broker has a say in: once is enough."""


class Shell:
    """Runs `fastq` on the broker of a test."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(CLONE),
            "FASTQ_APP": SHOP,
            "FASTQ_BROKER_URL": url,
            "FASTQ_RESULT_BACKEND": url,
        }

    def __call__(self, *arguments: str, code: int = 0, given: str = "", **environment: str) -> str:
        """Return what a command prints; its exit code must be `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "fastq", *arguments],
            cwd=self._folder,
            env={**self._environment, **environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def fastq(tmp_path: Path, database_url: str) -> Shell:
    """Return the command."""
    return Shell(tmp_path, database_url)


def test_a_call_waits_for_its_result(fastq: Shell, worker: RunningWorker) -> None:
    assert fastq("call", "add", "--args", "[2, 3]", "--wait") == "5\n"
    assert fastq("call", "shop.add", "-k", '{"x": 1, "y": 2}', "--timeout", "20") == "3\n"


def test_a_call_that_fails_says_so_and_exits_1(fastq: Shell, worker: RunningWorker) -> None:
    assert "is FAILURE: ValueError: no luck" in fastq("call", "wrong", "--wait", code=1)


def test_a_call_of_a_task_whose_result_is_not_kept_does_not_wait(fastq: Shell, tmp_path: Path) -> None:
    printed = fastq("call", "ignored", "-a", f'["{tmp_path}/file"]', "--wait")
    assert "Its result is not kept (ignore_result), so there is nothing to wait for" in printed


def test_integers_beyond_64_bits_come_back_as_they_were_sent(fastq: Shell, worker: RunningWorker) -> None:
    big = 2**70
    assert fastq("call", "add", "-a", f"[{big}, 1]", "--wait") == f"{big + 1}\n"
    assert fastq.json("call", "add", "-a", f"[{big}, 2]", "--wait")["result"] == big + 2


@WHATEVER_THE_BROKER
def test_a_call_that_has_expired_already_is_warned_of_in_a_line(fastq: Shell) -> None:
    printed = fastq("call", "add", "-a", "[1, 2]", "--expires", "2020-01-01T00:00:00")
    assert "expire" in printed
    assert "warnings.warn" not in printed
    assert printed.count("\n") == 2


def test_a_call_nobody_answers_tells_how_to_ask_later(fastq: Shell) -> None:
    assert "fastq result " in fastq("call", "add", "-a", "[1, 2]", "--timeout", "0.1", code=75)


def test_the_result_of_an_id_is_shown_once_it_is_there(fastq: Shell, worker: RunningWorker) -> None:
    task_id = fastq("call", "add", "-a", "[1, 2]").strip()
    assert fastq("result", task_id, "--wait") == "3\n"
    assert fastq.json("result", task_id)["state"] == "SUCCESS"


def test_a_failure_is_shown_with_its_traceback_when_asked(client: FastQ, fastq: Shell, worker: RunningWorker) -> None:
    result = client.send_task("shop.wrong")
    result.get(timeout=20, propagate=False)
    done = subprocess.run(
        [sys.executable, "-m", "fastq", "result", result.id, "--traceback"],
        env=fastq._environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "in wrong" in done.stdout
    assert done.stderr == f"Error: Task {result.id} is FAILURE: ValueError: no luck\n"


def test_an_unknown_result_is_pending(fastq: Shell) -> None:
    assert "Task nope is PENDING" in fastq("result", "nope", code=75)


def test_status_shows_the_workers_and_fails_without_one(
    fastq: Shell, start_worker: Callable[..., RunningWorker]
) -> None:
    assert "No worker is alive" in fastq("status", code=69)
    worker = start_worker(SHOP, ("-c", "1", "-n", "packer@%h"))
    (found,) = fastq.json("status")
    assert (found["pid"], found["alive"], found["queues"]) == (worker.pid, True, ["celery"])
    assert found["node"].startswith("packer@")
    assert "packer@" in fastq("status")
    assert worker.stop() == 0
    assert "No worker is alive" in fastq("status", code=69)


def test_queues_shows_what_waits_where(client: FastQ, fastq: Shell) -> None:
    assert "There are no queues yet" in fastq("queues")
    client.send_task("shop.add", (1, 2))
    client.send_task("shop.add", (1, 2), countdown=600)
    client.send_task("shop.add", (1, 2), queue="mail")
    found = {depth["queue"]: (depth["ready"], depth["delayed"]) for depth in fastq.json("queues")}
    # On Redis it lies where Celery's workers take it from, until a worker takes it and puts it aside.
    delayed = (2, 0) if client.conf.broker_url.startswith("redis") else (1, 1)
    assert found == {"celery": delayed, "mail": (1, 0)}
    assert fastq("queues").splitlines()[0].split() == ["queue", "ready", "in", "flight", "delayed", "dead"]


def test_purge_asks_and_erases(client: FastQ, fastq: Shell) -> None:
    for _ in range(3):
        client.send_task("shop.add", (1, 2))
    assert "Nothing was done" in fastq("purge", given="n\n", code=1)
    assert "Erase 3 waiting messages in celery?" in fastq("purge", given="y\n")
    client.send_task("shop.add", (1, 2), queue="mail")
    assert fastq("purge", "-f", "-Q", "mail") == "mail: 1 message erased\n"


def test_tasks_are_revoked_and_terminated(client: FastQ, fastq: Shell, start_worker: Any, file: Any) -> None:
    unwanted = client.send_task("shop.note", (file("notes"), "unwanted"))
    assert fastq("control", "revoke", unwanted.id) == f"{unwanted.id}: revoked\n"
    worker = start_worker("tests.path.shop")
    running = client.send_task("shop.wait", (file("begun"), file("go on")))
    worker.wait_for_log("shop.wait")
    assert fastq.json("control", "terminate", "KILL", running.id) == {"terminated": [running.id]}
    for result in (unwanted, running):
        with pytest.raises(TaskRevokedError):
            result.get(timeout=20)
    assert fastq("control", "revoke_by_stamped_headers", "a=b") == "a=b: revoked\n"
    assert "There is no signal 'LOUD'" in fastq("control", "terminate", "LOUD", "1", code=64)
    assert "'a' is no stamp: write NAME=VALUE" in fastq("control", "revoke_by_stamped_headers", "a", code=64)


def test_dead_letters_are_listed_shown_put_back_and_dropped(client: FastQ, fastq: Shell, worker: RunningWorker) -> None:
    first, second = client.send_task("shop.nothing", (7,)), client.send_task("shop.never")
    letters = wait_for(lambda: found if len(found := fastq.json("dead", "list")) == 2 else None, "two dead letters")
    assert letters is not None
    assert {letter["task_name"] for letter in letters} == {"shop.nothing", "shop.never"}
    assert "shop.nothing" in fastq("dead", "list")
    assert json.loads(fastq("dead", "show", first.id))["body"][0] == [7]
    assert worker.stop() == 0
    assert fastq("dead", "requeue", first.id) == "1 message put back\n"
    assert fastq.json("queues")[0]["ready"] == 1
    assert fastq("dead", "drop", "-f", second.id) == "1 message erased\n"
    assert fastq("dead", "list") == "Nothing was set aside.\n"
    assert "ids as `fastq dead list` shows them, or --all" in fastq("dead", "requeue", code=64)


@WHATEVER_THE_BROKER
def test_report_shows_versions_and_hides_secrets(fastq: Shell, tmp_path: Path) -> None:
    (tmp_path / "secretive.py").write_text(
        "from fastq import FastQ\napp = FastQ('s', redis_password='hidden-thing', task_time_limit=7)\n"
    )
    printed = fastq("-A", "secretive", "report")
    assert "core version" in printed
    assert "task_time_limit" in printed
    assert "hidden-thing" not in printed
    assert json.loads(fastq("-A", "secretive", "report", "--json"))["app"]["name"] == "s"


@WHATEVER_THE_BROKER
def test_shell_has_the_app_and_its_tasks(fastq: Shell) -> None:
    printed = fastq("shell", "--python", given="print(app.main, add.name, add(2, 3))\n")
    assert "shop shop.add 5" in printed


@WHATEVER_THE_BROKER
def test_the_app_may_stand_after_the_command(fastq: Shell) -> None:
    assert "There are no queues yet" in fastq("queues", "-A", SHOP, FASTQ_APP="nothing.there")


@WHATEVER_THE_BROKER
def test_pyproject_names_the_app(fastq: Shell, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.fastq]\napp = "{SHOP}"\n')
    assert json.loads(fastq("report", "--json", FASTQ_APP=""))["app"]["name"] == "shop"


@WHATEVER_THE_BROKER
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-A", "not_there", "worker"), 1, "there is no module not_there in"),
        (("-b", "sqlite:////not/there/queue.db", "worker"), 1, "broker_url"),
        (("-b", "sqs://user:secret@host//", "worker"), 1, 'unknown scheme "sqs"'),
        (("-b", "redis://user:secret@host/one", "worker"), 1, "the path of a Redis URL is the number of a database"),
        (("--result-backend", "foo://x", "worker"), 1, "result_backend is 'foo://x'"),
        (("worker", "-P", "eventlet"), 1, "There is no eventlet pool: use -P prefork"),
        (("worker", "--processes", "2"), 1, "which means nothing to the prefork pool"),
        (("worker", "-X", "celery"), 1, "has no queue to take from"),
        (("worker", "--pidfile", "/not/there/pid"), 73, "Cannot write the pid file"),
        (("worker", "-f", "/not/there/log"), 73, "/not/there/log: No such file or directory"),
        (("worker", "--time-limit", "1", "--soft-time-limit", "2"), 1, "soft_time_limit (2 s) is above"),
        (("worker", "--", "worker_concurrency=many"), 1, "not 'many' (from -- worker_concurrency=many)"),
        (("worker", "-I", "no_such_module"), 1, "-I no_such_module: the module cannot be imported"),
        (("worker", "--pidfile", "/"), 73, "The pid file '/' is a directory"),
        (("worker", "-n", "a@b@c"), 1, "The node name 'a@b@c' (-n) cannot be used"),
    ],
)
def test_a_worker_that_cannot_start_says_why_in_one_line(
    fastq: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    printed = fastq("-q", *arguments, code=code)
    assert words in printed
    assert printed.count("\n") == 1
    assert "secret" not in printed


@WHATEVER_THE_BROKER
def test_names_that_are_no_settings_are_warned_of_when_a_worker_starts(
    start_worker: Callable[..., RunningWorker],
) -> None:
    worker = start_worker(SHOP, ("-c", "1", "--", "foo=bar"), {"FASTQ_WORKER_CONCURENCY": "4"})
    assert "There is no setting foo." in worker.log
    assert "no setting FASTQ_WORKER_CONCURENCY. Did you mean FASTQ_WORKER_CONCURRENCY?" in worker.log


@WHATEVER_THE_BROKER
def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(fastq: Shell, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear database, " * 100)
    printed = fastq("-q", "-b", f"sqlite:///{file}", "worker", code=1)
    assert "is not an SQLite database" in printed
    assert printed.count("\n") == 1
    assert file.read_text() == "Dear database, " * 100


@WHATEVER_THE_BROKER
def test_a_second_worker_with_the_same_pid_file_refuses_to_start(
    fastq: Shell, start_worker: Callable[..., RunningWorker], tmp_path: Path
) -> None:
    pidfile = tmp_path / "worker.pid"
    worker = start_worker(SHOP, ("-c", "1", "--pidfile", str(pidfile)))
    assert pidfile.read_text().strip() == str(worker.pid)
    assert f"held by process {worker.pid}" in fastq("-q", "worker", "--pidfile", str(pidfile), code=73)
    assert worker.stop() == 0
    assert not pidfile.exists()


@WHATEVER_THE_BROKER
def test_each_child_may_have_a_log_file_of_its_own(
    client: FastQ, start_worker: Callable[..., RunningWorker], tmp_path: Path
) -> None:
    worker = start_worker(SHOP, ("-c", "1"))
    assert worker.stop() == 0
    done = subprocess.Popen(
        [sys.executable, "-m", "fastq", "-q", "-A", SHOP, "worker", "-c", "1", "-f", str(tmp_path / "log%I.txt")],
        cwd=tmp_path,
        env={**worker._environment},
    )
    try:
        client.send_task("shop.speak", ("hello",)).get(timeout=20)
        assert "logged hello" in wait_for((tmp_path / "log-1.txt").read_text, "the child's log")
        assert "logged hello" not in (tmp_path / "log.txt").read_text()
    finally:
        done.terminate()
        assert done.wait(20) == 0


@WHATEVER_THE_BROKER
def test_the_demo_indexes_a_folder_and_ends_by_itself(fastq: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "good.py").write_text("import os\nprint(os.sep, os.name)\n")
    (folder / "bad.py").write_text("x = (1\n")
    (folder / "empty.py").write_text("")
    printed = fastq("demo", str(folder))
    assert "files           3 (1 of them no valid Python)" in printed
    assert "lines           3" in printed
    assert "os 3" in printed
    assert "p50" in printed
    assert "What next" in printed
    assert f"{CLONE}/docs/quickstart.md" in printed


@WHATEVER_THE_BROKER
def test_a_demo_of_a_folder_without_python_says_so(fastq: Shell, tmp_path: Path) -> None:
    assert "There is no .py file in" in fastq("demo", str(tmp_path), code=1)
