"""The plugin, used as a project would use it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_OPTIONS = ("-p", "no:cacheprovider", "-p", "no:benchmark", "-q", "-W", "error")


def run(pytester: pytest.Pytester, conftest: str, tests: str) -> pytest.RunResult:
    """Run these tests in a process of their own, without any plugin but fastq's."""
    pytester.makeconftest(conftest)
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess(*_OPTIONS, timeout=60)


def test_an_app_and_its_clock_come_as_fixtures(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        "",
        """
        import pytest

        def test_clock(fastq_app):
            @fastq_app.task
            def add(x, y):
                return x + y
            result = add.apply_async((1, 2), countdown=10800)
            fastq_app.testing.assert_sent(add.name, args=(1, 2), count=1)
            fastq_app.testing.advance(hours=3)
            assert result.get(timeout=0) == 3

        def test_a_new_one_for_each_test(celery_app, fastq_app):
            assert celery_app is fastq_app
            assert celery_app.testing.sent == []
            assert not [name for name in celery_app.tasks if name.endswith("add")]

        @pytest.mark.fastq(task_default_queue="fast")
        @pytest.mark.celery(task_default_priority=3)
        def test_marks_are_settings(celery_app):
            celery_app.task(lambda: None, name="x").delay()
            assert [(sent.queue, sent.priority) for sent in celery_app.testing.sent] == [("fast", 3)]
        """,
    )
    done.assert_outcomes(passed=3)


def test_a_worker_runs_in_a_thread(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        "",
        """
        import threading

        def test_fastq(fastq_app, fastq_worker):
            @fastq_app.task
            def where():
                return threading.current_thread().name
            fastq_worker.reload()
            assert where.delay().get(timeout=20) == "fastq-test-worker"

        def test_celery(celery_app, celery_worker):
            @celery_app.task
            def add(x, y):
                return x + y
            celery_worker.reload()
            assert add.apply_async((1, 2), countdown=0.05).get(timeout=20) == 3

        def test_session(celery_session_app, celery_session_worker):
            @celery_session_app.task
            def add(x, y):
                return x + y
            celery_session_worker.reload()
            assert add.delay(1, 2).get(timeout=20) == 3

        def test_the_same_session(fastq_session_app, fastq_session_worker, celery_session_app):
            assert fastq_session_app is celery_session_app
            assert [name for name in fastq_session_app.tasks if name.endswith("add")]
        """,
    )
    done.assert_outcomes(passed=4)


def test_what_celery_lets_a_suite_override_can_be_overridden(pytester: pytest.Pytester) -> None:
    included = "from fastq import shared_task\n@shared_task\ndef there(): return 5\n"
    Path(pytester.path, "included.py").write_text(included)
    done = run(
        pytester,
        """
        import pytest
        from fastq import Task

        class Multiply(Task):
            name = "multiply"
            def run(self, x, y):
                return x * y

        @pytest.fixture(scope="session")
        def celery_config():
            return {"task_default_queue": "other"}

        @pytest.fixture(scope="session")
        def celery_parameters():
            return {"strict_typing": False}

        @pytest.fixture(scope="session")
        def celery_includes():
            return ["included"]

        @pytest.fixture(scope="session")
        def celery_class_tasks():
            return [Multiply]

        @pytest.fixture(scope="session")
        def celery_worker_parameters():
            return {"queues": ("other", "third"), "concurrency": 1}

        @pytest.fixture(scope="session")
        def celery_worker_pool():
            return "solo"

        @pytest.fixture(scope="session")
        def celery_enable_logging():
            return True
        """,
        """
        def test_all(celery_app, celery_worker):
            assert celery_app.tasks["included.there"].delay().get(timeout=20) == 5
            assert celery_app.tasks["multiply"].apply_async((2, 3), queue="third").get(timeout=20) == 6
            assert celery_app.conf.task_default_queue == "other"
            assert celery_app.strict_typing is False
        """,
    )
    done.assert_outcomes(passed=1)


def test_the_current_app_is_the_tests_own_or_a_trap(pytester: pytest.Pytester) -> None:
    tests = """
        import pytest
        from fastq import current_app, shared_task
        from fastq.app.current import get_current_app

        def test_current(fastq_app, use_celery_app_trap):
            if use_celery_app_trap:
                with pytest.raises(RuntimeError, match="the app that the fixture gives"):
                    get_current_app()
            else:
                assert get_current_app() is fastq_app

        def test_depends(celery_app, depends_on_current_app):
            assert get_current_app() is celery_app
        """
    run(pytester, "", tests).assert_outcomes(passed=2)
    trap = """
        import pytest

        @pytest.fixture(scope="session")
        def use_celery_app_trap():
            return True
        """
    run(pytester, trap, tests).assert_outcomes(passed=2)


def test_a_worker_that_cannot_start_fails_its_test(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        "",
        """
        import pytest

        @pytest.mark.fastq(broker_url="memory://?colour=red")
        def test_none(fastq_app, fastq_worker):
            raise SystemExit("never here")
        """,
    )
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*The test's worker has failed: *colour*"])
