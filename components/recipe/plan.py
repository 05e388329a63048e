"""What a run would do, step by step, and why: run, skip, or depends on a step before it.

Nothing is written and no heavy library is imported. A step's identity hangs on the content of its inputs; where an
input has to be made first, that content is not known yet, and the plan says so instead of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from components.evaluate import steps as evaluate
from components.index import steps as index
from components.persona import steps as persona
from components.recipe.model import Recipe
from components.recipe.runs import STEPS, check_steps
from components.registry import steps as registry
from components.sncp import Collection
from components.sncp import steps as sncp
from components.store import Artefact, StepSpec, Store

__all__ = ["PlannedStep", "plan_run"]

Action = Literal["run", "skip", "depends"]


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan. `reason` is for people; `facts` are counts known ahead of time."""

    name: str
    action: Action
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class _Planner:
    def __init__(self, store: Store, force: Sequence[str]) -> None:
        self.store = store
        self.force = set(force)
        self.steps: list[PlannedStep] = []

    def step(self, spec: StepSpec, **facts: Any) -> Artefact | None:
        """Plan a step whose identity is known; returns its artefact when it will be skipped."""
        found, why = self.store.look(spec)
        if spec.name in self.force:
            self._add(spec.name, "run", "forced", facts)
            return None
        if found is not None:
            self._add(spec.name, "skip", f"sealed {found.manifest['made']}", facts or found.facts)
            return found
        latest = self.store.latest(spec.name)
        if why == "not made yet" and latest is not None:
            why = _difference(latest.manifest, spec.to_dict())
        self._add(spec.name, "run", why, facts)
        return None

    def depends(self, name: str, *on: tuple[str, Artefact | None]) -> None:
        """Plan a step whose identity hangs on steps that have to run first."""
        waits = [before for before, artefact in on if artefact is None]
        self._add(name, "depends", f"on what {' and '.join(waits)} will make", {})

    def _add(self, name: str, action: Action, reason: str, facts: dict[str, Any]) -> None:
        self.steps.append(PlannedStep(name, action, reason, facts))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two identities of a step, old and new value."""
    if old["version"] != new["version"]:
        return f"the step's code is version {new['version']}, was {old['version']}"
    told = []
    for kind in ("params", "inputs"):
        for key in sorted(set(old[kind]) | set(new[kind])):
            before, after = old[kind].get(key), new[kind].get(key)
            if before != after:
                told.append(f"{key} changed" if kind == "inputs" else f"{key}: {_short(before)} -> {_short(after)}")
    return ", ".join(told) or "it was made for other inputs"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def plan_run(recipe: Recipe, *, force: Sequence[str] = ()) -> list[PlannedStep]:
    """The steps of the recipe's phase, in order.

    Raises:
        InputError: the notes cannot be read, or `force` names a step that the phase does not have.
    """
    force = check_steps(recipe.phase, force)
    planner = _Planner(Store(recipe.workspace), force)
    collection = sncp.read_notes(recipe.sncp, persona_files=recipe.persona.files, workspace=recipe.workspace)
    notes = planner.step(sncp.collect_spec(recipe.sncp, collection), **_changes(planner.store, collection))
    chunks = built = None
    if notes is None:
        planner.depends("index.chunk", ("sncp.collect", notes))
    else:
        chunks = planner.step(index.chunk_spec(recipe.index, notes=notes.digest))
    if chunks is None:
        planner.depends("index.build", ("index.chunk", chunks))
    else:
        built = _plan_build(planner, recipe, chunks)
    if recipe.phase == "mvp":
        texts = persona.persona_texts(recipe.persona, root=recipe.sncp.root, documents=collection.documents)
        prompt = planner.step(persona.compile_spec(recipe.persona, texts))
        _plan_scores(planner, recipe, built=built, prompt=prompt)
    order = {name: place for place, name in enumerate(STEPS[recipe.phase])}
    return sorted(planner.steps, key=lambda step: order[step.name])


def _plan_build(planner: _Planner, recipe: Recipe, chunks: Artefact) -> Artefact | None:
    """The index is mutable: a sealed step is only skipped while the published table still says the same."""
    spec = index.build_spec(recipe.index, chunks=chunks.digest)
    found = planner.store.find(spec)
    published = index.published_digest(recipe.index, workspace=recipe.workspace)
    if found is not None and spec.name not in planner.force and published != found.read_json("index.json")["digest"]:
        why = "nothing is published" if published is None else "the published index is another one"
        planner.steps.append(PlannedStep(spec.name, "run", why, {"chunks": found.facts.get("chunks")}))
        return None
    return planner.step(spec)


def _plan_scores(planner: _Planner, recipe: Recipe, *, built: Artefact | None, prompt: Artefact | None) -> None:
    retrieval = answers = scorecard = None
    if built is None:
        planner.depends("evaluate.retrieval", ("index.build", built))
    else:
        retrieval = planner.step(evaluate.retrieval_spec(recipe.evaluate, recipe.index.search, index=built.digest))
    if built is None or prompt is None:
        planner.depends("evaluate.answers", ("index.build", built), ("persona.compile", prompt))
    else:
        answers = _plan_answers(planner, recipe, built=built, prompt=prompt)
    if retrieval is None or answers is None:
        planner.depends("evaluate.score", ("evaluate.retrieval", retrieval), ("evaluate.answers", answers))
    else:
        scorecard = planner.step(
            evaluate.score_spec(recipe.evaluate, recipe.answer, retrieval=retrieval.digest, answers=answers.digest)
        )
    if scorecard is None:
        planner.depends("registry.gate", ("evaluate.score", scorecard))
    else:
        planner.step(registry.gate_spec(recipe.gate, scorecard=scorecard.digest))
    planner.steps.append(
        PlannedStep("registry.register", "run", "MLflow is asked each time; what it has already is not made twice")
    )


def _plan_answers(planner: _Planner, recipe: Recipe, *, built: Artefact, prompt: Artefact) -> Artefact | None:
    """Answers that failed are asked again, sealed or not."""
    spec = evaluate.answers_spec(
        recipe.evaluate, recipe.index.search, recipe.llm, recipe.answer, index=built.digest, prompt=prompt.digest
    )
    failed = evaluate.failed_answers(planner.store.find(spec))
    if failed and spec.name not in planner.force:
        planner.steps.append(PlannedStep(spec.name, "run", f"{failed} answers failed the last time"))
        return None
    return planner.step(spec)


def _changes(store: Store, collection: Collection) -> dict[str, Any]:
    """Counts of notes, and what changed since the last collecting."""
    facts: dict[str, Any] = {"notes": len(collection.documents)}
    latest = store.latest("sncp.collect")
    if latest is None:
        return facts
    old = {document.path: document.content_hash for document in sncp.read_documents(latest)}
    new = {document.path: document.content_hash for document in collection.documents}
    facts["added"] = len(new.keys() - old.keys())
    facts["gone"] = len(old.keys() - new.keys())
    facts["changed"] = sum(old[path] != new[path] for path in old.keys() & new.keys())
    return facts
