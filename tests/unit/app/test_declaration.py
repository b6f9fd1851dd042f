"""Declaring tasks, naming them, binding them."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, Task, current_app, shared_task
from fastq.app.task import AsyncTask
from fastq.exceptions import DuplicateTaskNameWarning, ImproperlyConfigured, NotRegistered

if TYPE_CHECKING:
    from tests.unit.app.conftest import Recorder


def test_a_task_is_a_task_from_the_moment_it_is_declared(app: FastQ) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        """Add."""
        return x + y

    assert isinstance(add, Task)
    assert add is app.tasks[add.name]
    assert add(1, 2) == 3
    assert add.__doc__ == "Add."
    assert add.__wrapped__(2, 3) == 5  # type: ignore[attr-defined]


def test_declaring_a_task_reads_no_settings() -> None:
    app = FastQ("lazy", set_as_current=False)

    @app.task
    def job() -> None: ...

    assert app._conf is None
    assert not app.finalized


def test_a_task_that_is_not_lazy_is_bound_at_once(app: FastQ) -> None:
    bound: list[str] = []

    class Noticing(Task[..., Any]):
        @classmethod
        def on_bound(cls, app: Any) -> None:
            bound.append(cls.name)

    @app.task(base=Noticing, lazy=False, name="eager")
    def eager() -> None: ...

    @app.task(base=Noticing, name="lazy")
    def lazy() -> None: ...

    assert bound == ["eager"]
    app.finalize()
    assert sorted(bound) == ["eager", "lazy"]


def test_the_name_of_the_app_stands_for_main(app: FastQ) -> None:
    assert app.gen_task_name("add", "__main__") == "shop.add"
    assert app.gen_task_name("add", "package.module") == "package.module.add"
    assert FastQ(set_as_current=False).gen_task_name("add", "__main__") == "__main__.add"


def test_names_may_be_made_another_way() -> None:
    class Short(FastQ):
        def gen_task_name(self, name: str, module: str) -> str:
            return name

    app = Short(set_as_current=False)

    @app.task
    def add() -> None: ...

    assert add.name == "add"


def test_a_bound_task_gets_itself_first(app: FastQ) -> None:
    @app.task(bind=True)
    def who(self: Task[..., Any], x: int) -> tuple[str, int]:
        return self.name, x

    assert who(1) == (who.name, 1)


def test_options_become_attributes(app: FastQ) -> None:
    @app.task(max_retries=7, colour="red", acks_late=False)
    def job() -> None: ...

    assert (job.max_retries, job.colour, job.acks_late) == (7, "red", False)  # type: ignore[attr-defined]


def test_attributes_that_nobody_set_are_settings(app: FastQ) -> None:
    class Base(Task[..., Any]):
        acks_late = False

    class Undone(Base):
        acks_late = None

    @app.task(base=Undone, serializer=None)
    def job() -> None: ...

    assert job.acks_late is True
    assert job.serializer == "json"
    app.conf.task_serializer = "pickle"
    assert job.serializer == "pickle"
    assert Task.acks_late is None


def test_declaring_a_function_again_returns_the_task_there_is(app: FastQ) -> None:
    def job() -> None: ...

    assert app.task(job) is app.task(job)


def test_two_functions_of_one_name_are_warned_of(app: FastQ) -> None:
    @app.task(name="job")
    def first() -> None: ...

    with pytest.warns(DuplicateTaskNameWarning, match=r"job is taken by .*first"):

        @app.task(name="job")
        def second() -> None: ...

    assert second is first


def test_a_function_may_be_given_beside_its_options(app: FastQ) -> None:
    def job(task: Task[..., object]) -> str:
        return task.name

    declared = app.task(job, bind=True, name="shop.job", max_retries=7)
    shared = shared_task(job, bind=True, name="shop.shared")

    assert (declared.name, declared.max_retries, declared()) == ("shop.job", 7, "shop.job")
    assert app.tasks["shop.shared"]() == shared() == "shop.shared"


def test_positional_arguments_are_no_options(app: FastQ) -> None:
    with pytest.raises(TypeError, match="keyword arguments"):
        app.task("name")  # type: ignore[call-overload]


def test_a_class_is_registered_as_the_task_it_makes(app: FastQ, recorder: Recorder) -> None:
    class Add(app.Task):  # type: ignore[name-defined,misc]
        def run(self, x: int, y: int) -> int:
            return x + y

    add = app.register_task(Add)
    assert add.name == f"{__name__}.Add"
    assert add(1, 2) == 3
    add.delay(1, y=2)
    assert recorder.last.body[:2] == [[1], {"y": 2}]
    with pytest.raises(TypeError, match=r"Add\(\) missing 1 required"):
        add.delay(1)


def test_a_class_without_run_says_so(app: FastQ) -> None:
    empty = app.register_task(Task, name="empty")
    with pytest.raises(NotImplementedError, match="run"):
        empty()


def test_a_coroutine_function_is_a_task_whose_call_is_a_coroutine(app: FastQ) -> None:
    import asyncio

    @app.task(bind=True)
    async def job(self: Task[..., Any], x: int) -> tuple[int, bool]:
        return x, self.request.called_directly

    assert isinstance(job, AsyncTask)
    assert asyncio.run(job(2)) == (2, True)


def test_a_shared_task_is_in_every_app(app: FastQ) -> None:
    before = FastQ("before", set_as_current=False)
    before.finalize()

    @shared_task(name="shared", max_retries=9)
    def job(x: int) -> int:
        return x

    after = FastQ("after", set_as_current=False)
    for each in (before, app, after):
        assert each.tasks["shared"].app is each
        assert each.tasks["shared"].max_retries == 9
    assert job.app is app
    after.set_current()
    assert job.app is after
    assert job(3) == 3


def test_shared_tasks_are_checked_like_others(app: FastQ) -> None:
    @shared_task
    def job(x: int) -> int:
        return x

    with pytest.raises(TypeError, match="missing 1 required"):
        job.delay()  # type: ignore[call-arg]


def test_an_app_that_is_not_finalized_by_itself_says_so() -> None:
    app = FastQ(autofinalize=False, set_as_current=False)
    with pytest.raises(RuntimeError, match="finalize"):
        _ = app.tasks
    app.finalize()
    assert "celery.backend_cleanup" in app.tasks


def test_finalizing_is_told_once(app: FastQ) -> None:
    told: list[Any] = []

    def tell(sender: Any, **_: Any) -> None:
        told.append(sender)

    app.on_after_finalize.connect(tell)
    app.finalize()
    app.finalize()
    assert told == [app]


def test_an_unknown_task_is_not_registered(app: FastQ) -> None:
    with pytest.raises(NotRegistered, match="nothing"):
        app.tasks["nothing"]
    with pytest.raises(NotRegistered):
        app.tasks.unregister("nothing")


def test_a_task_can_be_unregistered(app: FastQ) -> None:
    @app.task
    def job() -> None: ...

    app.tasks.unregister(job)
    assert job.name not in app.tasks


def test_a_pickled_task_is_found_by_name(app: FastQ) -> None:
    @app.task(name="job")
    def job() -> None: ...

    assert pickle.loads(pickle.dumps(job)) is job


def test_a_base_class_for_all_tasks_of_an_app() -> None:
    class Loud(Task[..., Any]):
        volume = 11

    app = FastQ(task_cls=Loud, set_as_current=False)

    @app.task
    def job() -> None: ...

    assert job.volume == 11  # type: ignore[attr-defined]


def test_arguments_are_loose_where_the_app_is(recorder: Recorder) -> None:
    app = FastQ("loose", strict_typing=False, set_as_current=False)
    app.producer = recorder

    @app.task
    def job(x: int) -> None: ...

    job.apply_async((1, 2))
    assert len(recorder.messages) == 1


def test_annotations_set_attributes_of_tasks(app: FastQ) -> None:
    class Fast:
        def annotate(self, task: Task[..., Any]) -> dict[str, Any] | None:
            return {"colour": "blue"} if task.name == "job" else None

    app.conf.task_annotations = [{"*": {"max_retries": 9}, "job": {"rate_limit": "5/s"}}, Fast()]

    @app.task(name="job")
    def job() -> None: ...

    app.finalize()
    assert (job.max_retries, job.rate_limit, job.colour) == (9, "5/s", "blue")  # type: ignore[attr-defined]


def test_an_annotation_may_wrap_a_method(app: FastQ) -> None:
    def doubled(method: Any) -> Any:
        return lambda *args, **kwargs: 2 * method(*args, **kwargs)

    app.conf.task_annotations = {"job": {"@run": doubled}}

    @app.task(name="job")
    def job(x: int) -> int:
        return x

    app.finalize()
    assert job(4) == 8


@pytest.mark.parametrize("name", ["Strategy", "Request"])
def test_python_classes_on_the_way_of_a_message_are_refused(app: FastQ, name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"Task shop.add: {name} cannot be set"):
        app.task(name="shop.add", **{name: "my.module:Class"})(lambda: None)


def test_a_task_may_store_its_results_elsewhere(app: FastQ) -> None:
    class Elsewhere(Task[..., Any]):
        backend = "memory://elsewhere"  # type: ignore[assignment]

    inherited = app.task(base=Elsewhere)(lambda: 1)
    own = app.task(name="own", backend="memory://own")(lambda: 1)
    assert (inherited.backend.url, own.backend.url) == ("memory://elsewhere", "memory://own")
    assert own.backend is own.backend is own.AsyncResult("id-1").backend
    assert app.task(name="plain")(lambda: 1).backend is app.backend


def test_modules_are_discovered_when_the_worker_imports_its_own(app: FastQ, monkeypatch: Any) -> None:
    package, tasks = ModuleType("found"), ModuleType("found.tasks")
    package.__path__ = []  # type: ignore[attr-defined]
    asked: list[str] = []

    def packages() -> list[str]:
        asked.append("asked")
        return ["found"]

    monkeypatch.setitem(sys.modules, "found", package)
    monkeypatch.setitem(sys.modules, "found.tasks", tasks)
    app.autodiscover_tasks(packages)
    assert asked == []
    app.import_default_modules()
    assert asked == ["asked"]
    app.autodiscover_tasks(["found"], force=True)
    with pytest.raises(ModuleNotFoundError):
        app.autodiscover_tasks(["no_such_package"], force=True)


def test_modules_of_the_settings_are_imported(app: FastQ, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "chosen", ModuleType("chosen"))
    app.conf.include = ["chosen"]
    app.conf.imports = ["no_such_module"]
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        app.import_default_modules()


def test_the_current_app_is_the_one_made_last(app: FastQ) -> None:
    assert current_app.main == "shop"
    other = FastQ("other")
    assert current_app.main == "other"
    app.set_current()
    assert current_app == app
    assert other.main == "other"


def test_a_thread_sees_the_current_app_of_its_process(app: FastQ) -> None:
    import threading

    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(current_app.main))
    thread.start()
    thread.join()
    assert seen == ["shop"]


def test_a_class_may_name_settings_of_its_own(app: FastQ) -> None:
    class Billed(Task[..., Any]):
        abstract = True
        from_config = (*Task.from_config, ("account", "billing_account"), ("rate", "billing_rate"))
        rate = 5

    app.conf["billing_account"] = "main"
    app.conf["billing_rate"] = 7
    job: Any = app.task(base=Billed, name="job")(lambda: None)
    own: Any = app.task(base=Billed, name="own", account="mine")(lambda: None)
    assert (job.account, own.account, job.rate, job.serializer) == ("main", "mine", 5, "json")
    app.conf["billing_account"] = "other"
    assert job.account == "other"
