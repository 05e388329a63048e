"""What the endpoint costs beside the model: own overhead, requests a second and memory of a real `cervella serve`.

    python -m benchmarks.serving --notes DIR                  # 16 clients for a minute, packaged embedder
    python -m benchmarks.serving --notes DIR --duration 600   # ten minutes: does its memory grow?
    python -m benchmarks.serving --chunks 50000               # retrieval alone on so many chunks of generated notes

The model is `fake/chat`, whose answer takes a fixed time: WORDS words, one after the other. Own overhead is all that a
request takes beyond it, as its client sees it: HTTP both ways, waiting for a thread, embedding the question, searching,
building the prompt, the guard on the answer, the usage log, and the clients themselves, which share the
processors with the server. Each question is asked once, so no vector and no answer comes from a cache. The same load is
measured with `fake/embedding` in place of the packaged embedder: the difference is what embedding a question costs.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import itertools
import json
import os
import platform
import random
import re
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measured import stolen
from components.services.process_start import processor_seconds, ps

ROOT = Path(__file__).resolve().parent.parent
RECIPE = str(ROOT / "recipes" / "mvp.yaml")
CLIENTS = 16
WORDS = 20  # of an answer; as many pieces of a stream
SEED = 13
PACKAGED, FAKE = "local/multilingual-e5-small", "fake/embedding"
SIDE_SECONDS = 20.0  # at most, of each phase that is only compared with the main one
QUESTIONS = 300  # of retrieval alone
NOTE = 5450  # characters of a generated note: the median of real ones
CHUNKS_OF_A_NOTE = 9.97


def cache_folder() -> Path:
    """Where indexes stay between runs (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cervella" / "bench-serving"


def publish(notes: Path, workspace: Path, *, embedding: str) -> list[str]:
    """Index the notes as a reindex does, without Prefect; the overrides of a recipe that finds them there."""
    from components.index import steps as index
    from components.sncp import steps as sncp
    from components.store import Run, recorded_step
    from flows.commands.options import load

    overrides = [
        f"sncp.root={notes.resolve()}", "sncp.include=['**/*.md']", f"workspace={workspace}",
        f"index.embedding.model={embedding}",
    ]  # fmt: skip
    recipe = load(RECIPE, tuple(overrides)).recipe
    run = Run.create(workspace, recipe="bench", phase="reindex")
    collection = sncp.read_notes(recipe.sncp, persona_files=recipe.persona.files, workspace=workspace)
    with recorded_step(run, sncp.collect_spec(recipe.sncp, collection)) as step:
        if not step.sealed:
            sncp.write_notes(step, collection)
    chunks = index.chunk_notes(run, recipe.index, notes=step.artefact)
    index.build_index(run, recipe.index, chunks=chunks, root=notes)
    print(f"{len(collection.documents)} notes, {chunks.facts['chunks']} chunks, {embedding}", file=sys.stderr)
    return overrides


@contextmanager
def endpoint(recipe: str, overrides: Sequence[str], *, log: Path) -> Iterator[tuple[str, int]]:
    """A `cervella serve` over a recipe, until the end of the block; its address, once it answers, and its pid."""
    options = [part for value in overrides for part in ("-o", value)]
    command = [sys.executable, "-m", "flows.cli", "serve", recipe, *options, "--port", "0"]
    with log.open("w", encoding="utf-8") as lines:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=lines, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101
        found = re.search(r"answers at (http://\S+)/v1 ", process.stdout.readline())
        if not found:
            raise SystemExit(f"the endpoint did not start:\n{log.read_text(encoding='utf-8')}")
        yield found[1], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@contextmanager
def served(overrides: Sequence[str], *, latency: float, log: Path) -> Iterator[tuple[str, int]]:
    """A `cervella serve` over this recipe with a model of so many seconds; see `endpoint`."""
    model = f"fake/chat?reply={'+'.join(['parola'] * WORDS)}&delay={latency / WORDS}"
    own = [
        f"llm.chat.model={model}", "llm.cache=false", "serve.answers=recipe", "serve.limits.per_minute=1000000",
    ]  # fmt: skip
    with endpoint(RECIPE, [*overrides, *own], log=log) as found:
        yield found


def questions(notes: Path) -> Iterator[str]:
    """Questions without end, each another one, of words that stand together in a note; in each run others."""
    rng, run = random.Random(SEED), secrets.token_hex(3)  # noqa: S311
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(notes.rglob("*.md"))]
    words = [found for found in (re.findall(r"[^\W\d_]{4,}", text) for text in texts) if len(found) > 4]
    for number in itertools.count(1):
        said = rng.choice(words)
        at = rng.randrange(len(said) - 4)
        yield f"Che cosa dicono le note di {' '.join(said[at : at + 4])}? Pratica {run}-{number}."


@dataclass
class Load:
    """What the clients of one phase saw, and what the server took: seconds; `memory`: share of the time -> bytes."""

    name: str
    clients: int
    stream: bool
    total: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    memory: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    processor: float = 0.0
    stolen: float | None = None

    def report(self, latency: float) -> dict[str, Any]:
        """In milliseconds and MB: overhead, and its parts as the server tells them."""
        search = [one["search_seconds"] for one in self.told]
        model = [one["seconds"] - one["search_seconds"] - latency for one in self.told]
        around = [total - one["seconds"] for total, one in zip(self.total, self.told, strict=True)]
        return {
            "phase": self.name, "clients": self.clients, "streamed": self.stream, "seconds": round(self.seconds, 1),
            "requests": len(self.total), "a second": round(len(self.total) / self.seconds, 2),
            "errors": dict(self.errors),
            "processor of the server, ms a request": round(1000 * self.processor / max(1, len(self.total)), 1),
            "processors of the machine that others had, %": (
                None if self.stolen is None else round(100 * self.stolen / self.seconds / (os.cpu_count() or 1), 1)
            ),
            "own overhead ms": spread([total - latency for total in self.total]),
            "of it, search ms": spread(search),
            "of it, around the model's time ms": spread(model),
            "of it, HTTP and waiting for a thread ms": spread(around),
            "first piece ms": spread([seconds - latency / WORDS for seconds in self.first]),
            "memory MB": {share: round(size / 1e6, 1) for share, size in self.memory.items()},
        }  # fmt: skip


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """50th, 95th and 99th percentile and the largest, in milliseconds; nothing of fewer than two."""
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        name: round(1000 * value, 1)
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]), ("max", max(seconds)))
    }


def loaded(
    url: str, pid: int, asked: Iterator[str], *, name: str, clients: int, seconds: float, begin_over: float,
    stream: bool = False,
) -> Load:  # fmt: skip
    """So many clients that ask for so long, each the next question as soon as it has its answer.

    They begin one after the other over `begin_over` seconds: a model of fixed time would keep those in step for ever
    that begin together.
    """
    load, lock = Load(name, clients, stream), threading.Lock()
    address = urlsplit(url)
    begun, used, before = time.perf_counter(), processor_seconds(pid) or 0.0, stolen()
    end = begun + seconds

    def talk(number: int) -> None:
        time.sleep(number / clients * begin_over)
        line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        while time.perf_counter() < end:
            with lock:
                question = next(asked)
            body = json.dumps({"messages": [{"role": "user", "content": question}], "stream": stream})
            since = time.perf_counter()
            try:
                line.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
                answer = line.getresponse()
                first = answer.readline() if stream else b""
                first_seconds = time.perf_counter() - since
                text = first + answer.read()
                total = time.perf_counter() - since
            except (OSError, http.client.HTTPException) as error:
                line.close()
                with lock:
                    load.errors[type(error).__name__] += 1
                continue
            told = _told(text, stream=stream) if answer.status == 200 else None
            with lock:
                if told is None:
                    load.errors[str(answer.status)] += 1
                    continue
                load.total.append(total)
                load.told.append(told)
                if stream:
                    load.first.append(first_seconds)
        line.close()

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for share in (0.1, 0.5, 1.0):
        time.sleep(max(0.0, begun + share * seconds - time.perf_counter()))
        load.memory[f"{share:.0%}"] = 1024 * int(ps("-o", "rss=", "-p", str(pid)).strip() or 0)
    for thread in threads:
        thread.join()
    load.seconds, load.processor = time.perf_counter() - begun, (processor_seconds(pid) or 0.0) - used
    now = stolen()
    load.stolen = None if before is None or now is None else now - before
    return load


def _told(text: bytes, *, stream: bool) -> dict[str, Any] | None:
    """What the answer says of itself; None: it is not whole."""
    if not stream:
        whole = json.loads(text)
        return whole["cervella"] if whole["choices"][0]["finish_reason"] == "stop" else None
    events = text.decode().strip().split("\n\n")
    if events[-1] != "data: [DONE]":
        return None
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    return next((chunk["cervella"] for chunk in chunks if "cervella" in chunk), None)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All phases over both embedders; printed as they come."""
    latency, duration = float(options.latency), float(options.duration)
    side = min(SIDE_SECONDS, duration / 3)
    report: dict[str, Any] = {"latency of the model s": latency, "phases": []}
    for embedding in options.embedding:
        place = hashlib.sha256(f"{options.notes.resolve()} {embedding}".encode()).hexdigest()[:16]
        workspace = options.cache / place
        workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
        overrides = publish(options.notes, workspace, embedding=embedding)
        asked = questions(options.notes)
        with served(overrides, latency=latency, log=workspace / "serve.log") as (url, pid):
            loaded(
                url, pid, asked, name="warm up", clients=options.clients, seconds=max(2.0, 2 * latency), begin_over=0
            )
            is_main = embedding == options.embedding[0]
            phases = [
                ("one client", 1, False, side),
                (f"{options.clients} clients", options.clients, False, duration if is_main else side),
                (f"{options.clients} clients, streamed", options.clients, True, side),
            ]
            for name, clients, stream, seconds in phases:
                load = loaded(
                    url, pid, asked, name=name, clients=clients, seconds=seconds, begin_over=latency, stream=stream
                )
                found = {"embedding": embedding, **load.report(latency)}
                report["phases"].append(found)
                _show(found)
    return report


def _show(found: dict[str, Any]) -> None:
    print(f"{found['embedding']}, {found['phase']}: {found['requests']} requests in {found['seconds']} s", end="")
    print(f" ({found['a second']} a second), errors {found['errors'] or 'none'}, memory {found['memory MB']} MB")
    print(f"  processor of the server: {found['processor of the server, ms a request']} ms a request, ", end="")
    print(f"others had {found['processors of the machine that others had, %']} % of the machine's processors")
    for name, value in found.items():
        if name.endswith(" ms") and value:
            print(f"  {name}: " + ", ".join(f"{which} {number:.1f}" for which, number in value.items()), flush=True)


def retrieval(count: int, *, cache: Path) -> dict[str, Any]:
    """Seconds of a search of so many chunks, and of embedding the question, each alone; one question at a time.

    The vectors are hashed words, as long as those of the packaged embedder: what it costs to search does not depend on
    what they mean, and embedding so many chunks would take hours.
    """
    from benchmarks.reindex import generate, notes_of
    from benchmarks.retrieval import cut, read_notes
    from components.index import Index, SearchParams
    from components.index.params import ChunkParams
    from components.llm import load_embedder

    packaged = load_embedder(model=PACKAGED)
    if packaged is None:
        raise SystemExit(f"{PACKAGED} is not installed")
    model = f"{FAKE}?dimensions={packaged.dimensions}"
    embedder = load_embedder(model=model)
    assert embedder is not None  # noqa: S101
    notes = round(count / CHUNKS_OF_A_NOTE)
    folder = cache / f"generated-{notes}"
    if not (folder / "whole").exists():
        generate(folder / "notes", notes, NOTE)
        chunks = cut(read_notes(folder / "notes"), embedder.count_tokens, ChunkParams())
        Index.open(folder / "index", embedder).sync(chunks, max_removed_share=1.0)
        (folder / "whole").write_text(f"{len(chunks)}\n", encoding="utf-8")
    index, search = Index.open(folder / "index", embedder), SearchParams()
    asked = questions(folder / "notes")
    searches, embeddings = [], []
    for number in range(QUESTIONS + 10):
        question, since = next(asked), time.perf_counter()
        hits, _ = index.searched(
            question, k=2 * search.k, fusion=search.fusion, dense_weight=search.dense_weight,
            candidates=max(search.candidates, search.k),
        )  # fmt: skip
        found = time.perf_counter()
        packaged.embed_queries([question])
        if number >= 10:  # the first ones open files
            searches.append(found - since)
            embeddings.append(time.perf_counter() - found)
        if not hits:
            raise SystemExit(f"nothing was found for: {question}")
    both = [one + other for one, other in zip(searches, embeddings, strict=True)]
    report = {
        "chunks": int((folder / "whole").read_text(encoding="utf-8")), "notes": len(notes_of(folder / "notes")),
        "questions": QUESTIONS, "search ms": spread(searches), "embedding ms": spread(embeddings),
        "both ms": spread(both),
    }  # fmt: skip
    print(f"{report['chunks']} chunks of {report['notes']} notes, {QUESTIONS} questions, one at a time")
    for name in ("search ms", "embedding ms", "both ms"):
        print(f"  {name}: {report[name]}")
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done; 1: a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--notes", type=Path, default=ROOT / "examples" / "sncp", help="folder with Markdown notes")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of the main phase (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="at once (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=1.0, help="seconds of the model (default: %(default)s)")
    parser.add_argument(
        "--embedding", nargs="+", default=[PACKAGED, FAKE], help="embedders; the first has the main phase"
    )
    parser.add_argument("--chunks", type=int, metavar="N", help="retrieval alone, on about so many generated chunks")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder kept between runs (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    options = parser.parse_args(argv)
    options.cache = options.cache.resolve()
    options.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    told: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors", "python": platform.python_version(),
        "load before": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    told |= {"retrieval": retrieval(options.chunks, cache=options.cache)} if options.chunks else measure(options)
    told["load after"] = round(os.getloadavg()[0], 1)
    if options.json:
        options.json.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 1 if any(phase["errors"] for phase in told.get("phases", ())) else 0


if __name__ == "__main__":
    sys.exit(main())
