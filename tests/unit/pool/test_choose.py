from __future__ import annotations

import pytest

from fastq.exceptions import ImproperlyConfigured
from fastq.pool.choose import LATER, pool_class, processors
from fastq.pool.prefork import PreforkPool
from fastq.pool.solo import SoloPool


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prefork", PreforkPool),
        ("processes", PreforkPool),
        ("solo", SoloPool),
        ("fastq.pool.solo:SoloPool", SoloPool),
        (SoloPool, SoloPool),
    ],
)
def test_a_pool_is_found_by_name_path_or_class(name: object, expected: type) -> None:
    assert pool_class(name) is expected


@pytest.mark.parametrize("name", LATER)
def test_a_pool_that_is_not_there_yet_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"There is no {name} pool: .* -P prefork .* -P solo"):
        pool_class(name)


@pytest.mark.parametrize("name", ["perfork", "no.such:Pool", "fastq.app:FastQ", 7])
def test_what_is_no_pool_is_refused_by_the_settings_name(name: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="worker_pool is"):
        pool_class(name)


def test_there_is_at_least_one_processor() -> None:
    assert processors() >= 1
