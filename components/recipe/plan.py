"""What a run would do, step by step, and why: run, skip, or depends on a step before it; and what it will cost.

Nothing is written in the workspace, and no heavy library is imported. What hangs on files alone is worked out for real:
notes are read, masked and cut, and their chunks compared with what is published. What hangs on a model's answers is
bounded: calls, tokens and dollars at most.

Not foreseen: second tries after a model's errors; what the notes become between plan and run (`run --plan` refuses
then); vectors in tables of an embedder that is not the published one, which are only found by a run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError, RefusedError
from components.index.place import check_place
from components.llm.speeds import measured_speed, speeds_file
from components.recipe.model import Recipe
from components.recipe.plan_index import plan_index
from components.recipe.plan_notes import NoteChanges
from components.recipe.plan_past import Past
from components.recipe.plan_personality import say_what_it_takes
from components.recipe.plan_scores import Persona, plan_scores
from components.recipe.plan_steps import PlannedStep, Planner
from components.recipe.plan_work import Seconds, Work, total
from components.recipe.plan_world import World
from components.recipe.runs import STEPS, check_steps
from components.sncp import Collection

if TYPE_CHECKING:
    from components.recipe.plan_training import PlannedTraining
    from components.train.estimate import Estimate

__all__ = ["Plan", "PlannedStep", "plan_run", "plan_runs"]

FORMAT = 1
"""Of the JSON of a plan."""
_KEYS = ("index.embedding.api_key_env", "llm.chat.api_key_env", "llm.judge.api_key_env")


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        recipe: its name.
        phase: of the recipe.
        workspace: where it would run.
        steps: in the order of the phase.
        notes: what is other about them than in the published index.
        published: digest of what is published now; None: nothing.
        files: path of each note -> SHA-256 of its bytes.
        rest: seconds of everything that is no model's work, as the last runs of this phase took; None: not measured.
        models: of embedding and of chat, in words.
        problems: why the run would stop, as far as it is known ahead of time.
        training: what it takes on the hardware that the recipe names; None: there is nothing to train.
        too_few: thresholds that so few answers cannot show, and how many would.
    """

    recipe: str
    phase: str
    workspace: Path
    steps: tuple[PlannedStep, ...]
    notes: NoteChanges
    published: str | None
    files: Mapping[str, str]
    rest: float | None
    models: tuple[str, str]
    problems: tuple[str, ...] = ()
    training: Estimate | None = None
    too_few: tuple[str, ...] = ()

    @property
    def work(self) -> Work:
        """Of all steps."""
        return total(step.work for step in self.steps)

    @property
    def seconds(self) -> Seconds | None:
        """Of the whole run, Prefect's start aside; None: not known."""
        models = self.work.seconds
        if models is None or self.rest is None:
            return models
        return models + Seconds(self.rest, self.rest, True)

    def count(self, action: str) -> int:
        """How many steps have this action."""
        return sum(step.action == action for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "phase": self.phase,
            "workspace": str(self.workspace),
            "notes": self.notes.to_dict(),
            "published": self.published,
            "models": {"embedding": self.models[0], "chat": self.models[1]},
            "steps": [step.to_dict() for step in self.steps],
            "totals": {
                **{action: self.count(action) for action in ("run", "skip", "depends")},
                **self.work.to_dict(),
                "seconds_besides_models": self.rest,
            },
            **({"training": self.training.to_dict()} if self.training else {}),
            "too_few": list(self.too_few),
            "problems": list(self.problems),
        }


def plan_run(recipe: Recipe, *, force: Sequence[str] = ()) -> Plan:
    """The plan of one run. Arguments and errors as `plan_runs`."""
    return plan_runs([("", recipe)], force=force, registers=True)[0]


def plan_runs(
    recipes: Iterable[tuple[str, Recipe]], *, force: Sequence[str] = (), registers: bool = False
) -> list[Plan]:
    """Plans of runs, one after the other, of one workspace: what one makes, those after it need not make.

    Args:
        recipes: how people call each run, and its recipe.
        force: steps to be done again although they are sealed.
        registers: whether each run is registered in MLflow by itself.

    Raises:
        InputError: the notes cannot be read, or `force` names a step that the phase does not have.
    """
    plans: list[Plan] = []
    planner: Planner | None = None
    with tempfile.TemporaryDirectory(prefix="cervella-plan-") as folder:
        for name, recipe in recipes:
            if planner is None:
                world = World(recipe.workspace)
                planner = Planner(Past(recipe.workspace), folder=Path(folder))
            check_place(recipe.index, phase=recipe.phase)
            planner.begin(run=name, force=check_steps(recipe.phase, force))
            plans.append(_plan(planner, recipe, world, registers=registers))
    return plans


def _plan(planner: Planner, recipe: Recipe, world: World, *, registers: bool) -> Plan:
    published = world.published(recipe.index)
    if recipe.phase == "dataset":
        from components.recipe.plan_dataset import plan_dataset  # not read for the plans of other phases

        made = plan_dataset(planner, recipe, world=world)
        return _told(planner, recipe, world, made.notes, made.collection.digests, made.problems, published=published)
    if recipe.phase == "scale":
        from components.recipe.plan_scale import plan_scale  # likewise

        notes = NoteChanges(0, ())
        return _told(planner, recipe, world, notes, {}, plan_scale(planner, recipe, world=world), published=published)
    asks = recipe.phase != "reindex"
    who = Persona(recipe, world.read_notes(recipe), past=planner.past, world=world) if asks else None
    found = plan_index(planner, recipe, world=world)
    problems, training = list(found.problems), None
    if who is not None:
        problems += _cost_faults(recipe)
        prompt = planner.plan(lambda: who.spec, write=who.write)
        if recipe.phase == "optimize":
            problems += _plan_triggers(planner, recipe, who)
            training, more = _plan_adapter(planner, recipe, found.collection, who, world)
            problems += more
        problems += plan_scores(
            planner, recipe, found, who=who, prompt=prompt, world=world, registers=registers, training=training
        )
    return _told(
        planner, recipe, world, found.notes, found.collection.digests, problems, published=published,
        training=training.estimate if training else None,
    )  # fmt: skip


def _cost_faults(recipe: Recipe) -> list[str]:
    from components.roadmap.costs_file import load_costs

    try:
        load_costs(recipe.roadmap.costs)
    except InputError as error:
        return [str(error)]
    return []


def _plan_triggers(planner: Planner, recipe: Recipe, who: Persona) -> list[str]:
    """Whether it is time to fine-tune: measured by every run. Returns why the run would stop."""
    from components.roadmap.triggers import refuse_without, triggers_of  # not read for the plans of other phases

    prompt = who.compiled[0]
    try:
        found = triggers_of(
            recipe.workspace, recipe.roadmap, full_tokens=prompt.full_tokens, prompt_text=prompt.text,
            tokenizer=prompt.tokenizer,
        )  # fmt: skip
        forced = refuse_without(found, recipe.roadmap.force)
    except RefusedError as error:
        planner.note("roadmap.triggers", "run", "not met, and no reason forces it")
        return [str(error)]
    except InputError as error:
        planner.note("roadmap.triggers", "run", f"{str(error).splitlines()[0]}")
        return []  # told as a fault of the costs
    planner.note("roadmap.triggers", "run", f"forced: {forced}" if forced else "all triggers are met")
    return []


def _plan_adapter(
    planner: Planner, recipe: Recipe, collection: Collection, who: Persona, world: World
) -> tuple[PlannedTraining, list[str]]:
    """The steps from the examples to the exported adapter; and why the run would stop."""
    from components.recipe.plan_dataset import plan_examples  # neither is read for the plans of other phases
    from components.recipe.plan_training import plan_training

    examples = plan_examples(planner, recipe, collection, who=who, world=world)
    training = plan_training(planner, recipe, examples)
    return training, [*examples.problems, *training.problems]


def _told(
    planner: Planner, recipe: Recipe, world: World, notes: NoteChanges, files: Mapping[str, str],
    problems: Sequence[str], *, published: str | None, training: Estimate | None = None,
) -> Plan:  # fmt: skip
    order = {name: place for place, name in enumerate(STEPS[recipe.phase])}
    steps = sorted(planner.steps, key=lambda step: order[step.name])
    work = total(step.work for step in steps)
    asked = {step.name for step in steps if step.work.calls_at_most}
    judges = "evaluate.judge" in asked or (recipe.scale.judge and "scale.shadow" in asked)
    problems = [*_budget(recipe, work), *_keys(recipe, work, judges=judges), *problems]
    rest = measured_speed(speeds_file(recipe.workspace), model=recipe.phase, unit="runs")
    return Plan(
        recipe.name, recipe.phase, recipe.workspace, tuple(steps), notes, published, files,
        rest.seconds_for(1) if rest else None, (recipe.index.embedding.model, _chats(recipe, judges=judges)),
        tuple(problems), training, tuple(say_what_it_takes(recipe)) if "registry.gate" in order else (),
    )  # fmt: skip


def _chats(recipe: Recipe, *, judges: bool) -> str:
    chat, judge = recipe.llm.chat.model, (recipe.llm.judge or recipe.llm.chat).model
    return f"{chat} and, as judge, {judge}" if judges and judge != chat else chat


def _keys(recipe: Recipe, work: Work, *, judges: bool) -> list[str]:
    """Variables of the environment that will be asked for, and are not set."""
    wanted = [
        recipe.index.embedding.api_key_env if work.texts else None,
        recipe.llm.chat.api_key_env if work.calls_at_most else None,
        recipe.llm.judge.api_key_env if recipe.llm.judge and judges else None,
    ]
    return [
        f"the environment variable {name} is not set, which {key} names"
        for name, key in zip(wanted, _KEYS, strict=True)
        if name and not os.environ.get(name, "").strip()
    ]


def _budget(recipe: Recipe, work: Work) -> list[str]:
    """A run stops at the call that may go over its budget: certain only if the least is over it already."""
    most, limit = work.usd_at_least, recipe.llm.budget.per_run_usd
    if most is None or most <= limit:
        return []
    return [f"it costs at least ${most:.2f}, llm.budget.per_run_usd is ${limit:.2f}: the run would stop there"]
