"""What a worker refuses to do as root."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from fastq.exceptions import SecurityError

__all__ = ["refuse_pickle_as_root"]

_PICKLE: Final = frozenset({"pickle", "application/x-python-serialize"})


def refuse_pickle_as_root(accept_content: Iterable[str]) -> None:
    """Raise when this process is root and accepts pickle: whoever may send a message could run any code as root.

    Args:
        accept_content: the setting.

    Raises:
        SecurityError: it is so, and the environment variable C_FORCE_ROOT (Celery's name) does not allow it.
    """
    if os.getuid() == 0 and not _PICKLE.isdisjoint(accept_content or ()) and not os.environ.get("C_FORCE_ROOT"):
        raise SecurityError(
            "This worker runs as root and accepts pickle (accept_content), so whoever can send a message can do "
            "anything on this machine. Run it as another user, or set C_FORCE_ROOT=1 if you must."
        )
