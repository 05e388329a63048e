"""A script of `inside/` at work in a trainer's environment: request in, progress while it works, answer out.

For what measures and converts. Trainings have `running/process.py`, which can be interrupted and gone on with.
"""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.train.job import INSIDE
from components.train.running.process import child_environment

__all__ = ["ask_inside"]

_MARK = "@progress "
_SHOWN = 12  # last lines of what it printed, in an error


def ask_inside(
    script: str, request: Mapping[str, Any], *, python: Path, folder: Path,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:  # fmt: skip
    """Run `inside/<script>` by `python` and return its answer.

    Args:
        script: name of the file.
        request: what it is asked; paths absolute. The network is only used when `model` is no folder.
        python: of an environment with torch, transformers and peft.
        folder: for request, answer and log; made when missing.
        tell: called with how much of the work is done, and of how much.

    Raises:
        TerminalError: it failed; with the last lines of what it printed, and where all of them are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = script.removesuffix(".py")
    result, asked, log = (folder / f"{name}.{kind}" for kind in ("answer.json", "request.json", "log"))
    result.unlink(missing_ok=True)
    asked.write_text(json.dumps({**request, "result": str(result)}), encoding="utf-8")
    more = {"HF_HUB_OFFLINE": "1"} if Path(str(request["model"])).is_dir() else {}
    # Threads that spin while they wait cost a factor of 30 where others work on the same processors.
    more.setdefault("OMP_WAIT_POLICY", "passive")
    last: deque[str] = deque(maxlen=_SHOWN)
    command = [str(python), str(Path(__file__).parent / INSIDE / script), str(asked)]
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
            env=child_environment(folder, python=python, more=more), text=True, errors="replace",
        ) as process,
    ):  # fmt: skip
        try:
            for line in process.stdout or ():
                if line.startswith(_MARK):
                    done, total = line.removeprefix(_MARK).split()
                    tell(int(done), int(total))
                else:
                    file.write(line)
                    last.append(line)
            process.wait()
        except BaseException:
            process.kill()
            raise
    if process.returncode or not result.is_file():
        why = " (killed: most likely there was not enough memory)" if process.returncode == -9 else ""
        raise TerminalError(
            f"{script} ended with {process.returncode}{why}. Its last words:\n{''.join(last).rstrip()}\n"
            f"All of them: {log}"
        )
    found: dict[str, Any] = json.loads(result.read_bytes())
    return found
