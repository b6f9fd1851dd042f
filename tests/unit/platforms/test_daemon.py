"""Detaching."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from fastq.exceptions import ImproperlyConfigured, SecurityError
from fastq.platforms import daemon

DETACHED = """
import os, sys
from fastq.platforms import daemon
daemon.detach(working_directory=sys.argv[1], umask=0o077)
with open("told.part", "w") as file:
    file.write(f"{os.getcwd()} {os.getsid(0) != os.getpid()} {os.getppid() != int(sys.argv[2])} {os.isatty(0)}")
os.rename("told.part", "told")
os.kill(int(sys.argv[3]), 0)
os.write(int(sys.argv[4]), b"done")
"""


def test_a_detached_program_goes_on_without_its_terminal(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    arguments = [str(tmp_path), str(os.getpid()), str(os.getpid()), str(writer)]

    done = subprocess.run([sys.executable, "-c", DETACHED, *arguments], pass_fds=(writer,), timeout=30, check=False)
    os.close(writer)

    assert done.returncode == 0  # the program that the user started has ended
    assert os.read(reader, 100) == b"done"  # and goes on
    os.close(reader)
    assert (tmp_path / "told").read_text() == f"{tmp_path.resolve()} True True False"
    assert (tmp_path / "told").stat().st_mode & 0o777 == 0o600


def test_all_descriptors_but_some_are_closed() -> None:
    program = (
        "import os; from fastq.platforms import daemon\n"
        "a, b = os.pipe(); daemon.close_open_files((0, 1, 2, b))\n"
        "os.write(b, b'') ; os.fstat(b)\n"
        "try: os.fstat(a)\n"
        "except OSError: print('closed')\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "closed\n"


@pytest.mark.parametrize(("mask", "number"), [(None, None), ("022", 0o22), ("0o77", 0o77), (18, 18)])
def test_a_mask_is_octal_text_or_a_number(mask: str | int | None, number: int | None) -> None:
    assert daemon.parse_umask(mask) == number


def test_a_mask_that_is_not_octal_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'99' is no octal number"):
        daemon.parse_umask("99")


def test_users_and_groups_are_found_by_name_and_number() -> None:
    me = pwd.getpwuid(os.getuid())

    assert daemon.user_id(me.pw_name) == daemon.user_id(str(me.pw_uid)) == daemon.user_id(me.pw_uid) == me.pw_uid
    assert daemon.group_id(str(me.pw_gid)) == me.pw_gid
    assert daemon.user_id(None) is daemon.group_id(None) is None


def test_unknown_users_and_groups_are_named() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"no user 'nobody-here'"):
        daemon.user_id("nobody-here")
    with pytest.raises(ImproperlyConfigured, match=r"no group 'nobody-here'"):
        daemon.group_id("nobody-here")


def test_changing_to_nobody_changes_nothing() -> None:
    daemon.change_user(None, None)


def test_one_who_is_not_root_cannot_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgid", refuse)

    with pytest.raises(SecurityError, match=r"Only root"):
        daemon.change_user(group=1)


def test_a_change_that_can_be_undone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("setgid", "setuid", "initgroups"):
        monkeypatch.setattr(os, name, lambda *_: None)
    other = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)

    with pytest.raises(SecurityError, match=r"can still become root"):
        daemon.change_user(other)
