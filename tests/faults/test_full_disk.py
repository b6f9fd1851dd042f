"""A disk without room: publishing says so at once, a worker waits, and nothing confirmed is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastq.exceptions import OperationalError
from tests.faults.conftest import HOLD, RECORD, Place
from tests.faults.producers import start_producer
from tests.support.wait import wait_for


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place whose broker is a file."""
    place = Place(tmp_path, f"sqlite:///{tmp_path}/queue.db")
    yield place
    place.close()


def test_a_publish_that_finds_no_room_is_refused_and_the_file_stays_whole(place: Place) -> None:
    producer = start_producer(place, 0, 100_000, largest_file=3_000_000)
    code = producer.process.wait(60)
    confirmed = producer.confirmed()

    assert code == 3
    assert len(confirmed) > 50
    assert producer.refusal()

    place.worker()
    assert place.results(confirmed) == {number: number for number in confirmed}
    assert {int(key) for key in place.ledger.runs()} == set(confirmed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 32 megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root; the test above fills a file instead")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_worker_on_a_full_disk_goes_on_when_there_is_room_again(tmp_path: Path, small_disk: Path) -> None:
    place = Place(tmp_path, f"sqlite:///{small_disk}/queue.db")
    gate = tmp_path / "gate"
    try:
        worker = place.worker(("-c", "1"))
        held = place.client.send_task(HOLD, ("held", str(gate)))
        ids = place.send(range(200))
        wait_for(lambda: "held" in place.ledger.runs(), "the held task's start")

        ballast = small_disk / "ballast"
        fill(ballast)
        with pytest.raises(OperationalError, match="full"):
            place.client.send_task(RECORD, (1_000_000, "x" * 100_000))
        gate.touch()
        wait_for(lambda: "end held" in place.ledger.path.read_text(), "the held task's end")
        assert worker.running
        ballast.unlink()

        assert held.get(timeout=60) == "held"
        assert place.results(ids) == {number: number for number in ids}
        assert place.ledger.lost([*ids, "held"]) == []
    finally:
        place.close()


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as ballast:
        for size in (65_536, 4_096, 512, 1):
            try:
                while ballast.write(b"\0" * size):
                    pass
            except OSError:
                continue
