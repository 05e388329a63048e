"""Where the owner stands: phase reached, what is missing for the next one, costs, decision, risks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import TerminalError
from components.registry.champion import Champion, read_champion
from components.roadmap.costs import CostAt, Costs, cost_at
from components.roadmap.costs_file import load_costs
from components.roadmap.decision import Decision, weigh
from components.roadmap.params import RoadmapParams
from components.roadmap.risks import Risk, risks_of
from components.roadmap.triggers import Triggers, triggers_of
from components.store import Store, read_runs
from components.usage import Period, UsageLog, usage_file

if TYPE_CHECKING:
    from components.dataset.params import DatasetParams
    from components.evaluate.params import EvaluateParams
    from components.llm.params import LlmParams
    from components.persona import Prompt
    from components.train.params import TrainParams

__all__ = ["PhaseStand", "Roadmap", "Spent", "roadmap_of"]

Reached = Literal["before mvp", "mvp", "optimize", "scale"]
_NEXT: Mapping[Reached, str | None] = {"before mvp": "mvp", "mvp": "optimize", "optimize": "scale", "scale": None}
_DAYS = 30


@dataclass(frozen=True)
class PhaseStand:
    """A phase: whether it is reached, and how that is known."""

    name: str
    reached: bool
    evidence: str


@dataclass(frozen=True)
class Spent:
    """What this workspace cost in the last 30 days (US dollars, as far as prices are known).

    Attributes:
        usage: of questions; None: the log cannot be read, and `why` says why.
        why: empty, or why `usage` is None.
        runs: phase -> how many runs began, and what their calls cost. Hours of machines are not in it.
    """

    usage: Period | None
    why: str
    runs: Mapping[str, tuple[int, float]]

    @property
    def usd(self) -> float | None:
        """All of it; None: not known."""
        return None if self.usage is None else self.usage.use.cost_usd + sum(usd for _, usd in self.runs.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        runs = {phase: {"runs": count, "usd": usd} for phase, (count, usd) in self.runs.items()}
        return {"usage": self.usage.to_dict() if self.usage else None, "why": self.why, "runs": runs, "usd": self.usd}


@dataclass(frozen=True)
class Roadmap:
    """All that `cervella roadmap` tells.

    Attributes:
        recipe: its name.
        at: when (ISO, UTC).
        phases: mvp, optimize, scale.
        reached: the last of them that is, or `before mvp`.
        next: the phase after it; None: there is none.
        missing: for the next phase, in words.
        triggers: of phase optimize.
        force: the recipe's reason to go on without them.
        costs: the table, and the costs of phases.
        stand: costs at the volume of the last 30 days; None: it is not known.
        spent: here, in the last 30 days.
        decision: the weighted matrix.
        risks: with their answers.
    """

    recipe: str
    at: str
    phases: tuple[PhaseStand, ...]
    reached: Reached
    next: str | None
    missing: tuple[str, ...]
    triggers: Triggers
    force: str | None
    costs: Costs
    stand: CostAt | None
    spent: Spent
    decision: Decision
    risks: tuple[Risk, ...]

    @property
    def ready(self) -> bool:
        """Whether everything is there to go on to the next phase."""
        return not self.missing

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "recipe": self.recipe, "at": self.at, "reached": self.reached, "next": self.next, "ready": self.ready,
            "missing": list(self.missing), "phases": [asdict(phase) for phase in self.phases],
            **{key: value for key, value in self.triggers.to_dict().items() if key != "met"},
            "force": self.force,
            "costs": self.costs.model_dump(mode="json"), "stand": asdict(self.stand) if self.stand else None,
            "spent": self.spent.to_dict(), "decision": self.decision.to_dict(),
            "risks": [risk.to_dict() for risk in self.risks],
        }  # fmt: skip


def roadmap_of(
    *, workspace: Path, recipe: str, params: RoadmapParams, dataset: DatasetParams, train: TrainParams,
    evaluate: EvaluateParams, llm: LlmParams, model_name: str, prompt: Prompt | None, tokenizer: str,
    model_presets: int, helper: str | None = None, now: datetime | None = None,
) -> Roadmap:  # fmt: skip
    """Where the owner stands, for a workspace as it is; nothing is written, nothing need be there.

    Args:
        workspace: runs, champion and usage log are read.
        recipe: its name.
        params: section `roadmap`.
        dataset: section `dataset`.
        train: section `train`.
        evaluate: section `evaluate`.
        llm: section `llm`.
        model_name: of the registered model whose champion counts.
        prompt: the persona, compiled from its files as they are now; None: it cannot be.
        tokenizer: whose tokens are counted.
        model_presets: base models that a recipe can be started from.
        helper: the model of `serve.router`; None: there is none.
        now: end of the 30 days; None: this moment.

    Raises:
        InputError: the file of `roadmap.costs` cannot be understood.
    """
    now = now or datetime.now(UTC)
    costs, states = load_costs(params.costs), read_runs(workspace)
    triggers = triggers_of(
        workspace, params, full_tokens=prompt.full_tokens if prompt else None, tokenizer=tokenizer,
        prompt_text=prompt.text if prompt else None, now=now,
    )  # fmt: skip
    gate = _newest_gate(states)
    phases = (*_phases(workspace, model_name, gate), _scale(states))
    reached: Reached = (
        "scale" if phases[2].reached else "optimize" if phases[1].reached else "mvp" if phases[0].reached
        else "before mvp"
    )  # fmt: skip
    spent = _spent(workspace, states, now)
    return Roadmap(
        recipe=recipe, at=now.astimezone(UTC).isoformat(timespec="seconds"), phases=phases, reached=reached,
        next=_NEXT[reached], missing=_missing(reached, gate, triggers, recipe), triggers=triggers,
        force=params.force, costs=costs,
        stand=cost_at(costs, spent.usage.use.conversations) if spent.usage else None, spent=spent,
        decision=weigh(params.decision),
        risks=risks_of(
            dataset=dataset, train=train, evaluate=evaluate, llm=llm, model_presets=model_presets, spent_usd=spent.usd,
            helper=helper,
        ),
    )  # fmt: skip


def _newest_gate(states: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The newest run that scored and decided; combinations of a matrix try settings out, and do not count."""
    scored = (one for one in states if isinstance(one.get("gate"), dict) and one["phase"] != "scale")
    return next((one for one in scored if not one.get("matrix")), None)


def _phases(workspace: Path, model_name: str, gate: dict[str, Any] | None) -> tuple[PhaseStand, ...]:
    try:
        champion, fault = read_champion(workspace, model_name), ""
    except TerminalError as error:
        champion, fault = None, str(error)
    adapter = champion is not None and _has_adapter(workspace, champion)
    if champion is not None:
        version = "" if champion.version is None else f" version {champion.version}"
        said = f"in service: {model_name}{version} of run {champion.run}, {champion.what}d {champion.at[:10]}"
        mvp = PhaseStand("mvp", True, said)
        optimize = PhaseStand("optimize", adapter, said if adapter else f"{said}, without an adapter")
    else:
        nothing = fault or "no release is in service"
        good = gate is not None and gate["gate"].get("verdict") == "GO"
        newest = (
            f"the newest gate, of run {gate['run']}, said {gate['gate'].get('verdict')}"
            if gate
            else "no run with a gate yet"
        )
        mvp = PhaseStand("mvp", good, f"{newest}; {nothing}")
        optimize = PhaseStand("optimize", False, nothing)
    return mvp, optimize


def _scale(states: list[dict[str, Any]]) -> PhaseStand:
    """Reached once a run of the phase has switched the endpoint to a release, which passed its probation there."""
    runs = [(one, one.get("scale") or {}) for one in states if one["phase"] == "scale"]
    for state, told in runs:
        if told.get("switched") is True:
            release, at = str(told["candidate"]["release"])[:12], str(told.get("promoted_at") or "")[:10]
            return PhaseStand("scale", True, f"run {state['run']} put release {release} into service {at}".strip())
    if not runs:
        return PhaseStand("scale", False, "no run of phase scale yet")
    state, told = runs[0]
    return PhaseStand("scale", False, f"run {state['run']}: {told.get('said') or state['status']}")


def _has_adapter(workspace: Path, champion: Champion) -> bool:
    try:
        return Store(workspace).open(champion.release).read_json("release.json")["adapter"] is not None
    except (TerminalError, KeyError):  # its artefact is gone: what was written down of it tells
        return champion.phase == "optimize"


def _missing(reached: Reached, gate: dict[str, Any] | None, triggers: Triggers, recipe: str) -> tuple[str, ...]:
    if reached == "scale":
        return ()
    if reached == "optimize":
        return ("a run of phase scale that puts a release into service: cervella run scale-hybrid",)
    if reached == "mvp":
        return tuple(map(str, triggers.unmet))
    if gate is None:
        return (f"a run whose gate says GO: cervella run {recipe}",)
    open_ones = [one for one in gate["gate"].get("criteria", []) if one.get("verdict") != "GO"]
    return tuple(f"{one['name']}: {one['verdict']}, {one['reason']}" for one in open_ones) or ("a gate that says GO",)


def _spent(workspace: Path, states: list[dict[str, Any]], now: datetime) -> Spent:
    runs: dict[str, tuple[int, float]] = {}
    for state in states:
        begun = state.get("started")
        if begun and now - timedelta(days=_DAYS) < datetime.fromisoformat(begun) <= now:
            count, usd = runs.get(state["phase"], (0, 0.0))
            runs[state["phase"]] = count + 1, usd + float(state.get("spent_usd", 0.0))
    try:
        return Spent(UsageLog(usage_file(workspace)).last_30_days(now), "", runs)
    except TerminalError as error:
        return Spent(None, str(error), runs)
