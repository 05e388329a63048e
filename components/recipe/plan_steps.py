"""What a step of a run will be: skipped, done, or not known yet. What a pure step will make is made for real.

A step whose output hangs on its inputs alone is done in a temporary folder that is hashed and thrown away: so the
identity of the steps after it is known without running anything. Of a step whose output is not known ahead of time
(answers, seconds) it is known whether it has ever been done with these inputs; if not, its output is new whatever it
is, and so everything after it runs for certain.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from components.recipe.plan_past import Past
from components.recipe.plan_reasons import Change, changes_of, in_words
from components.recipe.plan_work import NOTHING, Work
from components.store import Artefact, Step, StepSpec, content_digest, file_digest

__all__ = ["UNKNOWN", "Action", "Input", "PlannedStep", "Planner"]

Action = Literal["run", "skip", "depends"]
UNKNOWN = "?"
"""In the place of a digest that is not known ahead of time."""


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan.

    Attributes:
        name: of the step.
        action: `depends`: on what a step before it will make.
        reason: for people.
        changes: what is other than in the nearest run before, old and new value.
        facts: counts known ahead of time.
        work: what the step will ask of models, in counts, dollars and seconds.
        version: of the step's code.
        fingerprint: its identity, where all its inputs are known.
    """

    name: str
    action: Action
    reason: str
    changes: tuple[Change, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    work: Work = NOTHING
    version: int | None = None
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "action": self.action,
            "reason": self.reason,
            "changes": [change.to_dict() for change in self.changes],
            "facts": dict(self.facts),
            "work": self.work.to_dict(),
            "version": self.version,
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True)
class Input:
    """What is known ahead of time of a step's output.

    Attributes:
        step: that makes it.
        digest: of its content; None: not known.
        artefact: where it is: sealed, or foreseen in a temporary folder.
        sealed: whether it is sealed.
        new: no step has ever had this output, whatever it will be.
        why: what is other about it, in words for the reason of the steps after it.
    """

    step: str
    digest: str | None
    artefact: Artefact | None = None
    sealed: bool = False
    new: bool = False
    why: str = ""


class Planner:
    """Plans steps in their order. One planner may plan several runs, one after the other, of one workspace."""

    def __init__(self, past: Past, *, folder: Path) -> None:
        """`folder`: for what pure steps will make; removed by who made it."""
        self.past = past
        self._folder = folder
        self.steps: list[PlannedStep] = []
        self.force: frozenset[str] = frozenset()
        self._made: dict[str, tuple[str, Input]] = {}  # fingerprint -> which run will have made it, and what
        self._run = ""

    def begin(self, *, run: str = "", force: Sequence[str] = ()) -> None:
        """Begin a run; `run` names it for those after it."""
        self.steps, self._run, self.force = [], run, frozenset(force)

    def plan(
        self,
        spec_of: Callable[..., StepSpec],
        *,
        words: Mapping[str, str] | None = None,
        redo: Callable[[Artefact], str | None] = lambda found: None,
        write: Callable[[Step], object] | None = None,
        **given_inputs: Input | None,
    ) -> Input:
        """Plan a step.

        Args:
            spec_of: its identity, from the digests of its inputs by name.
            words: what is other about inputs that are no output of a step, by name, for the reason.
            redo: why a sealed artefact is not good enough, none when it is.
            write: writes what the step will make, where that hangs on its inputs alone.
            given_inputs: what is known of its inputs, by name; one that is None is none.
        """
        inputs = {name: given for name, given in given_inputs.items() if given is not None}
        spec = spec_of(**{name: given.digest or UNKNOWN for name, given in inputs.items()})
        said = {**{name: given.why for name, given in inputs.items() if given.why}, **(words or {})}
        unknown = [given for given in inputs.values() if given.digest is None]
        if unknown:
            return self._after_unknown(spec, unknown, said)
        if spec.fingerprint in self._made:
            run, made = self._made[spec.fingerprint]
            self._add(spec, "skip", f"made for {run}")
            return replace(made, why="", new=False)
        found, why = self.past.look(spec)
        again = "forced" if spec.name in self.force else redo(found) if found else None
        if found is not None and again is None:
            self._add(spec, "skip", f"made {found.manifest['made'][:16].replace('T', ' ')} UTC", facts=found.facts)
            return Input(spec.name, found.digest, found, sealed=True)
        changes: tuple[Change, ...] = ()
        never = found is None and why == "not made yet"
        if never and (nearest := self.past.nearest(spec)) is not None:
            changes = changes_of(nearest, spec)
            why = in_words(changes, said)
        self._add(spec, "run", again or why, changes=changes)
        artefact = _foreseen(spec, write, folder=self._folder) if write else None
        made = Input(
            spec.name, artefact.digest if artefact else None, artefact, new=never and artefact is None,
            why=_short_of(again or why),
        )  # fmt: skip
        self._made[spec.fingerprint] = (self._run, made)
        return made

    def _after_unknown(self, spec: StepSpec, unknown: Sequence[Input], said: Mapping[str, str]) -> Input:
        certain = [given for given in unknown if given.new]
        if certain or spec.name in self.force:
            names = _and_so_on([given.step for given in certain])
            self._add(spec, "run", f"{names} will make something new" if names else "forced", known=False)
            return Input(spec.name, None, new=bool(certain))
        names = _and_so_on([given.step for given in unknown])
        self._add(spec, "depends", f"on whether {names} makes the same again", known=False)
        return Input(spec.name, None)

    def add(self, **changes: Any) -> None:
        """Say more of the step that was planned last, or a value of it anew."""
        self.steps[-1] = replace(self.steps[-1], **changes)

    def note(self, name: str, action: Action, reason: str) -> None:
        """Plan a step that is none of the store's."""
        self.steps.append(PlannedStep(name, action, reason))

    @property
    def last(self) -> PlannedStep:
        """The step that was planned last."""
        return self.steps[-1]

    def _add(
        self,
        spec: StepSpec,
        action: Action,
        reason: str,
        *,
        changes: tuple[Change, ...] = (),
        facts: Mapping[str, Any] | None = None,
        known: bool = True,
    ) -> None:
        self.steps.append(
            PlannedStep(
                spec.name, action, reason, changes, facts or {},
                version=spec.version, fingerprint=spec.fingerprint if known else None,
            )
        )  # fmt: skip


def _and_so_on(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} others"


def _short_of(reason: str) -> str:
    return reason if len(reason) <= 60 else ""


def _foreseen(spec: StepSpec, write: Callable[[Step], object], *, folder: Path) -> Artefact:
    """What the step will seal, made in a folder of its own."""
    home = Path(tempfile.mkdtemp(dir=folder))
    write(Step(spec, folder=home, scratch=home / "scratch", found=None))
    outputs = {file.name: {"sha256": file_digest(file)} for file in home.iterdir() if file.is_file()}
    digest = content_digest(spec.fingerprint, {name: entry["sha256"] for name, entry in outputs.items()})
    return Artefact(spec.name, spec.fingerprint, digest, home, {**spec.to_dict(), "outputs": outputs})
