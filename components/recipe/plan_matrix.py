"""The plan of a recipe, or of all combinations of its matrix: steps that several share are done, and told, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.recipe.load import LoadedRecipe
from components.recipe.plan import FORMAT, Plan, plan_run, plan_runs
from components.recipe.plan_text import Paint, render_plan, step_lines, totals_lines
from components.recipe.plan_work import Work, total

__all__ = ["MatrixPlan", "plan_loaded", "render"]


@dataclass(frozen=True)
class MatrixPlan:
    """Plans of all combinations, in their order, and the values of each."""

    axes: dict[str, Any]
    names: tuple[str, ...]
    values: tuple[dict[str, Any], ...]
    plans: tuple[Plan, ...]

    @property
    def work(self) -> Work:
        """Of all combinations."""
        return total(plan.work for plan in self.plans)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why combinations would stop."""
        return tuple(
            f"{name}: {text}" for name, plan in zip(self.names, self.plans, strict=True) for text in plan.problems
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        first = self.plans[0]
        rest = None if first.rest is None else first.rest * len(self.plans)
        return {
            "format": FORMAT,
            "recipe": first.recipe,
            "phase": first.phase,
            "workspace": str(first.workspace),
            "matrix": self.axes,
            "combinations": [
                {"name": name, "values": values, "plan": plan.to_dict()}
                for name, values, plan in zip(self.names, self.values, self.plans, strict=True)
            ],
            "totals": {
                **{action: sum(plan.count(action) for plan in self.plans) for action in ("run", "skip", "depends")},
                **self.work.to_dict(),
                "seconds_besides_models": rest,
            },
            "problems": list(self.problems),
        }


def plan_loaded(loaded: LoadedRecipe, *, force: Sequence[str] = ()) -> Plan | MatrixPlan:
    """The plan of a loaded recipe. Raises as `plan_runs`."""
    if not loaded.combinations:
        return plan_run(loaded.recipe, force=force)
    plans = plan_runs([(one.name, one.loaded.recipe) for one in loaded.combinations], force=force)
    return MatrixPlan(
        loaded.recipe.matrix or {}, tuple(one.name for one in loaded.combinations),
        tuple(one.values for one in loaded.combinations), tuple(plans),
    )  # fmt: skip


def render(plan: Plan | MatrixPlan, *, paint: Paint = lambda text, _: text) -> str:
    """A plan for people."""
    if isinstance(plan, Plan):
        return render_plan(plan, paint=paint)
    first = plan.plans[0]
    lines = [f"{first.recipe}: {len(plan.plans)} combinations, one after the other; workspace {first.workspace}"]
    for name, one in zip(plan.names, plan.plans, strict=True):
        own = [step for step in one.steps if not step.reason.startswith("made for ")]
        shared = [step for step in one.steps if step not in own]
        lines += ["", f"  {name}", *(f"  {line}" for line in step_lines(own, paint=paint))]
        lines += [f"    train   {note}" for note in one.training.notes] if one.training else []
        if shared:
            reason = shared[-1].reason
            lines.append(f"    {paint('= skip', 'skip')}  {len(shared)} steps, {reason.removeprefix('made ')} as well")
    whole = Plan(
        first.recipe, first.phase, first.workspace, tuple(step for one in plan.plans for step in one.steps),
        first.notes, first.published, first.files, None if first.rest is None else first.rest * len(plan.plans),
        first.models, plan.problems,
    )  # fmt: skip
    return "\n".join([*lines, "", *totals_lines(whole)])
