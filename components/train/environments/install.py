"""Installs the environment of a trainer or backend: torch for this machine, its lock, a trial; mends a broken one.

Order: lock the environment's folder -> remove `environment.json` -> an empty virtual environment of this project's
Python -> torch by version, CPU or CUDA as the machine is -> everything else from the lock, hashes checked -> is it what
the lock says, and can the trainer be imported? -> `environment.json`, atomically. A kill at any point leaves a folder
without that file, which counts as nothing and which the next installation empties; what was downloaded stays in uv's
cache, so it costs seconds. It is made in place, since programs of a virtual environment hold its absolute path.

Not covered by a hash: torch and the libraries of CUDA (their versions are pinned; the digest of torch's list of files
is recorded) and, for what comes as source (Axolotl: langdetect and a few like it), build tools, which are held to the
lock's versions.

torchvision, torchaudio and torchcodec are left out, though these programs ask for them: for text none is used, and
the ones on the public index do not go with every build of torch ("operator torchvision::nms does not exist").
LLaMA-Factory imports torchaudio all the same, so an empty module of that name is put there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from components.errors import TerminalError
from components.store import bytes_in_words, hold, write_atomic
from components.train.environments import find
from components.train.environments.check import broken_imports, misfits
from components.train.environments.child import run_logged, tail
from components.train.environments.expect import expected
from components.train.environments.find import BACKENDS, MARK, Environment, EnvironmentName, install_command
from components.train.environments.machine import (
    folder_bytes,
    free_bytes,
    has_nvidia_gpu,
    same_disk,
    supported,
    uv_cache,
)
from components.train.environments.uv import Sources, find_uv, pip_sources
from components.train.environments.variables import for_uv

__all__ = ["STUBS", "install", "needs_installing"]

Say = Callable[[str], None]
Tick = Callable[[], None]
STUBS = {"llamafactory": ("torchaudio",)}
"""Modules that a trainer imports and, for text, never uses: empty ones."""
_NETWORK = (
    "dns error", "failed to lookup", "error sending request", "connection refused", "connection reset", "timed out",
    "network is unreachable", "request failed after", "tls handshake", "no route to host", "failed to fetch",
    "network was disabled",
)  # fmt: skip
_FULL = ("no space left", "os error 28")
_SAME_EVERYWHERE = (*_FULL, "hash mismatch")


def needs_installing(name: EnvironmentName, *, cuda: bool) -> str | None:
    """Why an environment has to be made (anew); None when the installed one is good, as far as its files tell."""
    folder = find.environment_folder(name)
    if fault := find.fault_of(name, folder):
        return fault
    told = find.read_environment(folder) or {}
    if cuda and not told.get("cuda"):
        return "it is for machines without a GPU, and this one has one"
    return None


def install(
    name: EnvironmentName,
    *,
    say: Say,
    cpu: bool = False,
    repair: bool = False,
    tick: Callable[[int], None] | None = None,
) -> Environment:
    """Make sure that a trainer or backend is installed and works. Does nothing but look when it is.

    Args:
        name: of the program.
        say: is told in a line what happens, before it does.
        cpu: take torch for the CPU, also on a machine with an NVIDIA GPU.
        repair: make it anew whatever its state.
        tick: is told twice a second how many bytes the disk has lost since the beginning.

    Raises:
        InputError: there is no uv.
        TerminalError: not enough disk, no network, a hash that is not the lock's, or a trainer that cannot be imported:
            with the end of the log, and how to mend it.
    """
    supported()
    uv, folder, cuda = find_uv(), find.environment_folder(name), has_nvidia_gpu() and not cpu and name not in BACKENDS
    try:
        find.install_lock(name).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TerminalError(
            f"{folder.parent}: no environments can be made there ({error.strerror}); name another folder with "
            "CERVELLA_TRAINERS"
        ) from error
    with hold(
        find.install_lock(name),
        what=f"install {name}",
        timeout_seconds=3600,
        waiting=lambda who: say(f"waiting for {who}"),
    ):
        fault = "asked to be made anew" if repair else needs_installing(name, cuda=cuda)
        if fault is None and (fault := broken_imports(name, folder / "bin" / "python", log=_log(folder))) is None:
            say(f"{name} {find.trainer_version(name)} is installed and can be imported: {folder}")
            return find.find_environment(name)
        if folder.is_dir():
            say(f"{name} is made anew: {fault}")
        _Installation(name, uv, folder, cuda, say, tick or (lambda taken: None)).run()
    return find.find_environment(name)


def _log(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")


class _Installation:
    """One installation: what its steps share."""

    def __init__(
        self, name: EnvironmentName, uv: Path, folder: Path, cuda: bool, say: Say, tick: Callable[[int], None]
    ) -> None:
        self.name, self.uv, self.folder, self.cuda, self.say = name, str(uv), folder, cuda, say
        self.lock, self.log = find.lock_file(name), _log(folder)
        self.python = folder / "bin" / "python"
        self.sources = pip_sources()
        self.begun, self.free = time.monotonic(), free_bytes(folder)
        self.tick: Tick = lambda: tick(max(0, self.free - free_bytes(folder)))

    def run(self) -> None:
        """All of it."""
        self.see_that_it_fits()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / MARK).unlink(missing_ok=True)
        self.log.write_bytes(b"")
        self.say("an empty environment")
        base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
        python = base if os.access(base, os.X_OK) else sys.executable
        self.uv_does("venv", "--quiet", "--no-project", "--clear", "--python", python, str(self.folder))
        self.torch()
        self.say(f"{len(find.locked_packages(self.name))} packages, each with the hash of its lock")
        self.packages()
        self.stubs()
        self.say("a trial: is it what the lock says, and can it be imported?")
        self.trial()
        self.seal()

    def see_that_it_fits(self) -> None:
        """Tell what it will take, and refuse where the disk has not that much."""
        told, cache = expected(self.name, cuda=self.cuda), uv_cache()
        self.say(
            f"{self.name} {find.trainer_version(self.name)} with torch {find.torch_version(self.name)} for "
            f"{'NVIDIA GPUs' if self.cuda else 'the CPU'}: about {bytes_in_words(told.bytes)} on disk"
            + ("" if same_disk(self.folder, cache) else f", as much in {cache}, which is on another one")
            + f", {told.time} where packages come fast"
        )
        self.room_for(told.bytes)

    def room_for(self, needed: int) -> None:
        """Refuse where the disk of environments, or the one of downloads, has not that much and a tenth more."""
        for place in (self.folder, uv_cache()):
            if (free := free_bytes(place)) < needed * 1.1:
                raise TerminalError(
                    f"{place}: {bytes_in_words(free)} are free, and {self.name} takes about "
                    f"{bytes_in_words(needed)}. Free some space (`uv cache prune`, environments of older locks in "
                    f"{self.folder.parent}), or name folders on a larger disk with "
                    "CERVELLA_TRAINERS (environments) and UV_CACHE_DIR (downloads)"
                )

    def uv_does(self, *arguments: str) -> None:
        """Run uv; raise what it says where it fails."""
        if self.uv_fails(*arguments):
            raise self.failed(f"uv {arguments[0]} failed")

    def uv_fails(self, *arguments: str, sources: Sources | None = None) -> bool:
        """Run uv, away from the project, whose settings are not for trainers. Whether it failed."""
        told = sources.variables() if sources else {}
        environment = {**for_uv(), **told, "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
        command = [self.uv, *arguments]
        return run_logged(command, log=self.log, tick=self.tick, environment=environment, folder=self.log.parent) != 0

    def packages(self) -> None:
        """Install what the lock names; without a network, from what was downloaded before."""
        lock = str(self.lock)
        command = ("pip", "install", "--python", str(self.python), "--no-deps", "--require-hashes",
                   "--build-constraints", lock, "-r", lock)  # fmt: skip
        if not self.uv_fails(*command, sources=self.sources):
            return
        if self.no_network():
            self.say("no network: from what was downloaded before")
            if not self.uv_fails(*command, "--offline", sources=self.sources):
                return
        raise self.failed("packages could not be installed")

    def no_network(self) -> bool:
        text = tail(self.log, 40).lower()
        return any(words in text for words in _NETWORK)

    def torch(self) -> None:
        """Install torch by version: a build that lies on this machine, where there is one, else the one for its GPU."""
        version, sources = find.torch_version(self.name), self.sources
        common = ("pip", "install", "--python", str(self.python), "--constraint", str(self.lock))
        index = Sources(sources.index)
        # With a GPU not the links: what lies there may be a build for the CPU, which uv takes for the newer one.
        anything = index if self.cuda else sources
        local, plain = f"torch=={version}+cpu", f"torch=={version}"
        ways: list[tuple[str, list[str], Sources]] = []
        if not self.cuda and sources.local_build("torch", version, "cpu"):
            told = "for the CPU, which lies on this machine"
            nothing_else = f"{told}; nothing else is asked for"
            ways += [(told, [local], sources), (nothing_else, [local, "--offline"], sources)]
        ways.append(("for this machine", [plain, "--torch-backend", "auto" if self.cuda else "cpu"], index))
        if self.name not in BACKENDS:  # their packages ask for the very build
            ways.append(("as the package index has it, with CUDA", [plain], anything))
        # Without a network, what was downloaded before: the CPU's build first, since it is not the index's.
        before = "from what was downloaded before"
        ways += [(before, [one, "--offline"], sources) for one in [local, plain][self.cuda :]]
        for told, arguments, where in ways:
            self.say(f"torch {version} {told}")
            if "with CUDA" in told and not self.cuda:
                self.room_for(expected(self.name, cuda=True).bytes)
            if not self.uv_fails(*common, *arguments, sources=where):
                return
            if any(words in tail(self.log, 40).lower() for words in _SAME_EVERYWHERE):
                break
        raise self.failed(f"torch {version} could not be installed")

    def stubs(self) -> None:
        """Empty modules in place of those that are imported and not used."""
        site = find.site_packages(self.folder)
        for module in STUBS.get(self.name, ()):
            if site is not None:
                text = f'"""Empty: {self.name} imports {module} and does not use it for text. Written by Cervella."""\n'
                (site / f"{module}.py").write_text(text, encoding="utf-8")

    def trial(self) -> None:
        if wrong := misfits(self.name, self.folder, uv=self.uv):
            raise self.failed(f"what is installed is not what the lock says: {'; '.join(wrong[:5])}")
        if self.cuda and not find.built_for_cuda(self.folder):
            raise self.failed("torch was only to be had for the CPU, and this machine has a GPU (--cpu takes that)")
        if wrong_import := broken_imports(self.name, self.python, log=self.log, tick=self.tick):
            raise self.failed(wrong_import)

    def seal(self) -> None:
        """`environment.json`, last: from here on the environment exists."""
        versions = dict(one.rsplit("-", 1) for one in find.installed_packages(self.folder))
        told = {
            "name": self.name, "lock": find.lock_digest(self.name), "trainer_version": find.trainer_version(self.name),
            "torch": versions["torch"], "torch_digest": find.record_digest(self.folder),
            "cuda": find.built_for_cuda(self.folder), "python": ".".join(map(str, sys.version_info[:3])),
            "installed": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.begun, 1), "bytes": folder_bytes(self.folder),
            "packages": find.installed_packages(self.folder),
        }  # fmt: skip
        write_atomic(self.folder / MARK, (json.dumps(told, indent=1) + "\n").encode())

    def failed(self, what: str) -> TerminalError:
        """An error with the end of the log, and what to do."""
        text = tail(self.log, 60).lower()
        again = "the same command goes on from what was downloaded"
        if any(words in text for words in _FULL):
            mend = f"the disk is full: free some space, or set CERVELLA_TRAINERS and UV_CACHE_DIR; {again}"
        elif "hash mismatch" in text:
            mend = "a package is not the one that was locked: ask who runs the package index, do not use it"
        elif self.no_network():
            mend = f"the package index could not be reached: look at the network, proxy and certificates; {again}"
        else:
            mend = f"the log has all of it: {self.log}; `{install_command(self.name)} --repair` begins anew"
        return TerminalError(f"{self.name}: {what}. The end of the log:\n{tail(self.log)}\n{mend}")
