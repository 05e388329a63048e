"""A workspace with an index of two notes, in which contestants are asked; here, or in a child that shall die.

Arguments of `main`: `FOLDER STEP AT_ONCE [--chat MODEL] [--die N] [--slow N SECONDS] [--items N] [--memory]`. It does
the step (`answers`, `candidate` or `control`) and writes a line to FOLDER/calls for each call of the chat model, before
it answers. `--die N`: it kills itself in its Nth call. `--slow N SECONDS`: from the Nth on, calls take so long.
`--memory`: it says at the end how many MiB it grew from a fifth of the items on.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.answer import AnswerParams
from components.answer.partner import Partner
from components.answer.steps import open_partner
from components.evaluate import EvaluateParams
from components.evaluate import steps as evaluate
from components.evaluate.asking import contestants
from components.evaluate.asking import steps as asking
from components.evaluate.said import Item
from components.index import IndexParams, SearchParams
from components.index import steps as index
from components.index.params import EmbeddingParams
from components.llm import Budget, load_chat, load_tokenizer
from components.llm.params import ChatParams, LlmParams
from components.persona import PersonaParams
from components.persona import steps as persona
from components.sncp import SncpParams
from components.sncp import steps as sncp
from components.store import Artefact, Run, progress_logger

__all__ = ["AskingHouse", "items"]

INDEX = IndexParams(embedding=EmbeddingParams(model="fake/embedding"))
SEARCH = SearchParams()


def items(count: int, *, part: str = "personality") -> list[Item]:
    """So many prompts, each another."""
    return [
        Item(part=part, id=f"p{number}", prompt=f"Quando si rilascia la versione {number}?", lang="it", kind="fact")  # type: ignore[arg-type]
        for number in range(count)
    ]


class AskingHouse:
    """A workspace in `folder`; made once, opened again by children."""

    def __init__(self, folder: Path, *, chat: str = "fake/chat", temperature: float = 0.0, cache: bool = True) -> None:
        self.root, self.workspace = folder / "notes", folder / "workspace"
        self.root.mkdir(exist_ok=True)
        (self.root / "a.md").write_text("# Rilascio\n\nSi rilascia il venerdì mattina.\n", encoding="utf-8")
        (self.root / "b.md").write_text("# Backup\n\nIl backup gira ogni notte alle tre.\n", encoding="utf-8")
        self.golden = folder / "golden.jsonl"
        self.llm = LlmParams(chat=ChatParams(model=chat, retries=0, temperature=temperature), cache=cache)
        self.answer = AnswerParams()
        self.run = self.new_run()
        notes = sncp.collect_notes(self.run, SncpParams(root=self.root, include=["**/*.md"]), persona_files=[])
        self.built = index.build_index(self.run, INDEX, chunks=index.chunk_notes(self.run, INDEX, notes=notes))
        self.prompt = persona.compile_persona(
            self.run, PersonaParams(), root=self.root, documents=sncp.read_documents(notes)
        )
        self.index = index.open_index(INDEX, workspace=self.workspace, built=self.built)

    def new_run(self) -> Run:
        return Run.create(self.workspace, recipe="test", phase="mvp")

    def partner(self) -> Partner:
        text, session = persona.read_persona(self.prompt)
        return open_partner(
            workspace=self.workspace, index=self.index, search=SEARCH, prompt=text, session=session, llm=self.llm,
            answer=self.answer,
        )  # fmt: skip

    def served(self) -> contestants.Served:
        return contestants.Served(self.partner(), built=self.built)

    def bare(self) -> contestants.Bare:
        budget = Budget(per_run_usd=5, per_query_usd=1)
        return contestants.Bare(load_chat(**self.llm.chat.model_dump(), budget=budget), budget=budget)

    def candidate(
        self, asked: Sequence[Item], *, at_once: int = 1, run: Run | None = None,
        contender: Callable[[], contestants.Contender] | None = None,
    ) -> Artefact:  # fmt: skip
        spec = asking.candidate_spec(
            asked, chat=self.llm.chat, search=SEARCH, answer=self.answer, index=self.built.digest,
            prompt=self.prompt.digest,
        )  # fmt: skip
        return asking.ask_contestant(
            run or self.new_run(), spec, asked, contender=contender or self.served, at_once=at_once
        )

    def control(self, asked: Sequence[Item], *, at_once: int = 1) -> Artefact:
        spec = asking.control_spec(asked, chat=self.llm.chat)
        return asking.ask_contestant(self.new_run(), spec, asked, contender=self.bare, at_once=at_once)

    def answers(self, count: int, *, at_once: int = 1) -> Artefact:
        """Ask so many golden questions, all of the file."""
        rows = [
            {"id": f"q{number}", "question": f"Quando si rilascia la versione {number}?", "lang": "it",
             "kind": "fact", "gold": ["a.md"]}
            for number in range(count)
        ]  # fmt: skip
        self.golden.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        params = EvaluateParams(golden=self.golden, answers=count, at_once=at_once)
        return evaluate.answer_questions(
            self.new_run(), params, SEARCH, self.llm, self.answer, partner=self.partner,
            known_paths=self.index.paths, built=self.built, prompt=self.prompt,
        )  # fmt: skip

    def do(self, step: str, count: int, *, at_once: int) -> Artefact:
        if step == "answers":
            return self.answers(count, at_once=at_once)
        asked = items(count)
        return self.control(asked, at_once=at_once) if step == "control" else self.candidate(asked, at_once=at_once)


def _watch(calls: Path, die: int, slow: tuple[int, float]) -> None:
    """Write down each call of the chat model before it answers; die in the Nth, be slow from the Nth on."""
    from components.llm.fake import FakeChat

    real, lock, count = FakeChat.complete, threading.Lock(), 0

    def complete(self: Any, messages: Any, **options: Any) -> Any:
        nonlocal count
        with lock, calls.open("a", encoding="utf-8") as file:
            file.write("call\n")
            count += 1
            dies, is_slow = count == die, 0 < slow[0] <= count
        if is_slow:
            time.sleep(slow[1])
        found = real(self, messages, **options)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    FakeChat.complete = complete  # type: ignore[method-assign]


def _watch_memory() -> Callable[[], float]:
    """Mebibytes that this process has grown since a fifth of its answers were there."""
    import logging

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    seen: list[float] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            done, total = getattr(record, "done", 0), getattr(record, "total", 0)
            if not seen and getattr(record, "step", "").startswith("evaluate.") and total // 5 <= done < total:
                seen.append(resident())

    progress_logger.addHandler(Handler())
    return lambda: resident() - seen[0]


def prepare() -> None:
    """Import and load what a life needs."""
    for name in (
        "lancedb.query",
        "lancedb.expr",
        "lancedb.index",
        "components.index.lance",
        "components.llm.fake",
        "ftfy",
    ):
        importlib.import_module(name)
    load_tokenizer(PersonaParams().tokenizer)


def main(*arguments: str) -> None:
    """See above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=["answers", "candidate", "control"])
    parser.add_argument("at_once", type=int)
    parser.add_argument("--chat", default="fake/chat")
    parser.add_argument("--die", type=int, default=0)
    parser.add_argument("--slow", type=float, nargs=2, default=(0, 0))
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args(arguments)
    house = AskingHouse(options.folder, chat=options.chat, temperature=0.7, cache=False)
    _watch(options.folder / "calls", options.die, options.slow)
    grown = _watch_memory() if options.memory else None
    made = house.do(options.step, options.items, at_once=options.at_once)
    print(json.dumps({"artefact": made.id, "grown": grown() if grown else None}))
