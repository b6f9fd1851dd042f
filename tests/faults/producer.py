"""A producer in a process of its own: `python -m tests.faults.producer FIRST COUNT`.

Prints `NUMBER ID` for each task that is confirmed, before it sends the next; ends with `refused: REASON` when the
broker refuses one.
"""

from __future__ import annotations

import os
import sys

from fastq.exceptions import OperationalError
from tests.faults.tasks import record


def main(first: int, count: int) -> int:
    """Send tasks for `count` numbers from `first` on; return the exit code."""
    for number in range(first, first + count):
        try:
            result = record.delay(number)
        except OperationalError as error:
            os.write(1, f"refused: {error}\n".encode())
            return 3
        os.write(1, f"{number} {result.id}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
