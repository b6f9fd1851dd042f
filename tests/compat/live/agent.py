"""A client in a process of its own, of either library: does what it is asked through its standard input and output.

    python -m tests.compat.live.agent LIBRARY FOLDER

A request is pickled: path of a function, settings of the app, arguments. The function gets the tasks on an app with
these settings, and its answer goes back pickled: whether it returned, and what, or its traceback.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.compat.live.works import Works, open_works

__all__ = ["main"]


def main(library: str, folder: Path) -> None:
    """Answer requests until there are no more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    known: dict[str, Works] = {}
    while True:
        try:
            path, settings, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            key = repr(sorted(settings.items()))
            if key not in known:
                known[key] = open_works(library, settings, folder)
            answer: tuple[bool, Any] = (True, _found(path)(known[key], **arguments))
        except BaseException:
            answer = (False, traceback.format_exc())
        # Wrapped: one that cannot be read over there takes nothing of the next with it.
        pickle.dump(pickle.dumps(answer), answers)
        answers.flush()


def _found(path: str) -> Any:
    module, _, name = path.partition(":")
    __import__(module)
    return getattr(sys.modules[module], name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
