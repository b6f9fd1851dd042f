"""Settings that are said to act are used; the reference and the page about Celery's differences are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastq.conf.defaults import OPTIONS
from fastq.conf.option import SAME, Option

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "python" / "fastq"
USED = frozenset(
    word
    for path in SOURCE.rglob("*.py")
    if SOURCE / "conf" not in path.parents
    for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("option", [option for option in OPTIONS.values() if option.acts], ids=lambda one: one.name)
def test_a_setting_that_is_said_to_act_is_used(option: Option) -> None:
    assert option.name in USED


def test_the_reference_is_fresh() -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"], check=True, timeout=60)


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS.values() if one.ours or one.celery is not SAME], ids=lambda one: one.name
)
def test_a_default_that_is_not_celerys_is_explained(option: Option) -> None:
    assert f"`{option.name}`" in (ROOT / "docs" / "from-celery.md").read_text(encoding="utf-8")
