"""A plan as a file: what it was made of, so that a run of it does exactly that or refuses.

The file holds the recipe as it was resolved, the digest of every note, what was published, and for each step its
action, the version of its code and its identity. `check_plan` makes the plan again and tells every difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.recipe.load import LoadedRecipe, load_recipe
from components.recipe.plan import Plan
from components.recipe.plan_matrix import MatrixPlan, plan_loaded
from components.recipe.plan_reasons import flat, shown
from components.store import canonical_json, sha256_hex, write_atomic

__all__ = ["PlanFile", "check_plan", "read_plan", "write_plan"]

FORMAT = 1
_KIND = "cervella plan"
_NAMED = 5


@dataclass(frozen=True)
class PlanFile:
    """A plan that was written.

    Attributes:
        recipe: file that it was made of.
        cwd: where the person stood who made it.
        overrides: of the recipe.
        force: steps to be done again.
        frozen: the recipe, resolved.
        plans: combination ("" without a matrix) -> its plan as JSON, with `files`: path of a note -> digest.
    """

    recipe: Path
    cwd: Path
    overrides: tuple[str, ...]
    force: tuple[str, ...]
    frozen: dict[str, Any]
    plans: dict[str, dict[str, Any]]

    @property
    def planned(self) -> dict[str, dict[str, str]]:
        """Combination -> step -> the fingerprint that it must have, of those that are known ahead of time."""
        return {
            name: {step["name"]: step["fingerprint"] for step in plan["steps"] if step["fingerprint"]}
            for name, plan in self.plans.items()
        }


def write_plan(
    file: Path, plan: Plan | MatrixPlan, loaded: LoadedRecipe, *, overrides: Sequence[str], force: Sequence[str]
) -> None:
    """Write a plan, and what it was made of. The file is the old one, or whole."""
    values = {
        "kind": _KIND,
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": str(loaded.path),
        "cwd": str(Path.cwd()),
        "overrides": list(overrides),
        "force": list(force),
        "frozen": loaded.dump(),
        "plans": dict(_plans(plan)),
    }
    values["sum"] = _sum(values)
    write_atomic(file.absolute(), (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def _plans(plan: Plan | MatrixPlan) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(plan, Plan):
        yield "", plan.to_dict() | {"files": dict(plan.files)}
        return
    for name, one in zip(plan.names, plan.plans, strict=True):
        yield name, one.to_dict() | {"files": dict(one.files)}


def read_plan(file: Path) -> PlanFile:
    """The plan in a file.

    Raises:
        InputError: it is none, of another version, or was changed by hand.
    """
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: the plan cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is no plan: {error}. Expected a file that `cervella plan --out FILE` wrote") from None
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise InputError(f"{file} is no plan. Expected a file that `cervella plan --out FILE` wrote")
    if found.get("format") != FORMAT:
        raise InputError(f"{file} has format {found.get('format')!r}, this version reads {FORMAT}: make the plan again")
    told = found.pop("sum", None)
    if told != _sum(found):
        raise InputError(f"{file} was changed after it was written: make the plan again, a plan is not edited")
    return PlanFile(
        Path(found["recipe"]), Path(found["cwd"]), tuple(found["overrides"]), tuple(found["force"]), found["frozen"],
        found["plans"],
    )  # fmt: skip


def _sum(values: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json(json.loads(json.dumps(values))))


def check_plan(plan: PlanFile, *, recipe: LoadedRecipe | None = None) -> LoadedRecipe:
    """The recipe of a plan, if everything still is as the plan found it.

    Args:
        plan: as read.
        recipe: what a person asks for beside the plan; it must not say anything else than the plan.

    Raises:
        InputError: `recipe` contradicts the plan, or the recipe is not valid any more.
        TerminalError: something drifted; all of it is told.
    """
    if recipe is not None and (told := list(_recipe_drift(plan.frozen, recipe.dump()))):
        raise InputError("this contradicts the plan: " + "; ".join(told))
    loaded = load_recipe(plan.recipe, overrides=plan.overrides, cwd=plan.cwd)
    drift = [f"the recipe was edited: {text}" for text in _recipe_drift(plan.frozen, loaded.dump())]
    if not drift:  # with another recipe everything else is another, too
        now = dict(_plans(plan_loaded(loaded, force=plan.force)))
        for name, old in plan.plans.items():
            before = f"{name}: " if name else ""
            drift += [f"{before}{text}" for text in _drift(old, now[name])]
    if drift:
        listed = "".join(f"\n  - {text}" for text in dict.fromkeys(drift))
        raise TerminalError(
            f"the plan does not hold any more; nothing was done:{listed}\nMake it again: cervella plan "
            f"{plan.recipe}{''.join(f' -o {text!r}' for text in plan.overrides)} --out FILE"
        )
    return loaded


def _recipe_drift(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = flat(old), flat(new)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            what = "another workspace" if key == "workspace" else key
            yield f"{what}: {shown(before.get(key))} → {shown(after.get(key))}"


def _drift(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    yield from _note_drift(old["files"], new["files"])
    if old["published"] != new["published"]:
        yield f"another index was published: {_digest(old['published'])} → {_digest(new['published'])}"
    after = {step["name"]: step for step in new["steps"]}
    for step in old["steps"]:
        now = after[step["name"]]
        if step["version"] != now["version"]:
            yield f"the code of {step['name']} is another: version {step['version']} → {now['version']}"
        elif step["fingerprint"] != now["fingerprint"]:
            changed = f"{_digest(step['fingerprint'])} → {_digest(now['fingerprint'])}"
            yield f"{step['name']} would be another step: {changed}"
        elif step["action"] != now["action"] and step["name"] != "registry.register":
            yield f"{step['name']} was to {_verb(step)} and would now {_verb(now)}: {now['reason']}"


def _note_drift(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    kinds = {
        "changed": [path for path in old if path in new and old[path] != new[path]],
        "added": [path for path in new if path not in old],
        "gone": [path for path in old if path not in new],
    }
    for kind, paths in kinds.items():
        if paths:
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            notes = "1 note was" if len(paths) == 1 else f"{len(paths)} notes were"
            yield f"{notes} {'removed' if kind == 'gone' else kind}: {', '.join(sorted(paths)[:_NAMED])}{more}"


def _digest(value: str | None) -> str:
    return "nothing" if value is None else value[:12]


def _verb(step: Mapping[str, Any]) -> str:
    return {"run": "run", "skip": "be skipped", "depends": "depend on others"}[str(step["action"])]
