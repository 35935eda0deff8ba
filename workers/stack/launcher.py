"""Becomes another program that the kernel ends when the process that asked for it dies, however it dies.

Run as a script, `launcher.py PARENT_PID SIGNAL USER PROGRAM ARGUMENT...`, with an empty USER for the present one. A
program between fork and exec is needed because `preexec_fn` can deadlock in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, user: str, *command: str) -> None:
    """Replace this process by `command`."""
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        # After setuid, which clears it. Other systems have nothing like it: there, only a clean end takes all along.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit("the process that asked for this one is gone")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
