"""Runs a command until it ends or the standard input is closed: `python keep.py SIGNAL USER COMMAND...`.

The caller holds the other end of the standard input. So the command ends with the caller, even if that is killed.
`USER` is the user that the command runs as; empty: the user of the caller.
"""

import os
import signal
import subprocess
import sys
import threading


def as_user(name: str) -> dict:
    """Return the arguments of `subprocess.run` that run a command as a user, without the groups of the caller."""
    if not name:
        return {}
    import pwd  # not on Windows

    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def main() -> int:
    name, user, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **as_user(user))

    def end_with_caller() -> None:
        while os.read(0, 1):
            pass
        process.send_signal(signal.Signals[name])

    threading.Thread(target=end_with_caller, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
