"""What a user waits for before anything runs: help, validating a recipe, a plan; beside soup-cli, seconds and memory.

    python -m benchmarks.planning

Whole commands, start of Python and imports included; they take turns. Plans of this program are of a workspace that is
empty, so the notes are read and cut for them; soup's plan reads one file of settings.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import SOUP, AbsentError, Environment
from benchmarks.measured import ROOT, Report, load, ran, summed_up

RECIPES = ("mvp", "optimize-qwen3-4b")
BASES = {"Qwen/Qwen3-4B": "4bit", "meta-llama/Llama-3.3-70B-Instruct": "none"}
_SOUP = """\
base: {base}
task: sft
data: {{train: ./train.jsonl, format: sharegpt, max_length: 4096}}
training: {{epochs: 3, lr: 2e-4, batch_size: 1, lora: {{r: 16, alpha: 32}}, quantization: {quantization}}}
output: ./output
"""
_MEMORY = (
    re.compile(r"memory: ([0-9.]+ to [0-9.]+ GiB)"),
    re.compile(r"peak_vram_gb\W+([0-9.]+)"),
)  # as this program and as soup-cli write it

Command = tuple[str, list[str | Path], Path, dict[str, str]]
"""What it is called, what is run, in which folder, with which variables."""


def ours(folder: Path) -> list[Command]:
    """The commands of this program; nothing of what they do is kept."""
    cli: list[str | Path] = [sys.executable, "-m", "flows.cli"]
    found: list[Command] = [("cervella --help", [*cli, "--help"], ROOT, dict(os.environ))]
    for name in RECIPES:
        recipe = ROOT / "recipes" / f"{name}.yaml"
        workspace = ["-o", f"workspace={folder / name}"]
        found.append((f"cervella validate {name}", [*cli, "validate", recipe], ROOT, dict(os.environ)))
        found.append((f"cervella plan {name}", [*cli, "plan", recipe, *workspace], ROOT, dict(os.environ)))
    return found


def theirs(folder: Path, soup: Environment) -> list[Command]:
    """The commands of soup-cli, on a configuration of a small model and of a large one."""
    program, variables = soup.program("soup"), {**soup.variables(), "COLUMNS": "200"}
    found: list[Command] = [("soup --help", [program, "--help"], folder, variables)]
    for base, quantization in BASES.items():
        place = folder / base.rpartition("/")[2]
        place.mkdir()
        (place / "soup.yaml").write_text(_SOUP.format(base=base, quantization=quantization), encoding="utf-8")
        found.append((f"soup plan {place.name}", [program, "plan"], place, variables))
    return found


def measured(commands: Sequence[Command], repeats: int) -> dict[str, Any]:
    """Command -> seconds, memory, exit code, and the memory of a GPU where it names one. The first turn is left out.

    A command whose exit code is not 0 is measured all the same: a plan says with 1 that its run would stop, and where.
    """
    runs: dict[str, list[Any]] = {name: [] for name, *_ in commands}
    for turn in range(repeats + 1):  # files are read for the first time in the first
        for name, command, folder, variables in commands:
            done = ran(command, folder=folder, environment=variables)
            if done.code > 1:
                raise RuntimeError(f"{name} ended with {done.code}: {done.stderr[-2000:]}")
            if turn:
                runs[name].append(done)
    told = {}
    for name, found in runs.items():
        said = [match[1] for match in (pattern.search(found[-1].stdout) for pattern in _MEMORY) if match]
        told[name] = {
            "wall": summed_up(one.wall for one in found), "processor": summed_up(one.processor for one in found),
            "peak_mb": summed_up(one.peak_mb for one in found), "code": found[-1].code,
            "gpu": said[0] if said else "",
        }  # fmt: skip
        print(
            f"{name:<36} {told[name]['wall']['median']:6.2f} s wall  {told[name]['processor']['median']:6.2f} s of a "
            f"processor  {told[name]['peak_mb']['median']:6.0f} MB  exit {told[name]['code']}"
        )
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of each command; medians are shown (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="instead of benchmarks/results/planning.json")
    options = parser.parse_args(arguments)
    report, absent, packages = Report("planning"), {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands, soup = ours(folder), Environment(SOUP)
        try:
            packages[SOUP.name] = soup.installed()
            commands += theirs(folder, soup)
        except AbsentError as error:
            absent[SOUP.name] = str(error)
        report.loads.append(load())
        report.values = {
            "absent": absent, "packages": packages, "repeats": options.repeats,
            "commands": measured(commands, options.repeats),
        }  # fmt: skip
    print(f"kept in {report.keep(options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
