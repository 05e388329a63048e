"""Which uv installs packages, and where this machine's owner has told pip to look for them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError

__all__ = ["Sources", "find_uv", "pip_sources"]


def find_uv() -> Path:
    """The uv of this installation, else the one on the PATH. InputError, saying how to get it, when there is none."""
    own = Path(sys.prefix) / "tools" / "bin" / "uv"
    if os.access(own, os.X_OK):
        return own
    if found := shutil.which("uv"):
        return Path(found)
    raise InputError(
        f"uv, which installs packages, is neither in {own.parent} nor on the PATH: "
        "`make setup` brings it, and so does `pip install uv`"
    )


@dataclass(frozen=True)
class Sources:
    """Where packages come from besides the public index.

    Attributes:
        index: the index that is asked instead of the public one, such as a company's mirror.
        find_links: folders and pages with more packages, such as builds of one's own.
    """

    index: str | None = None
    find_links: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        """As variables of uv: an address may hold a password, and any user of a machine can read a command line."""
        told = {"UV_DEFAULT_INDEX": self.index or "", "UV_FIND_LINKS": ",".join(self.find_links)}
        return {name: value for name, value in told.items() if value}

    def local_build(self, package: str, version: str, build: str) -> bool:
        """Whether a folder among them holds `package` of that version and build (`cpu`) for this Python."""
        tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
        folders = [Path(link.removeprefix("file://")) for link in self.find_links]
        return any(any(folder.glob(f"{package}-{version}+{build}-{tag}-*.whl")) for folder in folders)


def pip_sources(environment: Mapping[str, str] = os.environ) -> Sources:
    """What pip is configured with on this machine, which uv does not read by itself.

    Its variables, and its files as `pip config list` tells them. Where uv has been told an index of its own
    (UV_DEFAULT_INDEX, UV_INDEX_URL), that one stays. Left out: `extra-index-url`, since uv takes a package from the
    first index that knows its name, and a lock's version may be in the other.
    """
    told: dict[str, list[str]] = {"index-url": [], "find-links": []}
    for line in _pip_config():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in told and not key.startswith(":env:"):
            try:
                told[name] += str(ast.literal_eval(value)).split()
            except (ValueError, SyntaxError):
                continue
    told["index-url"] += environment.get("PIP_INDEX_URL", "").split()
    told["find-links"] += environment.get("PIP_FIND_LINKS", "").split()
    own = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    index = None if own or not told["index-url"] else told["index-url"][-1]
    return Sources(index, tuple(dict.fromkeys(told["find-links"])))


def _pip_config() -> list[str]:
    own = Path(sys.prefix) / "tools" / "bin" / "pip"
    pip = str(own) if os.access(own, os.X_OK) else shutil.which("pip3") or shutil.which("pip")
    if pip is None:
        return []
    try:
        done = subprocess.run([pip, "config", "list"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
