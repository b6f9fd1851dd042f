"""Leaving the terminal: a program that goes on in the background, as another user, with another file mask."""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

from fastq.exceptions import ImproperlyConfigured, SecurityError

__all__ = ["change_user", "close_open_files", "detach", "group_id", "parse_umask", "user_id"]

_MOST_FILES: Final = 65_536
"""Descriptors looked at where the system names no list of the open ones and allows billions."""


def detach(working_directory: str | None = None, umask: int | None = None) -> None:
    """Go on in the background: returns in the new process only, with no terminal and standard files at /dev/null.

    Call it before threads are started and before connections are opened.

    Args:
        working_directory: to change to; None: stay.
        umask: file creation mask; None: as it is.

    Raises:
        OSError: the directory cannot be entered, or no process can be made.
    """
    if working_directory is not None:
        os.chdir(working_directory)
    sys.stdout.flush()
    sys.stderr.flush()
    # Twice: the first child leads a session of its own, the second does not lead it and so can never get a terminal.
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    if umask is not None:
        os.umask(umask)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


def close_open_files(keep: tuple[int, ...] = (0, 1, 2)) -> None:
    """Close every descriptor but these."""
    kept = sorted(set(keep))
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _MOST_FILES)
    start = 0
    for descriptor in (*kept, limit):
        if descriptor > start:
            os.closerange(start, descriptor)
        start = descriptor + 1


def parse_umask(mask: str | int | None) -> int | None:
    """Return a file creation mask: text is octal (`"022"`), a number is itself; None stays None.

    Raises:
        ImproperlyConfigured: the text is no octal number.
    """
    if mask is None or isinstance(mask, int):
        return mask
    try:
        return int(mask, 8)
    except ValueError:
        raise ImproperlyConfigured(f"The umask {mask!r} is no octal number such as 022.") from None


def user_id(user: str | int | None) -> int | None:
    """Return the number of a user, given by name or number; None stays None.

    Raises:
        ImproperlyConfigured: there is no such user.
    """
    import pwd

    if user is None or isinstance(user, int):
        return user
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ImproperlyConfigured(f"There is no user {user!r} on this machine.") from None


def group_id(group: str | int | None) -> int | None:
    """Return the number of a group, given by name or number; None stays None.

    Raises:
        ImproperlyConfigured: there is no such group.
    """
    import grp

    if group is None or isinstance(group, int):
        return group
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ImproperlyConfigured(f"There is no group {group!r} on this machine.") from None


def change_user(user: str | int | None = None, group: str | int | None = None) -> None:
    """Become another user and group for ever; the user's own groups come with it.

    Args:
        user: name or number; None: only the group changes.
        group: name or number; None: the user's first one.

    Raises:
        ImproperlyConfigured: there is no such user or group.
        SecurityError: this process may not change, or could change back.
    """
    import pwd

    uid, gid = user_id(user), group_id(group)
    if uid is None and gid is None:
        return
    try:
        if uid is not None:
            entry = pwd.getpwuid(uid)
            gid = entry.pw_gid if gid is None else gid
            os.setgid(gid)
            os.initgroups(entry.pw_name, gid)
            os.setuid(uid)
        elif gid is not None:
            os.setgid(gid)
    except PermissionError as error:
        raise SecurityError("Only root may start a program as another user or group.") from error
    except KeyError:
        raise ImproperlyConfigured(f"There is no user with the number {uid} on this machine.") from None
    _check_no_way_back(uid)


def _check_no_way_back(uid: int | None) -> None:
    if uid is None or uid == 0:
        return
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise SecurityError("This process became another user and can still become root again.")
