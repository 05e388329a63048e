"""What a person types: one key at a time in a terminal, a line each from a pipe."""

from __future__ import annotations

import os
import select
import sys

import click

__all__ = ["Keys"]


class Keys:
    """Reads from stdin, unbuffered, so that what is typed ahead is neither lost nor taken by another reader."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._live = os.isatty(self._descriptor)

    def key(self, prompt: str) -> str:
        """A key, in lower case; from a pipe the first letter of a line. Empty at the end of the input."""
        click.echo(prompt, nl=False)
        if not self._live:
            line = self._line()
            click.echo(line.strip())
            return (line.strip().lower() or "\n")[:1] if line else ""
        key = self._pressed()
        click.echo(key if key.isprintable() else "")
        return key.lower()

    def line(self, prompt: str) -> str:
        """A line, without blanks at its ends; empty at the end of the input, too."""
        click.echo(prompt, nl=False)
        line = self._line().strip()
        if not self._live:
            click.echo(line)
        return line

    def _line(self) -> str:
        raw = b""
        while not raw.endswith(b"\n") and (byte := os.read(self._descriptor, 1)):
            raw += byte
        return raw.decode("utf-8", "replace")

    def _pressed(self) -> str:
        """One key. Ctrl-D ends the input; Ctrl-C interrupts, as anywhere."""
        import termios
        import tty

        before = termios.tcgetattr(self._descriptor)
        try:
            tty.setcbreak(self._descriptor, termios.TCSADRAIN)
            raw = os.read(self._descriptor, 1)
            if raw == b"\x1b":  # an arrow or its like: several bytes, and none of the keys
                while select.select([self._descriptor], [], [], 0.01)[0] and os.read(self._descriptor, 1):
                    pass
            elif raw > b"\x7f":
                raw += os.read(self._descriptor, 3)
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)
        return "" if raw in (b"", b"\x04") else raw.decode("utf-8", "replace")
