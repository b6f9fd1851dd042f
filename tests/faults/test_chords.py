"""Chords while children and workers are killed: every member counts once, and the body is called once."""

from __future__ import annotations

import random
from pathlib import Path

from fastq import chord
from tests.faults.conftest import Place
from tests.support.processes import alive, kill
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

APP = "tests.path.orchestra"
CHORDS, MEMBERS, KILLS = 6, 150, 8


class Stage:
    """A worker of the orchestra that is killed, in part or as a whole, and goes on."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.place, self.chance = place, chance
        self.environment = {**place.environment, "FASTQ_TASK_MAX_DEATHS": "1000"}
        self.worker = self._start()

    def _start(self) -> RunningWorker:
        worker = RunningWorker(APP, self.place.folder, ("-c", "2"), self.environment)
        self.place._workers.append(worker)
        worker.start()
        worker.wait_until_ready()
        return worker

    def kill(self) -> None:
        """Kill a child, or all of the worker, which is then started again."""
        if self.chance.random() < 0.6:
            victim = self.chance.choice(wait_for(self.worker.children, "a child"))
            kill(victim)
            wait_for(lambda: not alive([victim]), "the end of a child")
        else:
            self.worker.kill()
            self.worker = self._start()


def test_the_body_of_a_chord_is_called_once_whatever_is_killed(place: Place, chance: random.Random) -> None:
    client, said = place.client, place.folder / "said"
    stage = Stage(place, chance)
    results = []
    for number in range(CHORDS):
        header = [client.signature("play.note", (pitch,)) for pitch in range(MEMBERS)]
        body = client.signature("play.total", (), {"file": f"{said}-{number}"})
        results.append(chord(header, body, app=client)())

    def ended() -> int:
        records = [client.backend.chord_record(result.parent.id) for result in results]
        return sum(MEMBERS if record is None or record.state == "ended" else record.ended for record in records)

    for point in sorted(chance.uniform(0.02, 0.9) for _ in range(KILLS)):
        wait_for(lambda enough=int(point * CHORDS * MEMBERS): ended() >= enough, "more members", limit=60.0)  # type: ignore[misc]
        stage.kill()

    assert [result.get(timeout=60) for result in results] == [sum(range(MEMBERS))] * CHORDS
    for number in range(CHORDS):
        runs = [line.partition(" ") for line in Path(f"{said}-{number}").read_text().splitlines()]
        assert {got for _, _, got in runs} == {str(list(range(MEMBERS)))}
        # A body that was killed runs again, from its one message.
        assert [again for again, _, _ in runs].count("False") <= 1
    assert stage.worker.stop() == 0, stage.worker.log[-2000:]
    assert place.left() == 0
