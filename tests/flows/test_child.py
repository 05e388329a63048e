"""A command that ends with whoever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOSES_THE_FIRST = """
import signal, time
from flows import child, cli

child._AGAIN_SECONDS = 0.5

def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for what in ("lost", "heard"):
        try:
            print("at work", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print(what, flush=True)

cli.main = main
child.main()
"""


def test_an_interruption_that_is_lost_comes_again(root: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOSES_THE_FIRST], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        out, _ = process.communicate(timeout=25)  # ends its stdin
    finally:
        process.kill()
        process.wait()
    assert (out, process.returncode) == ("lost\nat work\nheard\n", 0)
