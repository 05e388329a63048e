"""Files inside installed packages, found without importing the packages (some cannot be imported here)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from components.errors import TerminalError

__all__ = ["package_file", "package_version"]


def package_file(module: str, name: str, *, package: str) -> Path:
    """Path of the one file in `module`'s folder that the glob `name` matches.

    Raises:
        TerminalError: the package is not installed, or has no such file.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        raise TerminalError(f"the package {package} is not installed; install it into this environment")
    found = sorted(Path(spec.origin).parent.glob(name))
    if len(found) != 1:
        raise TerminalError(f"the package {package} should have one file {name}, it has {len(found)}; reinstall it")
    return found[0]


def package_version(package: str) -> str:
    """Version of an installed package.

    Raises:
        TerminalError: it is not installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise TerminalError(f"the package {package} is not installed; install it into this environment") from None
