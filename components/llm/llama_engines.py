"""Models that llama.cpp has loaded, by what they were loaded from: each once, whoever asks for it.

State after a hard crash: none; they are memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["Engine", "Engines"]

Key = TypeVar("Key", bound=Hashable)


class Engine:
    """One loaded model. `lock`: held by the question that it works on."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.lock = threading.Lock()
        self.system: str | None = None  # the system message that has been read


class Engines(Generic[Key]):
    """Threads may share it. Who loads one model keeps nobody from another.

    Args:
        load: loads one; what it raises is raised to who asked, and the next who asks tries again.
        keep: how many stay loaded that nobody holds: those asked for last. What somebody holds stays anyhow.
    """

    def __init__(self, load: Callable[[Key], Engine], *, keep: int) -> None:
        self._load, self._keep = load, keep
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Engine] = OrderedDict()
        self._loaded: WeakValueDictionary[Key, Engine] = WeakValueDictionary()
        self._turns: WeakValueDictionary[Key, threading.Lock] = WeakValueDictionary()  # gone once nobody waits for it

    def __len__(self) -> int:
        """How many are loaded."""
        return len(self._loaded)

    def get(self, key: Key) -> Engine:
        """The model of that key, loaded if it is not. Raises as `load` does."""
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                engine = self._loaded.get(key)
            if engine is None:
                engine = self._load(key)
            let_go = None  # goes at the end, without the lock: that takes its time
            with self._lock:
                self._loaded[key] = self._kept[key] = engine
                self._kept.move_to_end(key)
                if len(self._kept) > self._keep:
                    let_go = self._kept.popitem(last=False)
            del let_go
            return engine
