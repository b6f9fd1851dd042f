"""Replicated queues: a node that is parted from the others, or killed, keeps nobody from working for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.amqp.conftest import RabbitPlace
from tests.faults.sender import Sender
from tests.support.rabbitmq_server import RabbitMQServer, rabbitmq_cluster
from tests.support.wait import wait_for

STALLED = 60.0
"""Seconds after which a worker that does nothing is taken for stuck; three nodes start on one machine."""


def _place(folder: Path, nodes: list[RabbitMQServer]) -> RabbitPlace:
    place = RabbitPlace(folder, ";".join(node.url_of("/") for node in nodes))
    place.client.conf.update(result_backend="disabled://", task_default_queue_type="quorum")
    place.environment |= {"FASTQ_RESULT_BACKEND": "disabled://", "FASTQ_TASK_DEFAULT_QUEUE_TYPE": "quorum"}
    return place


def _moves(place: RabbitPlace) -> Callable[[], bool]:
    """Return whether tasks begin and end after this moment."""
    enough = place.ledger.entries() + 20
    return lambda: place.ledger.entries() >= enough


def test_a_worker_and_a_sender_outlive_a_partition_and_the_loss_of_their_node(tmp_path: Path) -> None:
    with rabbitmq_cluster(3) as nodes:
        first, second, third = nodes
        place = _place(tmp_path, nodes)
        worker, sender = place.worker(), Sender(place)
        sender.start()
        try:
            wait_for(_moves(place), "tasks run", limit=STALLED)
            with first.parted_from(second, third):
                wait_for(lambda: first.name not in second.running_nodes(), "the partition", limit=STALLED)
            wait_for(_moves(place), f"tasks run after the partition\n{worker.log[-3000:]}", limit=STALLED)
            # Both are connected to this one, which is the first of the list.
            first.kill()
            wait_for(_moves(place), f"tasks run on the other nodes\n{worker.log[-3000:]}", limit=STALLED)
        finally:
            sender.stop()
        place.client.producer.flush(30.0)
        sent = sender.confirmed()
        wait_for(lambda: not place.ledger.lost(sent), "every task that was sent has run", limit=90)
        assert worker.stop() == 0, worker.log[-2000:]
        print(f"{len(sent)} sent, {len(sender.refused())} refused, {len(place.ledger.repeated())} repeated runs")
        place.close()
