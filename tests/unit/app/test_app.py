"""The app: its settings, its connections, its place among others."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

import fastq
from fastq import FastQ, current_app, current_task
from fastq.app import current
from fastq.exceptions import ImproperlyConfigured
from tests.unit.app.conftest import Recorder, StateKept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _state() -> Iterator[None]:
    with StateKept():
        yield


def test_every_public_name_is_there() -> None:
    for name in fastq.__all__:
        assert getattr(fastq, name) is not None, name
    assert set(fastq.__all__) <= set(dir(fastq))
    with pytest.raises(AttributeError, match="nothing"):
        fastq.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_nothing_of_it() -> None:
    import subprocess

    code = "import sys, fastq; print([name for name in sys.modules if name.startswith('fastq.')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_ids_are_new_every_time() -> None:
    assert len({fastq.uuid() for _ in range(100)}) == 100
    assert len(fastq.uuid()) == 36


def test_settings_are_given_by_keyword(tmp_path: Path) -> None:
    app = FastQ("shop", broker="memory://", backend="disabled://", include="tasks", task_time_limit=5.0)
    assert app.conf.broker_url == "memory://"
    assert app.conf.result_backend == "disabled://"
    assert list(app.conf.include) == ["tasks"]
    assert app.conf.task_time_limit == 5.0
    assert FastQ(changes={"task_time_limit": 6.0}).conf.task_time_limit == 6.0


def test_a_source_is_read_when_a_setting_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastQ()
    app.config_from_object("shop_settings")
    assert not app.configured
    module = ModuleType("shop_settings")
    module.task_serializer = "yaml"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_settings", module)
    assert app.conf.task_serializer == "yaml"
    assert app.configured


def test_a_source_that_does_not_exist_is_an_error_unless_silent() -> None:
    app = FastQ(config_source="no_such_settings")
    with pytest.raises(ImportError):
        _ = app.conf
    assert FastQ(config_source="no_such_settings", config_source_silent=True).conf.task_serializer == "json"
    with pytest.raises(ImportError):
        FastQ().config_from_object("no_such_settings", force=True)


def test_what_the_program_sets_is_stronger_than_a_later_source() -> None:
    app = FastQ(task_serializer="pickle")
    app.conf.task_time_limit = 3.0
    app.config_from_object({"task_serializer": "yaml", "task_time_limit": 9.0, "task_soft_time_limit": 2.0})
    assert (app.conf.task_serializer, app.conf.task_time_limit, app.conf.task_soft_time_limit) == ("pickle", 3.0, 2.0)


def test_a_namespace_marks_what_is_a_setting() -> None:
    app = FastQ(namespace="FQ")
    app.config_from_object({"FQ_TASK_SERIALIZER": "yaml", "OTHER": 1})
    assert app.conf.task_serializer == "yaml"


def test_a_variable_of_the_environment_may_name_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop_settings")
    module.task_serializer = "yaml"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_settings", module)
    monkeypatch.setenv("SHOP_SETTINGS", "shop_settings")
    app = FastQ()
    assert app.config_from_envvar("SHOP_SETTINGS") is True
    assert app.conf.task_serializer == "yaml"
    assert FastQ().config_from_envvar("NO_SUCH_VARIABLE", silent=True) is False
    with pytest.raises(ImproperlyConfigured, match="NO_SUCH_VARIABLE"):
        FastQ().config_from_envvar("NO_SUCH_VARIABLE")


def test_defaults_of_the_app_are_weaker_than_settings() -> None:
    app = FastQ(task_time_limit=1.0)
    app.add_defaults(lambda: {"task_time_limit": 5.0, "task_soft_time_limit": 5.0})
    assert (app.conf.task_time_limit, app.conf.task_soft_time_limit) == (1.0, 5.0)
    app.add_defaults({"task_serializer": "yaml"})
    assert app.conf.task_serializer == "yaml"


def test_arguments_of_the_command_line_are_settings() -> None:
    app = FastQ()
    app.config_from_cmdline(["worker_prefetch_multiplier=3", ".max_tasks_per_child=7"])
    assert (app.conf.worker_prefetch_multiplier, app.conf.worker_max_tasks_per_child) == (3, 7)


def test_reading_the_settings_is_told_before_and_after() -> None:
    app = FastQ()
    told: list[Any] = []

    def before(sender: Any, **_: Any) -> None:
        told.append("before")
        sender.config_from_object({"task_serializer": "yaml"})

    def after(sender: Any, source: Any, **_: Any) -> None:
        told.append(source.task_serializer)

    app.on_configure.connect(before)
    app.on_after_configure.connect(after)
    _ = app.conf, app.conf
    assert told == ["before", "yaml"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("first_use", [lambda app: app.conf, lambda app: app.tasks], ids=["settings", "tasks"])
def test_a_child_forked_during_the_first_use_by_a_thread_does_not_wait_for_that(first_use: Any) -> None:
    app = FastQ("shop", set_as_current=False)
    parent, begun, go_on = os.getpid(), threading.Event(), threading.Event()

    def hold(**_: Any) -> None:
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(20)

    app.on_configure.connect(hold, weak=False)
    app.on_after_finalize.connect(hold, weak=False)
    thread = threading.Thread(target=first_use, args=(app,))
    thread.start()
    assert begun.wait(20)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the child, should it wait
        signal.alarm(10)
        app.finalize()
        os._exit(0 if app.conf.timezone else 1)
    go_on.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_time_of_the_app_is_in_its_zone() -> None:
    assert FastQ().now().utcoffset() == FastQ(timezone="UTC").now().utcoffset()
    assert FastQ().uses_utc_timezone()
    paris = FastQ(timezone="Europe/Paris")
    assert paris.now().utcoffset() == datetime.now(ZoneInfo("Europe/Paris")).utcoffset()
    assert not paris.uses_utc_timezone()


def test_closing_lets_the_producer_go_and_it_comes_back() -> None:
    closed: list[str] = []

    class Closing(Recorder):
        def close(self) -> None:
            closed.append("producer")

    with FastQ(broker="memory://", backend="disabled://") as app:
        app.producer = Closing()
        app.send_task("job")
    assert closed == ["producer"]
    assert app.closed
    assert not isinstance(app.producer, Closing)


def test_a_broker_that_is_unknown_is_an_error_that_names_it() -> None:
    app = FastQ(broker="nonsense://host", backend="disabled://")
    with pytest.raises(Exception, match="nonsense"):
        app.send_task("job")


def test_sending_to_a_real_queue_makes_it_longer(tmp_path: Path) -> None:
    with FastQ(broker=f"sqlite:///{tmp_path}/q.db", backend="disabled://") as app:
        app.send_task("job", queue="one")
        app.send_task("job", queue="two", countdown=1000)
        found = {depth["queue"]: (depth["ready"], depth["delayed"]) for depth in app.producer.depths()}  # type: ignore[attr-defined]
    assert found == {"one": (1, 0), "two": (0, 1)}


def test_the_current_app_is_made_when_there_is_none() -> None:
    current._Process.current = current._Process.default = None
    assert current_app.main == "default"
    assert not current_task
    chosen = FastQ("chosen", set_as_current=False)
    chosen.set_default()
    assert current_app.main == "chosen"


def test_queues_can_be_chosen() -> None:
    app = FastQ()
    app.select_queues(["a", "b"])
    assert list(app.queues.consume_from) == ["a", "b"]


def test_an_app_and_its_tasks_say_who_they_are() -> None:
    app = FastQ("shop")

    @app.task(name="job")
    def job() -> None: ...

    assert repr(app).startswith("<FastQ shop at 0x")
    assert repr(job).startswith("<@task: job of shop at 0x")


def test_reading_all_settings_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FastQ().conf.humanize(with_defaults=True)


def test_an_app_keeps_its_files_whatever_becomes_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = FastQ("shop", broker="sqlite:///queue.db", set_as_current=False)
    app.add_defaults({"broker_read_url": "sqlite:///read.db"})

    @app.task(backend="sqlite:///own.db")
    def report() -> None:
        """Have results of its own."""

    monkeypatch.chdir("/")

    assert app.conf.broker_url == f"sqlite:///{tmp_path}/queue.db"
    assert app.conf.broker_read_url == f"sqlite:///{tmp_path}/read.db"
    assert app.backend.url == f"sqlite:///{tmp_path}/queue.db"
    assert report.backend.url == f"sqlite:///{tmp_path}/own.db"


def test_calls_before_and_after_a_change_of_directory_reach_one_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    app = FastQ("shop", set_as_current=False)
    app.send_task("shop.add")
    app.close()
    monkeypatch.chdir("below")
    app.send_task("shop.add")

    assert (tmp_path / ".fastq/queue.db").exists()
    assert list((tmp_path / "below").iterdir()) == []
    app.close()


def test_arguments_and_attributes_that_name_no_setting_are_remembered() -> None:
    app = FastQ("shop", brokr="x", set_as_current=False)
    app.conf.wrker_concurrency = 3
    app.config_from_cmdline(["foo=bar"])

    assert app.conf.unknown == {"brokr": "broker_url", "foo": None, "wrker_concurrency": "worker_concurrency"}
