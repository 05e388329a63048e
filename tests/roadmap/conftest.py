"""A workspace with runs as they are left by real steps: sealed artefacts and a run.json, without models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.persona import compile_prompt
from components.persona.steps import write_persona
from components.registry.champion.record import Champion, write_history
from components.registry.champion.release_step import seal_release
from components.registry.release import build_release
from components.store import Artefact, Run, StepSpec, recorded_step
from components.usage import UsageLog, usage_file

NOW = datetime.now(UTC)


class Words:
    """A tokenizer that counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class House:
    """A workspace; each `evaluated` is one more run."""

    workspace: Path
    runs: list[Run] = field(default_factory=list)

    def begin(self, *, recipe: str = "mvp", phase: str = "mvp", **values: Any) -> Run:
        run = Run.create(self.workspace, recipe=recipe, phase=phase)
        run.update(**values)
        self.runs.append(run)
        return run

    def persona(self, run: Run, words: int = 2500, text: str = "Sono onesta.") -> Artefact:
        """Compile a persona of so many words."""
        prompt = compile_prompt(
            name="Cervella", constitution=f"# Chi sono\n\n{text} " + "parola " * words, dna=None, priorities={},
            max_tokens=100_000, tokenizer=Words(),
        )  # fmt: skip
        with recorded_step(run, StepSpec("persona.compile", 3, {"words": words, "text": text}, {})) as step:
            if not step.sealed:
                write_persona(step, prompt, None)
        return step.artefact

    def evaluated(
        self, verdict: str = "GO", *, evidence: object = None, persona: str = "Sono onesta.", **values: Any
    ) -> Run:
        """A run that came to its gate. `evidence`: the same one is the same scorecard; None: one of its own."""
        run = self.begin(**values)
        prompt = self.persona(run, text=persona)
        unique = len(self.runs) if evidence is None else f"given {evidence}"
        with recorded_step(run, StepSpec("evaluate.score", 1, {"n": unique}, {"prompt": prompt.digest})) as card:
            if not card.sealed:
                card.write_json("scorecard.json", {"n": unique})
        with recorded_step(run, StepSpec("registry.gate", 1, {}, {"scorecard": card.artefact.digest})) as gate:
            if not gate.sealed:
                gate.write_json("gate.json", {"verdict": verdict})
        criteria = [{"name": "mrr", "verdict": verdict, "reason": "as it is"}]
        run.update(status="done", gate={"phase": "mvp", "verdict": verdict, "criteria": criteria})
        return run

    def asked(self, conversations: int, *, days: float = 1, cost_usd: float | None = 0.01) -> None:
        log = UsageLog(usage_file(self.workspace))
        for number in range(conversations):
            log.record(door="serve", question=str(number), conversation=f"{days} {number}", cost_usd=cost_usd,
                       model="fake/chat", seconds=1.0, at=NOW - timedelta(days=days))  # fmt: skip
        log.close()

    def promote(self, *, adapter: str | None = None) -> Champion:
        """Put a sealed release into service."""
        run = self.begin(phase="optimize" if adapter else "mvp")
        release = build_release(
            prompt="p", chat={"model": "fake/chat"}, embedder="fake", chunk={}, search={}, answer={}, adapter=adapter
        )
        made = seal_release(run, prompt=self.persona(run), release=release)
        run.update(status="done")
        champion = Champion(
            "promote", NOW.isoformat(), "anna", None, "GO", made.digest, None, made.id, None, "g", run.id, "mvp",
            "optimize" if adapter else "mvp", 3,
        )  # fmt: skip
        write_history(self.workspace, "cervella", [champion])
        return champion


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "work space")


@pytest.fixture
def new_house(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], House]:
    return lambda: House(tmp_path_factory.mktemp("house"))
