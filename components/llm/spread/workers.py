"""Processes of a Ray cluster that work for this one. One that dies is replaced, and what it was at is done again.

Work that a worker died over three times ends it: it would go on dying. Everything that is kept (vectors, answers,
money spent) is kept here, so a worker that dies in the midst of its work has neither lost nor doubled anything.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from components.errors import CervellaError, TerminalError
from components.llm.spread.cluster import Cluster, address_leaves_to, check_installed
from components.llm.spread.inside import Inside
from components.store.progress import logger

__all__ = ["Workers"]

_TRIES = 3
_START_SECONDS = 180.0


class Workers:
    """Workers of a Ray cluster, to be used in a `with` block; nothing is started before the first use within it.

    Threads may share them. A pickled copy is of the same settings, and connected to nothing.
    """

    def __init__(
        self, *, address: str | None = None, most: int | None = None, trusted_hosts: Collection[str] = ()
    ) -> None:
        """Settings, nothing else.

        Args:
            address: of the cluster; none: one on this machine, for as long as the block takes.
            most: workers, each with one processor; none: as many as the cluster has processors.
            trusted_hosts: names in `address` that count as this machine.
        """
        self._settings = {"address": address, "most": most, "trusted_hosts": tuple(trusted_hosts)}
        self._address, self._most = address, most
        self._leaves_to = address_leaves_to(address, trusted_hosts=trusted_hosts)
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._count = 0
        self._done: dict[str, Counter[str]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._settings,)

    def __enter__(self) -> Workers:
        """Raises TerminalError where Ray is not installed."""
        check_installed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them; a cluster that was started for them ends too."""
        with self._lock:
            cluster, self._cluster, self._count = self._cluster, None, 0
            self._slots = queue.SimpleQueue()
        if cluster is not None:
            cluster.close()

    @property
    def count(self) -> int:
        """How many they are. Opens the cluster; raises as `Cluster.open`."""
        with self._lock:
            if self._cluster is None:
                self._open()
            return self._count

    @property
    def leaves_to(self) -> str | None:
        """Where texts go that they are given, in words; None: they stay on this machine.

        One that is reached here may have machines elsewhere, so it is opened to be sure.
        """
        if self._address is not None and self._leaves_to is None:
            self.count  # noqa: B018 - opens it
        return self._leaves_to

    def call(self, method: str, *arguments: object, what: str, amount: int = 1, **settings: object) -> Any:
        """What a free worker's `Inside` returns, tried anew where one dies; waits for its turn.

        Args:
            method: of `Inside`.
            arguments: of the method, by place.
            what: it is counted as in `told` (`texts`, `answers`).
            amount: how many of them.
            settings: of the method, by name.

        Raises:
            CervellaError: as the worker raised it. TerminalError: the cluster gives no worker, or three died over this.
        """
        if not self.count:
            raise TerminalError("the Ray cluster has no processor to work with")
        slots = self._slots
        slot = slots.get()
        try:
            found = self._try(slot, method, arguments, settings)
        finally:
            slots.put(slot)
        if isinstance(found, CervellaError):
            raise found
        with self._lock:
            self._done.setdefault(slot.name, Counter())[what] += amount
        return found

    def told(self) -> dict[str, dict[str, int]]:
        """Worker (machine and process) -> what it did: texts embedded, answers given."""
        with self._lock:
            return {name: dict(done) for name, done in sorted(self._done.items())}

    def _open(self) -> None:
        cluster = Cluster(address=self._address, most=self._most)
        logger.info("Ray: %s", "starting on this machine" if self._address is None else f"joining {self._address}")
        cluster.open()
        self._cluster = cluster
        import ray

        processors = int(ray.cluster_resources().get("CPU", 0))
        self._count = min(processors, self._most or processors)
        machines = sorted({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]})
        if self._leaves_to is None and len(machines) > 1:
            self._leaves_to = f"a Ray cluster of {len(machines)} machines"
        for _ in range(self._count):
            self._slots.put(_Slot())
        logger.info("Ray: %d workers on %s", self._count, ", ".join(machines))

    def _try(self, slot: _Slot, method: str, arguments: tuple[object, ...], settings: dict[str, object]) -> Any:
        import ray.exceptions

        for attempt in range(1, _TRIES + 1):
            try:
                if slot.actor is None:
                    self._start(slot)
                return ray.get(getattr(slot.actor, method).remote(*arguments, **settings))
            except ray.exceptions.RayActorError as error:
                name, slot.actor = slot.name, None
                if attempt == _TRIES:
                    raise TerminalError(_died(name, str(error))) from None
                logger.warning("Ray: the worker %s died; its work is given to another", name or "that was started")
            except ray.exceptions.GetTimeoutError:
                raise TerminalError(
                    f"the Ray cluster started no worker within {_START_SECONDS:g} s: others hold its processors, "
                    "perhaps. Set execution.workers lower, or wait for them"
                ) from None
        raise AssertionError("unreachable")

    def _start(self, slot: _Slot) -> None:
        import ray

        actor = ray.remote(num_cpus=1, max_restarts=0)(Inside).remote()
        slot.actor, slot.name = actor, ""
        slot.name = ray.get(actor.name.remote(), timeout=_START_SECONDS)


@dataclass
class _Slot:
    """The place of one worker; there is none in it before the first use, and after one died."""

    actor: Any = None
    name: str = field(default="")


def _again(settings: dict[str, Any]) -> Workers:
    return Workers(**settings)


def _died(name: str, error: str) -> str:
    if "ModuleNotFoundError" in error or "ImportError" in error:
        return (
            "a worker of the Ray cluster cannot import this program: install the same version of it, with `make setup "
            f"setup-ray`, on each machine of the cluster, and start Ray from its .venv. It says: {error[-300:]}"
        )
    return (
        f"three workers of the Ray cluster died over the same work, the last of them {name}: out of memory, perhaps. "
        "Nothing that was done before is lost. Set execution.workers lower, or index.embedding.batch_size"
    )
