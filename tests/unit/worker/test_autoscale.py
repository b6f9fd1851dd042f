"""What the setting and option for a number of slots that follows the work may say."""

from __future__ import annotations

from typing import Any

import pytest

from fastq import FastQ
from fastq.exceptions import ImproperlyConfigured
from fastq.worker.config import autoscale


def app(value: Any) -> Any:
    return FastQ("shop", set_as_current=False, worker_autoscale=value)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(None, None), ("", None), ("10,2", (2, 10)), ("4", (1, 4)), ((8, 8), (8, 8)), ([3, 1], (1, 3))],
)
def test_the_larger_number_comes_first_and_the_other_may_be_left_out(value: Any, bounds: Any) -> None:
    assert autoscale(app(value)) == bounds


@pytest.mark.parametrize("value", ["2,10", "ten", "0", "4,0", "2000,1", "4,2,1", 7])
def test_what_cannot_be_meant_is_refused_with_the_setting_and_an_example(value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"worker_autoscale is .*use MAX,MIN.*such as 10,2"):
        autoscale(app(value))
