"""A workspace with a published index and a release, made once without Prefect and copied, and more releases at will.

A release of a house differs from that of its run in its model alone, whose name says what it does: `fake/chat?...`.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.recipe import load_recipe, start_run
from components.registry import Verdict
from components.registry.champion import Champion, read_history, rollback, seal_release
from components.registry.champion.change import promote
from components.registry.params import RegistryParams
from components.registry.release import release_digest
from components.serve.compare.records import Compared, Comparisons, comparisons_file
from components.store import Artefact, Run, Store
from tests.prefectless import called_as_functions
from tests.recipe.plan_house import House
from tests.registry.conftest import gate_report
from tests.registry.shelf import seal

SCALE = """\
extends: house.yaml
name: into-service
phase: scale
llm: {cache: false, chat: {model: "fake/chat"}}
evaluate: {golden: golden.jsonl, bootstrap_samples: 100}
serve: {look_seconds: 0.1, limits: {per_minute: 100000}}
scale: {questions: 80, probation_questions: 8, wait_seconds: 60}
"""
QUESTION = (
    '{"id": "q%d", "question": "Quanto si paga di caparra ad agosto? %d", "lang": "it", "kind": "fact", "gold": []}\n'
)


@dataclass
class ScaleHouse:
    """Folder with notes, recipes and a workspace."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> ScaleHouse:
        """The first one, with a run of phase mvp."""
        house = House.make(folder)
        house.run("llm.chat.model=fake/chat")
        (folder / "scale.yaml").write_text(SCALE, encoding="utf-8")
        golden = "".join(QUESTION % (number, number) for number in range(80))
        (folder / "golden.jsonl").write_text(golden, encoding="utf-8")
        return cls(folder)

    def copied(self, folder: Path) -> ScaleHouse:
        """One that a test may change."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return ScaleHouse(folder)

    @property
    def workspace(self) -> Path:
        return self.folder / "work"

    @property
    def recipe(self) -> Path:
        return self.folder / "scale.yaml"

    def release(self, model: str, *, verdict: Verdict = "GO", recipe: str = "house") -> str:
        """Register a release whose model is this, as a run of `recipe` does; returns its digest."""
        store = Store(self.workspace)
        first = next(one for one in sorted((self.workspace / "runs").iterdir()) if "-house-" in one.name)
        made = {step["name"]: step.get("artefact") for step in Run(first).read()["steps"]}
        told = copy.deepcopy(store.open(made["registry.release"]).read_json("release.json"))
        told["base_model"]["model"] = model
        run = Run.create(self.workspace, recipe=recipe, phase="mvp")
        gate = seal_gate(run, verdict)
        sealed = seal_release(run, prompt=store.open(made["persona.compile"]), release=told)
        count = sum("mlflow" in json.loads(file.read_text()) for file in self.workspace.glob("runs/*/run.json"))
        run.update(
            gate=gate.read_json("gate.json"), status="done",
            mlflow={"run": "r", "model": "cervella", "version": count + 1},
        )  # fmt: skip
        assert sealed.path.is_dir()
        return release_digest(told)

    def recorded(self, candidate: str, champion: str | None = None, *, n: int = 80) -> None:
        """As if an endpoint had compared these two on so many questions: enough for a verdict, without asking them."""
        records = Comparisons(comparisons_file(self.workspace))
        shared: dict[str, Any] = {
            "candidate": candidate,
            "mode": "shadow",
            "lang": "it",
            "found": True,
            "cost_usd": 0.0,
        }
        for number in range(n):
            rows = [Compared(side="B", request=f"r{number}", release=candidate, seconds=0.2, **shared)]
            if champion:
                rows.append(Compared(side="A", request=f"r{number}", release=champion, seconds=0.2, **shared))
            assert records.record(rows)
        records.close()

    def promote(self, reason: str = "per provarlo da vicino") -> str:
        """Put the newest release of the recipe `house` into service, as a person does; returns its digest."""
        done = promote(
            workspace=self.workspace, registry=RegistryParams(), recipe="house", by="Anna", reason=reason
        )  # fmt: skip
        assert done.champion is not None
        return done.champion.digest

    def rollback(self) -> None:
        rollback(workspace=self.workspace, registry=RegistryParams(), by="Anna")

    def history(self) -> list[Champion]:
        return read_history(self.workspace, "cervella")

    def in_service(self) -> str:
        return self.history()[-1].digest

    def begin(self, *overrides: str) -> Run:
        return start_run(load_recipe(self.recipe, overrides=overrides, cwd=self.folder))

    def run(self, *overrides: str) -> Run:
        """What flows/scale.py does, without Prefect. Raises what the flow raises."""
        run = self.begin(*overrides)
        status = "failed"
        try:
            with called_as_functions(("flows.scale",)):
                from flows.scale import scale

                scale.fn(str(run.folder))
            status = "done"
        finally:
            run.update(status=status)
        return run


def seal_gate(run: Run, verdict: Verdict) -> Artefact:
    from components.store import StepSpec

    report: dict[str, Any] = gate_report(verdict, why="as it is").to_dict()
    return seal(run, StepSpec("registry.gate", 2, {"of": report}), {"gate.json": report})
