"""``python tests/with_xvfb.py COMMAND...`` runs a command, on a virtual screen where there is none.

On Linux without ``DISPLAY``, Xvfb is started for the command and stopped after it. Where Xvfb is not installed the
command runs without a screen and the tests that need a viewer are skipped; with ``CI=true`` that is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

SCREEN = ["-screen", "0", "1400x900x24", "+extension", "GLX", "-nolisten", "tcp"]


def run_on_virtual_screen(command: list[str]) -> int:
    """The command's exit code, with ``DISPLAY`` set to a new Xvfb that lives as long as it."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), *SCREEN], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()  # empty if the server ends without a screen
        if not number:
            sys.stderr.write("Xvfb did not start; run Xvfb by hand to see why\n")
            return 1
        return subprocess.call(command, env={**os.environ, "DISPLAY": f":{number}"})
    finally:
        server.terminate()
        server.wait()


def main(command: list[str]) -> int:
    """The command's exit code, or 1 where a screen is demanded and cannot be had."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return subprocess.call(command)
    if shutil.which("Xvfb"):
        return run_on_virtual_screen(command)
    if os.environ.get("CI") == "true":
        sys.stderr.write("no screen, and no virtual one: install the Debian package xvfb\n")
        return 1
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
