"""What other distributions bring, found as it is when they are installed: by a folder of metadata beside the module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MODULE = """
def reversed_text(value):
    import json
    return json.dumps(value)[::-1]

def read_reversed(data):
    import json
    return json.loads(bytes(data).decode()[::-1])

def grow(data):
    return b"x" + data

def shrink(data, max_bytes):
    return data[1:]

turned = (reversed_text, read_reversed, "application/x-turned", "utf-8")
kombus = (reversed_text, read_reversed, "application/x-kombus", "utf-8")
grown = (grow, shrink, "application/x-grown")
"""

_ENTRY_POINTS = """
[fastq.serializers]
turned = turned_formats:turned
broken = turned_formats:missing
json = turned_formats:missing

[kombu.serializers]
kombus = turned_formats:kombus

[fastq.compressions]
grown = turned_formats:grown
shapeless = turned_formats:grow
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    (tmp_path / "turned_formats.py").write_text(_MODULE)
    metadata = tmp_path / "turned_formats-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: turned-formats\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(_ENTRY_POINTS)
    return tmp_path


def run(installed: Path, code: str) -> str:
    """Return what a program prints for which the distribution is installed."""
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    return found.stdout + found.stderr


def test_serializers_and_compressions_of_a_distribution_carry_tasks_and_results(installed: Path) -> None:
    said = run(
        installed,
        """
from fastq import FastQ
from fastq.contrib.testing import in_memory

app = FastQ("shop")
app.conf.update(
    accept_content=["turned", "kombus"],
    task_serializer="turned",
    result_serializer="kombus",
    task_compression="grown",
)

@app.task(name="shop.add")
def add(one, two):
    return one + two

with in_memory(app) as testing:
    result = add.delay(2, 3)
    other = add.apply_async((4, 5), serializer="kombus")
    testing.run()
    print(result.get(), other.get())
""",
    )

    assert said.startswith("5 9\n")


def test_content_of_a_distribution_is_read_and_refused_by_its_name(installed: Path) -> None:
    said = run(
        installed,
        """
from fastq.exceptions import ContentDisallowed
from fastq.serialization import registry

print(registry.loads(b"]1[", "application/x-turned", "utf-8", accept=["turned"]))
try:
    registry.loads(b"]1[", "application/x-turned", "utf-8", accept=["json"])
except ContentDisallowed as error:
    print(error)
""",
    )

    assert said.startswith("[1]\nRefused to decode content of type 'application/x-turned'")


def test_an_entry_point_that_cannot_be_used_is_told_of_and_spoils_no_other(installed: Path) -> None:
    said = run(
        installed,
        """
from fastq.exceptions import SerializerNotInstalled
from fastq.serialization import compression, registry

print(registry.dumps([1], "turned"))
print(compression.compress(b"1", "grown"))
try:
    registry.dumps([1], "broken")
except SerializerNotInstalled as error:
    print(error)
print(registry.dumps([1], "json"))
""",
    )

    assert "('application/x-turned', 'utf-8', b']1[')" in said
    assert "('application/x-grown', b'x1')" in said
    assert "The entry point 'broken' (turned_formats:missing) cannot be used: AttributeError" in said
    assert "The entry point 'shapeless' (turned_formats:grow) cannot be used: TypeError" in said
    assert "There is no serializer 'broken'." in said
    assert "('application/json', 'utf-8', b'[1]')" in said, "ours stay ours"
