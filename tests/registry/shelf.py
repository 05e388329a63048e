"""A workspace in which runs have sealed and registered releases: what promote and rollback choose from."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.persona.prompt import Prompt
from components.persona.session import Session
from components.registry import RegistryParams, Verdict, build_release
from components.registry.champion import Champion, promote, read_history, rollback, seal_release
from components.registry.steps import record
from components.store import Artefact, Run, StepSpec, recorded_step
from tests.registry.conftest import gate_report, make_scorecard

ADAPTER = b"GGUF" * 100
SESSION = Session("Oggi: la cucina.", 4, ".sncp/PROMPT_RIPRESA_MASTER.md", 1, 4, ((1, 4),), (), "words")


@functools.cache
def _scorecard() -> str:
    return json.dumps(make_scorecard(questions=4, found=4, answers=2, right=2))


@dataclass(frozen=True)
class Made:
    """A run with its release."""

    run: Run
    release: Artefact
    digest: str


class Shelf:
    """`database`: an empty database of MLflow to be copied; None: MLflow is only told of in the runs' records."""

    def __init__(self, workspace: Path, database: Path | None = None) -> None:
        self.workspace, self.registry = workspace, RegistryParams()
        self.mlflow = database is not None
        self.made: list[Made] = []
        if database is not None:
            (workspace / "mlflow").mkdir(parents=True)
            shutil.copy(database, workspace / "mlflow" / "mlflow.db")

    def run(
        self, prompt: str, *, verdict: Verdict = "GO", k: int = 8, recipe: str = "test", adapter: bytes | None = None,
        session: bool = True, register: bool = True, tokens: int | None = None,
    ) -> Made:  # fmt: skip
        """A run whose release is `prompt`, searched with `k`."""
        count = tokens or len(prompt)
        run = Run.create(self.workspace, recipe=recipe, phase="mvp")
        compiled = seal(run, StepSpec("persona.compile", 3, {"prompt": prompt, "session": session, "tokens": count}), {
            "prompt.md": prompt,
            "prompt.json": Prompt(prompt, count, (), "words", 2000, 3, count, ()).to_dict(),
            "session.json": SESSION.to_dict() if session else None,
        })  # fmt: skip
        score = {**json.loads(_scorecard()), "groups": {}, "evidence": {"index": "i" * 64, "of": prompt}}
        scorecard = seal(run, StepSpec("evaluate.score", 1, {"of": prompt, "run": run.id}), {
            "scorecard.json": score, "questions.jsonl": "".join(json.dumps(row) + "\n" for row in score["questions"]),
        })  # fmt: skip
        report = gate_report(verdict, why=f"as {prompt} is")
        gate = seal(run, StepSpec("registry.gate", 2, {"of": report.to_dict()}), {"gate.json": report.to_dict()})
        weights = adapter and seal(run, StepSpec("train.export", 1, {"of": len(adapter)}), {"adapter.gguf": adapter})
        release = build_release(
            prompt=prompt, chat={"model": "fake/good", "temperature": 0.0}, embedder="fake/e@1",
            chunk={"max_tokens": 200}, search={"k": k, "fusion": "minmax"}, answer={"min_score": 0.0},
            adapter="ad" * 32 if adapter else None, session={"max_tokens": 400} if session else None,
        )  # fmt: skip
        sealed = seal_release(run, prompt=compiled, release=release, export=weights or None)
        run.update(gate=report.to_dict())
        if register and self.mlflow:
            record(
                run, self.registry, release=release, recipe_yaml="name: test\n", recipe_values={"name": recipe},
                gate=gate, scorecard=scorecard, prompt=compiled,
            )  # fmt: skip
        elif register:
            versions = list(dict.fromkeys([*(one.digest for one in self.made), digest_of(sealed)]))
            version = 1 + versions.index(digest_of(sealed))
            run.update(mlflow={"run": "r", "model": self.registry.model_name, "version": version})
        run.update(status="done")
        self.made.append(Made(run, sealed, digest_of(sealed)))
        return self.made[-1]

    def promote(self, **options: Any) -> Any:
        """As Anna does it."""
        values = {"recipe": "test", "by": "Anna", **options}
        return promote(workspace=self.workspace, registry=self.registry, **values)

    def rollback(self, **options: Any) -> Any:
        return rollback(workspace=self.workspace, registry=self.registry, **{"by": "Bruno", **options})

    def history(self) -> list[Champion]:
        return read_history(self.workspace, self.registry.model_name)

    def client(self) -> Any:
        from mlflow.tracking import MlflowClient

        from components.registry import sqlite_uri

        uri = sqlite_uri(self.workspace / "mlflow")
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def alias(self) -> str | None:
        """The release that MLflow's alias names."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client().get_model_version_by_alias(self.registry.model_name, "champion")
        except MlflowException:
            return None
        return str(found.tags["cervella.release"])


def digest_of(release: Artefact) -> str:
    return str(release.manifest["params"]["release"])


def seal(run: Run, spec: StepSpec, files: dict[str, Any]) -> Artefact:
    with recorded_step(run, spec) as step:
        if not step.sealed:
            for name, value in files.items():
                if isinstance(value, bytes):
                    step.path(name).write_bytes(value)
                elif isinstance(value, str):
                    step.write_text(name, value)
                else:
                    step.write_json(name, value)
    return step.artefact
