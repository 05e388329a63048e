"""A recipe over a copy of the example notes, planned and then run without Prefect: the steps themselves, with doubles.

The doubles count what they are asked; that is what a plan is held against.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.answer.steps import open_partner
from components.evaluate import steps as evaluate
from components.evaluate.probe import golden_probe
from components.index import steps as index
from components.llm import Budget
from components.llm.fake import FakeChat, FakeEmbedder
from components.llm.spending import run_budget
from components.persona import steps as persona
from components.recipe import LoadedRecipe, load_recipe, open_run, start_run
from components.recipe.measured import remember_speeds
from components.recipe.plan import Plan, plan_run
from components.registry import steps as registry
from components.sncp import steps as sncp
from components.store import Run

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Counted:
    """What models were really asked."""

    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@contextmanager
def counting() -> Iterator[Counted]:
    """Count what the doubles are asked inside."""
    counted = Counted()
    embed, complete = FakeEmbedder.embed_passages, FakeChat.complete

    def embed_passages(self: FakeEmbedder, texts: Sequence[str], **options: Any) -> Any:
        counted.texts += texts
        counted.tokens += sum(map(self.count_tokens, texts))
        return embed(self, texts, **options)

    def complete_(self: FakeChat, messages: Any, *, max_tokens: int) -> Any:
        reply = complete(self, messages, max_tokens=max_tokens)
        counted.calls += 1
        counted.prompt_tokens += reply.prompt_tokens
        counted.completion_tokens += reply.completion_tokens
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeEmbedder, "embed_passages", embed_passages)
        patch.setattr(FakeChat, "complete", complete_)
        yield counted


@dataclass
class House:
    """Notes, persona and golden questions of one's own, and a recipe over them."""

    folder: Path
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> House:
        shutil.copytree(ROOT / "examples" / "sncp", folder / "notes")
        shutil.copytree(ROOT / "examples" / "persona", folder / "persona")
        lines = (ROOT / "examples" / "golden.jsonl").read_text(encoding="utf-8").splitlines()[:8]
        (folder / "golden.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = (
            f"extends: {ROOT / 'recipes' / 'mvp.yaml'}\nname: house\nworkspace: work\nsncp: {{root: notes}}\n"
            "persona: {constitution: persona/COSTITUZIONE.md, dna: persona/DNA_FAMIGLIA.md}\n"
            "index: {embedding: {model: 'fake/embedding'}, max_recall_drop: 1}\n"
            "llm: {chat: {model: 'fake/chat?cost=0.002'}, cache: false}\n"
            "evaluate: {golden: golden.jsonl, answers: 3, bootstrap_samples: 100}\n"
        )
        (folder / "house.yaml").write_text(text, encoding="utf-8")
        return cls(folder)

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    @property
    def workspace(self) -> Path:
        return self.folder / "work"

    def load(self, *overrides: str) -> LoadedRecipe:
        return load_recipe(self.folder / "house.yaml", overrides=[*self.overrides, *overrides], cwd=self.folder)

    def plan(self, *overrides: str, force: Sequence[str] = ()) -> Plan:
        return plan_run(self.load(*overrides).recipe, force=force)

    def run(self, *overrides: str, force: Sequence[str] = (), planned: Any = None) -> tuple[Run, Counted]:
        """What flows/mvp.py does, without Prefect."""
        run = start_run(self.load(*overrides), force=force, planned=planned)
        with counting() as counted:
            run_mvp(run)
        run.update(status="done")
        remember_speeds(run, open_run(str(run.folder))[1])
        return run, counted

    def golden(self, **changes: Any) -> None:
        """Change the first golden question."""
        path = self.folder / "golden.jsonl"
        first, *others = path.read_text(encoding="utf-8").splitlines()
        rows = [json.dumps(json.loads(first) | changes, ensure_ascii=False), *others]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def run_mvp(run: Run) -> None:
    """The steps of phase mvp in their order, with the arguments that the flow gives them."""
    _, recipe = open_run(str(run.folder))
    notes = sncp.collect_notes(run, recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local)
    chunks = index.chunk_notes(run, recipe.index, notes=notes)
    with run_budget(run, recipe.llm.budget) as left:
        built = index.build_index(
            run, recipe.index, chunks=chunks, root=recipe.sncp.root, budget=left,
            probe=golden_probe(recipe.evaluate, recipe.index.search, must_be_good=True), settings_are_judged=True,
        )  # fmt: skip
    documents = sncp.read_documents(notes)
    prompt = persona.compile_persona(run, recipe.persona, root=recipe.sncp.root, documents=documents)
    opened = index.open_index(recipe.index, workspace=run.workspace, built=built)
    retrieval = evaluate.retrieve_questions(run, recipe.evaluate, recipe.index.search, index=opened, built=built)
    text, session = persona.read_persona(prompt)
    budget = Budget(per_run_usd=5, per_query_usd=5)
    answers = evaluate.answer_questions(
        run, recipe.evaluate, recipe.index.search, recipe.llm, recipe.answer,
        partner=lambda: open_partner(
            workspace=run.workspace, index=opened, search=recipe.index.search, prompt=text, session=session,
            llm=recipe.llm, answer=recipe.answer, budget=budget,
        ),
        known_paths=opened.paths(), built=built, prompt=prompt,
    )  # fmt: skip
    card = evaluate.score(run, recipe.evaluate, recipe.answer, retrieval=retrieval, answers=answers)
    run.update(scorecard=card.read_json("scorecard.json"))
    gate = registry.judge(run, recipe.gate, phase="mvp", scorecard=card)
    run.update(gate=gate.read_json("gate.json"))
    release = registry.release_of(
        prompt=prompt.read_text("prompt.md"), embedder=str(built.read_json("index.json")["embedder"]),
        persona=recipe.persona, index=recipe.index, llm=recipe.llm, answer=recipe.answer,
    )  # fmt: skip
    registry.record(
        run, recipe.registry, release=release, recipe_yaml="name: house\n", recipe_values={}, gate=gate,
        scorecard=card, prompt=prompt,
    )  # fmt: skip
