"""A recipe over a copy of the example notes, planned and then run without Prefect: the steps themselves, with doubles.

The doubles count what they are asked; that is what a plan is held against.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.llm.fake import FakeChat, FakeEmbedder
from components.recipe import LoadedRecipe, load_recipe, open_run, start_run
from components.recipe.measured import remember_speeds
from components.recipe.plan import Plan, plan_run
from components.store import Run
from tests.empty_mlflow import put_empty_mlflow

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from prefectless import called_as_functions  # noqa: E402

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
        """What flows/mvp.py does, without Prefect, in a workspace where MLflow's database is."""
        put_empty_mlflow(self.workspace)
        run = start_run(self.load(*overrides), force=force, planned=planned)
        with counting() as counted, called_as_functions():
            from flows.mvp import mvp

            mvp.fn(str(run.folder))
        run.update(status="done")
        remember_speeds(run, open_run(str(run.folder))[1])
        return run, counted

    def golden(self, **changes: Any) -> None:
        """Change the first golden question."""
        path = self.folder / "golden.jsonl"
        first, *others = path.read_text(encoding="utf-8").splitlines()
        rows = [json.dumps(json.loads(first) | changes, ensure_ascii=False), *others]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
