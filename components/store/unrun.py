"""Modules that are registered without being run: for what a library imports and this program never asks for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["leave_unrun"]

_bootstrap: Any = import_module("importlib._bootstrap")  # of Python 3.11, which the project is for


def leave_unrun(*names: str) -> None:
    """Let the first import of each of these modules only register it; whoever then asks it for anything runs it.

    What was imported before, or is not installed, is as it is. Submodules can be imported meanwhile; not fit for a
    package whose submodules, imported before it is run, import one that asks the package for something. Unlike
    `importlib.util.LazyLoader` it is not run by being imported twice.
    """
    wanted = set(names) - sys.modules.keys()
    if wanted:
        sys.meta_path.insert(0, _Finder(wanted))


@contextmanager
def _importing(name: str) -> Iterator[None]:
    """Hold what Python itself holds while it imports `name`.

    A lock of our own could wait for one of a submodule, whose importer waits for ours. Where Python sees such a circle,
    it goes on without, and the module is there in part.
    """
    lock = _bootstrap._get_module_lock(name)
    try:
        lock.acquire()
    except _bootstrap._DeadlockError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


class _Finder(MetaPathFinder):
    """Finds the modules `names`, once each, as the path finder does, with a loader that waits."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None: another finder's affair."""
        if name not in self._names:
            return None
        self._names.discard(name)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Waiting(spec.loader)
        return spec


class _Waiting(Loader):
    """Runs a module when it is asked for what it does not have yet."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, as the real loader makes it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Registered, and not run."""
        spec = module.__spec__
        assert spec is not None  # noqa: S101 - it is being imported
        spec.loader = module.__loader__ = self._loader
        names, begun = vars(module), False

        def run(wanted: str) -> Any:
            nonlocal begun
            if not wanted.startswith("__"):  # else it is only asked whether it is there
                with _importing(module.__name__):
                    if not begun:
                        begun = True
                        try:
                            self._loader.exec_module(module)
                        except BaseException:
                            begun = False  # whoever asks next is told why as well
                            raise
                        if names.get("__getattr__") is run:
                            del names["__getattr__"]
                if wanted in names:
                    return names[wanted]
                if (own := names.get("__getattr__")) not in (None, run):
                    return own(wanted)
            raise AttributeError(f"module {module.__name__!r} has no attribute {wanted!r}")

        names["__getattr__"] = run
