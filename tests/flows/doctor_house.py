"""What tests of `cervella doctor` ask of its findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from components.services.doctor import Check

__all__ = ["healthy", "in_a_process", "levels", "only"]


def levels(checks: Any) -> list[str]:
    return [check.level for check in checks]


def only(checks: Any) -> Check:
    [check] = list(checks)
    return check


def healthy(checks: Any) -> bool:
    return all(check.level == "ok" and check.mend is None for check in checks)


def in_a_process(root: Path, *arguments: object, limits: str = "", **environment: str) -> tuple[int, dict[str, Any]]:
    """`cervella doctor --json` with limits set by a shell; name of a check -> its worst finding."""
    command = f'{limits} exec "$0" -m flows.cli doctor "$@" --json'
    told = os.environ | environment
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *map(str, arguments)],
        cwd=root, env=told, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = {}
    for check in sorted(json.loads(done.stdout)["checks"], key=lambda check: check["level"] == "problem"):
        found[check["name"]] = check
    return done.returncode, found
