"""Fixtures for pytest: an app in memory whose clock the test turns, and workers in a thread. Loaded by itself.

Celery's names are there beside fastq's and mean the same, so a suite that overrides `celery_config` keeps working.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from fastq import FastQ
    from fastq.contrib.testing import ThreadWorker

_WORKERS: Final = frozenset({"fastq_worker", "celery_worker"})
"""Fixtures that need the machine's clock."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    for name in ("fastq", "celery"):
        config.addinivalue_line("markers", f"{name}(**settings): settings of this test's {name}_app.")


# ------------------------------------------------------------------- to override


@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Return settings of the test's app; override it."""
    return {}


@pytest.fixture(scope="session")
def fastq_config(celery_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings of the test's app; override it."""
    return celery_config


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """Return arguments of the app's class, such as `strict_typing`; override it."""
    return {}


@pytest.fixture(scope="session")
def fastq_parameters(celery_parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments of the app's class, such as `strict_typing`; override it."""
    return celery_parameters


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Return modules that the worker imports; override it."""
    return ()


@pytest.fixture(scope="session")
def fastq_includes(celery_includes: Sequence[str]) -> Sequence[str]:
    """Return modules that the worker imports; override it."""
    return celery_includes


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """Return options of the worker, such as `queues`; override it."""
    return {}


@pytest.fixture(scope="session")
def fastq_worker_parameters(celery_worker_parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options of the worker, such as `queues`; override it."""
    return celery_worker_parameters


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """Return where the worker runs tasks; override it."""
    return "solo"


@pytest.fixture(scope="session")
def fastq_worker_pool(celery_worker_pool: str) -> str:
    """Return where the worker runs tasks; override it."""
    return celery_worker_pool


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Return whether the worker sets logging up; override it."""
    return False


@pytest.fixture(scope="session")
def fastq_enable_logging(celery_enable_logging: bool) -> bool:
    """Return whether the worker sets logging up; override it."""
    return celery_enable_logging


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[Any]:
    """Return tasks that are classes, to be registered in the app; override it."""
    return ()


@pytest.fixture(scope="session")
def fastq_class_tasks(celery_class_tasks: Sequence[Any]) -> Sequence[Any]:
    """Return tasks that are classes, to be registered in the app; override it."""
    return celery_class_tasks


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """Return whether code that asks for the current app, where it should know its own, is told off; override it."""
    return False


@pytest.fixture(scope="session")
def use_fastq_app_trap(use_celery_app_trap: bool) -> bool:
    """Return whether code that asks for the current app, where it should know its own, is told off; override it."""
    return use_celery_app_trap


# ------------------------------------------------------------------------ the app


@pytest.fixture
def fastq_app(
    request: pytest.FixtureRequest,
    fastq_config: Mapping[str, Any],
    fastq_parameters: Mapping[str, Any],
    fastq_includes: Sequence[str],
    fastq_class_tasks: Sequence[Any],
    use_fastq_app_trap: bool,
) -> Iterator[FastQ]:
    """Return an app of the test's own, in memory. Its clock is the test's to turn, unless the test has a worker."""
    marked: dict[str, Any] = {}
    for name in ("celery", "fastq"):
        for mark in reversed(list(request.node.iter_markers(name))):
            marked.update(mark.kwargs)
    settings = {**fastq_config, **marked}
    by_hand = not _WORKERS & set(request.fixturenames)
    with _app(settings, fastq_parameters, fastq_includes, fastq_class_tasks, by_hand, use_fastq_app_trap) as app:
        yield app


@pytest.fixture
def celery_app(fastq_app: FastQ) -> FastQ:
    """Return `fastq_app`."""
    return fastq_app


@pytest.fixture(scope="session")
def fastq_session_app(
    fastq_config: Mapping[str, Any],
    fastq_parameters: Mapping[str, Any],
    fastq_includes: Sequence[str],
    fastq_class_tasks: Sequence[Any],
    use_fastq_app_trap: bool,
) -> Iterator[FastQ]:
    """Return an app that all tests share, in memory, on the machine's clock."""
    with _app(fastq_config, fastq_parameters, fastq_includes, fastq_class_tasks, False, use_fastq_app_trap) as app:
        yield app


@pytest.fixture(scope="session")
def celery_session_app(fastq_session_app: FastQ) -> FastQ:
    """Return `fastq_session_app`."""
    return fastq_session_app


@pytest.fixture
def depends_on_current_app(fastq_app: FastQ) -> None:
    """Make the test's app the current one."""
    fastq_app.set_current()


@contextmanager
def _app(
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    includes: Sequence[str],
    class_tasks: Sequence[Any],
    by_hand: bool,
    trap: bool,
) -> Iterator[FastQ]:
    from fastq import FastQ
    from fastq.app import current
    from fastq.contrib.testing.use import hand_url
    from fastq.imports import import_from_cwd

    url = hand_url() if by_hand else hand_url().partition("?")[0]
    changes = {"broker_url": url, "result_backend": url, **settings}
    app = FastQ("fastq.tests", set_as_current=False, changes=changes, **parameters)
    with current.apart(None if trap else app):
        for module in includes:
            import_from_cwd(module)
        for task in class_tasks:
            app.register_task(task)
        if by_hand:
            _ = app.testing  # from here on it records
        try:
            yield app
        finally:
            app.close()


# ------------------------------------------------------------------------ workers


@pytest.fixture
def fastq_worker(
    fastq_app: FastQ,
    fastq_worker_pool: str,
    fastq_worker_parameters: Mapping[str, Any],
    fastq_enable_logging: bool,
) -> Iterator[ThreadWorker]:
    """Return a worker of `fastq_app` in a thread of this process; it stops at the end of the test."""
    with _started(fastq_app, fastq_worker_pool, fastq_worker_parameters, fastq_enable_logging) as worker:
        yield worker


@pytest.fixture
def celery_worker(fastq_worker: ThreadWorker) -> ThreadWorker:
    """Return `fastq_worker`."""
    return fastq_worker


@pytest.fixture(scope="session")
def fastq_session_worker(
    fastq_session_app: FastQ,
    fastq_worker_pool: str,
    fastq_worker_parameters: Mapping[str, Any],
    fastq_enable_logging: bool,
) -> Iterator[ThreadWorker]:
    """Return a worker of `fastq_session_app` in a thread of this process; it stops when all tests have run."""
    with _started(fastq_session_app, fastq_worker_pool, fastq_worker_parameters, fastq_enable_logging) as worker:
        yield worker


@pytest.fixture(scope="session")
def celery_session_worker(fastq_session_worker: ThreadWorker) -> ThreadWorker:
    """Return `fastq_session_worker`."""
    return fastq_session_worker


@contextmanager
def _started(app: FastQ, pool: str, parameters: Mapping[str, Any], logging: bool) -> Iterator[ThreadWorker]:
    from fastq.contrib.testing import start_worker

    options = {"pool": pool, **({"loglevel": "INFO"} if logging else {}), **parameters}
    with start_worker(app, **options) as worker:
        yield worker
