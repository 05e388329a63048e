"""The small packaged model and the adapter trained by recipes/optimize-smoke.yaml, behind a real `cervella serve`.

    python -m benchmarks.backends                   # trains first, if nothing was trained (about ten minutes)
    python -m benchmarks.backends --only embedded   # without vLLM (`cervella backends install vllm`)

By llama.cpp in the process of the endpoint (`embedded`) and by vLLM, the base alone and with its adapter: the same
questions with the same prompt, streamed, one at a time. Told are seconds until the endpoint answers, seconds to the
first piece of an answer and to its end, tokens a second between these, and how many answers are others than the
base's.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measured import ROOT, Report, summed_up, versions
from benchmarks.serving import cache_folder, endpoint
from components.answer.answer import without_sources
from components.errors import TerminalError
from components.train.environments.find import find_environment, trainer_version

RECIPE = "recipes/optimize-smoke.yaml"
BACKENDS = ("embedded", "vllm")
WHO = {"base": "mvp", "adapter": "optimize"}  # the phase says whether what was trained answers
SECONDS = 600  # for one answer, on a machine that does something else as well


def train(workspace: Path) -> None:
    """Run the recipe, unless it was; its gate may say no to so small a model."""
    print(
        f"{RECIPE} in {workspace}: takes about ten minutes if it was not run there before", file=sys.stderr, flush=True
    )
    command = [sys.executable, "-m", "flows.cli", "run", RECIPE, "-o", f"workspace={workspace}"]
    code = subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode  # noqa: S603
    if code not in (0, 1):
        raise SystemExit(f"{RECIPE} could not be run (exit {code})")


@contextmanager
def serving(workspace: Path, *, backend: str, who: str) -> Iterator[tuple[str, float]]:
    """An endpoint until the end of the block: its address, and the seconds until it answered."""
    overrides = [
        f"workspace={workspace}", f"phase={WHO[who]}", f"serve.backend={backend}", "serve.answers=recipe",
        "llm.cache=false", f"llm.chat.timeout_seconds={SECONDS}", f"serve.limits.seconds={SECONDS}",
    ]  # fmt: skip
    began = time.perf_counter()
    with endpoint(RECIPE, overrides, log=workspace / f"serve-{backend}-{who}.log") as (url, _):
        yield url, time.perf_counter() - began


def ask(url: str, question: str) -> dict[str, Any]:
    """The words of an answer, seconds to its first piece and to its end, and tokens a second between these.

    The guard may hold text back: what the first piece has is not counted; of an answer of one piece nothing is known.
    """
    address = urlsplit(url)
    line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=SECONDS)
    messages = [{"role": "user", "content": question}]
    body = json.dumps({"messages": messages, "stream": True, "stream_options": {"include_usage": True}})
    began, first, pieces, tokens = time.perf_counter(), 0.0, list[str](), 0
    line.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    answer = line.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the endpoint refused a question: {answer.read().decode(errors='replace')}")
    for event in answer:
        if not event.startswith(b"data: {"):
            continue
        chunk = json.loads(event[6:])
        tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
        if text := "".join(choice["delta"].get("content") or "" for choice in chunk["choices"]):
            first = first or time.perf_counter() - began
            pieces.append(text)
    whole = time.perf_counter() - began
    line.close()
    text = without_sources("".join(pieces))  # the list is no model's, and a piece of its own
    later = tokens * (1 - len(pieces[0]) / len(text)) if len(pieces) > 2 else None
    return {
        "text": text, "first": first, "whole": whole, "a_second": None if later is None else later / (whole - first)
    }  # fmt: skip


def measured(workspace: Path, backend: str, questions: Sequence[str]) -> dict[str, Any]:
    """What a backend does with the base and with the adapter."""
    found: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for who in WHO:
        with serving(workspace, backend=backend, who=who) as (url, start):
            ask(url, "Che ore sono?")  # what is loaded at the first question is not counted
            answers = [ask(url, question) for question in questions]
        texts[who] = [answer["text"] for answer in answers]
        first, whole = (summed_up(answer[key] for answer in answers) for key in ("first", "whole"))
        speeds = [answer["a_second"] for answer in answers if answer["a_second"] is not None]
        speed = summed_up(speeds) if speeds else None
        found[who] = {
            "start_seconds": round(start, 2), "first_piece_seconds": first, "whole_seconds": whole,
            "tokens_a_second": speed,
        }  # fmt: skip
        told = f"first piece {first['median']:5.2f} s  whole {whole['median']:5.2f} s"
        said = f"{speed['median']:5.1f} tokens a second" if speed else "all in one piece"
        print(f"{backend:8}  {who:7}  start {start:6.1f} s  {told}  {said}", flush=True)
    found["questions"] = len(questions)
    found["other_answers"] = sum(base != adapted for base, adapted in zip(*texts.values(), strict=True))
    print(f"{backend:8}  {found['other_answers']} of {len(questions)} answers are others than the base's", flush=True)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done; 1: the adapter changed no answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workspace", type=Path, default=cache_folder() / "backends", help="kept (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=BACKENDS, default=list(BACKENDS), help="these backends")
    parser.add_argument("--questions", type=int, default=5, help="so many of the golden ones (default: %(default)s)")
    options = parser.parse_args(argv)
    workspace = options.workspace.resolve()
    workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
    golden = (ROOT / "examples" / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in golden[: options.questions]]
    report = Report("backends")
    train(workspace)
    results: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for backend in options.only:
        try:
            if backend == "vllm":
                find_environment("vllm")
        except TerminalError as error:
            absent[backend] = str(error)
            print(f"{backend:8}  absent: {error}", flush=True)
            continue
        results[backend] = measured(workspace, backend, questions)
    packages = versions("xllamacpp") | ({"vllm": trainer_version("vllm")} if "vllm" in results else {})
    report.values = {"packages": packages, "absent": absent, "results": results}
    print(f"kept in {report.keep()}")
    return int(any(found["other_answers"] == 0 for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
