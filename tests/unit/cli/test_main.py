"""The command line as a whole: its list, its options, its errors."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import click
import pytest

from fastq.cli.failure import EXIT_CANNOT_CREATE, EXIT_FAILURE, EXIT_UNAVAILABLE, as_failure
from fastq.cli.main import COMMANDS, EXIT_USAGE, LATER, main
from fastq.exceptions import ImproperlyConfigured, LockFailed, OperationalError


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    code = left.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module(f"fastq.cli.{name}").command
    assert command.name == name
    assert run(name, "--help") == 0
    assert "Usage: fastq" in capsys.readouterr().out


def test_help_imports_nothing_but_the_command_line() -> None:
    code = (
        "import sys; from fastq.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = [n for n in ('rich', 'orjson', 'fastq._core', 'fastq.app', 'fastq.cli.worker') if n in sys.modules]\n"
        "sys.exit(','.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name, line in COMMANDS.items():
        assert name in done.stdout
        assert line.split()[0] in done.stdout


def test_an_unknown_command_is_answered_in_a_line_with_the_one_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("workr") == EXIT_USAGE
    assert capsys.readouterr().err == "Error: No such command 'workr'. Did you mean worker? See: fastq --help\n"


@pytest.mark.parametrize("name", LATER)
def test_a_command_of_another_version_is_answered_with_what_to_use(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--whatever") == EXIT_USAGE
    written = capsys.readouterr().err
    assert f"Error: `fastq {name}` is not part of this version. {LATER[name]}" in written
    assert written.count("\n") == 1
    assert run("--help") == 0
    assert f"\n  {name} " not in capsys.readouterr().out


def test_without_a_command_it_explains_itself_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == EXIT_USAGE
    assert "Commands:" in capsys.readouterr().err


def test_the_help_of_a_worker_tells_of_its_pools(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("worker", "--help") == 0
    assert "asyncio: many per process; threads; gevent; solo" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("fastq ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-D"], "--detach: not part of this version"),
        (["-E"], "events for monitors are not part"),
        (["-B"], "periodic tasks are not part"),
        (["-S", "file"], "--statedb: revoking tasks is not part"),
        (["--pool-start-method", "spawn"], "children are always forked"),
        (["--uid", "nobody"], "--uid: not part"),
        (["-c", "many"], "'many' is neither a number nor `auto`"),
        (["-c", "-1"], "-1 is not between 1 and 100000, and not `auto`"),
        (["-c", "0"], "0 is not between 1 and 100000, and not `auto`"),
        (["--time-limit", "-1"], "-1.0 is not in the range x>=0"),
        (["--stop-timeout", "-1"], "-1.0 is not in the range x>=0"),
        (["-Q", ","], "',' names nothing"),
        (["-I", ""], "'' names nothing"),
        (["-l", "loud"], "'loud' is not one of"),
        ([], "Which app?"),
    ],
)
def test_a_worker_option_that_does_not_work_is_refused_in_a_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("worker", *options) == EXIT_USAGE
    written = capsys.readouterr().err
    assert words in written
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", "[1,"], "is not JSON"),
        (["-a", '{"a": 1}'], "Write a list, such as"),
        (["-k", "[1]"], "Write an object, such as"),
        (["--eta", "5"], "for seconds use --countdown"),
        (["--eta", "tomorrow"], "neither a number of seconds nor a time"),
        (["--expires", "soon"], "neither a number of seconds nor a time"),
        (["--priority", "256"], "0<=x<=255"),
        (["-t", "-4"], "-4.0 is not in the range x>=0"),
        (["--countdown", "1", "--eta", "2030-01-01T00:00:00"], "not both"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_in_a_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("call", "shop.add", *arguments) == EXIT_USAGE
    written = capsys.readouterr().err
    assert words in written
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], "TASK_ID is empty"),
        (["x", "--timeout", "-1"], "-1.0 is not in the range x>=0"),
        (["x", "-t", "shop.nope"], "--task shop.nope: this app knows no such task."),
    ],
)
def test_a_question_for_a_result_that_makes_no_sense_is_refused_in_a_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("result", *arguments) == EXIT_USAGE
    written = capsys.readouterr().err
    assert words in written
    assert written.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rpc://user:secret@host/0", "--broker) is rpc://user:**@host/0, but this version has no rpc broker"),
        ("nonsense", "broker_url (set by --broker) cannot be used"),
    ],
)
def test_a_broker_that_cannot_be_used_is_named_with_its_setting_and_without_its_secret(
    url: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("-b", url, "queues") == EXIT_FAILURE
    written = capsys.readouterr().err
    assert words in written
    assert "secret" not in written


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OperationalError("not there"), EXIT_UNAVAILABLE, "not there"),
        (LockFailed("held"), EXIT_CANNOT_CREATE, "held"),
        (PermissionError(13, "Permission denied", "/log"), EXIT_CANNOT_CREATE, "/log: Permission denied."),
        (ImproperlyConfigured("two\nlines"), EXIT_FAILURE, "two lines"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(error: Exception, code: int, message: str) -> None:
    failure = as_failure(error)
    assert isinstance(failure, click.ClickException)
    assert (failure.exit_code, failure.message) == (code, message)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("count messages: the file in broker_url cannot be made", "The file in broker_url cannot be made"),
        ("publish: broker_url names no database", "broker_url names no database"),
        ("read results: broker_url names no database", "result_backend names no database"),
        ("begin a session: no file (os error 2)", "No file"),
        ("worker_pool: no such thing", "worker_pool: no such thing"),
        ("It is locked: try again", "It is locked: try again"),
    ],
)
def test_an_error_of_the_core_names_the_setting_and_not_what_it_was_about(message: str, words: str) -> None:
    failure = as_failure(OperationalError(message))
    assert failure is not None
    assert failure.message == words


def test_a_value_of_the_environment_is_blamed_on_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTQ_WORKER_CONCURRENCY", "abc")
    assert run("worker") == EXIT_USAGE
    assert "the environment variable FASTQ_WORKER_CONCURRENCY: 'abc' is neither" in capsys.readouterr().err


def test_a_module_of_settings_that_is_not_there_is_named_with_its_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--config", "no_such_config", "queues") == EXIT_USAGE
    assert "Error: --config no_such_config: No module named 'no_such_config'" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    assert as_failure(ZeroDivisionError()) is None
