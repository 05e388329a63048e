"""What it takes to go on to fine-tuning: a persona too long for a prompt, validated and unchanged, and enough volume.

Not covered: that a GO of the gate was decided on the same questions each time, that the questions are good ones, and
evaluations of other workspaces. An evaluation that was forced anew counts as one more, although a response cache may
have answered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from components.errors import RefusedError, TerminalError
from components.roadmap.costs import BreakEven, break_even
from components.roadmap.costs_file import load_costs
from components.roadmap.params import RoadmapParams, TriggerParams
from components.store import Store, read_runs, sha256_hex
from components.usage import Period, UsageLog, usage_file

__all__ = [
    "Evaluation", "Trigger", "TriggerName", "Triggers", "check_triggers", "evaluations", "persona_digest",
    "refuse_without", "triggers_of",
]  # fmt: skip

TriggerName = Literal["prompt_tokens", "validated", "volume"]


@dataclass(frozen=True)
class Trigger:
    """One of them.

    Attributes:
        name: prompt_tokens, validated or volume.
        met: None: it could not be measured.
        value: what was measured; None: nothing.
        threshold: what it takes; None: nothing ever does.
        wants: the threshold in words, such as "over 2,000 tokens".
        measured: how it was measured, and what there was to see.
        todo: what would meet it; empty when it is met.
    """

    name: TriggerName
    met: bool | None
    value: float | None
    threshold: float | None
    wants: str
    measured: str
    todo: str

    def __str__(self) -> str:
        """Name, value and threshold in one line."""
        value = "unknown" if self.value is None else f"{self.value:,g}"
        return f"{self.name}: {value}, wanted {self.wants} ({self.measured})"


@dataclass(frozen=True)
class Triggers:
    """All of them."""

    all: tuple[Trigger, ...]
    break_even: BreakEven

    @property
    def met(self) -> bool:
        """Whether each is; one that could not be measured is not."""
        return all(trigger.met is True for trigger in self.all)

    @property
    def unmet(self) -> tuple[Trigger, ...]:
        """Those that are not, or that could not be measured."""
        return tuple(trigger for trigger in self.all if trigger.met is not True)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"met": self.met, "triggers": [asdict(trigger) for trigger in self.all],
                "break_even": self.break_even.to_dict()}  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """What the gate of a run said.

    Attributes:
        run: its id.
        verdict: GO, NO-GO or INCONCLUSIVE; None: the record is damaged, and nobody knows.
        persona: digest of the system prompt that was scored; None: its artefact is gone.
        evidence: what the verdict rests on: two runs with the same one are one evaluation.
    """

    run: str
    verdict: str | None
    persona: str | None
    evidence: str


def persona_digest(prompt_text: str) -> str:
    """What names a compiled system prompt: the SHA-256 of its text."""
    return sha256_hex(prompt_text.encode("utf-8", "surrogatepass"))


def evaluations(workspace: Path) -> Iterator[Evaluation]:
    """The evaluations of a workspace's runs, newest first.

    Runs that ended before their gate, or have none, are left out; so are the combinations of a matrix, which try
    settings out.
    """
    store = Store(workspace)
    for state in read_runs(workspace):
        if state["status"] == "damaged":
            yield Evaluation(state["run"], None, None, state["run"])
            continue
        made = {step["name"]: step["artefact"] for step in state["steps"] if step.get("artefact")}
        gate = state.get("gate")
        if state.get("matrix") or not isinstance(gate, Mapping) or "registry.gate" not in made:
            continue
        evidence = made.get("evaluate.score", made["registry.gate"])
        yield Evaluation(state["run"], str(gate.get("verdict")), _persona(store, made.get("persona.compile")), evidence)


def _persona(store: Store, artefact: str | None) -> str | None:
    try:
        return str(store.open(artefact).manifest["outputs"]["prompt.md"]["sha256"]) if artefact else None
    except (TerminalError, KeyError):
        return None


def check_triggers(
    params: TriggerParams, *, threshold: BreakEven, full_tokens: int | None, tokenizer: str, persona: str | None,
    evaluated: Iterable[Evaluation], volume: Period | str,
) -> Triggers:  # fmt: skip
    """Decide from what was measured.

    Args:
        params: what it takes.
        threshold: the volume that it takes.
        full_tokens: of the whole persona as a system prompt; None: it cannot be compiled.
        tokenizer: whose tokens they are.
        persona: digest of the compiled prompt as it is now (`persona_digest`); None: there is none.
        evaluated: newest first; read as far back as the row goes.
        volume: of the last 30 days; a text: why it cannot be told.
    """
    return Triggers(
        (
            _of_tokens(params.prompt_tokens, full_tokens, tokenizer),
            _of_validation(params.validated, persona, evaluated),
            _of_volume(threshold, volume),
        ),
        threshold,
    )


def _of_tokens(threshold: int, tokens: int | None, tokenizer: str) -> Trigger:
    wants, measured = f"over {threshold:,} tokens", f"the whole persona as a system prompt, tokens of {tokenizer}"
    if tokens is None:
        why = "the persona cannot be compiled"
        return Trigger("prompt_tokens", None, None, threshold, wants, why, "mend the persona: cervella plan says what")
    todo = "" if tokens > threshold else "nothing: a persona that fits the system prompt is better off there"
    return Trigger("prompt_tokens", tokens > threshold, tokens, threshold, wants, measured, todo)


def _of_validation(threshold: int, persona: str | None, evaluated: Iterable[Evaluation]) -> Trigger:
    wants = f"at least {threshold} evaluations in a row with gate GO and this very persona"
    if persona is None:
        return Trigger("validated", None, None, threshold, wants, "the persona cannot be compiled", "mend the persona")
    row, ended = _row(persona, evaluated)
    count = len(row)
    measured = f"runs of this workspace: {count} in a row; {ended or 'there are no others'}"
    if not (count or ended):
        measured = "no run of this workspace has come to its gate"
    todo = ""
    if count < threshold:
        todo = (
            f"{threshold - count} more with gate GO: cervella run, on other questions or after a change of notes or "
            "settings (a run that skips everything repeats what is known); leave the persona as it is"
        )
    return Trigger("validated", count >= threshold, count, threshold, wants, measured, todo)


def _row(persona: str, evaluated: Iterable[Evaluation]) -> tuple[set[str], str]:
    """What the GOs rest on, from the newest back; and what ended the row, in words."""
    row: set[str] = set()
    for one in evaluated:
        if one.verdict is None:
            return row, f"the record of run {one.run} is damaged, and nobody knows what it said"
        if one.persona is None:
            return row, f"the persona of run {one.run} is gone from the store"
        if one.persona != persona:
            return row, f"run {one.run} had another persona"
        if one.verdict != "GO":
            return row, f"run {one.run} ended {one.verdict}"
        row.add(one.evidence)
    return row, ""


def _of_volume(threshold: BreakEven, volume: Period | str) -> Trigger:
    wanted = threshold.conversations
    wants = (
        "a volume that pays for an own model, and by the table of costs none does"
        if wanted is None
        else f"at least {wanted:,.0f} conversations a month"
    )
    if isinstance(volume, str):
        return Trigger("volume", None, None, wanted, wants, volume, "mend the usage log, or move it away")
    count = volume.use.conversations
    met = wanted is not None and count >= wanted
    if not volume.use.queries:
        measured = "the usage log holds no question of the last 30 days"
    else:
        measured = f"the usage log, {volume.name}: {volume.use.queries:,} questions"
        measured += "" if volume.complete else ", and more than it keeps one by one"
    if not met and not volume.complete and wanted is not None:
        return Trigger("volume", None, count, wanted, wants, measured, "set roadmap.triggers.conversations_a_month")
    todo = ""
    if not met:
        todo = "the API is cheaper at this volume; if yours is counted elsewhere, force it with that as the reason"
    return Trigger("volume", met, count, wanted, wants, measured, todo)


def triggers_of(
    workspace: Path, params: RoadmapParams, *, full_tokens: int | None, prompt_text: str | None, tokenizer: str,
    now: datetime | None = None,
) -> Triggers:  # fmt: skip
    """Measure and decide, for a workspace as it is; nothing is written.

    Args:
        workspace: its runs and its usage log.
        params: section `roadmap`.
        full_tokens: see `check_triggers`.
        prompt_text: the compiled system prompt as it is now; None: it cannot be compiled.
        tokenizer: see `check_triggers`.
        now: the end of the 30 days; None: this moment.

    Raises:
        InputError: the file of `roadmap.costs` cannot be understood.
    """
    threshold = break_even(load_costs(params.costs), wished=params.triggers.conversations_a_month)
    volume: Period | str
    try:
        volume = UsageLog(usage_file(workspace)).last_30_days(now)
    except TerminalError as error:
        volume = str(error)
    return check_triggers(
        params.triggers, threshold=threshold, full_tokens=full_tokens, tokenizer=tokenizer,
        persona=None if prompt_text is None else persona_digest(prompt_text), evaluated=evaluations(workspace),
        volume=volume,
    )  # fmt: skip


def refuse_without(triggers: Triggers, force: str | None) -> str | None:
    """The reason to go on although triggers are not met; None: all are, and no reason is needed.

    Raises:
        RefusedError: some are not met, and nobody says why to go on.
    """
    if triggers.met:
        return None
    if force is not None:
        return force
    lines = [f"  {trigger}" + (f"\n    {trigger.todo}" if trigger.todo else "") for trigger in triggers.unmet]
    if any(trigger.name == "volume" for trigger in triggers.unmet):
        lines.append(f"  break-even: {triggers.break_even.said}")
    raise RefusedError(
        f"phase optimize is not due: {len(triggers.unmet)} of {len(triggers.all)} triggers are not met\n"
        + "\n".join(lines)
        + '\nTo go on all the same, say why: -o roadmap.force="REASON" (10 characters or more; it is recorded)'
    )
