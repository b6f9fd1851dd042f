"""Random canvases while processes are killed: every one ends as it should, and no step of it is sent twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.canvas.judged import client, errors_of, send
from tests.canvas.oracle import judge
from tests.canvas.runs import doubled, noted
from tests.faults.conftest import Place
from tests.support.processes import alive, kill
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.worker import RunningWorker

APP = "tests.canvas.served"
RUNS = 6
"""How many runs a canvas takes, and rather more than less."""


class Killers(Place):
    """A place whose workers run canvases, and lose processes.

    Args:
        folder: as for `Place`.
        url: of the broker.
        chance: says who is killed.
        results: of the results, where they are elsewhere.
    """

    def __init__(self, folder: Path, url: str, chance: random.Random, results: str | None = None) -> None:
        super().__init__(folder, url)
        self.chance, self.results = chance, results
        self.environment["FASTQ_RESULT_BACKEND"] = results or url
        self.runs = folder / "runs.txt"
        self.running: RunningWorker = self._start()

    def _start(self) -> Any:
        from tests.support.worker import RunningWorker

        # A task that is killed again and again by chance must not be taken for one that kills its worker.
        settings = {"FASTQ_TEST_LEDGER": str(self.runs), "FASTQ_TEST_DIES": "0.05", "FASTQ_TASK_MAX_DEATHS": "1000"}
        environment = {**self.environment, **settings}
        worker = RunningWorker(APP, self.folder, ("-c", "2"), environment)
        self._workers.append(worker)
        worker.start()
        worker.wait_until_ready()
        return worker

    def count(self) -> int:
        """Return how many runs have begun."""
        return self.runs.read_bytes().count(b"\n") if self.runs.exists() else 0

    def kill(self) -> None:
        """Kill a child, or all of the worker, which is then started again."""
        if self.chance.random() < 0.7:
            victim = self.chance.choice(wait_for(self.running.children, "a child"))
            kill(victim)
            wait_for(lambda: not alive([victim]), "the end of a child")
        else:
            self.running.kill()
            self.running = self._start()


@pytest.fixture(params=["sqlite", "redis", "apart"])
def killers(request: pytest.FixtureRequest, tmp_path: Path, chance: random.Random) -> Iterator[Killers]:
    file = f"sqlite:///{tmp_path}/queue.db"
    if request.param == "sqlite":
        made = Killers(tmp_path, file, chance)
        yield made
        made.close()
        return
    with RedisServer(tmp_path) as server:
        is_apart = request.param == "apart"
        made = Killers(tmp_path, file, chance, server.url) if is_apart else Killers(tmp_path, server.url, chance)
        yield made
        made.close()


def test_every_canvas_ends_and_no_step_is_doubled_whatever_is_killed(
    killers: Killers, chance: random.Random, long: bool
) -> None:
    count, kills = (500, 100) if long else (30, 4)
    runs_between = count * RUNS // kills
    first = chance.getrandbits(32)
    app = client(killers.url, killers.results)
    sent = send(app, range(first, first + count))
    for number in range(kills):
        enough = number * runs_between
        wait_for(lambda enough=enough: killers.count() >= enough, "more runs", limit=60.0)  # type: ignore[misc]
        killers.kill()
    wrong = errors_of(sent, 900.0 if long else 120.0)
    app.close()
    # What was sent twice may still wait: nobody waits for it, and it would run in the end.
    wait_for(lambda: killers.left() == 0, "an empty broker", limit=60.0)
    failing, runs = sum(bool(judge(one.tree).kinds) for one in sent), noted(killers.runs)
    again = sum(run.redelivered for run in runs)
    print(f"{count} canvases, {failing} of them to fail, {len(runs)} runs, {again} of them again, {kills} kills")
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])
    if killers.results is None:
        assert not doubled(runs)
    # Where broker and store are two servers a crash between them may send a step once more.
