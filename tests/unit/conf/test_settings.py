"""Layers, reading, writing, showing."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from fastq.conf import OPTIONS, Settings
from fastq.exceptions import CDeprecationWarning, ImproperlyConfigured


def settings(changes: dict[str, Any] | None = None, **options: Any) -> Settings:
    return Settings(changes, **{"environ": {}, "directory": "", **options})


def test_without_anything_set_the_defaults_count() -> None:
    conf = settings()

    assert conf.broker_url == f"sqlite:///{Path.cwd()}/.fastq/queue.db"
    assert conf.task_acks_late is True
    assert conf["task_default_queue"] == "celery"
    assert len(conf) == len(list(conf)) == len(OPTIONS)
    assert conf.without_defaults() == {}


def test_the_stronger_layer_wins(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.fastq]\ntask_time_limit = 2\nresult_expires = 2\nworker_lease = 2")
    layers: dict[str, Any] = {
        "source": {"task_time_limit": 4},
        "environ": {"FASTQ_TASK_TIME_LIMIT": "3", "FASTQ_RESULT_EXPIRES": "3"},
        "directory": tmp_path,
    }

    conf = Settings(**layers)
    conf.add_defaults({"worker_lease": 1, "worker_stop_timeout": 1})

    assert Settings({"task_time_limit": 5}, **layers).task_time_limit == 5
    assert (conf.task_time_limit, conf.source_of("task_time_limit")) == (4, "the configuration dict")
    assert (conf.result_expires, conf.source_of("result_expires")) == (3.0, "the environment")
    assert (conf.worker_lease, conf.source_of("worker_lease")) == (2, str(tmp_path / "pyproject.toml"))
    assert (conf.worker_stop_timeout, conf.source_of("worker_stop_timeout")) == (1, "the app's defaults")
    assert conf.source_of("task_serializer") == "the default"


def test_a_relative_file_counts_from_where_the_setting_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    conf = settings({"broker_read_url": "sqlite:///read.db"}, environ={"FASTQ_RESULT_BACKEND": "file://results"})
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path / "later")
    conf.broker_write_url = "sqlite:///write.db?synchronous=full"

    assert conf.broker_url == f"sqlite:///{tmp_path}/.fastq/queue.db"
    assert conf.broker_read_url == f"sqlite:///{tmp_path}/read.db"
    assert conf.broker_write_url == f"sqlite:///{tmp_path}/later/write.db?synchronous=full"
    assert conf.result_backend == f"file://{tmp_path}/results"
    assert "broker_url" not in conf.without_defaults()


def test_the_environment_may_name_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings_of_env.py").write_text("task_time_limit = 9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "settings_of_env", raising=False)

    assert settings(environ={"CELERY_CONFIG_MODULE": "settings_of_env"}).task_time_limit == 9
    assert settings(source={}, environ={"FASTQ_CONFIG_MODULE": "no_such_module"}).task_time_limit is None


def test_the_key_app_of_pyproject_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.fastq]\napp = 'shop'\n")

    assert "app" not in Settings(environ={}, directory=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"changes": {"task_time_limit": "soon"}},
            r"The setting task_time_limit must be a number \(s\), not 'soon' \(from the program\)\.",
        ),
        (
            {"environ": {"FASTQ_WORKER_CONCURRENCY": "x"}},
            r"worker_concurrency must be an integer from 0 up, or 'auto', not 'x' "
            r"\(from the environment variable FASTQ_WORKER_CONCURRENCY\)",
        ),
        ({"source": {"CELERYD_CONCURRENCY": []}}, r"worker_concurrency must be .* \(from the configuration dict\)"),
        ({"changes": {"redis_password": 33}}, r"redis_password must be text, not \*\*\*\*\*\*\*\* "),
        ({"changes": {"task_time_limit": "redis://:pw@h"}}, r"not 'redis://:\*\*\*\*\*\*\*\*@h'"),
        ({"changes": {"task_acks_late": 1, "CELERY_ROUTES": {}}}, r"The program mixes .*CELERY_ROUTES is task_routes"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_value_and_source(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        settings(**options)


def test_none_stands_for_the_default_where_it_has_no_meaning() -> None:
    conf = settings({"task_serializer": None, "result_expires": None, "beat_schedule": None})

    assert (conf.task_serializer, conf.result_expires, conf.beat_schedule) == ("json", None, {})


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("broker_read_url", "broker_url"),
        ("broker_write_url", "broker_url"),
        ("task_default_exchange", "task_default_queue"),
        ("task_default_routing_key", "task_default_queue"),
    ],
)
def test_some_settings_follow_another_until_they_are_set(name: str, source: str) -> None:
    conf = settings()
    conf[source] = "first"
    assert conf[name] == "first"

    conf[name] = "own"
    conf[source] = "second"
    assert conf[name] == "own"

    del conf[name]
    assert conf[name] == "second"
    assert conf.without_defaults() == {source: "second"}


def test_the_zone_is_utc_unless_dates_are_local() -> None:
    assert settings().timezone == "UTC"
    assert settings({"enable_utc": False}).timezone is None
    assert settings({"timezone": "Europe/Paris"}).timezone == "Europe/Paris"


def test_settings_are_written_by_attribute_item_and_update() -> None:
    conf = settings()
    before = conf.revision

    conf.task_time_limit = "30"
    conf["task_serializer"] = "yaml"
    conf.update({"CELERY_ACKS_LATE": 0}, mine=1)

    assert (conf.task_time_limit, conf.task_serializer, conf.task_acks_late, conf.mine) == (30.0, "yaml", False, 1)
    assert conf.changes == {"task_time_limit": 30.0, "task_serializer": "yaml", "task_acks_late": False, "mine": 1}
    assert conf.revision == before + 3


def test_an_update_with_a_wrong_value_changes_nothing() -> None:
    conf = settings()

    with pytest.raises(ImproperlyConfigured):
        conf.update(task_serializer="yaml", task_time_limit="soon")

    assert conf.task_serializer == "json"


def test_a_deleted_change_uncovers_what_was_below() -> None:
    conf = settings({"task_time_limit": 5, "mine": 1}, source={"task_time_limit": 4})

    del conf.task_time_limit
    del conf["mine"]

    assert conf.task_time_limit == 4
    assert "mine" not in conf
    with pytest.raises(KeyError):
        del conf.task_time_limit


def test_old_names_can_be_read() -> None:
    conf = settings({"task_serializer": "yaml"})

    assert conf.CELERY_TASK_SERIALIZER == conf["CELERY_TASK_SERIALIZER"] == "yaml"
    assert "CELERY_TASK_SERIALIZER" in conf


def test_a_map_of_the_settings_can_be_changed_in_place() -> None:
    conf, other = settings(), settings()

    conf.beat_schedule["mine"] = {}
    conf.task_time_limit = 1

    assert conf.beat_schedule == {"mine": {}}
    assert other.beat_schedule == {}
    assert "beat_schedule" in conf.without_defaults()


def test_unknown_settings_are_kept_and_those_meant_as_ours_are_told() -> None:
    conf = settings({"task_serialiser": "yaml"}, source={"weather": "fine", "os": object()})

    assert (conf.task_serialiser, conf["weather"]) == ("yaml", "fine")
    assert conf.unknown == {"task_serialiser": "task_serializer"}
    assert set(conf) - set(OPTIONS) == {"task_serialiser", "weather", "os"}


def test_names_that_mean_nothing_are_told_wherever_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.fastq]\napp = 'shop'\nweather = 'fine'\n")
    conf = settings(
        {"brokr": "x"},
        directory=tmp_path,
        environ={
            "FASTQ_WORKR_CONCURRENCY": "3",
            "FASTQ_WORKER_LOGLEVEL": "INFO",
            "FASTQ_APP": "shop",
            "FASTQ_HOME": "/srv",
            "WORKR_CONCURRENCY": "3",
        },
        source={"tsk_serializer": "json", "helper": 1, "database_url": "x"},
    )
    conf.wrker_concurrency = 3
    conf.greeting = "hello"
    conf.update(task_time_limt=3)
    conf.update_from_arguments(["foo=bar", ".prefetch_multiplier=2"])

    assert conf.unknown == {
        "brokr": "broker_url",
        "foo": None,
        "task_time_limt": "task_time_limit",
        "tsk_serializer": "task_serializer",
        "weather": None,
        "wrker_concurrency": "worker_concurrency",
        "FASTQ_WORKR_CONCURRENCY": "FASTQ_WORKER_CONCURRENCY",
    }


def test_every_name_in_the_namespace_is_meant_as_a_setting() -> None:
    conf = settings(source={"CELERY_WEATHER": "fine", "WEATHER": "wet"}, namespace="CELERY")

    assert conf.unknown == {"weather": None}


def test_a_setting_that_does_not_exist_is_an_error_with_a_hint() -> None:
    conf = settings()

    with pytest.raises(AttributeError, match=r"no setting 'broker_ur'. Did you mean 'broker_url'\?"):
        conf.broker_ur  # noqa: B018
    with pytest.raises(KeyError):
        conf["broker_ur"]
    assert conf.get("broker_ur", 3) == 3


def test_a_namespace_selects_the_settings_of_an_object() -> None:
    class Django:
        DEBUG = True
        CELERY_TASK_TIME_LIMIT = 7

    conf = settings(source=Django, namespace="CELERY")

    assert conf.task_time_limit == 7
    assert "DEBUG" not in conf


def test_another_configuration_takes_the_place_of_the_first() -> None:
    conf = settings(source={"task_time_limit": 1, "mine": 1})

    assert conf.read({"CELERY_TASK_SOFT_TIME_LIMIT": 2}, namespace="CELERY")

    assert (conf.task_time_limit, conf.task_soft_time_limit, conf.get("mine")) == (None, 2, None)
    assert not conf.read("no_such_module", silent=True)
    with pytest.raises(ImportError):
        conf.read("no_such_module")


def test_defaults_of_the_app_may_come_from_a_function() -> None:
    conf = settings({"worker_lease": 9})

    conf.add_defaults(lambda: {"worker_lease": 1, "task_max_deaths": 5})

    assert (conf.worker_lease, conf.task_max_deaths) == (9, 5)


def test_secrets_are_hidden_where_settings_are_shown() -> None:
    conf = settings(
        {
            "broker_url": "redis://me:pw@host/0",
            "redis_password": "pw",
            "shop_api_token": "pw",
            "broker_transport_options": {"sentinel_password": "pw", "urls": ["redis://:pw@x"], "port": 1},
            "task_default_routing_key": "mail",
        }
    )

    shown = conf.humanize()

    assert "pw" not in shown
    assert "task_default_routing_key: 'mail'" in shown
    assert "redis://me:********@host/0" in shown
    assert conf.table(censored=False)["redis_password"] == "pw"
    assert len(conf.table(with_defaults=True)) == len(conf)
    assert "pw" not in repr(conf)


def test_old_names_are_warned_of() -> None:
    conf = settings(source={"CELERY_ACKS_LATE": True})

    with pytest.warns(CDeprecationWarning, match=r"CELERY_ACKS_LATE has an old name; write task_acks_late"):
        assert conf.maybe_warn_deprecated_settings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not settings({"task_acks_late": True}).maybe_warn_deprecated_settings()


def test_ways_to_find_a_setting() -> None:
    conf = settings({"task_time_limit": 3})

    assert conf.first("task_soft_time_limit", "task_time_limit") == 3
    assert conf.get_by_parts("task", "", "time_limit") == 3
    assert conf.find_value_for_key("time_limit", "task") == 3
    assert conf.find_value_for_key("task_time_limit", "worker") == 3
    assert conf.is_set("CELERYD_TASK_TIME_LIMIT")
    assert not conf.is_set("task_serializer")
