"""Random kills of children, nursery and parent: nothing is lost, and what ran twice was killed in between."""

from __future__ import annotations

import random
import time

from tests.faults.conftest import HOLD, Place
from tests.support.processes import alive, descendants_of, kill
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker


class Killer:
    """Kills a process of the worker when so many runs are in the ledger; starts the worker again when it ends."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.place = place
        self.chance = chance
        self.worker = place.worker(("-c", "4"))
        self.done = {"child": 0, "nursery": 0, "parent": 0}

    def kill_during(self, tasks: int, count: int) -> None:
        """Kill `count` times, at points spread by chance over the runs of all tasks."""
        entries = self.place.ledger.entries
        for point in sorted(self.chance.uniform(0.01, 0.9) for _ in range(count)):
            enough = int(point * tasks * 2)
            wait_for(lambda enough=enough: entries() >= enough, "more runs", limit=60.0)  # type: ignore[misc]
            (who,) = self.chance.choices(("child", "nursery", "parent"), weights=(7, 1, 2))
            getattr(self, f"_kill_{who}")()
            self.done[who] += 1

    def _kill_child(self) -> None:
        children = wait_for(self.worker.children, "a child")
        victim = self.chance.choice(children)
        kill(victim)
        self._wait_for_the_end_of([victim])

    def _kill_nursery(self) -> None:
        nursery = self.worker.nursery()
        family = [nursery, *descendants_of(nursery)]
        kill(nursery)
        self._wait_for_the_end_of(family)
        self.worker.wait()
        self.worker = self.place.worker(("-c", "4"))

    def _wait_for_the_end_of(self, pids: list[int]) -> None:
        """Note a kill when all it takes are gone: until then they may start another run."""
        wait_for(lambda: not alive(pids), "the end of what was killed")
        self.place.ledger.note_kill(pids)

    def _kill_parent(self) -> None:
        self.place.ledger.note_kill(self.worker.kill())
        self.worker = self.place.worker(("-c", "4"))


def test_no_task_is_lost_and_every_repeated_run_was_killed(place: Place, chance: random.Random, long: bool) -> None:
    tasks, kills = (50_000, 200) if long else (2_000, 10)
    ids = place.send(range(tasks))
    began = time.monotonic()

    killer = Killer(place, chance)
    killer.kill_during(tasks, kills)
    results = place.results(ids)
    code = killer.worker.stop()

    ledger = place.ledger
    seconds = time.monotonic() - began
    repeated = ledger.repeated()
    print(f"{tasks} tasks, kills {killer.done}, {len(repeated)} repeated runs, {seconds:.1f} s")
    assert ledger.lost(range(tasks)) == []
    assert ledger.unexplained() == []
    assert results == {number: number for number in range(tasks)}
    assert code == 0, killer.worker.log[-2000:]
    assert place.left() == 0


def test_children_do_not_outlive_a_killed_parent(place: Place) -> None:
    worker = place.worker(("-c", "3"))
    worker.children(3)

    pids = worker.processes()
    kill(worker.pid)
    worker.process.wait()

    assert len(pids) == 5, "parent, nursery and three children"
    wait_for(lambda: not alive(pids), "the end of all processes", limit=5.0)


def test_a_restarted_worker_takes_up_what_the_killed_one_left(place: Place) -> None:
    gate = place.folder / "gate"
    result = place.client.send_task(HOLD, ("held", str(gate)))
    first = place.worker()
    _wait_for_runs(place, 1)

    place.ledger.note_kill(first.kill())
    place.worker()
    _wait_for_runs(place, 2, limit=2.0)
    gate.touch()

    assert result.get(timeout=20) == "held"
    assert place.ledger.unexplained() == []


def test_a_killed_nursery_ends_the_worker_and_a_restarted_one_goes_on(place: Place) -> None:
    gate = place.folder / "gate"
    result = place.client.send_task(HOLD, ("held", str(gate)))
    worker = place.worker()
    _wait_for_runs(place, 1)

    family = descendants_of(worker.pid)
    kill(worker.nursery())
    place.ledger.note_kill(family)
    code = worker.wait()
    gate.touch()
    place.worker()

    assert code != 0
    assert result.get(timeout=20) == "held"
    assert place.ledger.unexplained() == []


def test_a_killed_child_is_replaced_and_its_task_runs_again(place: Place) -> None:
    gate = place.folder / "gate"
    result = place.client.send_task(HOLD, ("held", str(gate)))
    worker: RunningWorker = place.worker(("-c", "1"))
    (run,) = _wait_for_runs(place, 1)

    kill(run)
    place.ledger.note_kill([run])
    _, again = _wait_for_runs(place, 2)
    gate.touch()

    assert result.get(timeout=20) == "held"
    assert again in worker.children(1)
    assert place.ledger.unexplained() == []


def _wait_for_runs(place: Place, count: int, *, limit: float = 20.0) -> list[int]:
    """Return the process of each run of the held task, waiting until there are `count`."""

    def look() -> list[int]:
        runs = place.ledger.runs().get("held", [])
        return [run.pid for run in runs] if len(runs) == count else []

    return wait_for(look, f"run {count} of the held task", limit=limit)
