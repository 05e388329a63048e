"""A handful of notes, their questions, a recipe with doubles, and the program in children that kill themselves."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import nursery
from tests.processes import clean_environment

NOTES = ("NORD.md", ".sncp/PROMPT_RIPRESA_MASTER.md", ".sncp/stato/oggi.md", ".sncp/memoria/decisioni/*.md")
RECIPE = """\
name: faults
phase: mvp
workspace: work space
sncp: {{root: notes}}
persona: {{constitution: {persona}/COSTITUZIONE.md, dna: {persona}/DNA_FAMIGLIA.md, max_tokens: 1200}}
index: {{embedding: {{model: fake/embedding, batch_size: 8}}}}
llm: {{chat: {{model: fake/chat}}}}
evaluate: {{golden: golden.jsonl, answers: 3, bootstrap_samples: 200}}
"""
STEPS = (
    "sncp.collect", "index.chunk", "index.build", "persona.compile", "evaluate.retrieval", "evaluate.answers",
    "evaluate.score", "registry.gate", "registry.release", "registry.report", "registry.register",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A child that has ended. `given`: what a model was given; `points`: where the child came by."""

    code: int
    err: str
    points: list[str]
    given: list[str]


class Nursery(nursery.Nursery):
    """Whose children run `cervella` without Prefect, and do something bad to themselves."""

    def __init__(self, home: Path) -> None:
        """`home`: Prefect's."""
        super().__init__("tests.faults.dying_child", environment=clean_environment() | {"PREFECT_HOME": str(home)})

    def __call__(self, *arguments: object, deed: str = "none", at: str = "", ballast: Path | None = None) -> Ended:
        child = self.start(deed, at, ballast, *arguments)
        code = child.wait(1200)
        told = [json.loads(line) for line in child.out.splitlines()]
        return Ended(
            code, child.err, [one["point"] for one in told if "point" in one],
            [one["given"] for one in told if "given" in one],
        )  # fmt: skip


class House:
    """A folder with notes, questions, a recipe and its workspace."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder, self._nursery = folder, nursery
        self.workspace = folder / "work space"
        self.ballast = folder / "ballast"

    def run(self, *options: str, deed: str = "none", at: str = "") -> Ended:
        """`cervella run`; no way that it ends shows a traceback."""
        recipe = self.folder / "recipe.yaml"
        done = self._nursery("run", recipe, *options, "--json", deed=deed, at=at, ballast=self.ballast)
        assert "Traceback" not in done.err, done.err
        return done

    def states(self) -> list[dict[str, Any]]:
        """What `run.json` says of each run, oldest first."""
        from components.store import read_runs

        return read_runs(self.workspace)[::-1]

    def statuses(self) -> dict[str, str]:
        """Step -> status, of the newest run."""
        return {step["name"]: step["status"] for step in self.states()[-1]["steps"]}

    def leftovers(self) -> list[str]:
        """What a half-done step leaves, where it should be gone."""
        hidden = [
            *self.workspace.glob("store/*/.*"), *self.workspace.glob("scratch/*"),
            *self.workspace.glob("index/.live.json.*"), *self.workspace.glob("mlflow/.new-*"),
            *self.workspace.glob("mlflow/artifacts/.register-*"),
        ]  # fmt: skip
        return [str(path.relative_to(self.workspace)) for path in hidden]

    def results(self) -> dict[str, Any]:
        """All that the newest run has made, without what is a measured time, or tells whose answer it was first."""
        from components.store import Store

        store = Store(self.workspace)
        found: dict[str, Any] = {}
        for step in self.states()[-1]["steps"]:
            if step["name"] == "registry.register":
                continue
            artefact = store.open(step["artefact"])
            if step["name"] in STEPS[:4]:
                found[step["name"]] = artefact.digest
            else:
                found[step["name"]] = {
                    name: _timeless([json.loads(line) for line in artefact.read_text(name).splitlines()])
                    if name.endswith(".jsonl") else _timeless(artefact.read_json(name))
                    if name.endswith(".json") else artefact.read_text(name) if name.endswith(".md") else "there"
                    for name in sorted(artefact.manifest["outputs"])
                }  # fmt: skip
        return found | {"mlflow": self.recorded()}

    def recorded(self) -> dict[str, int]:
        """How much MLflow holds of each, read past it."""
        connection = sqlite3.connect(self.workspace / "mlflow" / "mlflow.db")
        try:
            count = {
                "runs": "runs", "finished": "runs where status = 'FINISHED'", "versions": "model_versions",
                "models": "registered_models", "aliases": "registered_model_aliases",
            }  # fmt: skip
            return {
                name: connection.execute(f"select count(*) from {what}").fetchone()[0]  # noqa: S608
                for name, what in count.items()
            }
        finally:
            connection.close()


_MEASURED = ("seconds", "cached", "latency_p50_seconds", "latency_p95_seconds", "search_p50_ms", "search_p95_ms")


def _timeless(value: Any) -> Any:
    """Without measured times, and without whether an answer came from the cache."""
    if isinstance(value, dict):
        if value.get("name") in _MEASURED:
            return {"name": value["name"], "verdict": value["verdict"]}
        return {key: _timeless(inner) for key, inner in value.items() if key not in _MEASURED}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def furnish(folder: Path, examples: Path) -> None:
    """Notes, some of the questions that they answer, and the recipe."""
    source = examples / "sncp"
    for glob in NOTES:
        for note in source.glob(glob):
            target = folder / "notes" / note.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(note, target)
    lines = (examples / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    answered = [
        line for line in lines if all((folder / "notes" / path).exists() for path in json.loads(line)["gold"])
    ]  # fmt: skip
    (folder / "golden.jsonl").write_text("\n".join(answered[::2]) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE.format(persona=examples / "persona"), encoding="utf-8")


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    house: House
    ended: Ended
    results: dict[str, Any]
